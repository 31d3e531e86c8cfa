"""The paper's Table n, Figure n and sections, handed to the report of its study."""

from contested.paper.report.spec import SECTIONS, report_spec

__all__ = ["SECTIONS", "report_spec"]
