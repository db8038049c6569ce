"""`python -m mdm.cli`."""

from mdm.cli.app import app

app()
