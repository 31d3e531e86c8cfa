"""The options that say which classes are a scale, and by which measure examples are cut."""

from __future__ import annotations

from collections.abc import Sequence

from contested.annotations.core import Annotations
from contested.annotations.disagreement import UNORDERED, Disagreement, parse_by
from contested.annotations.later import replaced
from contested.annotations.readers._bins import midpoints
from contested.annotations.readers._cells import canonical
from contested.annotations.readers._format import Options
from contested.annotations.readers._labels import ScaleNames
from contested.annotations.scales import ratings
from contested.errors import ConfigError
from contested.rows import Table
from contested.wording import listed, with_commas


def as_scale(given: str | Sequence[str | float] | None, label_names: str | Sequence[str] | None) -> ScaleNames | None:
    """Return the classes of a scale as texts, numbers as the readers of labels write them.

    Args:
        given: The classes from the lowest to the highest, or None.
        label_names: The option that names the classes, which a scale does already.

    Returns:
        The names, or None.

    Raises:
        ConfigError: If both are given, or the classes are no scale.

    Examples:
        >>> as_scale([1, 2.5, "3.0"], None)
        ('1', '2.5', '3')
    """
    if given is None:
        return None
    if label_names is not None:
        raise ConfigError("scale and label_names both name the classes: give one; the order of a scale is its own.")
    texts = [str(value).strip() for value in ([given] if isinstance(given, str) else given)]
    numbers = [canonical(text) for text in texts]
    names = ScaleNames(texts if None in numbers else [number for number in numbers if number is not None])
    ratings(names)
    return names


def check_measure(options: Options) -> None:
    """Raise ConfigError for an unknown measure, and for options that name the classes in two ways."""
    if options.by is not None:
        parse_by(options.by)
    named = [name for name in ("label_names", "scale", "multilabel") if getattr(options, name)]
    if options.bins and named:
        raise ConfigError(f"bins cuts numbers into classes of its own; leave out {listed(named)}.")
    if options.multilabel and (options.scale or (options.by or "entropy") not in UNORDERED):
        raise ConfigError("Sets of labels are no scale: give multilabel without scale, and by=scaled-entropy at most.")


def rated(found: Annotations, options: Options, table: Table) -> Annotations:
    """Give annotations the measure by which they are cut, and the ratings that their classes stand for.

    Args:
        found: As they were read.
        options: Which say the classes from the lowest to the highest, the intervals of measurements, and the measure.
        table: The file, which takes notes on what was taken for granted.

    Returns:
        The same annotations with a measure.
    """
    measure, scale = parse_by(options.by or "entropy"), options.scale
    values: tuple[float, ...] = ()
    if options.bins is not None:
        values = midpoints(found.label_names)
    elif scale is not None:
        values = ratings(scale)
        if canonical(scale[0]) is None:
            table.add_note(f"The classes {listed(scale)} are taken as equal steps, 1 to {len(scale)}.")
    elif found.scale is not None:
        values = tuple(found.scale.tolist())
    elif measure not in UNORDERED:
        names, given = listed(found.label_names), with_commas(found.label_names)
        raise ConfigError(
            f"by={measure} needs the order of the classes, and those of the file do not say theirs: {names}. Give "
            f"scale={given} if this is their order from the lowest to the highest, else with the classes in that order."
        )
    return replaced(found, disagreement=Disagreement(measure, values))
