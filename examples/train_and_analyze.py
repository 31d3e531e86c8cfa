"""Train a small encoder with LoRA from Python, and see what that did to the examples people disagree on.

Data and encoder are embedded in the package, so that this needs no network: python examples/train_and_analyze.py [OUT]
"""

import sys
from pathlib import Path

import contested as ct
from contested.demo import ENCODER_PATH, make_world


def main(out: Path) -> ct.Analysis:
    """Train one run into ``out/run``, and report on it in ``out/report``."""
    # Yours would come from ct.read_annotations("annotated.jsonl") and ct.read_bulk("bulk.jsonl", …).
    world = make_world(n_annotated=200, n_bulk=400, seed=0)
    result = ct.train(
        str(ENCODER_PATH),
        ct.LoRA(r=4),
        ct.NLITask(annotated=world.annotated, bulk=world.bulk),
        out=out / "run",
        max_length=64,
        training={"epochs": 2, "learning_rate": 1e-3},
        tracking={"every": 10},
        execution={"threads": 1},
        on_progress=lambda state: print(f"\rstep {state.step} of {state.total_steps}", end="", file=sys.stderr),
    )
    run = result.trajectory  # losses (T, N), logits (T, N, K), steps, ids, entropy
    found = ct.analyze(run)
    ct.write_report([run], out / "report")
    return found


if __name__ == "__main__":
    print("", *ct.statements(main(Path(sys.argv[1] if len(sys.argv) > 1 else "example-run"))), sep="\n- ")
