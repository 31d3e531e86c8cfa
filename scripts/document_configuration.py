"""Print docs/configuration.md from the configuration's own models.

python scripts/document_configuration.py > docs/configuration.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from contested.config import RunConfig
from contested.options import METHODS, section_in

HEAD = """# Configuration of a run

A YAML file for `contested train`; `key=value` on the command line overrides it (`training.learning_rate=1e-3`).
Relative paths are taken from the file's folder. Unknown keys are errors that name the nearest known one. Made from
the code by `scripts/document_configuration.py`.
"""
METHOD = """
## method

`method: full` is short for `method: {name: full}`; without `name`, lora is meant. Any other PEFT tuner goes by its own
name: `method: {name: vera, r: 64}` is short for `method: {name: peft, type: vera, options: {r: 64}}`.
"""


def rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of every field, sections unfolded."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        if key == "method":
            continue
        section = section_in(field)
        if section is not None:
            yield from rows(section, key + ".")
        else:
            yield key, default(field), (field.description or "").replace("\n", " ")


def default(field: Any) -> str:
    if field.default_factory is not None:
        return f"`{field.default_factory()}`"
    return (
        "*required*"
        if field.default is PydanticUndefined
        else f"`{'null' if field.default is None else field.default}`"
    )


def table(entries: Iterator[tuple[str, str, str]]) -> str:
    lines = ["", "| key | default | meaning |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| `{key}` | {value} | {text} |" for key, value, text in entries), ""])


def document() -> str:
    """The whole page."""
    methods = [f"\n### {name}\n{table(rows(model))}" for name, model in METHODS.items()]
    return HEAD + table(rows(RunConfig)) + METHOD + "".join(methods)


if __name__ == "__main__":
    print(document(), end="")
