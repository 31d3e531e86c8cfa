"""How every figure looks: colours, type and the one way to save."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from contested.files import atomic_path
from contested.wording import visible

INK = "#20262e"
QUIET = "#667080"
RULE = "#dfe3e8"
BAR = "#b9c4d2"

_PAGE_COLORS = {INK: "--ink", QUIET: "--quiet", RULE: "--rule", BAR: "--bar", "#ffffff": "--page"}

WIDTH = 7.2
_SAVED_DPI = 200
_SHADES = 60  # of the sequential map
NARROW_WIDTH = 3.9

RC: Any = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters on every machine
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8.0,
    "axes.titley": 1.0,  # where they are anyway, for no x axis is on top: to look for one takes a tenth of all time
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "figure.dpi": 100,
    "savefig.facecolor": "white",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    # A dollar in the name of a run or a category is a dollar.
    "text.parse_math": False,
}


class CategoryColor(NamedTuple):
    """One category's colour, as #rrggbb.

    Attributes:
        line: Of lines and fills.
        text: Of text on white.
        dark: Of anything on a dark page.
    """

    line: str
    text: str
    dark: str


# Told apart under deuteranopia, protanopia and tritanopia (CIE76 distance ≥ 39 between any two lines);
# lines have a contrast of at least 3:1 and text of at least 4.5:1 on white, dark ones 7:1 on #15181d.
_FIXED = {
    "clean": CategoryColor("#2b6cb0", "#1f5a99", "#7fb2e5"),
    "ambiguous": CategoryColor("#c08a00", "#866000", "#e3bc5a"),
    "contested": CategoryColor("#b8324a", "#a52a41", "#f28b9b"),
}


def category_colors(names: Sequence[str]) -> dict[str, CategoryColor]:
    """A colour for each category.

    Args:
        names: Categories in order of rising entropy, length C.

    Returns:
        Category name to colour: the paper's categories have their own, others run along a sequential map.
    """
    others = [name for name in names if name not in _FIXED]
    positions = {name: index / max(len(others) - 1, 1) for index, name in enumerate(others)}
    return {name: _FIXED.get(name) or sequential(positions[name]) for name in names}


def sequential(position: float) -> CategoryColor:
    """The colour nearest to a position from 0 to 1 along the sequential map."""
    plasma = mpl.colormaps["plasma"]
    position = round(_SHADES * position) / _SHADES
    return CategoryColor(
        to_hex(plasma(0.02 + 0.63 * position)),
        to_hex(plasma(0.02 + 0.48 * position)),
        to_hex(plasma(0.48 + 0.42 * position)),
    )


@functools.cache
def colors_in_the_dark() -> Mapping[str, str]:
    """Every colour that a figure may have (#rrggbb), to the one that stands for it on a dark page."""
    every = [*_FIXED.values(), *(sequential(index / _SHADES) for index in range(_SHADES + 1))]
    return {light: color.dark for color in reversed(every) for light in (color.text, color.line)}


def new_axes(n_panels: int, *, height: float, columns: int = 2, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """A figure with one panel beside the other, all on the same y axis; call it within :func:`style_context`.

    Args:
        n_panels: How many panels.
        height: Height of one row of panels in inches.
        columns: Most panels in a row.
        width: Width of the figure in inches.

    Returns:
        The figure, bound to no window or global state, and its panels in reading order.
    """
    columns = max(1, min(columns, n_panels))
    rows = -(-n_panels // columns)
    figure = Figure(figsize=(width, height * rows), layout=ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.06))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    axes = list(grid.flat)
    for spare in axes[n_panels:]:
        spare.remove()
    for panel in axes[:n_panels]:
        panel.grid(axis="y")
    return figure, axes[:n_panels]


def new_grid(
    rows: int,
    columns: int,
    *,
    size: tuple[float, float],
    sharex: bool | Literal["col"] = False,
    sharey: bool | Literal["row"] = False,
    width_ratios: Sequence[float] | None = None,
    height_ratios: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """A figure whose panels show different quantities; call it within :func:`style_context`.

    Args:
        rows: Rows of panels.
        columns: Panels in a row.
        size: Width and height of the figure in inches.
        sharex: Whether the panels, or those of each column, share the x axis.
        sharey: Whether the panels, or those of each row, share the y axis.
        width_ratios: Relative widths of the columns.
        height_ratios: Relative heights of the rows.

    Returns:
        The figure, bound to no window or global state, and its panels in reading order.
    """
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.09, w_pad=0.06))
    grid = figure.subplots(
        rows,
        columns,
        sharex=sharex,
        sharey=sharey,
        squeeze=False,
        width_ratios=width_ratios,
        height_ratios=height_ratios,
    )
    axes = list(grid.flat)
    for panel in axes:
        panel.grid(axis="y")
        panel.xaxis.set_tick_params(labelbottom=True)
    return figure, axes


def style_context() -> Any:
    """The context in which figures are made and saved: matplotlib's settings come back after it."""
    return mpl.rc_context(RC)


def freeze_layout(figure: Figure) -> Figure:
    """A figure whose layout is computed once instead of at every saving."""
    with style_context():
        engine = figure.get_layout_engine()
        assert engine is not None, "every figure of this package is laid out"
        # At few dots an inch hinting makes letters narrower than they are saved.
        dpi = figure.get_dpi()
        figure.set_dpi(_SAVED_DPI)
        engine.execute(figure)
        figure.set_dpi(dpi)
        figure.set_layout_engine(None)  # "none" would have every saving draw the figure once more, for nothing
    return figure


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PDF and as PNG (200 dpi), atomically; the same figure gives the same bytes.

    Args:
        figure: The figure.
        stem: The path without its ending; the folder must exist.

    Returns:
        The two paths.
    """
    written = []
    given: dict[str, dict[str, Any]] = {
        "pdf": {"metadata": {"CreationDate": None}},
        # At level 6 files are a hundredth smaller and take a third longer.
        "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 4}},
    }
    for ending, options in given.items():
        path = stem.parent / f"{stem.name}.{ending}"
        with style_context(), _fonts_without_layout(), atomic_path(path) as temporary:
            figure.savefig(temporary, format=ending, dpi=_SAVED_DPI, **options)
        written.append(path)
    return written


@contextlib.contextmanager
def _fonts_without_layout() -> Iterator[None]:
    """Fonts go into a PDF without their tables for setting text, which is set: to read and cut these takes longest."""
    from fontTools import subset

    given = subset.load_font

    def drawn(*args: Any, **options: Any) -> Any:
        font = given(*args, **options)
        for table in {"GDEF", "GPOS", "GSUB", "MATH", "kern"} & {*font.keys()}:
            del font[table]
        return font

    subset.load_font = drawn
    try:
        yield
    finally:
        subset.load_font = given


def inline_svg(figure: Figure, name: str) -> str:
    """Render a figure as an SVG element for an HTML page that may be light or dark.

    Args:
        figure: The figure.
        name: Letters and digits, unique on the page; every id in the element starts with it.

    Returns:
        The element, without metadata or any reference to a document type; its colours are custom properties of
        the page, see :func:`color_property`.
    """
    buffer = StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with style_context(), mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", re.sub(r"\s+", " ", svg), count=1)
    known = _PAGE_COLORS | {color: color_property(color) for color in colors_in_the_dark()}
    return visible(re.sub(r"#[0-9a-f]{6}\b", lambda found: _variable(known, found[0]), svg).strip())


def color_property(color: str) -> str:
    """The name of the custom property that holds a colour of figures on a page.

    >>> color_property("#2b6cb0")
    '--c-2b6cb0'
    """
    return f"--c-{color.removeprefix('#')}"


def _variable(known: Mapping[str, str], color: str) -> str:
    return f"var({known[color]})" if color in known else color
