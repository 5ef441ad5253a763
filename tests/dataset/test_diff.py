"""Differences of two versions of a dataset, and their text."""

import hashlib
from dataclasses import replace

from pipeline.core.tasks import Keypoints
from pipeline.dataset.diff import compare_manifests, diff_to_json, format_diff
from pipeline.dataset.manifest import ImageRecord, Manifest


def item(file, *, contents=None, labels="1", classes=(0,)):
    digest = hashlib.sha256((contents or file.split("/")[1]).encode()).hexdigest()
    return ImageRecord(file, digest, labels, 96, 96, classes, file.split("/")[1])


def manifest(*items: ImageRecord, names=("pit", "stain"), task="detect"):
    return Manifest(task, names, tuple(sorted(items, key=lambda item: item.file)))


BASE = manifest(item("train/a.jpg"), item("train/b.jpg"), item("test/c.jpg", classes=(0, 1)))


def test_version_does_not_differ_from_itself():
    changes = compare_manifests(BASE, BASE)
    assert not changes.has_changes
    assert format_diff(changes, BASE, BASE) == ["no difference: the same images, labels and splits"]


def test_renamed_image_is_no_difference():
    renamed = manifest(item("train/z.jpg", contents="a.jpg"), *BASE.in_split("test"), item("train/b.jpg"))
    assert not compare_manifests(BASE, renamed).has_changes


def test_other_mirror_images_of_points_and_labels_that_a_model_made_are_told():
    points = Keypoints(("left", "right"), (1, 0))
    posed = replace(BASE, task="pose", keypoints=points)
    [remark] = compare_manifests(posed, replace(posed, keypoints=Keypoints(points.names, (0, 1)))).remarks
    assert "flip_idx" in remark
    items = [replace(each, pseudo=each.split == "train") for each in BASE.items]
    [remark] = compare_manifests(BASE, manifest(*items)).remarks
    assert remark.endswith(": 2")


def test_added_removed_moved_and_relabelled_images_are_listed():
    new = manifest(
        item("val/a.jpg"),
        item("test/c.jpg", labels="2", classes=(1, 1)),
        item("train/d.jpg", classes=(1,)),
    )
    changes = compare_manifests(BASE, new)
    assert [item.file for item in changes.added] == ["train/d.jpg"]
    assert [item.file for item in changes.removed] == ["train/b.jpg"]
    assert [(pair.old.split, pair.new.split) for pair in changes.moved] == [("train", "val")]
    assert [pair.new.file for pair in changes.relabelled] == ["test/c.jpg"]
    assert changes.classes["test"] == {"pit": (1, 0), "stain": (1, 2)}
    assert format_diff(changes, BASE, new) == [
        "1 added (train 1), 1 removed (train 1), 1 relabelled, 1 moved",
        "objects in train: pit 2 -> 0 (-2), stain 0 -> 1 (+1)",
        "objects in val: pit 0 -> 1 (+1)",
        "objects in test: pit 1 -> 0 (-1), stain 1 -> 2 (+1)",
        "", "added:", "  train/d.jpg",
        "", "removed:", "  train/b.jpg",
        "", "relabelled:", "  test/c.jpg: pit 1 -> 0, stain 1 -> 2",
        "", "moved:", "  val/a.jpg: from train",
    ]  # fmt: skip


def test_image_with_a_moved_box_is_relabelled():
    moved = [replace(item, labels_sha256="2") if "a.jpg" in item.file else item for item in BASE.items]
    new = manifest(*moved)
    changes = compare_manifests(BASE, new)
    assert [pair.new.file for pair in changes.relabelled] == ["train/a.jpg"]
    assert "  train/a.jpg: the same classes, other places" in format_diff(changes, BASE, new)


def test_long_list_is_cut_and_says_how_many_more():
    new = manifest(*BASE.items, *(item(f"train/new_{number}.jpg") for number in range(25)))
    lines = format_diff(compare_manifests(BASE, new), BASE, new)
    assert lines[-1] == "  and 5 more (--json lists all)"
    assert len(diff_to_json(compare_manifests(BASE, new), BASE, new)["added"]) == 25


def test_equal_files_are_paired_within_their_split_first():
    old = manifest(item("train/a.jpg", contents="same"), item("val/b.jpg", contents="same"))
    new = manifest(
        item("val/b.jpg", contents="same"),
        item("test/c.jpg", contents="same"),
        item("train/d.jpg", contents="same"),
    )
    changes = compare_manifests(old, new)
    assert [item.file for item in changes.added] == ["test/c.jpg"]
    assert not changes.moved
    assert not changes.removed


def test_class_added_at_the_end_relabels_no_image():
    more = manifest(*BASE.items, names=("pit", "stain", "crack"))
    changes = compare_manifests(BASE, more)
    assert not changes.relabelled
    assert changes.remarks == ("new classes: crack",)


def test_reordered_classes_are_compared_by_name():
    turned = [replace(i, labels_sha256="9", classes=tuple(1 - cls for cls in i.classes)) for i in BASE.items]
    changes = compare_manifests(BASE, manifest(*turned, names=("stain", "pit")))
    assert not changes.relabelled
    assert "a box that was moved is not seen" in changes.remarks[0]
    assert changes.classes["train"] == {"stain": (0, 0), "pit": (2, 2)}


def test_changed_task_is_a_difference():
    changes = compare_manifests(BASE, manifest(*BASE.items, task="obb"))
    assert changes.has_changes
    assert changes.remarks[0] == "the task changed from detect to obb"
