"""What the commands of ``contested study`` share: how a study is named, read and found again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from contested.cli.console import path
from contested.errors import ConfigError, write_error
from contested.studies.presets import PRESETS

if TYPE_CHECKING:
    from contested.studies import Study

FILE = typer.Argument(metavar="STUDY", help="A study file (YAML) or the name of a preset.", show_default=False)
SETS = typer.Option(
    "--set",
    metavar="KEY=VALUE",
    help="Change the study: data.dir=FOLDER, backbone=PATH, backbone.roberta=PATH, seeds=[42], any dotted key.",
    show_default=False,
)
SCALE = typer.Option(help="mini: the embedded world, small stand-ins and two seeds.", show_default=False)


def open_folder(file: str, folder: Path, *, given: bool) -> Study:
    """Read the study of a folder.

    Args:
        file: What was given as STUDY: the folder, a study file or a preset.
        folder: The study's folder.
        given: Whether the folder was given besides.

    Returns:
        The study.

    Raises:
        ConfigError: If the folder is none of a study.
    """
    from contested.studies import load_study, open_study
    from contested.studies.folder import is_study

    if not is_study(folder):
        if not given and (path(file).is_file() or file in PRESETS):
            raise ConfigError(f"Give the folder of its runs: contested study status {file} --out FOLDER.")
        raise ConfigError(
            f"{folder} is not a study's folder: it has no study.yaml. Give the --out of contested study run."
        )
    return open_study(path(file)) if is_study(path(file)) else load_study(file)


def load(file: str, sets: Sequence[str] | None, scale: str | None, out: Path | None) -> Study:
    """Read a study file or a preset, or its miniature.

    Args:
        file: The file or the preset's name.
        sets: ``key=value`` each.
        scale: ``mini`` or None.
        out: Its folder, where known.

    Returns:
        The study.

    Raises:
        ConfigError: With every problem at once.
    """
    from contested.studies import load_study

    if scale is None:
        return load_study(file, sets or ())
    if scale != "mini":
        raise ConfigError(f"--scale is {scale!r}; the only scale is mini.")
    from contested.studies.mini import shrink

    return load_study(file, sets or (), reshape=lambda content: shrink(content, out or Path("mini")))


def make_miniature(content: Study, out: Path, scale: str | None) -> None:
    """Make data and backbones of a miniature, where it is one.

    Args:
        content: The study.
        out: Its folder.
        scale: ``mini`` or None.

    Raises:
        RunError: If the folder cannot be written, or holds other things than a study.
    """
    if scale is None:
        return
    from contested.studies.folder import check_folder
    from contested.studies.mini_world import make_parts

    check_folder(out)
    try:
        make_parts(content, out)
    except OSError as error:
        raise write_error(error, f"Cannot write to {out}: {error.strerror or error}. Choose another --out.") from error
