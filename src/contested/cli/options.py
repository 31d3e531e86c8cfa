"""Options that several commands have, and how messages spell them."""

from __future__ import annotations

import contextlib
import csv
import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from contested.cli.console import path
from contested.errors import ConfigError, ContestedError

if TYPE_CHECKING:
    from contested.annotations import Annotations, Categories

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

FILE_KINDS = "JSONL, JSON, CSV, TSV, Parquet, Excel, NPY or NPZ"
"""Those of :data:`contested.rows.FILE_KINDS`, which help texts say without loading what reads them."""

Files = Annotated[
    list[Path],
    typer.Argument(parser=path, metavar="FILE...", help=f"Annotated file, or several as one set: {FILE_KINDS}."),
]
Scheme = Annotated[str, typer.Option(help="fixed (0.4, 0.7 nats), terciles or quartiles.")]
Bounds = Annotated[str | None, typer.Option(help="Custom category bounds in the unit of --by, such as 0.4,0.7 nats.")]
BoundsScaled = Annotated[
    bool, typer.Option("--bounds-scaled", help="Scale entropy to other than three classes: --by scaled-entropy.")
]
EstimatorName = Annotated[str, typer.Option(help="plugin, miller-madow or chao-shen.")]

READING: dict[str, tuple[type, str]] = {
    "format": (str, "Layout of the file; auto recognises it, an unknown name lists all."),
    "label_names": (str, "The classes in label order, separated by commas."),
    "id_column": (str, "Column of the item ids; several make one id: post+sentence."),
    "count_columns": (str, "Column(s) of counts: one of lists or objects, or one per class."),
    "labels_column": (str, "Column(s) of labels: one of lists, one per annotator, or that of a long table."),
    "distribution_column": (str, "Column(s) of proportions: one of lists or objects, or one per class."),
    "annotators_column": (str, "Column of the number of annotators behind the proportions."),
    "n_annotators": (int, "Number of annotators per item, where it is the same for all."),
    "worker_column": (str, "Annotator column of a long table."),
    "map": (str, "Columns of a long table, or paths into objects: item=NAME,annotator=NAME,label=NAME."),
    "missing": (str, "What stands for no answer, such as -1, separated by commas; beside empty cells, NA, nan and -."),
    "columns": (str, "Names of the columns, separated by commas, where the file has no header."),
    "part": (str, "Sheet of a workbook, array of a .npz or key of a JSON file that holds the rows."),
    "encoding": (str, "Encoding of the file's text where it is not UTF-8, such as latin1 or cp1252."),
    "anonymous": (bool, "Columns or names of annotators are not one person each: take votes as by nobody named."),
    "scale": (str, "The classes from the lowest to the highest: numbers such as 1,2,3,4,5, or names, as equal steps."),
    "by": (str, "What categories are bands of: entropy; sd, pair-distance or polarisation; or scaled-entropy."),
    "multilabel": (
        str,
        "Where annotators choose several labels: mentions, sets, each (a class at a time), or one class.",
    ),
    "bins": (str, "Cut measurements into classes: a number of equal intervals, or bounds such as -50,-16,17,50."),
}
"""The options of the reading of annotated files: their type and what they say; the names are read_annotations' own."""

_SEVERAL = frozenset(
    {"label_names", "count_columns", "labels_column", "distribution_column", "missing", "columns", "scale", "bins"}
)
_WORDS = frozenset(  # words of English, too
    {"format", "map", "missing", "columns", "part", "encoding", "anonymous", "scale", "by", "multilabel", "bins"}
)
_SPELLED = ("text_columns", *sorted(READING.keys() - _WORDS))
# Not inside a path, a longer name or quotes: a column of a file may be called like an option.
# Words of English are options only before their value.
_NAME = re.compile(rf"(?<![\w'./-])({'|'.join(_SPELLED)}|(?:{'|'.join(sorted(_WORDS))})(?==))(?![\w'/-]|\.\w| is )")


def with_reading(*, without: Collection[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of :data:`READING`, in place of its parameter ``reading``.

    Args:
        without: Those that the command does not take, or declares itself.

    Returns:
        A decorator. The command gets ``reading``: those that were given, as `read_annotations` takes them.
    """
    taken = {name: declared for name, declared in READING.items() if name not in without}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def decorated(**given: Any) -> None:
            values = {name: given.pop(name) for name in taken}
            command(**given, reading={name: _parsed(name, v) for name, v in values.items() if v is not None})

        parameters: list[inspect.Parameter] = []
        for own in inspect.signature(command, eval_str=True).parameters.values():
            parameters += starmap(_parameter, taken.items()) if own.name == "reading" else [own]
        decorated.__dict__.update(__signature__=inspect.Signature(parameters), __wrapped__=None)
        decorated.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return decorated

    return decorate


def read_files(files: Sequence[Path], reading: Mapping[str, Any], *, bounds_scaled: bool) -> Annotations:
    """Read annotated files as the options of a command say."""
    from contested.annotations import read_annotations

    with spelled():
        return read_annotations(files, **{**reading, "by": _measure_of(reading.get("by"), bounds_scaled)})


def _measure_of(by: str | None, bounds_scaled: bool) -> str | None:
    """What ``--by`` and ``--bounds-scaled`` say together."""
    if not bounds_scaled:
        return by
    if by not in (None, "scaled-entropy"):
        raise ConfigError(f"--bounds-scaled scales entropy, and --by {by} cuts by another measure: give one.")
    return "scaled-entropy"


def scheme_of(categories: str, bounds: str | None) -> str | Categories:
    """What ``--categories`` and ``--bounds`` say together."""
    from contested.annotations import Categories

    if bounds is None:
        return categories
    if categories != "fixed":
        raise ConfigError(f"--bounds {bounds} and --categories {categories} exclude one another: give one.")
    try:
        return Categories.from_bounds([float(bound) for bound in bounds.split(",")])
    except ValueError as error:
        raise ConfigError(f"--bounds must be numbers such as 0.4,0.7; given: {bounds}.") from error


def _parameter(name: str, declared: tuple[type, str]) -> inspect.Parameter:
    kind, told = declared
    flag = (spelling(name),) if kind is bool else ()
    option = typer.Option(*flag, help=told, show_default=False)
    annotation: Any = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _parsed(name: str, value: Any) -> Any:
    if name != "map":
        return names(value) if name in _SEVERAL else value
    pairs = [part.partition("=")[::2] for part in names(value) or ()]
    if not all(role and column for role, column in pairs) or len(dict(pairs)) < len(pairs):
        raise ConfigError(
            f"--map must be roles and columns such as item=id,annotator=who,label=answer; given: {value}."
        )
    return dict(pairs)


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
