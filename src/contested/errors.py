"""The errors a user can cause, each shown as one clear text without a traceback."""

from __future__ import annotations

import errno
from collections.abc import Sequence

_SHOWN_PROBLEMS = 20


class ContestedError(Exception):
    """An expected failure: what failed, what was given, what was expected, what to do.

    Args:
        message: One or two sentences.
        problems: Further findings of the same kind (one per line), so that a file's
            problems are all reported at once. The text shows the first twenty and
            counts the rest; the attribute keeps them all.

    Attributes:
        exit_code: The status with which the command line ends.
    """

    exit_code = 2

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [self.message, *(f"  - {problem}" for problem in self.problems[:_SHOWN_PROBLEMS])]
        hidden = len(self.problems) - _SHOWN_PROBLEMS
        if hidden > 0:
            lines.append(f"  … and {hidden} more")
        return "\n".join(lines)


class DataError(ContestedError):
    """An annotated or bulk file, or a task made of them, cannot be used as given."""


class ConfigError(ContestedError):
    """A configuration or an argument has unknown keys or values out of range."""


class ModelError(ContestedError):
    """A backbone and a method do not fit together, or a checkpoint cannot be loaded."""


class RunError(ContestedError):
    """A run folder is missing, unreadable, in use, or holds another run."""


class DamagedRunError(RunError):
    """A run folder is not as it was written: something of what was recorded is missing or damaged."""


class DiskError(RunError):
    """Writing broke off: the disk is full, or failing. What was recorded before is intact."""

    exit_code = 1


class TrainingError(ContestedError):
    """A run started and failed, for example by a non-finite loss."""

    exit_code = 1


# What the machine is to blame for, not what was given.
_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})


def write_error(error: OSError, message: str) -> RunError:
    """Make an error of a failed write.

    Args:
        error: What the system said.
        message: What failed and what to do.

    Returns:
        A :class:`DiskError` where the disk is full or failing, else a :class:`RunError`: the place given was no good.
    """
    return DiskError(message) if error.errno in _OF_THE_DISK else RunError(message)


_TRAIN_PACKAGES = {
    "accelerate",
    "datasets",
    "filelock",
    "peft",
    "safetensors",
    "sklearn",
    "tokenizers",
    "torch",
    "transformers",
}


def installation(extra: str) -> str:
    """The command that adds the packages of an extra to an installation, be it of a release or of a checkout.

    >>> installation("excel")
    "pip install 'contested[excel]'"
    """
    return f"pip install 'contested[{extra}]'"


def without_train_extra(error: ModuleNotFoundError) -> ConfigError | None:
    """Explain a missing package of ``contested[train]``.

    Args:
        error: What an import raised.

    Returns:
        An error that names the install command, or None if another module is missing.
    """
    package = (error.name or "").split(".")[0]
    if package not in _TRAIN_PACKAGES:
        return None
    return ConfigError(
        f"Training needs the package {package}, which is not installed (reading, analysing and reporting runs "
        f"do not need it). Install it with: {installation('train')}"
    )
