"""A teacher whose train images are not known to be apart from val and test is refused."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from pipeline.dataset.pseudo_labels import shorten_image_hash
from pipeline.iterations.iteration import Iteration
from pipeline.predict.pseudo_labels.teacher import PseudoLabelTeacher, require_own_data
from pipeline.tracking.store.tracked_runs import RunReader
from pipeline.tracking.target import TrackingTarget
from tests.builders import prepared_dataset
from tests.pseudo_label_folders import write_pseudo_labels

ABSENT = RunReader(TrackingTarget("sqlite:///absent.db", "trial", 5.0))


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return prepared_dataset(tmp_path / "data/prepared", images={"train": 3, "val": 2, "test": 1}, pixels=32)


def mark_pseudo(manifest, count):
    """Return the dataset with its first images as pseudo-labelled ones."""
    train = [item.file for item in manifest.in_split("train")][:count]
    items = tuple(type(item)(**{**vars(item), "pseudo": item.file in train}) for item in manifest.items)
    return type(manifest)(manifest.task, manifest.names, items)


def test_a_model_of_the_present_data_is_taken_with_its_pseudo_labels_or_without(manifest):
    both = mark_pseudo(manifest, 1)
    for known in (both, both.select_labelled()):
        found = Iteration("r", "run", "r", run_id="1" * 32, data=known.digest)
        assert require_own_data(found, both, ABSENT) == known


@pytest.mark.fault(2, "the teacher of pseudo-labels was trained on another split, or nobody knows on what")
@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [("run", "f" * 64, "other data than the present"), ("file", None, "nothing says which images")],
)
def test_a_model_of_other_or_unknown_data_is_refused(manifest, kind, data, reason):
    with pytest.raises(UserError, match=reason):
        require_own_data(Iteration("r", kind, "r", data=data), manifest, ABSENT)


def test_images_that_it_learned_are_those_of_its_teachers_too(manifest, tmp_path):
    train = {shorten_image_hash(item.sha256) for item in manifest.in_split("train")}
    teacher = PseudoLabelTeacher(Iteration("r", "run", "r"), tmp_path / "w.pt", "w", manifest, {})
    assert set(teacher.list_learned_images()) == train
    write_pseudo_labels(tmp_path / "data/prepared", {}, trained_on=["e" * 64])
    student = PseudoLabelTeacher(
        Iteration("r", "run", "r"), tmp_path / "w.pt", "w", mark_pseudo(manifest, 1), {}
    )
    assert set(student.list_learned_images()) == {*train, "e" * 16}
