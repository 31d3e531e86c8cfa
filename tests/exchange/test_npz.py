"""Archives of arrays: whole runs, single checkpoints, and what is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from contested.errors import DataError
from contested.exchange import import_run

_IDS = np.array(["a", "b", "c"])


def _save(folder: Path, **arrays: object) -> Path:
    np.savez(folder / "run.npz", **arrays)
    return folder / "run.npz"


def test_probabilities_of_one_checkpoint(tmp_path: Path) -> None:
    # What classifiers are often saved as: pred_probs and labels, of one moment.
    shares = np.array([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]])
    found, notes = import_run("npz", _save(tmp_path, ids=_IDS, pred_probs=shares, labels=[0, 1, 1], notes="x"))
    assert notes == ["Not read: the array notes."]
    assert np.allclose(found.required("logits")[0], np.log(shares))
    assert found.required("gold").tolist() == [0, 1, 1]
    assert found.counted_in == "checkpoint"


def test_only_what_is_annotated_is_kept(tmp_path: Path) -> None:
    (tmp_path / "annotated.jsonl").write_text('{"id": "b", "counts": {"n": 3, "y": 2}}\n')
    file = _save(tmp_path, ids=_IDS, epochs=[0, 2], losses=[[0.5, 1, 2], [1, 2, 3]])
    found, notes = import_run("npz", file, annotations=tmp_path / "annotated.jsonl", label_names=["n", "y"])
    assert found.required("losses").tolist() == [[1], [2]]
    assert notes == [
        "2 of 3 recorded examples have no annotations and are left out: a, c",
        "The order of the classes is not checked: the recording has neither logits nor gold labels.",
    ]
    assert (found.step_unit, found.steps.tolist()) == ("epoch", [0, 2])


def test_what_is_no_recording(tmp_path: Path) -> None:
    for arrays, told in (
        ({"losses": np.ones((2, 3)), "steps": [1, 2]}, ["there are no example_ids"]),
        ({"ids": _IDS, "steps": [1]}, ["there are neither logits, nor probs, nor losses"]),
        ({"ids": _IDS, "losses": np.ones((2, 3))}, ["there are 2 checkpoints, and neither steps nor epochs"]),
        ({"ids": _IDS, "losses": np.ones(3), "logits": np.ones(3)}, ["the scores are float64 of shape (3,)"]),
        (
            {"ids": _IDS[:2], "losses": np.ones((2, 3)), "logits": np.ones((1, 3, 2)), "steps": [0.5], "gold": [1]},
            [
                "scores have shape (1, 3) and losses (2, 3), expected the same T and N",
                "ids have shape (2,), expected (3,)",
                "gold have shape (1,), expected (3,)",
                "steps are float64, expected whole numbers",
            ],
        ),
    ):
        with pytest.raises(DataError) as caught:
            import_run("npz", _save(tmp_path, **arrays))
        assert list(caught.value.problems) == told
    with pytest.raises(DataError, match="saved as text"):
        import_run("npz", _save(tmp_path, ids=_IDS.astype(object), losses=np.ones(3)))
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(DataError, match="one array without ids"):
        import_run("npz", tmp_path / "one.npy")
    twice = _save(tmp_path, ids=["a", "a"], losses=np.ones((1, 2)), steps=[1])
    with pytest.raises(DataError, match="checkpoint 0, row 1: 'a' is recorded a second time"):
        import_run("npz", twice)


def _forged(folder: Path, name: str, header: str) -> Path:
    """An array of which the header promises another shape than there is."""
    made = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header.encode() + b"\n"
    file = folder / name
    if name.endswith(".npz"):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("logits.npy", made)
    else:
        file.write_bytes(made)
    return file


@pytest.mark.parametrize(("format", "name"), [("npz", "a.npz"), ("cleanlab", "a.npz"), ("cleanlab", "a.npy")])
@pytest.mark.parametrize("shape", ["(1000000000000000, 1000)", "(-1,)", "(2, 3)", "'x'"])
def test_arrays_that_promise_what_they_do_not_hold(tmp_path: Path, format: str, name: str, shape: str) -> None:
    file = _forged(tmp_path, name, f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}")
    with pytest.raises(DataError):
        import_run(format, file)


def test_an_encrypted_archive_is_one_message(tmp_path: Path) -> None:
    file = _save(tmp_path, ids=_IDS, logits=np.zeros((3, 2)))
    content = bytearray(file.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags of each entry and of its directory
        place = content.find(mark)
        while place >= 0:
            content[place + at] |= 0x41
            place = content.find(mark, place + 1)
    file.write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a NumPy archive"):
        import_run("npz", file)
