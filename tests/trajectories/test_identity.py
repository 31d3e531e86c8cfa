from __future__ import annotations

import hashlib

from contested.trajectories.identity import differences, digest


def test_an_id_is_the_hash_of_what_was_set_under_the_rules_number() -> None:
    text = '{"a": 1, "b": {"c": [2], "d": "x"}, "version": 2}'
    wanted = hashlib.sha256(text.encode()).hexdigest()[:8]
    assert digest({"b": {"d": "x", "c": [2]}, "a": 1}) == wanted
    assert digest({"a": 1}) != wanted


def test_differences_name_each_key_once() -> None:
    old = {"config": {"method": {"name": "lora", "r": 2}, "task": {"noise": {"share": 0.3}}, "seed": 1}, "data": "x"}
    new = {"config": {"method": {"name": "lora", "r": 8}, "task": {"noise": None}, "seed": 1}, "data": "y"}
    assert list(differences(old, new)) == [
        ("method.r", 2, 8),
        ("task.noise", {"share": 0.3}, None),
        ("data", "x", "y"),
    ]
    assert not list(differences(old, old))


def test_another_method_is_one_difference() -> None:
    old, new = {"method": {"name": "lora", "r": 2}}, {"method": {"name": "full"}}
    assert list(differences(old, new)) == [("method", "lora", "full")]
