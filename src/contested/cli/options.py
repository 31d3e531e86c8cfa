"""Options that several commands have, and how messages spell them."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from contested.errors import ConfigError, ContestedError

IdColumn = Annotated[str | None, typer.Option(help="Column of the item ids.")]
CountColumns = Annotated[
    str | None, typer.Option(help="Column(s) of counts: one of lists or objects, or one per class.")
]
LabelsColumn = Annotated[
    str | None,
    typer.Option(help="Column(s) of labels: one of lists, one per annotator, or that of a long table."),
]
DistributionColumn = Annotated[
    str | None, typer.Option(help="Column(s) of proportions: one of lists or objects, or one per class.")
]
AnnotatorsColumn = Annotated[
    str | None, typer.Option(help="Column of the number of annotators behind the proportions.")
]
NAnnotators = Annotated[int | None, typer.Option(help="Number of annotators per item, where it is the same for all.")]
WorkerColumn = Annotated[str | None, typer.Option(help="Annotator column of a long table.")]
Missing = Annotated[
    str | None,
    typer.Option(help="What stands for no answer, such as -1, separated by commas; beside empty cells, NA, nan and -."),
]
Encoding = Annotated[
    str | None, typer.Option(help="Encoding of the file's text where it is not UTF-8, such as latin1 or cp1252.")
]
Scale = Annotated[
    str | None,
    typer.Option(
        help="The classes from the lowest to the highest, separated by commas: numbers such as 1,2,3,4,5, or names, "
        "taken as equal steps."
    ),
]
By = Annotated[
    str | None,
    typer.Option(
        help="What categories are bands of: entropy; sd, pair-distance or polarisation, which know the order of a "
        "scale; or scaled-entropy, for other than three classes.",
        show_default=False,
    ),
]
Clusters = Annotated[
    str | None,
    typer.Option(
        help="Column that says which examples belong together, or none; those that share a text by default.",
        show_default=False,
    ),
]
OfSplit = Annotated[
    Literal["train", "validation"] | None,
    typer.Option(help="Of these examples alone, where runs track both.", show_default=False),
]

_SPELLED = (
    "label_names",
    "text_columns",
    "id_column",
    "count_columns",
    "labels_column",
    "distribution_column",
    "annotators_column",
    "n_annotators",
    "worker_column",
)
# Not inside a path, a longer name or quotes: a column of a file may be called like an option.
# "missing", "encoding", "scale" and "by" are words, too, and options only before their value.
_NAME = re.compile(rf"(?<![\w'./-])({'|'.join(_SPELLED)}|(?:missing|encoding|scale|by)(?==))(?![\w'/-]|\.\w| is )")


def spelling(name: str) -> str:
    """An option as the command line spells it.

    >>> spelling("labels_column")
    '--labels-column'
    """
    return "--" + name.replace("_", "-")


def names(given: str | None) -> list[str] | None:
    """Names that were given with commas between them; one that holds a comma is quoted: ``'"Yes, surely",No'``.

    Args:
        given: The text, or None.

    Returns:
        The names, or None.
    """
    if given is None:
        return None
    try:
        [found] = csv.reader([given], skipinitialspace=True, strict=True) if given else [[""]]
    except (csv.Error, ValueError) as error:
        raise ConfigError(
            f"{given!r} cannot be read as names with commas between them: {error}. Close every quotation mark."
        ) from error
    return [name.strip() for name in found]


@contextlib.contextmanager
def spelled() -> Iterator[None]:
    """Let errors of the reading of annotated files spell options as the command line does: ``--labels-column``."""
    try:
        yield
    except ContestedError as error:
        told = [as_options(text) for text in (error.message, *error.problems)]
        raise type(error)(told[0], told[1:]) from error


def as_options(text: str) -> str:
    """A sentence on the reading of a file with options as the command line spells them."""
    return _NAME.sub(lambda found: spelling(found[1]), text)
