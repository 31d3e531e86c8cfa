"""Tables as LaTeX floats that need booktabs alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from contested.report.table_cells import Cells, RenderedTable

_LONG_TEXT = 36  # characters from which a column is set as a paragraph
_LINE = 95  # small characters in a line of a plain article
_ROWS_A_PAGE, _ROWS_OF_TEXT = 42, 24  # where cells are numbers, and where some are paragraphs

_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "’": "'",
    "“": "``",
    "”": "''",
    "±": r"$\pm$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "≠": r"$\ne$",
    "†": r"$^{\dagger}$",
    "°": r"$^{\circ}$",
    "²": r"$^2$",
    "∞": r"$\infty$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "κ": r"$\kappa$",
    "λ": r"$\lambda$",
    "τ": r"$\tau$",
    "…": r"\ldots{}",
    "·": r"$\cdot$",
    "×": r"$\times$",
    "ρ": r"$\rho$",
    "Δ": r"$\Delta$",
    "ℓ": r"$\ell$",
    "‖": r"$\|$",
    "→": r"$\to$",
}


def to_latex(shown: RenderedTable) -> str:
    """A table as LaTeX floats that need booktabs alone; one of many rows is cut into several."""
    label = shown.table.name.replace("_", "-")
    caption = f"{escape_latex(shown.table.title)}. {escape_latex(shown.caption)}"
    foot = [f"{escape_latex(name)}: {escape_latex(said)}." for name, said in shown.foot]
    intro = "% Needs \\usepackage{booktabs} and nothing else." + (
        f" In the paper: {shown.table.number}." if shown.table.number else ""
    )
    if shown.cells is None:
        return f"{intro}\n{_float(caption, label, escape_latex(shown.table.absent), foot)}"
    widths = _column_format(shown.cells)
    size = _ROWS_OF_TEXT if "p{" in widths else _ROWS_A_PAGE
    cuts, letters = range(0, len(shown.cells.rows), size), "tiny" if _is_wide(shown.cells) else "scriptsize"
    floats = []
    for number, start in enumerate(cuts):
        part = shown.cells._replace(rows=shown.cells.rows[start : start + size])
        whole = caption if number == 0 else f"{escape_latex(shown.table.title)}, part {number + 1} of {len(cuts)}."
        last = foot if start == cuts[-1] else []
        body = f"\\makebox[\\linewidth][c]{{%\n{tabular(part, widths).rstrip()}%\n}}"
        own = label if number == 0 else f"{label}-{number + 1}"
        floats.append(_float(whole, own, body, last, size=letters))
    return f"{intro}\n" + "\n".join(floats)


def _float(caption: str, label: str, body: str, foot: Sequence[str], size: str = "scriptsize") -> str:
    # Run ids are long words: without a stretch of the spaces they would run out of the margin.
    below = f"\\par\\smallskip\n\\begin{{minipage}}{{\\linewidth}}\\sloppy\n{' '.join(foot)}\n\\end{{minipage}}\n"
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{caption}}}\n\\label{{tab:{label}}}\n"
        f"\\{size}\\setlength{{\\tabcolsep}}{{3pt}}\n{body.rstrip()}\n{below if foot else ''}\\end{{table}}\n"
    )


def _lengths(cells: Cells) -> list[int]:
    """The most characters of each column."""
    rows = (cells.headings, *cells.rows)
    return [max(len(row[index]) for row in rows) for index in range(len(cells.headings))]


def _is_wide(cells: Cells) -> bool:
    """Whether a table's lines are too long for a column of text: then it is set smaller and over both margins."""
    return sum(min(length, _LONG_TEXT) + 2 for length in _lengths(cells)) > _LINE


def _column_format(cells: Cells) -> str:
    long = [length > _LONG_TEXT and not right for length, right in zip(_lengths(cells), cells.numeric, strict=True)]
    # Paragraphs share what the other columns leave.
    share = 0.75 / max(sum(long), 1) if len(long) - sum(long) < 5 else 0.2
    width = f"p{{{min(share, 0.35):.2f}\\linewidth}}"
    return "".join(
        "r" if right else width if is_long else "l" for right, is_long in zip(cells.numeric, long, strict=True)
    )


def tabular(cells: Cells, column_format: str) -> str:
    """A table as a LaTeX ``tabular`` with booktabs rules; every text is escaped.

    Args:
        cells: The table.
        column_format: LaTeX's own, one part a column.

    Returns:
        The environment.
    """
    rows = [[escape_latex(cell) for cell in row] for row in cells.rows]
    # Behind the end of a row LaTeX would take either sign for an option of the line break.
    rows = [["{}" + first if first.startswith(("[", "*")) else first, *others] for first, *others in rows]
    headings = [escape_latex(heading) for heading in cells.headings]
    lines = [_line(headings), "\\midrule", *(_line(row) for row in rows)]
    if cells.groups:
        over = [
            f"\\multicolumn{{{width}}}{{c}}{{{escape_latex(name)}}}" if name else "&" * (width - 1)
            for name, width in cells.groups
        ]
        lines.insert(0, _line(over))
    return (
        "\n".join([f"\\begin{{tabular}}{{{column_format}}}", "\\toprule", *lines, "\\bottomrule", "\\end{tabular}"])
        + "\n"
    )


def _line(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def escape_latex(value: str) -> str:
    r"""Text for LaTeX: its special characters escaped, the signs of the field as mathematics.

    >>> escape_latex("a_b & 5%: Δℓ")
    'a\\_b \\& 5\\%: $\\Delta\\ell$'
    """
    signs = "".join(_LATEX.get(sign, sign) for sign in value.replace("\n", " "))
    return re.sub(r"(?<!\\)\$\$", "", signs)
