"""Tests of contested.yaml_files: plain values, bounded, every problem with its place."""

import itertools
import math
import time
import tracemalloc

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contested.errors import ConfigError
from contested.yaml_files import MAX_BYTES, MAX_DEPTH, MAX_VALUES, parse_yaml, read_yaml

FAILURE = "here.yaml is not valid YAML"


def problem_of(text):
    """What is said of a text that cannot be read."""
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, FAILURE)
    assert str(caught.value).startswith(FAILURE)
    return str(caught.value)


def test_plain_values():
    text = """
    texts: [a, "1", "b: c", 2024-06-01, 12:30:45, =, "yes"]
    numbers: [1, -2, 0x10, 0b11, 1_000, 010, 1.5, .5, 1.0e-3, .inf, -.inf]
    truths: [true, No, on]
    nothing: [null, ~]
    tagged: [!!str 3, !!int "3", !!float 3, !!bool "true", !!null "", ! plain]
    block: |
      two
      lines
    """
    assert parse_yaml(text, FAILURE) == {
        "texts": ["a", "1", "b: c", "2024-06-01", "12:30:45", "=", "yes"],
        "numbers": [1, -2, 16, 3, 1000, 10, 1.5, 0.5, 0.001, math.inf, -math.inf],
        "truths": [True, False, True],
        "nothing": [None, None],
        "tagged": ["3", 3, 3.0, True, None, "plain"],
        "block": "two\nlines\n",
    }
    assert math.isnan(parse_yaml(".nan", FAILURE))
    assert parse_yaml("", FAILURE) is None
    assert parse_yaml("# nothing\n", FAILURE) is None


def test_keys_are_texts():
    # As a condition on an axis names them: where: {r: [8, 0.5, true, null]}
    assert parse_yaml("{8: a, 0.5: b, true: c, null: d, 2024-01-01: e, x: f}", FAILURE) == {
        "8": "a", "0.5": "b", "true": "c", "none": "d", "2024-01-01": "e", "x": "f",
    }  # fmt: skip


def test_aliases_are_copies():
    found = parse_yaml("first: &a {x: [1]}\nsecond: *a\nthird: {<<: *a, y: 2}", FAILURE)
    assert found == {"first": {"x": [1]}, "second": {"x": [1]}, "third": {"x": [1], "y": 2}}
    found["first"]["x"].append(2)
    assert found["second"] == {"x": [1]}
    assert found["third"]["x"] == [1]


def test_merged_keys_lie_beneath_a_mappings_own():
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {z: 3, <<: [*a, *b]}\nd: {'<<': 4}"
    # YAML's rule: own keys first, then those of the first of several.
    found = parse_yaml(text, FAILURE)
    assert found["c"] == {"x": 1, "y": 1, "z": 3}
    assert found["d"] == {"<<": 4}
    assert found["c"] == yaml.safe_load(text)["c"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: b: c", "at line 1, column 5:\n    a: b: c\n        ^"),
        ("a: 1\nb: [1, 2", "at line 3, column 1, where the text ends"),
        ("a: 1\nb: {c: 1\nd: 2", "at line 3, column 2:\n    d: 2\n     ^"),
        ("a: 1\na: 2", "line 2, column 1: the key 'a' is given again, first in line 1; keep one"),
        ("a: {b: 1, c: 2, b: 3}", "line 1, column 17: the key 'b' is given again, first in line 1"),
        ("{1: a, '1': b}", "the key '1' is given again"),
        ("[a, b]: 1", "line 1, column 1: a key must be a text, got ['a', 'b']"),
        ("a: *b", "line 1, column 4: the alias *b names nothing; expected an anchor &b above"),
        ("a: {<<: 3}", "line 1, column 9: << takes keys and values, such as *anchor, got 3"),
        ("a: !!int foo", "line 1, column 4: 'foo' is not what the tag !!int says"),
        ("a: !!bool foo", "'foo' is not what the tag !!bool says"),
        ("a: !!float foo", "'foo' is not what the tag !!float says"),
        ("a: !!binary aGk=", "the tag !!binary is not known here; leave it out"),
        ("a: !!set {b}", "the tag !!set is not known here"),
        ("a: !!python/object/apply:os.getcwd []", "the tag !!python/object/apply:os.getcwd is not known here"),
        ("a: !own 3", "the tag !own is not known here"),
        ("a: !!seq x", "the tag !!seq is not known here"),
        ("a: !!map [x]", "the tag !!map is not known here"),
        (f"a: {'9' * 30}", "line 1, column 4: the whole number '999999999999999999999999999999' is too large"),
        (f"a: {'9' * 5000}", "is too large; expected one of at most 19 digits"),
        (f"a: 0x{'f' * 5000}", "is too large"),
        (f"a: !!float {'9' * 500}", "is too large"),
        ('a: "x\\0y"', "line 1, column 4: the text holds the character U+0000; leave it out"),
        ('a: "\\e[2J"', "the text holds the character U+001B"),
        ("a: 1\nb: x\0y", "it holds the character U+0000 at line 2, column 5"),
        ("a: 1\nb: x\ud800y", "it holds the character U+D800 at line 2, column 5"),
        ("a: 1\n---\nb: 2", "line 2, column 1: begins another document (---); expected one"),
        ("a:\n\tb: 1", "a tab, which cannot indent (use blanks), at line 2, column 1"),
        ("%YAML 3.0\n---\na: 1", "at line 1, column 1"),
        ("a: &a [*a]", "the alias *a stands within what it names (line 1, column 8)"),
        ("&a {b: &b [*b]}", "the alias *b stands within what it names"),
    ],
)  # fmt: skip
def test_a_problem_and_its_place(text, said):
    assert said in problem_of(text)


