"""Print docs/measures.md from the list of measures.

python scripts/document_measures.py > docs/measures.md
"""

from __future__ import annotations

from contested.analysis import measures

HEAD = """# Measures of single examples

Every quantity that each tracked example has, as `contested/analysis/measures.py` declares it; made from that list by
`scripts/document_measures.py`. The name is the column of examples.csv, the key in results.json (`measures`) and in the
table `measures`. A run without what a measure needs lacks that measure, and `absent` says once why. By category: the
mean with a bootstrap interval over examples, or the share of examples with Wilson's; examples without a value are
counted in `n_skipped`. Losses and entropies are in nats; formulas and references: [statistics](statistics.md). To add a
measure, add an entry to the list.

"""


def document() -> str:
    """The whole page."""
    return HEAD + measures.document()


if __name__ == "__main__":
    print(document(), end="")
