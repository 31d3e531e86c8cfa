"""What runs did to the examples that annotators disagree on: tables, figures and one offline page."""

from contested.report.comparison import ComparisonPaths, write_comparison
from contested.report.declarations import Column, FigureSpec, FindingCard, ReportSpec, Section, Table
from contested.report.map import MapPaths, write_map
from contested.report.run_names import run_names
from contested.report.runs import find_runs
from contested.report.study_write import StudyReportPaths, write_study_report, write_study_tables
from contested.report.style import category_colors, save_figure
from contested.report.write import ReportPaths, write_report, write_run_tables

__all__ = [
    "Column",
    "ComparisonPaths",
    "FigureSpec",
    "FindingCard",
    "MapPaths",
    "ReportPaths",
    "ReportSpec",
    "Section",
    "StudyReportPaths",
    "Table",
    "category_colors",
    "find_runs",
    "run_names",
    "save_figure",
    "write_comparison",
    "write_map",
    "write_report",
    "write_run_tables",
    "write_study_report",
    "write_study_tables",
]