def test_every_problem_of_values_at_once():
    said = problem_of("a: !!int x\nb: *c\na: !own 2")
    # The value of a key comes before the key is compared with those above.
    places = ["line 1, column 4", "line 2, column 4", "line 3, column 4", "line 3, column 1"]
    assert [line.split(":")[0] for line in said.splitlines()[1:]] == [f"  - {place}" for place in places]


def bomb(lines=12, wide=10):
    """Each line holds the one above ``wide`` times: wide**lines values in all."""
    names = [f"v{number}" for number in range(lines)]
    first = f"{names[0]}: &{names[0]} [{', '.join('x' * wide)}]\n"
    return first + "".join(
        f"{name}: &{name} [{', '.join([f'*{above}'] * wide)}]\n"
        for above, name in itertools.pairwise(names)
    )  # fmt: skip


def test_what_would_not_end_is_refused_at_once():
    began = time.perf_counter()
    tracemalloc.start()
    merges = "a0: &a0 {x: 1}\n" + "".join(
        f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)
    )
    for text in (bomb(), merges):
        assert f"it stands for more than {MAX_VALUES:,} values, aliases followed (line " in problem_of(text)
    for text in ("[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 1_000, "[" * 100 + "]" * 100):
        assert f"nested more than {MAX_DEPTH} deep (line 1, column " in problem_of(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - began < 10
    assert peak < 200 * 2**20


def test_a_parser_without_libyaml_reads_alike(monkeypatch):
    texts = ["a: [1, {b: 2}]\nc: &x [yes]\nd: *x", "a: &a [*a]", "a: 1\na: 2", "[" * 90, "a: x\0", bomb()]
    with_it = [_outcome(text) for text in texts]
    monkeypatch.setattr("contested.yaml_files._Loader", yaml.SafeLoader)
    assert [_outcome(text) for text in texts] == with_it
    assert "at line 1, column 6" in problem_of("a: [1")  # what is said of syntax has other words


def _outcome(text):
    try:
        return repr(parse_yaml(text, FAILURE))
    except ConfigError as error:
        return str(error)


# But for line breaks of Unicode, which YAML writes as they are and reads as \n.
TEXTS = st.text(st.characters(exclude_characters="\x85\u2028\u2029"))


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
))  # fmt: skip
@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_read_back(value):
    text = yaml.safe_dump(value, allow_unicode=True, sort_keys=False)
    found = _outcome(text)
    # Control characters are read by YAML, but no text of a configuration needs them.
    assert found == repr(value) or "the text holds the character U+" in found


def test_files(tmp_path):
    file = tmp_path / "run.yaml"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        file.write_text("name: é\n", encoding=encoding)
        assert read_yaml(file) == {"name": "é"}
    file.write_bytes("a: 1\nname: é\n".encode("latin1"))
    with pytest.raises(ConfigError, match=r"run.yaml is not UTF-8: line 2 holds the byte 0xe9. Save it as UTF-8"):
        read_yaml(file)
    file.write_bytes(b"\xff\xfea")
    with pytest.raises(ConfigError, match="begins like UTF-16, but cannot be read as such"):
        read_yaml(file)
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match=r"run.yaml is too large for the study file: more than 4 MiB"):
        read_yaml(file, "the study file")
    for absent, reason in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigError, match=f"Cannot read the configuration .*: {reason}. Give a YAML file."):
            read_yaml(absent, "the configuration")
