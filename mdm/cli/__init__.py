"""The command line."""

from mdm.cli.app import app

__all__ = ["app"]
