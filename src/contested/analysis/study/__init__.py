"""The results of any study: its axes, its runs, groups of seeds, and differences along an axis."""

from contested.analysis.study.cells import Axis, StudyRuns
from contested.analysis.study.columns import CELL_COLUMNS, COLUMNS
from contested.analysis.study.groups import Resampling, SeedGroup
from contested.analysis.study.results import StudyResults, read_frame, study_results

__all__ = [
    "CELL_COLUMNS",
    "COLUMNS",
    "Axis",
    "Resampling",
    "SeedGroup",
    "StudyResults",
    "StudyRuns",
    "read_frame",
    "study_results",
]
