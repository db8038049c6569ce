from typing import Literal

Export = Literal["crosswalk", "golden", "households", "quarantine"]
"""What can be written to a file for registries and analysts."""
