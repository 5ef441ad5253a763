"""Which test images a model was trained on, by what its training wrote."""

from __future__ import annotations

import pytest

from pipeline.dataset.manifest import ImageRecord, Manifest, list_learnt_images
from pipeline.evaluate.seen_images import find_seen_images


def build_manifest(**splits):
    items = [
        ImageRecord(f"{split}/{name}.png", name * 64, "0" * 64, 8, 8, (0,), name)
        for split, names in splits.items()
        for name in names
    ]
    return Manifest("detect", ("pit",), tuple(items))


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
