"""The explorer of a page: every item with all that is known of it, to map, search, sort, select and compare."""

from __future__ import annotations

from contested.report.explorer.embedding import bundle, embedded
from contested.report.explorer.payload import CATEGORY, Column, Curve, Explorer, ExplorerRun

__all__ = ["CATEGORY", "Column", "Curve", "Explorer", "ExplorerRun", "bundle", "embedded"]
