"""The report of a whole study: the paper's tables and figures, its claims, and one offline page."""

from contested.paper.report.write import StudyReportPaths, write_study_report

__all__ = ["StudyReportPaths", "write_study_report"]
