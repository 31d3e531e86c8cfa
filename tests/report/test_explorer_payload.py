"""What a page's explorer is given arrives in the page: every number, missing value and text, in the types it says."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

import numpy as np
import pytest

from contested.annotations.votes import Votes
from contested.errors import DataError
from contested.report.explorer import Column, Curve, Explorer, ExplorerRun, embedding
from contested.report.explorer.blocks import Blocks

TYPES = {"f16": "<f2", "f32": "<f4", "u8": "<u1", "u16": "<u2", "u32": "<u4", "i32": "<i4"}
NAN = float("nan")


def decoded(block: dict[str, Any], encoded: dict[str, str]) -> Any:
    """What a browser reads of a block, written as plainly as can be."""
    content = zlib.decompress(base64.b64decode(encoded[block["block"]]))
    if block["dtype"] == "text":
        return json.loads(content.decode())
    values = np.frombuffer(content, TYPES[block["dtype"]])
    return values.reshape(block.get("shape", values.shape))


def read(html: str) -> tuple[dict[str, Any], dict[str, str]]:
    found = re.search(r'<script type="application/json" id="explorer-index">(.*?)</script>', html)
    assert found
    blocks = re.findall(r'<script type="text/plain" data-block="(b\d+)">([A-Za-z0-9+/=]+)</script>', html)
    return json.loads(found[1]), dict(blocks)


@pytest.fixture(autouse=True)
def no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding, "bundle", lambda name: f"/* {name} */")


@pytest.mark.parametrize(
    ("values", "dtype", "missing"),
    [
        ([0, 254, NAN], "u8", 255),
        ([0, 255, NAN], "u16", 65535),
        ([0, 65534], "u16", None),
        ([65535, NAN], "u32", 2**32 - 1),
        ([-1, 5, NAN], "i32", -(2**31)),
        ([NAN, NAN], "u8", 255),
    ],
)
def test_whole_numbers_take_the_smallest_exact_type(values: list[float], dtype: str, missing: int | None) -> None:
    blocks = Blocks()
    block = blocks.whole(np.array(values))
    assert block["dtype"] == dtype
    assert decoded(block, blocks.encoded).tolist() == [missing if np.isnan(v) else v for v in values]


@pytest.mark.parametrize(("values", "why"), [([1.5], "whole"), ([2.0**32], "32 bits"), ([-1.0, 2.0**31], "32 bits")])
def test_whole_numbers_are_never_rounded(values: list[float], why: str) -> None:
    with pytest.raises(DataError, match=why):
        Blocks().whole(np.array(values))


def test_numbers_are_of_half_precision_where_that_is_fine_enough() -> None:
    rng, blocks = np.random.default_rng(0), Blocks()
    for values, dtype in (
        (rng.random(1000), "f16"),
        (rng.normal(size=1000) * 50, "f16"),
        (2020 + rng.random(1000), "f32"),  # steps of 1 in half precision
        (np.array([1e5, 0.0]), "f32"),  # overflows
        (np.array([0.1, 0.1]), "f32"),  # no range to be seen
        (np.array([NAN]), "f16"),
    ):
        block = blocks.numbers(values)
        assert block["dtype"] == dtype
        found = decoded(block, blocks.encoded).astype(float)
        spread = np.ptp(values) if np.isfinite(values).all() else 0.0
        assert np.allclose(found, values, rtol=1e-7, atol=spread / 500, equal_nan=True)


def test_curves_keep_nine_bits_and_what_is_not_finite() -> None:
    rng, blocks = np.random.default_rng(0), Blocks()
    values = rng.exponential(size=(4, 1000))
    values[0, :3] = [NAN, np.inf, 0.0]
    block = blocks.curve(values)
    found = decoded(block, blocks.encoded).astype(float)
    assert (block["dtype"], found.shape) == ("f16", (4, 1000))
    assert np.isnan(found[0, 0])
    assert found[0, 1] == np.inf
    assert np.allclose(found[:, 3:], values[:, 3:], rtol=2**-9 + 2**-11, atol=1e-6)
    assert not (found.astype(np.float16).view(np.uint16) & 0b11).any()
    large = blocks.curve(np.array([[65_000.0]]))
    assert decoded(large, blocks.encoded).tolist() == [[65_000.0]]


def test_probabilities_are_254ths() -> None:
    blocks = Blocks()
    block = blocks.probabilities(np.array([[[0.0, 1.0, NAN], [0.5, 1 / 254, 0.999]]]))
    assert (block["scale"], block["shape"]) == (254, [1, 2, 3])
    assert decoded(block, blocks.encoded).tolist() == [[[0, 254, 255], [127, 1, 254]]]


def test_texts_arrive_whatever_is_in_them() -> None:
    texts = ["é 日本", "", None, "</script><script>alert(1)</script>", "half \ud800", "bidi \u202e", "esc \x1b"]
    blocks = Blocks()
    assert decoded(blocks.texts(texts, exact=True), blocks.encoded) == texts
    shown = decoded(blocks.texts(texts), blocks.encoded)
    assert shown[:4] == texts[:4]
    assert shown[4:] == ["half \\ud800", "bidi \\u202e", "esc \\u001b"]


def explorer() -> Explorer:
    """Three items, two classes, one run of two checkpoints that does not track the last item."""
    loss = np.array([[0.5, 1.5, NAN], [0.25, 2.0, NAN]])
    return Explorer(
        example_ids=["a", "b", "<c>"],
        items=[
            Column("category", "category", "", "By entropy.", "category", ["clean", None, "contested"], ("clean", "x")),
            Column("length", "length", "", "Words.", "integer", np.array([3, 300, NAN])),
            Column("text", "text", "", "Its text.", "text", ["</script>", None, "z"]),
        ],
        label_names=("yes", "no"),
        label_counts=np.array([[5, 0], [2, 3], [0, 0]]),
        gold=np.array([0, 1, -1]),
        votes=Votes(np.array([1, 0, 1]), np.array([1, 0, 0]), np.array([1, 0, -1]), ("ann", "bob")),
        categories=("clean", "contested"),
        runs=[
            ExplorerRun(
                "</run>",
                np.array([0, 10]),
                "step",
                [
                    Column("loss_last", "last loss", "nats", "Loss.", "number", loss[-1]),
                    Column("rose", "rose", "share", "Whether.", "flag", np.array([0.0, 1.0, NAN])),
                ],
                [
                    Curve("loss", "loss", "nats", "Loss.", loss),
                    Curve("gold_probability", "p", "", "P.", np.exp(-loss), is_probability=True),
                ],
                np.stack([np.exp(-loss), 1 - np.exp(-loss)], axis=2),
            )
        ],
        x="loss_last",
        y="length",
        notes=["One \u202e note."],
    )


def test_a_page_holds_the_whole_explorer() -> None:
    html = embedding.embedded(explorer())
    index, encoded = read(html)

    def values(block: dict[str, Any]) -> Any:
        found = decoded(block, encoded)
        return found if isinstance(found, list) else found.tolist()

    assert (index["n"], index["x"], index["y"]) == (3, "loss_last", "length")
    assert values(index["ids"]) == ["a", "b", "<c>"]
    category, length, text = index["items"]
    assert (category["levels"], values(category)) == (["clean", "x", "contested"], [0, 255, 2])
    assert (length["dtype"], values(length)) == ("u16", [3, 300, 65535])
    assert values(text) == ["</script>", None, "z"]
    assert values(index["label_counts"]) == [[5, 0], [2, 3], [0, 0]]
    assert values(index["gold"]) == [0, 1, 255]
    assert index["categories"] == [
        {"name": "clean", "color": "var(--c-2b6cb0)"},
        {"name": "contested", "color": "var(--c-b8324a)"},
    ]
    assert index["category"] == "category"
    votes = index["votes"]
    # Item 0 has ann's vote for yes; item 1 bob's for no and, from somebody unnamed, yes.
    assert [values(votes[name]) for name in ("offsets", "annotators", "labels")] == [
        [0, 1, 3, 3],
        [0, 1, 255],
        [0, 1, 0],
    ]
    (run,) = index["runs"]
    assert (run["name"], run["steps"], run["step_unit"]) == ("</run>", [0, 10], "step")
    last, rose = run["columns"]
    assert (last["digits"], last["kind"], values(last)[:2]) == (3, "number", [0.25, 2.0])
    assert values(rose) == [0, 1, 255]
    assert np.isnan(values(run["curves"][0])[1][2])
    course = run["curves"][1]
    assert (course["dtype"], course["scale"], values(course)[0]) == ("u8", 254, [154, 57, 255])
    # exp(-0.5) = 0.6065 is 154 of 254, and 100 are left.
    assert values(run["probabilities"])[0] == [[154, 100], [57, 197], [255, 255]]


@pytest.mark.parametrize(
    ("values", "unit", "digits"),
    # Three significant ones of the largest, at most six; of nats as tables have.
    [
        ([0.5, -12.0], "", 1),
        ([0.123, NAN], "share", 3),
        ([1234.0], "", 0),
        ([0.0], "", 0),
        ([1e-9], "", 6),
        ([9.0], "nats", 3),
    ],
)
def test_numbers_have_as_many_decimals_as_can_be_read(values: list[float], unit: str, digits: int) -> None:
    column = Column("c", "c", unit, "C.", "number", np.array(values))
    assert read(embedding.embedded(Explorer([*"ab"[: len(values)]], [column])))[0]["items"][0]["digits"] == digits


def test_no_text_becomes_markup() -> None:
    html = embedding.embedded(explorer())
    assert html.count("<script") == html.count("</script>") == 2 + len(read(html)[1])
    assert "</run>" not in html
    assert "\u202e" not in html
    assert read(html)[0]["notes"] == ["One \\u202e note."]


def test_what_does_not_fit_together_is_refused_at_once() -> None:
    given = explorer()
    wrong = given._replace(
        example_ids=["a", "a"], x="nothing", items=[*given.items[1:], given.runs[0].columns[0]], votes=None
    )
    with pytest.raises(DataError) as refused:
        embedding.embedded(wrong)
    said = str(refused.value)
    for part in (
        "1 of 2 ids occur again",
        "['loss_last'] occur more than once",
        "no column 'nothing'",
        "no column 'category'",
        "column length: shape (3,); expected (2,)",
        "curve loss: shape (2, 3); expected (2, 2)",
        "probabilities: shape (2, 3, 2); expected (2, 2, 2)",
        "label_counts: shape (3, 2); expected (2, 2)",
    ):
        assert part in said
