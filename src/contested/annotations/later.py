"""Parts of an object that are made when they are first asked for: of a file of a million rows, most never are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
U = TypeVar("U")
Class = TypeVar("Class", bound=type)


class Later(Generic[T]):
    """A value that is made once, when it is first asked for.

    Args:
        make: Makes it.

    Examples:
        >>> text = Later(lambda: print("made") or "x").then(str.upper)
        >>> text.value, text.value
        made
        ('X', 'X')
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make: Callable[[], T] | None = make

    @functools.cached_property
    def value(self) -> T:
        """The value."""
        made, self._make = cast(Callable[[], T], self._make)(), None  # what it was made of is needed no longer
        return made

    def then(self, function: Callable[[T], U]) -> Later[U]:
        """Return what a function makes of the value, to be made later, too."""
        return Later(lambda: function(self.value))

    @property
    def unmade(self) -> T:
        """This object in place of its value, for a part that `made_later` names."""
        return cast(T, self)


def made_later(*names: str) -> Callable[[Class], Class]:
    """Let parts of a dataclass be given as `Later`: who reads them gets the value.

    Args:
        *names: The fields.

    Returns:
        A decorator of the class. ``vars()`` of an object has what was given, until it is read.
    """

    def decorate(decorated: Class) -> Class:
        for name in names:
            setattr(decorated, name, _Part(name))
        # What is to be made cannot be sent to another process; what is made can.
        setattr(decorated, "__getstate__", lambda made: {name: getattr(made, name) for name in vars(made)})  # noqa: B010
        return decorated

    return decorate


def replaced(given: T, **changes: Any) -> T:
    """Return what `dataclasses.replace` does, but for what is to be made later, which it would make.

    Args:
        given: An object of a class that `made_later` decorates.
        **changes: Its new parts.

    Returns:
        An object with the other parts of the one given.
    """
    parts = {part.name: vars(given)[part.name] for part in fields(cast(Any, given)) if part.init}
    return type(given)(**{**parts, **changes})


class _Part:
    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type) -> Any:
        if instance is None:
            return self
        found = vars(instance)[self._name]
        if isinstance(found, Later):
            found = vars(instance)[self._name] = found.value
        return found

    def __set__(self, instance: object, value: object) -> None:
        vars(instance)[self._name] = value
