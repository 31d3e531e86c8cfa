"""Analyse what something else recorded: logits of each example after each epoch, and many annotators' labels.

Nothing is trained, and torch is not needed: python examples/analyze_recorded.py [OUT]
"""

import sys
from pathlib import Path

import numpy as np

import contested as ct


def recorded() -> dict[str, np.ndarray]:
    """Stand-in for a file of yours, such as ``np.load("recorded.npz")``: 5 epochs, 300 examples, 3 classes."""
    rng = np.random.default_rng(0)
    distributions = rng.dirichlet([0.5, 0.5, 0.5], 300)
    counts = np.stack([rng.multinomial(100, shares) for shares in distributions])
    # A model that grows ever more certain of the labels of two annotators, who are often a minority on split examples.
    seen = np.stack([rng.multinomial(2, shares) for shares in distributions])
    return {"logits": np.arange(5)[:, None, None] * 0.8 * seen, "label_counts": counts}


def main(out: Path) -> ct.Analysis:
    """Make a run folder ``out/run`` of the arrays, and report on it in ``out/report``."""
    run = ct.Trajectory.from_arrays(
        **recorded(), gold="majority", label_names=["yes", "no", "unclear"], step_unit="epoch", run_id="recorded"
    )
    run.save(out / "run")
    ct.write_report([run], out / "report")
    return ct.analyze(run)


if __name__ == "__main__":
    print("", *ct.statements(main(Path(sys.argv[1] if len(sys.argv) > 1 else "example-recorded"))), sep="\n- ")
