"""Readers of annotated files: one module per format, registered here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from contested.annotations.core import Annotations
from contested.annotations.later import replaced
from contested.annotations.readers import (
    annotator_objects,
    annotators,
    chaosnli,
    counts,
    distributions,
    label_objects,
    labels,
    long,
    matrix,
    one_hot,
)
from contested.annotations.readers._bins import as_bins
from contested.annotations.readers._files import check_files
from contested.annotations.readers._format import Format, Options, as_names
from contested.annotations.readers._paths import as_options, joined_id, with_columns
from contested.annotations.readers._scale import as_scale, check_measure, rated
from contested.annotations.readers._suggest import suggestions
from contested.annotations.receipt import Receipt, count_votes
from contested.errors import ConfigError, DataError
from contested.files import user_path
from contested.rows import TEXT, NotUtf8Error, Request, Table, joined, read_table, unknown_kind
from contested.wording import did_you_mean, listed

__all__ = ["FORMATS", "Format", "Options", "read_annotations"]

FORMATS: tuple[Format, ...] = (
    chaosnli.FORMAT,
    matrix.FORMAT,
    annotator_objects.FORMAT,
    label_objects.FORMAT,
    one_hot.FORMAT,
    long.FORMAT,
    counts.FORMAT,
    labels.FORMAT,
    annotators.FORMAT,
    distributions.FORMAT,
)
"""Every format, in the order in which ``auto`` tries them (counts beat proportions)."""

EXPLAIN = "`contested entropy FILE --explain` tries other readings and says how."
"""What a refusal advises that is not an explanation."""

_GENERAL_OPTIONS = frozenset({"label_names", "id_column", "text_columns"})
"""Options that do not depend on the format."""


_NAMES = (
    *("label_names", "text_columns", "count_columns", "labels_column", "distribution_column"),
    *("missing", "columns"),
)
"""Options that are several names, or one."""


def read_annotations(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    format: str = "auto",
    label_names: Sequence[str] | None = None,
    id_column: str | Sequence[str] | None = None,
    text_columns: str | Sequence[str] | None = None,
    count_columns: str | Sequence[str] | None = None,
    labels_column: str | Sequence[str] | None = None,
    distribution_column: str | Sequence[str] | None = None,
    annotators_column: str | None = None,
    n_annotators: int | None = None,
    worker_column: str | None = None,
    map: Mapping[str, str] | None = None,
    missing: str | Sequence[str] | None = None,
    columns: str | Sequence[str] | None = None,
    part: str | None = None,
    encoding: str | None = None,
    anonymous: bool | None = None,
    scale: str | Sequence[str | float] | None = None,
    by: str | None = None,
    multilabel: str | None = None,
    bins: float | str | Sequence[float | str] | None = None,
) -> Annotations:
    """Read an annotated file.

    Raises DataError if the file cannot be used as given, with every problem and its line, and ConfigError
    if the format is unknown or does not use an option.

    Columns that are not named are looked for under their usual names. Columns that are not read as ids or
    annotations are kept in ``fields``, except a column ``entropy``: its unit is unknown (bits in ChaosNLI).
    A name of a column may lead into objects, with dots: ``meta.id``, or ``annotators.label`` of a list of objects, each
    of which is then an annotation.

    Args:
        path: A file of rows (see :data:`contested.rows.KINDS`), or of lines that a format knows; or several of one
            layout, with different ids.
        format: ``auto``, or the name of one in `FORMATS`.
        label_names: The classes in label order; a label outside them is an error. Without them,
            entailment, neutral, contradiction in this order, else the labels found, sorted.
        id_column: The column that identifies an example; several do together (``post+sentence``).
        text_columns: Columns that must hold text; they come first in ``fields``.
        count_columns: One column of lists or objects of counts, or one column per class.
        labels_column: One column of lists of labels, or one column per annotator; in a long table, the
            column of the label.
        distribution_column: One column of lists or objects of proportions, or one column per class.
        annotators_column: The number of annotators behind a distribution.
        n_annotators: That number, where it is the same for all.
        worker_column: The annotator of a row in a long table.
        map: The columns of a long table by what they hold: ``item``, ``annotator``, ``label``.
        missing: What stands for no answer, such as ``-1``, beside empty cells, NA, N/A, nan, null and ``-`` (where no
            label is ``+``). A class in ``label_names`` is an answer whatever it looks like.
        columns: The names of the columns, where the file has no header.
        part: The sheet, array or key that holds the rows, where a file has several.
        encoding: How the file's text is encoded, such as ``latin1`` or ``cp1252``, where that is neither UTF-8 nor
            named by a byte-order mark.
        anonymous: True where names of annotators, or the columns that stand for them, are not one person each, as in a
            table of crowd workers whose column ``worker_1`` is somebody else in every batch: votes are then by nobody
            named.
        scale: The classes from the lowest to the highest, in place of ``label_names``: numbers, which are the ratings
            that they stand for, or names, which are taken as equal steps.
        by: The measure by which categories are cut; see :class:`contested.annotations.disagreement.Disagreement`. Those
            that know the order need ``scale``, unless four classes or more are called by numbers.
        multilabel: How annotators who may choose several labels are read: ``mentions`` (each label is a vote), ``sets``
            (each different set is a class), ``each`` (a class at a time: an example per item and class, no or yes), or
            one class (chosen or not).
        bins: How measurements are cut into classes: a number of equal intervals, or the bounds of intervals.

    Returns:
        The annotations, in the order of the file.
    """
    wanted = asked(
        format,
        map,
        label_names=label_names,
        id_column=id_column,
        text_columns=text_columns,
        count_columns=count_columns,
        labels_column=labels_column,
        distribution_column=distribution_column,
        annotators_column=annotators_column,
        n_annotators=n_annotators,
        worker_column=worker_column,
        missing=missing,
        columns=columns,
        part=part,
        encoding=encoding,
        anonymous=anonymous,
        scale=scale,
        by=by,
        multilabel=multilabel,
        bins=bins,
    )
    files = [path] if isinstance(path, str | os.PathLike) else path
    return read_tables([opened(user_path(file), wanted.options) for file in files], wanted)


class Asked(NamedTuple):
    """What was asked for.

    Attributes:
        format: The format that was named; None where it is to be recognised.
        options: The options.
    """

    format: Format | None
    options: Options


def asked(format: str = "auto", map: Mapping[str, str] | None = None, **given: Any) -> Asked:
    """Return the arguments of `read_annotations` as its parts use them; ConfigError if they cannot be used together."""
    made = given | {name: as_names(given.get(name), name) for name in _NAMES}
    made |= {"id_column": joined_id(given.get("id_column")), "bins": as_bins(given.get("bins"))}
    made["scale"] = as_scale(given.get("scale"), given.get("label_names"))
    options = as_options(map, Options(**made, by_name=format != "auto"))
    check_measure(options)
    chosen = None if format == "auto" else _named(format)
    if chosen is not None:
        _check_options(chosen, options)
    return Asked(chosen, options)


def opened(file: Path, options: Options) -> Table:
    """Return the rows of a file, before it is known what they are."""
    try:
        return read_table(file, lines=True, encoding=options.encoding, request=Request(options.columns, options.part))
    except NotUtf8Error as error:
        raise DataError(f"{error.message} Or give {error.likely}." if error.likely else error.message) from error


def read_tables(tables: Sequence[Table], wanted: Asked) -> Annotations:
    """Read the rows of one file or of several as annotations.

    Args:
        tables: From `opened`; they take notes, and may get other columns.
        wanted: From `asked`.

    Returns:
        The annotations.
    """
    chosen, options = wanted
    table = with_columns(tables[0] if len(tables) == 1 else joined(tables), options)
    # Lines have no columns that an option could name.
    general = Options(label_names=options.scale or options.label_names, by_name=options.by_name)
    if table.kind == TEXT and not any(known.matches(table, general) for known in ([chosen] if chosen else FORMATS)):
        raise unknown_kind(table.path)
    known = chosen or _recognised(table, options)
    found = known.read(table, replace(options, label_names=options.scale or options.label_names))
    if options.anonymous and found.votes is not None:
        found = replaced(found, votes=found.votes.anonymous())
    if options.scale or options.by or options.bins:
        found = rated(found, options, table)
    if len(tables) > 1:
        check_files(table, tables, found)
    found.with_receipt(_receipt(known, table, found))
    files, format = [str(part.path.resolve()) for part in tables], chosen.name if chosen else "auto"
    return found.read_by(path=files if len(files) > 1 else files[0], format=format, options=options.written())


def _receipt(read_as: Format, table: Table, found: Annotations) -> Receipt:
    trace = table.trace
    return Receipt(
        format=read_as.name,
        kind=table.kind,
        columns={role: tuple(columns) for role, columns in trace.roles.items()},
        label_names=found.label_names,
        votes=count_votes(found.n_annotators),
        missing=dict(trace.missing),
        left_out=tuple(trace.left_out),
        notes=tuple(trace.notes),
    )


def _named(name: str) -> Format:
    by_name = {known.name: known for known in FORMATS}
    if name not in by_name:
        known = listed(["auto", *by_name])
        raise ConfigError(f"Unknown format '{name}'{did_you_mean(name, by_name)}: use one of {known}.")
    return by_name[name]


def _check_options(chosen: Format, options: Options) -> None:
    unused = sorted(options.given() - chosen.options)
    if unused:
        takes = listed(sorted(chosen.options)) or "no options"
        raise ConfigError(
            f"The format {chosen.name} does not use {listed(unused)}; it takes {takes}. "
            f"Leave them out, or choose another format."
        )


def _recognised(table: Table, options: Options) -> Format:
    """Return the layout that matches or the only format with an option that was given, else the first that matches."""
    given = options.given()
    for known in FORMATS:
        if known.is_layout and given <= known.options and known.matches(table, options):
            return known
    for known in FORMATS:
        if given & known.claims:
            _check_options(known, options)
            return known
    for known in FORMATS:
        if not known.is_layout and given - _GENERAL_OPTIONS <= known.options and known.matches(table, options):
            _check_options(known, options)
            return known
    if not table.columns:
        table.raise_problems("annotations", "Fix these lines; nothing was loaded.")
    found = f"{table.path} was recognised as {table.kind} with the columns {listed(table.columns)}, "
    if likely := suggestions(table):
        raise DataError(
            f"{found}but none is called as annotations usually are. {EXPLAIN} Name what holds them:", likely
        )
    raise DataError(
        f"{found}but not as annotations. Expected one of the formats below. Name the columns that hold the "
        f"annotations (count_columns, labels_column, distribution_column or worker_column), or the format. {EXPLAIN}",
        [f"{known.name}: {known.summary}" for known in FORMATS],
    )
