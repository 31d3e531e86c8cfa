"""Wording that messages of every kind share."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Callable, Collection, Iterable

_SHOWN_NAMES = 12
_ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SHOWN_CHARACTERS = 60
_COMPARED_NAMES = 500


def shown(value: object, limit: int = _SHOWN_CHARACTERS) -> str:
    """A value as one writes it, the long ones cut.

    Args:
        value: Any value.
        limit: How many characters of it are shown.

    Returns:
        Its text.

    >>> shown("abc"), shown("a" * 100, limit=5)
    ("'abc'", "'aaaa…")
    """
    # A text is cut before it is written out: it may be as long as a file.
    text = repr(value[: limit + 1] if isinstance(value, str) else value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def visible(text: str) -> str:
    r"""A text in which nothing acts: what a terminal or a reader of either direction would obey is written out.

    Control characters (but for tabs and line ends), overrides of the direction of writing, and halves of surrogate
    pairs become escapes; marks of direction, which texts of several scripts need, stay.

    Args:
        text: Any text, of whoever made a file.

    Returns:
        The text, to be shown.

    >>> print(visible("a\x1b[2Jb\u202ec"))
    a\u001b[2Jb\u202ec
    """
    return _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))


def listed(names: Iterable[object]) -> str:
    """Join names with commas; a long list is cut and counted."""
    words = [str(name) for name in names]
    if len(words) <= _SHOWN_NAMES:
        return ", ".join(words)
    return ", ".join(words[:_SHOWN_NAMES]) + f", … ({len(words)} in all)"


def with_commas(names: Iterable[object]) -> str:
    """Names as an option of the command line takes them: commas between them, and those that hold a comma quoted.

    >>> with_commas(["Yes, surely", "No", 'a "b", c'])
    '"Yes, surely",No,"a ""b"", c"'
    """
    return ",".join(_quoted(str(name)) for name in names)


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"' if "," in name or name.startswith('"') else name


def without_texts(source: str, text_columns: Iterable[str], columns: Iterable[object]) -> list[str]:
    """Say which text columns a file lacks, and where to name those that it has.

    Args:
        source: The file.
        text_columns: The columns that are looked for.
        columns: Those that there are.

    Returns:
        One sentence; none where nothing is missing.

    >>> without_texts("a.csv", ["premise"], ["text"])
    ['a.csv: no text column premise; it has text. Name the columns of the text as task.text_columns']
    """
    there = {str(name): None for name in columns}
    absent = [name for name in text_columns if name not in there]
    told = f"no text column {listed(absent)}; it has {listed(there)}"
    return [f"{source}: {told}. Name the columns of the text as task.text_columns"] if absent else []


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "problem"), counted(1200, "problem")
    ('1 problem', '1,200 problems')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def not_json(error: Exception) -> str:
    """Say that a line or a file is not JSON, as the end of a sentence; of anything else what the error says.

    >>> try:
    ...     json.loads('{"a": 1')
    ... except ValueError as error:
    ...     not_json(error)
    "not valid JSON: cut off or damaged at character 8 (Expecting ',' delimiter)"
    """
    if not isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error}"
    # What is cut off ends where its text ends, and not on the line after that.
    before = error.doc.rstrip()[: error.pos]
    line = f"line {before.count(chr(10)) + 1}, " if "\n" in before else ""
    column = len(before) - before.rfind("\n")
    return f"not valid JSON: cut off or damaged at {line}character {column} ({error.msg.removesuffix(' starting at')})"


def few_in_common(kept: int, without: int, unused: int) -> str:
    """Say that ids on two sides hardly meet: fewer than half of the smaller side.

    Args:
        kept: Examples that are recorded and annotated.
        without: Recorded ones without annotations.
        unused: Annotated ones that were not recorded.

    Returns:
        The beginning of a sentence; empty where most of either side is kept.

    >>> few_in_common(5, 395, 395)
    'Only 5 of 400 recorded and of 400 annotated examples have an id in common'
    >>> few_in_common(380, 20, 9000), few_in_common(40, 9000, 0)
    ('', '')
    """
    if 2 * kept >= kept + min(without, unused):
        return ""
    recorded, annotated = f"{kept + without:,} recorded", f"{counted(kept + unused, 'annotated example')}"
    return f"Only {kept:,} of {recorded} and of {annotated} have an id in common"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that someone who wrote another one probably meant.

    Args:
        name: What was written.
        known: What there is.

    Returns:
        The nearest known name, in whatever case; None where none is near, or too many are known to compare them all.

    >>> nearest("Learningrate", ["epochs", "learning_rate"])
    'learning_rate'
    """
    by_lower = {word.lower(): word for word in itertools.islice(known, _COMPARED_NAMES)}
    if len(by_lower) == _COMPARED_NAMES or len(name) > _SHOWN_CHARACTERS:
        return by_lower.get(name.lower())
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)``, or nothing where no known name is near."""
    near = nearest(name, known)
    return f" (did you mean {near!r}?)" if near is not None else ""


def hint(name: str, known: Collection[str], *, otherwise: str = "there are") -> str:
    """Return ``; did you mean 'x'?``, or what there is where no known name is near.

    >>> hint("lorra", ["lora", "full"])
    "; did you mean 'lora'?"
    >>> hint("x", ["lora", "full"], otherwise="known here:")
    '; known here: lora, full'
    """
    near = nearest(name, known)
    if near is not None:
        return f"; did you mean {near!r}?"
    if len(known) > _COMPARED_NAMES:
        return f"; {otherwise} {', '.join(itertools.islice(known, _SHOWN_NAMES))}, … ({len(known):,} in all)"
    return f"; {otherwise} {', '.join(known)}" if known else ""


def joined(*notes: str) -> str:
    """Notes as one, each once, the empty ones left out.

    >>> joined("one seed", "", "one seed", "no examples")
    'one seed; no examples'
    """
    return "; ".join(dict.fromkeys(note for note in notes if note))


def ranged(values: Iterable[int], form: Callable[[int], str] = "{:,}".format) -> str:
    """The least and the greatest of some numbers.

    Args:
        values: The numbers.
        form: One of them to text.

    Returns:
        Both, one where they are the same, or "no".

    >>> ranged([1200, 3, 7]), ranged([5, 5]), ranged([])
    ('3 to 1,200', '5', 'no')
    """
    found = sorted(set(values))
    if not found:
        return "no"
    return form(found[0]) if len(found) == 1 else f"{form(found[0])} to {form(found[-1])}"


def alternatives(texts: Iterable[str]) -> str:
    """Different texts, each once, joined by "or".

    Args:
        texts: The texts.

    Returns:
        One text.

    >>> alternatives(["95%", "90%", "95%"])
    '95% or 90%'
    """
    return " or ".join(dict.fromkeys(texts))
