"""Text that is not UTF-8: its encoding is given, and never guessed."""

from __future__ import annotations

import numpy as np
import pytest

from contested.annotations import read_annotations
from contested.cli import main
from contested.errors import ConfigError, DataError

TEXT = "id,labels\na,schön|schön|übel\nb,übel|übel\n"


@pytest.fixture
def file(tmp_path):
    def write(encoding: str, text: str = TEXT):
        (tmp_path / "votes.csv").write_bytes(text.encode(encoding))
        return tmp_path / "votes.csv"

    return write


@pytest.mark.parametrize("encoding", ["latin1", "cp1252", "utf-16-le", "utf-8"])
def test_the_encoding_given_is_used_and_said(file, encoding):
    found = read_annotations(file(encoding), encoding=encoding)
    assert found.label_names == ("schön", "übel")
    assert found.entropy.round(4).tolist() == [0.6365, 0.0]  # 2:1, 2:0
    assert f"decoded as {encoding}, as asked for" in " ".join(found.receipt.notes)
    assert found.reading["options"]["encoding"] == encoding


def test_without_it_the_error_names_what_is_likely(file):
    with pytest.raises(DataError, match="Or give encoding=latin1 or encoding=cp1252"):
        read_annotations(file("latin1"))
    with pytest.raises(DataError, match="Or give encoding=utf-16-le"):
        read_annotations(file("utf-16-le", TEXT.replace("ö", "o").replace("ü", "u")))


@pytest.mark.parametrize(
    ("written", "read_as", "why"),
    [
        ("utf-8", "latin1", "is UTF-8, and read as latin1 it would be other text"),
        ("utf-16", "latin1", "is UTF-16, and read as latin1"),
        ("latin1", "utf8", "is not utf8"),
    ],
)
def test_an_encoding_that_the_content_contradicts_is_refused(file, written, read_as, why):
    with pytest.raises(DataError, match=why):
        read_annotations(file(written), encoding=read_as)


def test_latin1_that_is_windows_text_is_refused(file):
    quoted = file("cp1252", "id,labels\na,“yes”|no\n")
    with pytest.raises(DataError, match=r"hardly latin1: line 2 .* U\+0093.*cp1252"):
        read_annotations(quoted, encoding="latin1")


@pytest.mark.parametrize("encoding", ["latin-11", "base64", 5, "a\0b"])
def test_unknown_encodings_are_one_message(file, encoding):
    with pytest.raises(ConfigError, match="Unknown encoding"):
        read_annotations(file("latin1"), encoding=encoding)


def test_the_command_line_takes_and_spells_it(file, capsys):
    assert main(["entropy", str(file("latin1"))]) == 2
    assert "give --encoding=latin1" in " ".join(capsys.readouterr().err.split())
    assert main(["entropy", str(file("latin1")), "--encoding", "latin1"]) == 0
    assert "schön" in capsys.readouterr().out


def test_whole_numbers_of_a_slider_are_measurements(tmp_path):
    slider, ratings = tmp_path / "slider.csv", tmp_path / "ratings.csv"
    rows = np.random.default_rng(1).permutation(100)[:24].reshape(6, 4)
    slider.write_text("id,labels\n" + "\n".join(f"{i},{'|'.join(map(str, row))}" for i, row in enumerate(rows)))
    with pytest.raises(DataError) as refused:
        read_annotations(slider)
    assert len(refused.value.problems) == 1
    assert "24 different numbers" in refused.value.problems[0]
    assert "sets" not in str(refused.value)
    # As few repeats, but a scale of few points: five classes.
    ratings.write_text("id,labels\na,1|2|2\nb,3|4|5\n")
    assert read_annotations(ratings).n_classes == 5


def test_a_web_page_is_no_table(file):
    for page in ("<!DOCTYPE html>\n<html>,a\nNot found,b", "\n<html lang='en'><body>404</body></html>"):
        with pytest.raises(DataError, match="is a web page"):
            read_annotations(file("utf-8", page))
    assert read_annotations(file("utf-8", TEXT.replace("id", "<html"))).n_items == 2
