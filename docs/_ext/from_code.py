"""What the pages take from the code: a home for each public name, its docstring as the project writes it, commands."""

from __future__ import annotations

import functools
import importlib
import re
import shutil
from pathlib import Path
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

import contested

COMMANDS = "<!-- commands -->"
NO_GALLERY = "This site was built without these pages; `make docs` in a checkout makes them."
FIELD_OF_A_TUPLE = "Alias for field number"
_ARRAY = re.compile(
    r"~?numpy\.ndarray\[tuple\[(?:~?typing\.)?Any, \.\.\.\], ~?numpy\.dtype\[(?:~?numpy\.)?(\w+?)_?\]\]"
)
_USED_BY_ALL = {name: getattr(contested, name) for name in contested.__all__}


def has_its_home_elsewhere(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out of a subpackage's page what ``contested`` itself exports, and fields that ``Attributes:`` tells."""
    of_all = app.env.current_document.docname != "reference/python" and any(
        obj is each for each in _USED_BY_ALL.values()
    )
    return True if of_all or (getattr(obj, "__doc__", None) or "").startswith(FIELD_OF_A_TUPLE) else None


def returns_are_sentences(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Give each ``Returns:`` an empty type, so that a colon within its sentence begins none."""
    for number, line in enumerate(lines[:-1]):
        if line.strip() in ("Returns:", "Yields:"):
            text = lines[number + 1]
            lines[number + 1] = re.sub(r"^(\s*)", r"\1: ", text)


def arrays_are_short(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, arguments: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write arrays in signatures as the code does, ``NDArray[float64]``, and defaults that are made anew as ``…``."""
    if arguments == "(*args, **kwargs)" and getattr(obj, "_is_protocol", False):
        return "", returned  # nobody makes one
    short, made = ((text and _ARRAY.sub(r"NDArray[\1]", text)) for text in (arguments, returned))
    return short and short.replace("<factory>", "..."), made


def found_by_identity(app: Sphinx, env: Any, node: nodes.Element, content: nodes.Element) -> nodes.Element | None:
    """Resolve a name of ours that is documented under another one; what exists and is not public stays plain text."""
    wanted = _object(node["reftarget"]) if node.get("refdomain") == "py" else None
    if wanted is None:
        return None
    for name, entry in env.domains["py"].objects.items():
        if name.rpartition(".")[2] == node["reftarget"].rpartition(".")[2] and _object(name) is wanted:
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)
    return content


def _object(name: str) -> Any:
    """What a dotted name stands for; a bare one is looked for among the names of ``contested``."""
    if "." not in name:
        return _USED_BY_ALL.get(name)
    for depth in range(name.count(".") + 1):
        module, *attributes = name.rsplit(".", depth)
        try:
            return functools.reduce(getattr, attributes, importlib.import_module(module))
        except (ImportError, AttributeError):
            continue
    return None


def commands_are_filled_in(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the help of every command in the place of the mark."""
    if COMMANDS in source[0]:
        from contested.cli import app as command_line
        from contested.cli import register

        register()
        top = typer.main.get_command(command_line)
        source[0] = source[0].replace(COMMANDS, "\n".join(_section(top, "contested")))


def _section(command: Any, name: str) -> list[str]:
    subcommands = getattr(command, "commands", {})
    if subcommands:
        return [line for each in subcommands.values() for line in _section(each, f"{name} {each.name}")]
    context = command.context_class(command, info_name=name)
    lines = ["", f"## {name}", "", "```text", command.get_usage(context).removeprefix("Usage: "), "```", ""]
    lines += [_example(part) for part in (command.help or "").split("\n\n")]
    options = [record for each in command.get_params(context) if (record := each.get_help_record(context))]
    return [*lines, "", "| | |", "|---|---|", *(f"| {_code(told)} | {_cell(text)} |" for told, text in options), ""]


def _example(part: str) -> str:
    text = " ".join(part.split())
    return f"\n```sh\n{text.removeprefix('Example: ')}\n```\n" if text.startswith("Example: ") else f"\n{text}\n"


def _code(told: str) -> str:
    return ", ".join(f"`{each.strip()}`" for each in told.replace("|", "/").split(", "))


def _cell(text: str) -> str:
    return re.sub(r"(--[a-z-]+)", r"`\1`", text.replace("|", "\\|").replace("<", "&lt;"))


def gallery_as_it_is(app: Sphinx, docname: str, source: list[str]) -> None:
    """Where the pages of the gallery were not made, say so in place of links that lead nowhere."""
    if docname == "gallery" and not _gallery(app).is_dir():
        unlinked = re.sub(r'<a href="gallery/[^"]*">(.*?)</a>', r"\1", source[0])
        without_pictures = re.sub(r"The same figures come as files.*", "", unlinked, flags=re.DOTALL)
        source[0] = f"{without_pictures.rstrip()}\n\n**{NO_GALLERY}**\n"


def gallery_is_read_anew(app: Sphinx, *_: Any) -> list[str]:
    """What the page of the gallery says depends on more than its file."""
    return ["gallery"]


def gallery_is_copied(app: Sphinx, exception: Exception | None) -> None:
    """Put the pages of the gallery, where they were made, beside those that lead to them."""
    if exception is None and app.builder.format == "html" and _gallery(app).is_dir():
        shutil.copytree(_gallery(app), Path(app.outdir, "gallery"), dirs_exist_ok=True)


def _gallery(app: Sphinx) -> Path:
    return Path(app.srcdir).parent / "build" / "gallery"


def names_are_loaded(app: Sphinx) -> None:
    """Load what subpackages import when it is first used, so that their pages find it."""
    for page in Path(app.srcdir, "reference").glob("*.md"):
        for module in map(importlib.import_module, re.findall(r"automodule:: (\S+)", page.read_text(encoding="utf-8"))):
            vars(module).update({name: getattr(module, name) for name in module.__all__})


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect all of it."""
    app.connect("builder-inited", names_are_loaded)
    app.connect("autodoc-skip-member", has_its_home_elsewhere)
    app.connect("autodoc-process-docstring", returns_are_sentences, priority=400)
    app.connect("autodoc-process-signature", arrays_are_short)
    app.connect("missing-reference", found_by_identity)
    app.connect("source-read", commands_are_filled_in)
    app.connect("source-read", gallery_as_it_is)
    app.connect("env-get-outdated", gallery_is_read_anew)
    app.connect("build-finished", gallery_is_copied)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
