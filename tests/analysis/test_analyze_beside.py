"""The numbers of a run and of a study do not depend on whether other processes make some of them."""

import subprocess
import sys

_SCRIPT = """
import json
import numpy as np
import pandas as pd
import contested as ct
import contested.beside
import contested.analysis.study.cells as cells_of_study
from contested.analysis.study import Axis, study_results

rng = np.random.default_rng(0)
counts = rng.multinomial(20, [0.5, 0.3, 0.2], size=40)
def run(seed):
    logits = np.random.default_rng(seed).normal(size=(3, 40, 3))
    return ct.Trajectory.from_arrays(
        logits=logits, steps=[0, 10, 20], gold=counts.argmax(axis=1), label_counts=counts, label_names=("a", "b", "c")
    )
runs = {f"{size}-{seed}": run(seed + size) for size in (1, 2) for seed in (3, 4)}
cells = pd.DataFrame({"run_id": run_id, "size": int(run_id[0]), "seed": int(run_id[2])} for run_id in runs)
cells = cells.assign(name=cells["run_id"], main=False, group="", status="complete", excluded="")
found, split, start = [], [], contested.beside._started
cells_of_study._TOGETHER = 1  # each run by whichever process is free
contested.beside._started = lambda *given: split.append(given) or start(*given)
for processes in (0, 2):
    contested.beside.processes = lambda: processes
    alone = ct.analyze(runs["1-3"], n_resamples=200).to_dict()
    together = study_results(cells, [Axis("size", "", (1, 2))], runs, n_resamples=200).to_dict()
    found.append(json.dumps([alone, together], sort_keys=True))
print(found[0] == found[1], len(found[0]) > 10_000, len(split), contested.beside.multiprocessing.active_children())
"""


def test_numbers_are_the_same_whether_other_processes_make_them_or_not() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=100)
    assert done.stdout == "True True 3 []\n", done.stderr
