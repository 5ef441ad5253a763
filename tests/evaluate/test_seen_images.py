"""Which test images a model was trained on, by what its training wrote."""

from __future__ import annotations

import pytest

from pipeline.dataset.manifest import list_learnt_images
from pipeline.evaluate.seen_images import find_seen_images
from tests.builders import build_manifest

TRAINED_ON = build_manifest(train="abc", val="de", test="f")


@pytest.mark.parametrize(
    ("manifest", "count", "is_told"),
    [
        (TRAINED_ON, 0, False),
        (build_manifest(train="f", test="aex"), 2, True),
        (build_manifest(train="abc", val="de", test="xf"), 0, True),
    ],
)
def test_test_images_that_were_in_train_or_val_are_counted(manifest, count, is_told):
    facts = {"data": TRAINED_ON.digest, "images": list_learnt_images(TRAINED_ON)}
    found = find_seen_images(facts, manifest)
    assert (found.number, bool(found.sentence)) == (count, is_told)


def test_of_very_many_images_it_is_not_known(monkeypatch):
    monkeypatch.setattr("pipeline.dataset.manifest.MAX_LISTED_IMAGES", 4)
    facts = {"data": TRAINED_ON.digest, "images": list_learnt_images(TRAINED_ON)}
    assert facts["images"] is None
    assert find_seen_images(facts, build_manifest(train="f", test="aex")).number is None


def test_what_a_training_of_an_earlier_version_saw_is_not_known():
    found = find_seen_images({}, TRAINED_ON)
    assert found.number is None
    assert found.sentence


@pytest.mark.fault(2, "the base weights were trained on present test images")
@pytest.mark.parametrize(
    ("seen", "number", "is_told"),
    [("0", 0, False), ("1", 1, True), ("1 or more", 1, True), ("unknown", None, True), (None, 0, False)],
)
def test_test_images_that_the_base_weights_saw_are_counted_on_own_data(seen, number, is_told):
    facts = {"data": TRAINED_ON.digest, "images": list_learnt_images(TRAINED_ON), "base": {"seen": seen}}
    found = find_seen_images(facts, TRAINED_ON)
    assert (found.number, bool(found.sentence)) == (number, is_told)


@pytest.mark.fault(2, "the base weights were trained on present test images")
@pytest.mark.parametrize(
    ("seen", "test", "number"), [("0", "x", 1), ("0", "y", 0), ("unknown", "a", 1), ("unknown", "y", None)]
)
def test_test_images_that_the_base_weights_saw_are_counted_on_other_data(seen, test, number):
    listed = list_learnt_images(TRAINED_ON, ["x" * 16])
    facts = {"data": TRAINED_ON.digest, "images": listed, "base": {"seen": seen}}
    found = find_seen_images(facts, build_manifest(train="f", test=test))
    assert found.number == number
    assert found.sentence
