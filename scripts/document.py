"""The pages of docs/ that are made from the code: written, or with ``--check`` compared with what they should say.

python scripts/document.py [--check]
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
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
MODELS_PAGE = """# Models and methods

Which architectures of transformers train here, how their batches are computed, and what is refused and why; and the
same of PEFT's methods. Made by `make docs` from what `python tests/sweep/sweep.py --out docs/models.json` found on
{date} with {packages}.

Each pair of an architecture and a method was tried with a tiny checkpoint of random weights: a run of a few steps,
whose last logits were held against those of the saved model, loaded by transformers and PEFT alone and asked one text
at a time; then, at perturbed weights, logits and gradients of a batch against those of its texts alone. Here *right*
means equal to 1e-4, gradients to a thousandth of their length. A checkpoint of real size may turn on what the tiny one
does not. So every run proves itself before its first step, takes the next slower way of making batches where one is
not exact, and says so.

From fast to slow: **packed**, all tokens end to end and nothing is padded; **padded** to the longest of a few texts of
similar length; **equal lengths**, only texts of the same length together; **one by one**.
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


Outcomes = dict[tuple[str, str], dict[str, Any]]
"""By architecture and method."""
NOT_TRIED = {"outcome": "not tried", "said": ""}


def kind(outcome: dict[str, Any]) -> str:
    """The engine of what is right, else what came of it."""
    return str(outcome["engine"] if outcome["outcome"] == "right" else outcome["outcome"])


def models() -> str:
    """What the sweep found, from its committed result."""
    found = json.loads((DOCS / "models.json").read_text(encoding="utf-8"))
    outcomes: Outcomes = {(each["architecture"], each["method"]): each for each in found["outcomes"]}
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    architectures = sorted({of for of, method in outcomes if method == "full"})
    methods = sorted({method for of, method in outcomes if of == "bert"}, key=lambda name: (name != "full", name))
    met = [of for of in architectures if all((of, method) in outcomes for method in methods)]
    return "\n".join(
        [
            MODELS_PAGE.format(date=found["date"], packages=packages),
            f"## Architectures\n\nFull fine-tuning: {counted(outcomes, [(of, 'full') for of in architectures])}.\n",
            *detail(outcomes, "architecture", [(of, [(of, "full"), (of, "lora")]) for of in architectures]),
            f"\n## Methods\n\nOf BERT: {counted(outcomes, [('bert', method) for method in methods])}.\n",
            *detail(outcomes, "method", [(name, [("bert", name), ("llama", name)]) for name in methods]),
            "\n## Both\n\nP packed, p padded, e equal lengths, o one by one, – refused.\n",
            *matrix(outcomes, methods, met),
            "",
        ]
    )


def counted(outcomes: Outcomes, pairs: Iterable[tuple[str, str]]) -> str:
    """How many of some pairs train, by engine, and how many are refused."""
    found = Counter(kind(outcomes[pair]) for pair in pairs if pair in outcomes)
    kinds = ", ".join(f"{found[kind]} {kind}" for kind in (*LETTERS, "refused") if found[kind])
    return f"{found.total() - found['refused']} of {found.total()} train ({kinds})"


def detail(outcomes: Outcomes, what: str, entries: Iterable[tuple[str, list[tuple[str, str]]]]) -> Iterator[str]:
    """A line for each entry: the engines of its two pairs, and what was said of them."""
    second = "full fine-tuning | LoRA" if what == "architecture" else "BERT | Llama"
    yield f"| {what} | {second} | why not packed, or refused |"
    yield "|---|---|---|---|"
    for name, pairs in entries:
        known = [outcomes.get(pair, NOT_TRIED) for pair in pairs]
        engines = " | ".join(map(kind, known))
        said = [cell(each["said"]) for each in known if each["said"]]
        # Of two that say the same with other numbers the first is enough.
        once = {re.sub(r"\d[\d.]*(e[+-]?\d+)?", "", text): text for text in reversed(said)}
        yield f"| {name} | {engines} | {'; '.join(reversed(once.values()))} |"


def cell(text: str) -> str:
    """What was said, as it may stand in a cell of a table; without what its row says."""
    text = re.sub(r"^\S+ cannot be trained with the method [^:]+: ", "", text)
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


LETTERS = {"packed": "P", "padded": "p", "equal lengths": "e", "one by one": "o"}


def matrix(outcomes: Outcomes, methods: Iterable[str], architectures: list[str]) -> Iterator[str]:
    """A line for each method, a letter for each architecture."""
    yield f"| method | {' | '.join(architectures)} |"
    yield "|---|" + "---|" * len(architectures)
    for method in methods:
        letters = [LETTERS.get(kind(outcomes[of, method]), "–") for of in architectures]
        yield f"| {method} | {' | '.join(letters)} |"


PAGES = {"configuration.md": configuration, "measures.md": measures, "models.md": models}


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
