"""The doors: one thin module per command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer

from contested.errors import ContestedError, without_train_extra

# Typer may bring its own copy of click or use the installed one; this is the base of the errors of the one in use.
_CommandLineError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

_INTERRUPTED = 130  # what Typer makes of Ctrl-C

app = typer.Typer(
    name="contested",
    help="What a fine-tune does to the examples people disagree on.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _contested() -> None:
    """What a fine-tune does to the examples people disagree on."""


def register() -> None:
    """Add the commands to the app, once."""
    if app.registered_commands:
        return
    # Modules of commands import their rooms only when called, so that --help stays quick.
    from contested.cli.analyze import analyze
    from contested.cli.demo import demo
    from contested.cli.entropy import entropy
    from contested.cli.probe import probe
    from contested.cli.report import report
    from contested.cli.study import study
    from contested.cli.train import train

    for command in (demo, entropy, train, probe, analyze, report):
        app.command()(command)
    app.add_typer(study, name="study")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments, or those of the process.

    Returns:
        0 done, 1 a run failed, 2 bad input or usage, 130 interrupted.
    """
    register()
    try:
        outcome: Any = app(args=None if argv is None else list(argv), standalone_mode=False)
    except _CommandLineError as error:
        error.show()
        return int(error.exit_code)
    except ContestedError as error:
        print(f"contested: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        explained = without_train_extra(error)
        if explained is None:
            raise
        print(f"contested: {explained}", file=sys.stderr)
        return explained.exit_code
    if outcome == _INTERRUPTED:
        print("contested: interrupted", file=sys.stderr)
    return int(outcome or 0)
