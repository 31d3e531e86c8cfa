"""The results of a study: many runs in, the paper's tables, figures and claims as numbers out."""

from contested.analysis.study.columns import CELL_COLUMNS, COLUMNS
from contested.analysis.study.findings import Claim
from contested.analysis.study.results import StudyResults, study_results

__all__ = ["CELL_COLUMNS", "COLUMNS", "Claim", "StudyResults", "study_results"]
