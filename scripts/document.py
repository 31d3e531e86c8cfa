"""The pages of docs/ that are made from the code: written, or with ``--check`` compared with what they should say.

python scripts/document.py [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from contested.analysis.measures import MEASURES
from contested.config import RunConfig
from contested.options import METHODS, section_in
from contested.rows import FILE_KINDS

DOCS = Path(__file__).parents[1] / "docs"

CONFIGURATION = f"""# Configuration of a run

A YAML file for `contested train`; `key=value` on the command line overrides it (`training.learning_rate=1e-3`).
Relative paths are taken from the file's folder. Unknown keys are errors that name the nearest known one. Made from
the code by `make docs`. Files of rows are {FILE_KINDS}, told by suffix or content.
"""
METHOD = """
## method

`method: full` is short for `method: {name: full}`; without `name`, lora is meant. Any other PEFT tuner goes by its own
name: `method: {name: vera, r: 64}` is short for `method: {name: peft, type: vera, options: {r: 64}}`.
"""
MEASURES_PAGE = """# Measures of single examples

Every quantity that each tracked example has, as `contested/analysis/measures.py` declares it; made from that list by
`make docs`. The name is the column of examples.csv, the key in results.json (`measures`) and in the
table `measures`. A run without what a measure needs lacks that measure, and `absent` says why. By category: the
mean with a bootstrap interval over examples, or the share of examples with Wilson's; examples without a value are
counted in `n_skipped`. Losses and entropies are in nats; formulas and references: [statistics](statistics.md). To add a
measure, add an entry to the list.

"""


def rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of every field, sections unfolded."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        if key == "method":
            continue
        section = section_in(field)
        if section is not None:
            yield from rows(section, key + ".")
        else:
            yield key, default(field), (field.description or "").replace("\n", " ")


def default(field: Any) -> str:
    if field.default_factory is not None:
        return f"`{field.default_factory()}`"
    return (
        "*required*"
        if field.default is PydanticUndefined
        else f"`{'null' if field.default is None else field.default}`"
    )


def table(entries: Iterator[tuple[str, str, str]]) -> str:
    lines = ["", "| key | default | meaning |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{key}` | {value} | {text} |" for key, value, text in entries), ""])


def configuration() -> str:
    """Every option of a run with its default and its meaning."""
    methods = [f"\n### {name}\n{table(rows(model))}" for name, model in METHODS.items()]
    return CONFIGURATION + table(rows(RunConfig)) + METHOD + "".join(methods)


def measures() -> str:
    """Every quantity that single examples have."""
    lines = [
        f"| `{measure.name}` | {measure.heading} | {measure.unit or '–'} | {', '.join(measure.needs)} "
        f"| {measure.summary} | {measure.sentence} |"
        for measure in MEASURES
    ]
    head = ["| measure | heading | unit | needs | by category | what it is |", "|---|---|---|---|---|---|"]
    return MEASURES_PAGE + "\n".join([*head, *lines]) + "\n"


PAGES = {"configuration.md": configuration, "measures.md": measures}


def main(*, check: bool, docs: Path = DOCS) -> str:
    """Write the pages, or say which of them are out of date.

    Args:
        check: Whether to compare only.
        docs: The folder of the pages.

    Returns:
        What is to be done; empty where nothing is.
    """
    made = {docs / name: page() for name, page in PAGES.items()}
    if check:
        old = [file for file, text in made.items() if not file.is_file() or file.read_text(encoding="utf-8") != text]
        names = ", ".join(f"docs/{file.name}" for file in old)
        return f"{names}: the code has changed since; write again with: make docs" if old else ""
    for file, text in made.items():
        file.write_text(text, encoding="utf-8")
    return ""


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]) or None)
