"""Many runs from one file: its cells, what they would cost, running them, where they stand, what they show.

Nothing here imports torch until runs start, so that a study can be planned, read and reported on without it.
"""

from contested.studies.cells import Cell, expand
from contested.studies.file import Study, load_study, open_study
from contested.studies.presets import PRESETS

__all__ = ["PRESETS", "Cell", "Study", "expand", "load_study", "open_study"]
