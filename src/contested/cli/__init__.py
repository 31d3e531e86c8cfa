"""The command line: one thin module per command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from contested import __version__
from contested.errors import ContestedError, without_train_extra
from contested.wording import visible

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


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"contested {__version__}")
        raise typer.Exit


@app.callback()
def _contested(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What a fine-tune does to the examples people disagree on."""


def register() -> None:
    """Add the commands to the app, once."""
    if app.registered_commands:
        return
    # Modules of commands import what they need only when called, so that --help stays quick.
    from contested.cli.analyze import analyze
    from contested.cli.compare import compare
    from contested.cli.demo import demo
    from contested.cli.entropy import entropy
    from contested.cli.exchange import export, import_
    from contested.cli.map import map
    from contested.cli.probe import probe
    from contested.cli.report import report
    from contested.cli.study import study
    from contested.cli.train import train
    from contested.cli.verify import verify

    for command in (demo, entropy, map, train, probe, analyze, report, compare, verify):
        app.command()(command)
    app.command("import")(import_)
    app.command()(export)
    app.add_typer(study, name="study")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments, or those of the process.

    Returns:
        0 done (also where the reader of stdout has gone away), 1 a run failed or a disk is full, 2 bad input or usage,
        130 interrupted.
    """
    _replace_what_cannot_be_encoded()
    try:
        code = _run(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _say_interrupted()
    except BrokenPipeError:
        return _close_stdout()
    except SystemExit as end:
        # Typer exits with 1 where stdout is closed, as after `contested study plan paper | head`.
        if isinstance(end.__context__, BrokenPipeError):
            return _close_stdout()
        raise
    return code


def _run(argv: Sequence[str] | None) -> int:
    register()
    try:
        outcome: Any = app(args=None if argv is None else list(argv), standalone_mode=False)
    except _CommandLineError as error:
        error.show()
        return int(error.exit_code)
    except ContestedError as error:
        print(f"contested: {visible(str(error))}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        explained = without_train_extra(error)
        if explained is None:
            raise
        print(f"contested: {explained}", file=sys.stderr)
        return explained.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        return _say_refused(error)
    return _say_interrupted() if outcome == _INTERRUPTED else int(outcome or 0)


def _say_refused(error: OSError) -> int:
    """What the system refused and no command expected, mostly on a full or failing disk: no fault of the program."""
    what = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    print(
        f"contested: the system refused to read or write ({what}). Mend that, then repeat the command.", file=sys.stderr
    )
    return 1


def _say_interrupted() -> int:
    print("contested: interrupted", file=sys.stderr)
    return _INTERRUPTED


def _replace_what_cannot_be_encoded() -> None:
    """Where a stream knows fewer characters than we print, as with PYTHONIOENCODING=ascii, show escapes instead."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a stand-in of a notebook or a test may lack it
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _close_stdout() -> int:
    """Stdout is closed: what is still buffered is dropped, and that is not a failure."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
