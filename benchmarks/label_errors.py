"""Likely label errors against errors that annotators admitted: slips, shares of votes, and cleanlab's label quality.

python benchmarks/label_errors.py varierr.jsonl

The file is VariErr's (Weber-Genzel et al. 2024): 500 items, of each the labels of four annotators, who judged in a
second round whether all labels make sense; a label that nobody who gave it stands by is an error.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from cleanlab.multiannotator import get_label_quality_multiannotator
from sklearn.metrics import average_precision_score

from contested.analysis.items.slips import slip_probabilities
from contested.annotations import Votes

LABELS = ("entailment", "neutral", "contradiction")
FOUND = 100


def read(path: Path) -> tuple[Votes, np.ndarray, int]:
    """Votes, whether each label of an item is an error (N, K; nan where nobody gave it), and N."""
    items = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    found = [
        (row, place, given["annotator"])
        for row, item in enumerate(items)
        for place, label in enumerate(LABELS)
        for given in item[label]
    ]
    wrong = [[label in item["error_labels"] if item[label] else np.nan for label in LABELS] for item in items]
    rows, labels, who = (np.array(column) for column in zip(*found, strict=True))
    votes = Votes(rows, labels, who, tuple(f"annotator {k}" for k in range(who.max() + 1)))
    return votes, np.array(wrong, dtype=float), len(items)


def cleanlab_quality(votes: Votes, counts: np.ndarray) -> np.ndarray:
    """The best quality of a label among those who gave it first, (N, K): it takes one per annotator; else nan."""
    first = ~pd.DataFrame({"item": votes.items, "who": votes.annotators}).duplicated().to_numpy()
    labels = np.full((len(counts), len(votes.annotator_ids)), np.nan)
    labels[votes.items[first], votes.annotators[first]] = votes.labels[first]
    # No model here: its probabilities are the shares of the votes, drawn a little towards even ones.
    probabilities = (counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True)
    quality = get_label_quality_multiannotator(
        pd.DataFrame(labels), probabilities, return_detailed_quality=True, verbose=False
    )["detailed_label_quality"].to_numpy()
    found = np.stack([np.where(labels == k, quality, -1.0).max(axis=1) for k in range(len(LABELS))], axis=1)
    return np.where(found < 0, np.nan, found)


def main() -> None:
    """Print average precision, and precision and recall of the likeliest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    votes, errors, n = read(parser.parse_args().file)
    counts = votes.counts(n_items=n, n_classes=len(LABELS))
    slips = slip_probabilities(votes, counts.shape, rng=np.random.default_rng(0))
    assert slips is not None
    quality = cleanlab_quality(votes, counts)
    given = np.isfinite(errors)
    shares = counts / counts.sum(axis=1, keepdims=True)
    for told, chosen in (("all labels", given), ("the first of each annotator", given & np.isfinite(quality))):
        truth = errors[chosen].astype(bool)
        print(f"{told}: {len(truth)}, {truth.sum()} errors; precision and recall of the {FOUND} likeliest:")
        for name, score in {"slips": slips.label, "share of votes": -shares, "cleanlab": -quality}.items():
            if np.isfinite(score[chosen]).all():
                print(f"  {name:<15} {_measured(truth, score[chosen])}")


def _measured(truth: np.ndarray, score: np.ndarray) -> str:
    first = np.argsort(-score, kind="stable")[:FOUND]
    average, hits = average_precision_score(truth, score), truth[first].sum()
    return f"average precision {average:.3f}, precision {hits / FOUND:.2f}, recall {hits / truth.sum():.2f}"


if __name__ == "__main__":
    main()
