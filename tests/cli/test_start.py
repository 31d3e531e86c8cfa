"""What a command brings into the process before it does anything: what it needs, no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "peft", "datasets", "scipy", "matplotlib", "statsmodels", "sklearn")


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        ([], (*HEAVY, "pandas", "pyarrow", "pydantic", "yaml", "rich")),
        (["--help"], (*HEAVY, "pandas", "pyarrow", "numpy", "yaml")),
        (["study", "--help"], (*HEAVY, "pandas", "pyarrow", "numpy", "yaml")),
        (["report", "--help"], (*HEAVY, "pandas", "pyarrow", "numpy", "yaml")),
        (["study", "plan", "paper"], (*HEAVY, "pandas", "pyarrow")),
    ],
)
def test_a_command_imports_only_what_it_needs(arguments: list[str], absent: tuple[str, ...]) -> None:
    does = f"from contested.cli import main; code = main({arguments!r})" if arguments else "import contested; code = 0"
    loaded = f"[name for name in {absent!r} if name in sys.modules]"
    # The plan measures a GPU with torch, where there is one.
    told = f"import shutil, sys; shutil.which = lambda name: None; {does}; print(code, {loaded})"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 []", done


def test_help_texts_name_the_kinds_of_files_that_are_read() -> None:
    from contested import rows
    from contested.cli import options

    assert options.FILE_KINDS == rows.FILE_KINDS
