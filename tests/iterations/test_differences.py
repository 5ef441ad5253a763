"""What differs between two iterations, briefly."""

import pytest

from pipeline.iterations.differences import diff_iteration_configs, label_differences
from pipeline.iterations.iteration import Iteration


def iteration(params=None, data=None, **facts):
    return Iteration("x", "run", "x", params=params or {}, data=data, facts=facts)


@pytest.mark.parametrize(
    ("old", "new", "labels"),
    [
        ({"finetune.lr0": 0.001}, {"finetune.lr0": 0.0012345}, ["lr0=0.001234"]),
        ({"a.name": "x", "b.name": "y"}, {"a.name": "z", "b.name": "q"}, ["a.name=z", "b.name=q"]),
        ({"finetune.degrees": 1}, {"finetune.degrees": 1.0}, []),
        ({"split": [1, 2.0]}, {"split": [1.0, 2]}, []),
        ({"tracking.uri": "a", "compute.backend": "local"}, {"tracking.uri": "b"}, []),
        ({"x.y": 1}, {"x.z": None}, ["other keys"]),
        ({"x.text": "a"}, {"x.text": "b" * 30}, [f"text={'b' * 23}…"]),
        ({}, {"x.y": 1}, []),
        ({"x.y": 1, "evaluate.iou": 0.5}, {"x.y": 1}, []),  # nobody evaluated the other one
        ({"x.y": 1, "evaluate.iou": 0.5}, {"x.y": 1, "evaluate.iou": 0.7}, ["iou=0.7"]),
    ],
)
def test_keys_that_change_results_are_named_briefly(old, new, labels):
    assert label_differences(iteration(old), iteration(new)) == labels


def test_a_mapping_that_is_empty_on_one_side_is_no_key_of_its_own():
    empty, filled = iteration({"x.rename": {}}), iteration({"x.rename.cat": "animal"})
    for pair in [(empty, filled), (filled, empty)]:
        assert [found.key for found in diff_iteration_configs(*pair)] == ["x.rename.cat"]


def test_other_images_and_other_code_are_named():
    old = iteration({"a": 1}, "d1", code="t1", dirty=False)
    assert label_differences(old, iteration({"a": 1}, "d2", code="t2", dirty=False)) == [
        "other data",
        "other code",
    ]
    assert label_differences(old, iteration({"a": 1}, None, code="t1")) == []


def test_uncommitted_changes_make_no_claim_about_the_code():
    old, new = (iteration({"a": 1}, code=code, dirty=dirty) for code, dirty in (("t1", False), ("t2", True)))
    assert label_differences(old, new) == []


def test_other_test_images_are_named_where_the_training_had_the_same():
    old = iteration({"a": 1}, "d1", tested="d1")
    assert label_differences(old, iteration({"a": 1}, "d1", tested="d2")) == ["other test data"]
    assert label_differences(old, iteration({"a": 1}, "d1")) == []
    assert label_differences(old, iteration({"a": 1}, "d2", tested="d2")) == ["other data"]
