"""The figure of the change of the loss taken apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from contested.report.decomposition import draw

NAMES = ("clean", "contested", "overall")


def rows(run: str, names=NAMES) -> pd.DataFrame:
    n = len(names)
    kl, rest = np.linspace(-0.4, 0.1, n), np.linspace(0.1, 0.5, n)
    parts = {"change": kl + rest, "kl": kl, "rest": rest, "closer": np.linspace(0.1, 0.3, n)}
    ends = {f"{name}{end}": values + shift for name, values in parts.items() for end, shift in ENDS.items()}
    return pd.DataFrame({"of": run, "category": names, **parts, "closer_share": parts["closer"], **ends})


ENDS = {"_low": -0.05, "_high": 0.05}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("narrow", [False, True])
def test_each_part_stands_at_its_value_beside_the_share_of_the_rise(narrow) -> None:
    figure = draw(pd.concat([rows("a"), rows("b")]), narrow=narrow)
    figure.draw_without_rendering()
    assert len(figure.axes) == 4
    parts, share = figure.axes[:2]
    labels = [label.get_text() for label in parts.get_yticklabels()]
    assert labels == ["clean: Δℓ", "ΔKL", "rest", "contested: Δℓ", "ΔKL", "rest"]
    # Zero first, then an interval and a point for each part: contested are −0.15 + 0.3, half way of the three rows.
    points = [line.get_xdata()[0] for line in parts.lines if line.get_marker() == "o"]
    assert points == pytest.approx([-0.3, -0.4, 0.1, 0.15, -0.15, 0.3])
    intervals = [list(line.get_xdata()) for line in parts.lines[1:] if line.get_marker() != "o"]
    assert intervals[3] == pytest.approx([0.1, 0.2])
    assert [line.get_xdata()[0] for line in share.lines if line.get_marker() == "o"] == pytest.approx([0.1, 0.2])
    assert share.get_xlim()[0] < 0 < 1 < share.get_xlim()[1]
    assert figure.axes[2].get_xlim() == parts.get_xlim()
    assert [axes.get_title(loc="left") for axes in figure.axes[::2]] == ["a", "b"]


def test_without_categories_all_examples_are_drawn() -> None:
    parts = draw(rows("a", ("overall",))).axes[0]
    assert [label.get_text() for label in parts.get_yticklabels()] == ["overall: Δℓ", "ΔKL", "rest"]
