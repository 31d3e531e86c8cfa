"""The pages of docs/ that are made from the code: written, or with ``--check`` compared with what they should say.

python scripts/document.py [--check]
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from contested.analysis.items import FACTS
from contested.analysis.measures import MEASURES
from contested.annotations.categories import FIXED
from contested.annotations.certainty import category_probabilities
from contested.annotations.disagreement import FIXED_CLASSES
from contested.annotations.measures import entropy
from contested.annotations.partitions import partitions
from contested.config import RunConfig
from contested.options import METHODS, section_in
from contested.paper.rules import HOW_CLAIMS_ARE_DECIDED, RULES
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
FACTS_PART = """
## Facts of annotated items

What `contested map` knows of every item without any model, as `contested/analysis/items/facts.py` declares it: columns
of `items.parquet` and `tables/items.csv`, and of the page's explorer. `annotators`: the file says who gave which vote;
`scale`: the classes are a scale; `measure`: categories are bands of another measure than H.

"""
CLAIMS_PAGE = """# The paper's claims and what decides them

A study with `report: paper` answers nine claims of the paper (arXiv 2604.16332), (a) to (i), on its page, in
`results.json` and in `contested analyze`. Made from `contested/paper/rules.py` by `make docs`.

{how}

An interval over examples and seeds weights the normal quantile and Student's t with S − 1 degrees of freedom by the
variances of examples and seeds; the wider one has the same variances and the quantiles of the family. "Unchanged" and
"absent" are shown by equivalence: the whole interval lies within a margin stated beforehand. That an interval holds
zero shows neither. Formulas and tests: [statistics](statistics.md).

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


FEW_ANNOTATORS_PAGE = """# Few annotators

ChaosNLI has 100 annotations of each example. Most sets have 3, 5 or 10. What of a run's numbers then still holds,
what is corrected, and what is not. Made by `make docs`: the table of splits is computed.

```sh
contested analyze runs/mine
```

writes two tables and shows them on the page of `contested report` (folded), for 2, 3, 5, 10, 20 of the annotators of
each example, as far as there are more, and for all of them; the gold labels of the run stay those of all.

- `few_annotators`: ρ(AULC, H), mean and standard deviation over draws without replacement; the reliability of H,
  which is its correlation with H of as many other annotators; ρ corrected for attenuation, ρ / √reliability (Spearman
  1904); the share of examples that keep the category of all annotators; and the mean probability of an example's
  category.
- `few_annotators_changes`: mean Δℓ of the examples that so many annotators put into each category, and corrected for
  those that belong in another (regression calibration: least squares on the categories' probabilities).

The reliability comes from two draws of different annotators where an example has twice as many, else from halves of
its annotations, extrapolated to all (Spearman–Brown). Below four annotations no half shows disagreement and nothing
is corrected. From four to nine, halves know too few values of H: on ChaosNLI-SNLI the reliability of five comes out
as 0.26 where it is 0.35, and ρ, corrected by it, a sixth too high; the `note` says so. From ten on halves are right
(0.52 for 0.54).

## What it shows on ChaosNLI-SNLI

LoRA of MiniLM, 1,211 tracked examples (two runs; [log](log.md)):

| annotators | ρ | reliability | ρ corrected | category of all 100 | contested Δℓ | corrected |
|---|---|---|---|---|---|---|
| 2 | 0.09, 0.07 | 0.11 | 0.26, 0.21 | 40% | no example | – |
| 3 | 0.12, 0.10 | 0.21 | 0.25, 0.21 | 49% | 0.10, −0.06 | 0.16, −0.02 |
| 5 | 0.15, 0.12 | 0.35 | 0.25, 0.21 | 59% | 0.10, −0.03 | 0.14, −0.01 |
| 10 | 0.18, 0.15 | 0.54 | 0.25, 0.21 | 64% | 0.09, −0.06 | 0.13, −0.03 |
| 20 | 0.21, 0.18 | 0.69 | 0.26, 0.22 | 74% | 0.14, −0.04 | 0.17, −0.02 |
| 100 | 0.25, 0.21 | 0.91 | 0.26, 0.22 | | 0.16, −0.02 | 0.19, 0.01 |

With five annotators half of ρ is left, and the corrected one is within 0.01 of that of 100. A contested category made
of five votes is another set of examples, a quarter as many, and its Δℓ is that of examples which lie elsewhere too.

## A category is a guess

An example's category is that of its counts. The distribution that the annotators were drawn from may lie in another,
and the measure `category_probability` says with which probability it lies in the same: the prior is a symmetric
Dirichlet whose concentration is the most likely one for the whole set (empirical Bayes; ½ below 30 examples), the
posterior is Dirichlet with the counts added. Where these assumptions hold it is right on average (tested); on
ChaosNLI, five annotators of 100, it says 0.55, and 0.59 of the examples have the category that all 100 give.

What the fixed bounds (0.4 and 0.7 nats, K = 3) make of every split, and how probable each category then is, for the
concentration of ChaosNLI-SNLI (0.36):

"""
ESTIMATORS = """
Two annotations cannot be contested, as ln 2 < 0.7. Under Miller–Madow two and three cannot be ambiguous: a split of 2
: 1 is then contested (0.803) and of 1 : 1 as well (0.943). `contested entropy` says which categories no split
reaches.

## Which estimator

Draws of 100 annotations of ChaosNLI-SNLI against H of all 100: bias and root mean squared error of H (nats),
Spearman's ρ with it, and the share of examples in the same category.

| annotators | plug-in | Miller–Madow | Chao–Shen |
|---|---|---|---|
| 3 | −0.22, 0.38, 0.46, 49% | −0.14, 0.40, 0.46, 39% | +0.01, 0.54, 0.46, 39% |
| 5 | −0.14, 0.29, 0.60, 59% | −0.07, 0.31, 0.60, 53% | 0.00, 0.36, 0.43, 41% |
| 10 | −0.07, 0.20, 0.75, 64% | −0.02, 0.21, 0.74, 59% | 0.00, 0.23, 0.74, 65% |
| 20 | −0.04, 0.13, 0.86, 74% | −0.01, 0.14, 0.86, 72% | +0.01, 0.14, 0.82, 71% |

Chao–Shen (`--estimator chao-shen`) gives the *mean* entropy of a set almost without bias from two annotations on. For
single examples, ranks and categories the plug-in is the best of the three, so that is what runs are cut by;
corrections are made where numbers are compared, not to H itself.
"""


