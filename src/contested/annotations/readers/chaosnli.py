"""ChaosNLI v1.0 for SNLI and MNLI: JSONL with ``uid``, ``label_counter`` and ``example``.

A class without annotations is absent from ``label_counter``. The file's own ``entropy`` is in bits and its
``majority_label`` breaks ties in an unstated way: both are left alone. ``old_label``, the gold label of SNLI or MNLI,
is kept by the name of its class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from contested.annotations.core import Annotations
from contested.annotations.readers._cells import as_count, as_text, shown
from contested.annotations.readers._format import (
    Format,
    Options,
    find_column,
    read_ids,
    stop_on_problems,
)
from contested.annotations.readers._vectors import ColumnSpec, check_totals, read_vectors
from contested.rows import Table
from contested.wording import listed

if TYPE_CHECKING:
    import pandas as pd

LABEL_NAMES = ("entailment", "neutral", "contradiction")

_KEYS = ("e", "n", "c")
_TEXTS = ("premise", "hypothesis")


def matches(table: Table, options: Options) -> bool:
    """Whether the rows are ChaosNLI pairs (αNLI has other texts and labels)."""
    examples = table.columns.get("example", [])
    pairs = any(isinstance(example, dict) and "premise" in example for example in examples)
    return pairs and "label_counter" in table.columns


def read(table: Table, options: Options) -> Annotations:
    """Read a ChaosNLI file; label names say the order of its classes.

    Args:
        table: Its lines.
        options: What was asked for.

    Returns:
        The annotations, with premise, hypothesis, source and, where the file has it, old_label as fields.
    """
    for column in ("uid", "label_counter", "example"):
        find_column(table, column, (), "every ChaosNLI line has it")
    if not {"uid", "label_counter", "example"} <= table.columns.keys():
        stop_on_problems(table, FORMAT.name)
    table.trace.read_from("ids", "uid")
    table.trace.read_from("counts", "label_counter")
    names = options.label_names or LABEL_NAMES
    if sorted(names) != sorted(LABEL_NAMES):
        table.add_problem(0, f"label_names are {listed(names)}; expected {listed(LABEL_NAMES)}, in any order")
    ids = read_ids(table, "uid")
    vectors = read_vectors(table, ColumnSpec(("label_counter",), _KEYS, as_count, "label_counter", given=False))
    check_totals(table, vectors.values)
    fields = _read_examples(table)
    stop_on_problems(table, FORMAT.name)
    counts = vectors.values.astype(np.int64)[:, [LABEL_NAMES.index(name) for name in names]]
    return Annotations(tuple(ids), counts, names, fields, source=str(table.path))


def _read_examples(table: Table) -> pd.DataFrame:
    examples = []
    for line_number, example in zip(table.line_numbers, table.columns["example"], strict=True):
        if not isinstance(example, dict):
            table.add_problem(line_number, f"example is {shown(example)}; expected an object")
            continue
        missing = [name for name in _TEXTS if as_text(example.get(name)) is None]
        if missing:
            table.add_problem(line_number, f"example has no text {listed(missing)}")
        examples.append({name: example.get(name) for name in (*_TEXTS, "source")})
    import pandas as pd

    fields = pd.DataFrame(examples, columns=[*_TEXTS, "source"])
    if "old_label" in table.columns and not table.problems:
        known = dict(zip(_KEYS, LABEL_NAMES, strict=True))
        labels = table.columns["old_label"]
        fields["old_label"] = [known.get(label) if isinstance(label, str) else None for label in labels]
    return fields


FORMAT = Format(
    name="chaosnli",
    summary="ChaosNLI S/MNLI, JSONL with uid, label_counter (e, n, c) and example (premise, hypothesis)",
    options=frozenset({"label_names"}),
    claims=frozenset(),
    matches=matches,
    read=read,
)
