"""The paper's tables, figures and claims: a client of studies, analysis and report through what they offer everyone."""

from contested.paper.findings import Claim
from contested.paper.frames.columns import CELL_COLUMNS, COLUMNS
from contested.paper.results import PaperResults, paper_results, results

__all__ = ["CELL_COLUMNS", "COLUMNS", "Claim", "PaperResults", "paper_results", "results"]