def few_annotators() -> str:
    """What few annotators show, with every split of 2, 3, 5 and 10 annotations."""
    lines = [
        "| annotations | split | H (nats) | category | clean | ambiguous | contested |",
        "|---|---|---|---|---|---|---|",
    ]
    for n in (2, 3, 5, 10):
        counts = partitions(n, FIXED_CLASSES)
        sure = category_probabilities(counts, FIXED, concentration=0.36).probabilities
        for row, h, chances in zip(counts, entropy(counts), sure, strict=True):
            split = " : ".join(str(count) for count in row if count)
            said = " | ".join(f"{chance:.2f}" for chance in chances)
            lines.append(f"| {n} | {split} | {h:.3f} | {FIXED.assign([h])[0]} | {said} |")
    return FEW_ANNOTATORS_PAGE + "\n".join(lines) + "\n" + ESTIMATORS


def rows(model: type[BaseModel], prefix: str = "", off: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of every field, sections unfolded; ``off`` names a section above that may be absent."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        if key == "method":
            continue
        section = section_in(field)
        if section is not None:
            yield from rows(section, key + ".", off if field.default is not None else key)
        else:
            yield key, default(field, off), (field.description or "").replace("\n", " ")


def default(field: Any, off: str = "") -> str:
    """A field's default as a file writes it; where there is none, what requires a value."""
    if field.default_factory is not None:
        return f"`{as_yaml(field.default_factory())}`"
    if field.default is PydanticUndefined:
        return f"*required where `{off}` is given*" if off else "*required*"
    return f"`{as_yaml(field.default)}`"


def as_yaml(value: Any) -> str:
    """A value as YAML writes it, on one line."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


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
    facts = [
        f"| `{fact.name}{f'_<{fact.each}>' if fact.each else ''}` | {fact.heading} | {fact.unit} | "
        f"{', '.join(fact.needs)} | {fact.sentence} |"
        for fact in FACTS
    ]
    of_items = ["| fact | heading | unit | needs | what it is |", "|---|---|---|---|---|", *facts]
    return MEASURES_PAGE + in_words([*head, *lines]) + FACTS_PART + in_words(of_items)


def in_words(lines: Sequence[str]) -> str:
    """A table whose last column holds sentences, which the site's style gives room."""
    return "\n".join(['<div class="words">', "", *lines, "", "</div>", ""])


COVERAGE = "## How often intervals cover"
COVERAGE_INTRODUCTION = f"""{COVERAGE}

Simulated by `python benchmarks/coverage.py`, whose registry of cases names every method and population; `--only NAME`
for a part. Wanted are 95 % of samples, and 2.5 % on either side; with 2,000 samples a share near 95 % has a standard
error of 0.5 points. *Below*: the whole interval lies below the truth; *above* likewise. Bold: not within 1.5 points of
95 %, or a verdict that is false in more than 3 % of samples on one side. Where values are too skewed for so few
examples, the number has a `caution`; a tail that a sample holds none of gives it none. The last columns are of a
simpler method, which their head names: how often it covers, and mean length now by its own, or its verdicts.
"""


def statistics() -> str:
    """The page of statistics, written by hand down to its last section, which the simulated figures make."""
    page = (DOCS / "statistics.md").read_text(encoding="utf-8")
    by_hand = page.partition(COVERAGE)[0].rstrip("\n")
    every = json.loads((DOCS / "statistics.json").read_text(encoding="utf-8"))
    tables = [coverage_table(what, [row for row in every if row["what"] == what]) for what in kinds(every)]
    return "\n".join([by_hand, "", COVERAGE_INTRODUCTION, *tables])


def kinds(every: list[dict[str, Any]]) -> list[str]:
    """What was simulated, in order, once each."""
    return list(dict.fromkeys(row["what"] for row in every))


def coverage_table(what: str, found: list[dict[str, Any]]) -> str:
    """One table: a line for each population and size, beside a simpler method where there is one."""
    verdict = found[0]["now"]["length"] is None
    methods = Counter(row["before_is"] for row in found if row.get("before"))
    simpler = methods.most_common(1)[0][0] if methods else ""
    head = ["population", "n", *(VERDICTS if verdict else ["covers", "below", "above"])]
    head += ([f"{said} {simpler}" for said in VERDICTS] if verdict else [simpler, "length"]) if simpler else []
    lines = [verdict_line(row) if verdict else interval_line(row, simpler) for row in found]
    lines = [line_of(head), "|---|---|" + "---:|" * (len(head) - 2), *map(line_of, lines)]
    return "\n".join([f"### {what[0].upper()}{what[1:]}", "", *lines, ""])


def line_of(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def share(value: float, wrong: bool = False) -> str:
    """Percent with one decimal, bold where it is not what is wanted."""
    return f"**{100 * value:.1f} %**" if wrong else f"{100 * value:.1f} %"


VERDICTS = ['"falls"', '"rises"']


def verdict_line(row: dict[str, Any]) -> list[str]:
    """How often each verdict is given; where nothing changes, any is false."""
    null = row["what"].endswith("mean is 0")
    said = [row[method][side] for method in ("now", "before") for side in ("below", "above")]
    return [row["population"], row["n"], *(share(value, null and value > 0.03) for value in said)]


def interval_line(row: dict[str, Any], simpler: str) -> list[str]:
    now, before = row["now"], row.get("before")
    covers = share(now["covers"], abs(now["covers"] - 0.95) > 0.015)
    cells = [row["population"], row["n"], covers, share(now["below"]), share(now["above"])]
    if not simpler:
        return cells
    if not before:
        return [*cells, "–", "–"]
    named = "" if row["before_is"] == simpler else f" ({row['before_is']})"
    return [*cells, share(before["covers"]) + named, f"{now['length'] / before['length']:.2f}"]


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


def claims() -> str:
    """What decides each of the paper's claims."""
    lines = [f"| ({rule.key}) | {' | '.join(rule[1:])} |" for rule in RULES.values()]
    head = [
        "| | the paper says | a finding is | for the claim where | against it where | the claim needs |",
        "|---|---|---|---|---|---|",
    ]
    return CLAIMS_PAGE.format(how=HOW_CLAIMS_ARE_DECIDED) + "\n".join([*head, *lines]) + "\n"


PAGES = {
    "claims.md": claims,
    "configuration.md": configuration,
    "few_annotators.md": few_annotators,
    "measures.md": measures,
    "models.md": models,
    "statistics.md": statistics,
}


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
