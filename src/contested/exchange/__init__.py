"""Recordings of other tools: read as runs, and runs written for them (no torch)."""

from contested.exchange.exchange import FORMATS, Imported, export_run, import_run, import_runs
from contested.exchange.format import Format
from contested.exchange.tables import to_frame

__all__ = ["FORMATS", "Format", "Imported", "export_run", "import_run", "import_runs", "to_frame"]
