"""What a run did to the examples people disagree on: tables, figures and one offline page."""

from contested.report.figures import (
    Disagreement,
    Group,
    Panel,
    accuracy_by_category,
    entropy_histogram,
    loss_by_category,
    loss_change,
    people_by_category,
)
from contested.report.runs import find_runs
from contested.report.style import category_colors, save_figure
from contested.report.summary import side_by_side, summary_table
from contested.report.tables import Column, write_tables
from contested.report.write import ReportPaths, write_report

__all__ = [
    "Column",
    "Disagreement",
    "Group",
    "Panel",
    "ReportPaths",
    "accuracy_by_category",
    "category_colors",
    "entropy_histogram",
    "find_runs",
    "loss_by_category",
    "loss_change",
    "people_by_category",
    "save_figure",
    "side_by_side",
    "summary_table",
    "write_report",
    "write_tables",
]
