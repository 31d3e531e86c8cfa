from __future__ import annotations

import re

import pytest

from contested.annotations.readers._printed import as_structure


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('["a", null, 1]', ["a", None, 1]),
        ("['a', 'b', None]", ["a", "b", None]),
        ("[1.0, nan, 2.0]", [1.0, "nan", 2.0]),
        ("{'no': 1, 'yes': 3}", {"no": 1, "yes": 3}),
        ("{1: 2, 'b': 'c'}", {"1": 2, "b": "c"}),
        ("('a', 'b')", ["a", "b"]),
        ("(1, 2)", [1, 2]),
        ("{'a', 'b'}", ["a", "b"]),
        ("[['a', 'b'], []]", [["a", "b"], []]),
        ("['it\\'s', \"b, c\"]", ["it's", "b, c"]),
        # NumPy has no commas.
        ("[0 1 1]", [0, 1, 1]),
        ("[0. 1. nan]", [0.0, 1.0, "nan"]),
        ("[\n 0 -1\n 1]", [0, -1, 1]),
        ("['yes' 'no' 'yes']", ["yes", "no", "yes"]),
        ("array(['a', 'b'], dtype='<U1')", ["a", "b"]),
        ("np.array([0, 1])", [0, 1]),
        ("[np.str_('a'), np.int64(3)]", ["a", 3]),
        # collections, and R
        ("Counter({'no': 2, 'yes': 1})", {"no": 2, "yes": 1}),
        ("OrderedDict([('no', 1), ('yes', 3)])", {"no": 1, "yes": 3}),
        ("defaultdict(<class 'int'>, {'no': 1})", {"no": 1}),
        ('c("yes", "no")', ["yes", "no"]),
        ("c(1, 2)", [1, 2]),
        # Without quotation marks: PostgreSQL, Java.
        ("{yes,no,yes}", ["yes", "no", "yes"]),
        ("[very good, bad, don't know]", ["very good", "bad", "don't know"]),
        ("[yes,,no]", ["yes", None, "no"]),
        ("[01, 2]", ["01", 2]),
        ("[]", []),
        ("{}", {}),
        # Labels, although they have brackets.
        ("(a) agree", "(a) agree"),
        ("(3)", "(3)"),
        ("no (unsure)", "no (unsure)"),
        ("maybe (1, 2)", "maybe (1, 2)"),
        ("[other]|x", "[other]|x"),
        ("yes", "yes"),
        (3, 3),
        (None, None),
    ],
)
def test_what_is_printed_is_read_as_it_was(text, value):
    assert as_structure(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("['yes', 'no'", "cut off"),
        ("['yes', 'no", "a quotation mark is never closed"),
        ("[0 1 ... 1 0]", "cut short by '...'"),
        ("['a' 'b', 'c']", "commas are missing between some of its parts"),
        ("[very good]", "no commas between its parts"),
        ("[1, 2]]", "goes on behind its end"),
        ("{'a': 1, 'a': 2}", "has keys twice: a"),
        ('{"a": 1, "a": 2}', "duplicated keys in one object: a"),
        ("{'a': 1, 'b'}", "some of its parts have no key"),
        ("[1}", "'}' too many"),
        ("[" * 100_000, "nested more than 6 deep"),
        ("['" + "a" * 1_000_001, "a list of 1,000,003 characters"),
        ("Counter({'a': 1", "cut off"),
        ('["\\ud800"]', "a quoted text has a damaged escape"),
    ],
)
def test_what_cannot_be_read_is_never_taken_for_a_label(text, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        as_structure(text)
    assert len(str(caught.value)) < 200


def test_nothing_in_a_cell_is_run():
    text = "[__import__('os').abort()]"
    with pytest.raises(ValueError, match="cannot be read"):
        as_structure(text)


def test_reading_takes_time_in_proportion():
    import time

    def seconds(n: int) -> float:
        text = "[" + "'a' " * n + "]"
        begin = time.process_time()
        assert as_structure(text) == ["a"] * n
        return time.process_time() - begin

    seconds(1000)
    assert seconds(100_000) < 40 * max(seconds(10_000), 0.01)
