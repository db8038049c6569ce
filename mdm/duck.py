"""DuckDB as every room opens it: in memory, and silent."""

from __future__ import annotations

import duckdb


def open_duckdb() -> duckdb.DuckDBPyConnection:
    """DuckDB draws a progress bar of its own over the product's; it is told not to."""
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    return connection
