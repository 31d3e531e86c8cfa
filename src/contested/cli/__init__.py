"""The doors: one thin module per command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
import typer

from contested.errors import ContestedError

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


def _register() -> None:
    # Modules of commands import their rooms only when called, so that --help stays quick.
    from contested.cli.train import train

    app.command()(train)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments, or those of the process.

    Returns:
        0 done, 1 a run failed, 2 bad input or usage, 130 interrupted.
    """
    if not app.registered_commands:
        _register()
    try:
        outcome: Any = app(args=None if argv is None else list(argv), standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ContestedError as error:
        print(f"contested: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        print(f"contested: {error or 'interrupted'}", file=sys.stderr)
        return 130
    return int(outcome or 0)
