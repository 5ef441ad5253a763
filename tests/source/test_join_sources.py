"""Several sources in data.source: classes by name, one task, names of their own."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.core.findings import Finding
from pipeline.core.tasks import Keypoints
from pipeline.source.join_sources import join_sources, read_sources
from pipeline.source.recognize_format import RecognizedSource
from pipeline.source.types import AnnotatedImage, Source
from tests import sources

OUTLINE = np.array([[10, 20], [50, 20], [50, 60]], np.float64)


def image(name, classes=(0,), *, keypoints=(), **changes):
    raw = RawObjects(
        np.array(classes, np.int64),
        np.tile(sources.BOX, (len(classes), 1)),
        tuple(f"object {number}" for number in range(len(classes))),
        keypoints=keypoints,
    )
    return AnnotatedImage(sources.Path(name), name, changes.pop("split", None), raw, **changes)


def source(names, *images: AnnotatedImage, form="yolo", **changes):
    return RecognizedSource(form, Source(tuple(names), images, **changes))


def join(first, second, wanted="auto"):
    return join_sources({"A": first, "B": second}, wanted)


def test_equal_class_names_are_one_class_in_the_order_of_the_first_source():
    joined = join(
        source(["cat", "dog"], image("x.jpg", [0, 1])),
        source(["owl", "dog", "cat"], image("x.jpg", [0, 1, 2])),
    )
    assert joined.source.names == ("cat", "dog", "owl")
    assert [each.source for each in joined.source.images] == ["A/x.jpg", "B/x.jpg"]
    assert [each.raw.classes.tolist() for each in joined.source.images] == [[0, 1], [2, 1, 0]]


def test_a_class_number_that_a_source_does_not_have_stays_a_finding_with_its_own_number():
    joined = join(source(["cat", "dog"], image("x.jpg")), source(["cat"], image("y.jpg", [0, 1])))
    kept = joined.source.images[1]
    assert kept.raw.classes.tolist() == [0]
    assert [(note.dropped, note.kind) for note in kept.notes] == [(True, "class-out-of-range")]
    assert "class 1" in kept.notes[0].reason


@pytest.mark.parametrize(
    ("tasks", "shared"),
    [
        (("segment", "detect"), "detect"),
        (("obb", "segment"), "obb"),
        (("obb", "detect"), "detect"),
        (("pose", "detect"), "detect"),
        (("segment", "segment"), "segment"),
        (("classify", "classify"), "classify"),
    ],
)
def test_the_most_detailed_task_that_all_share_is_chosen_and_each_image_keeps_its_own(tasks, shared):
    points = Keypoints(("head", "tail"), (0, 1))
    found = [
        source(["cat"], image("x.jpg"), task=task, keypoints=points if task == "pose" else None)
        for task in tasks
    ]
    joined = join(*found).source
    assert (joined.task, joined.keypoints) == (shared, None)
    assert [each.task or joined.task for each in joined.images] == list(tasks)
    finer = [task for task in tasks if task != shared]
    assert any(f"({finer[0]})" in remark for remark in joined.remarks) if finer else True


def test_sources_without_a_common_task_are_refused():
    with pytest.raises(UserError, match="A is for classify, B is for detect"):
        join(source(["cat"], image("x.jpg"), task="classify"), source(["cat"], image("x.jpg")))


def posed(names, flip, values):
    points = Keypoints(tuple(names), flip)
    return source(
        ["cat"], image("x.jpg", keypoints=(np.array(values, np.float64),)), task="pose", keypoints=points
    )


def test_keypoints_in_another_order_are_put_into_the_order_of_the_first_source():
    first = posed(["nose", "left", "right"], (0, 2, 1), [[1, 1, 2], [2, 2, 2], [3, 3, 2]])
    second = posed(["right", "nose", "left"], (2, 1, 0), [[3, 3, 2], [1, 1, 2], [2, 2, 2]])
    joined = join(first, second).source
    assert (joined.task, joined.keypoints) == ("pose", first.source.keypoints)
    one, other = (each.raw.keypoints[0].tolist() for each in joined.images)
    assert one == other


@pytest.mark.parametrize(("names", "doubts"), [(["point_0", "point_1"], 1), (["nose", "tail"], 0)])
def test_numbered_keypoints_are_joined_with_a_remark(names, doubts):
    each = posed(names, (0, 1), [[1, 1, 2], [2, 2, 2]])
    joined = join(each, each).source
    assert joined.keypoints == each.source.keypoints
    assert sum("keypoints have no names" in remark for remark in joined.remarks) == doubts


@pytest.mark.parametrize("first", [0, 1])
def test_a_source_that_states_mirrored_points_states_them_for_all(first):
    values = [[1, 1, 2], [2, 2, 2]]
    both = [posed(["point_0", "point_1"], flip, values) for flip in ((), (1, 0))]
    joined = join(both[first], both[1 - first]).source
    assert joined.keypoints.flip == (1, 0)
    assert sum("states which keypoints change places" in remark for remark in joined.remarks) == 1
    contrary = posed(["point_0", "point_1"], (0, 1), values)
    assert join_sources({"A": both[first], "B": contrary, "C": both[1 - first]}).source.task == "detect"


def test_other_keypoints_are_left_out_with_a_remark_and_refused_where_pose_is_asked_for():
    first = posed(["nose", "tail"], (0, 1), [[1, 1, 2], [2, 2, 2]])
    second = posed(["nose", "ear"], (0, 1), [[1, 1, 2], [2, 2, 2]])
    joined = join(first, second).source
    assert joined.task == "detect"
    assert any("keypoints" in remark for remark in joined.remarks)
    with pytest.raises(UserError, match=r"data\.task=detect"):
        join(first, second, "pose")


def test_splits_are_kept_only_if_every_source_has_one():
    split = [image("x.jpg", split="train"), image("y.jpg", split="test")]
    both = join(source(["cat"], *split), source(["cat"], *split)).source
    assert [each.split for each in both.images] == ["train", "test"] * 2
    one = join(source(["cat"], *split), source(["cat"], image("z.jpg"))).source
    assert {each.split for each in one.images} == {None}
    assert any("A came with a split, B without one" in remark for remark in one.remarks)


def test_names_that_differ_little_and_classes_that_a_source_lacks_are_said():
    joined = join(source(["Cat", "dog"], image("x.jpg")), source(["cat "], image("x.jpg"))).source
    assert joined.names == ("Cat", "dog", "cat ")
    assert any(remark.startswith("'Cat' and 'cat '") for remark in joined.remarks)
    assert any(remark.startswith("B does not label Cat, dog") for remark in joined.remarks)


def test_numbered_classes_of_two_sources_are_doubted():
    joined = join(source(["class_0"], image("x.jpg")), source(["class_0"], image("x.jpg"))).source
    assert any(remark.startswith("A and B number their classes") for remark in joined.remarks)
    joined = join(source(["class_0"], image("x.jpg")), source(["cat"], image("x.jpg"))).source
    assert any(remark.startswith("A numbers its classes") for remark in joined.remarks)


def test_the_column_source_names_the_source_and_says_if_it_replaces_another():
    joined = join(
        source(["cat"], image("x.jpg", columns={"source": "web", "id": "7"})), source(["cat"], image("x.jpg"))
    ).source
    assert [dict(each.columns) for each in joined.images] == [{"source": "A", "id": "7"}, {"source": "B"}]
    assert any("the column 'source' of A" in remark for remark in joined.remarks)


def test_findings_and_remarks_name_their_source():
    defect = Finding("labels/x.txt", "quarantined", "no image", "orphan-label")
    joined = join(
        source(["cat"], image("x.jpg"), defects=(defect,), remarks=("odd",)), source(["cat"], image("x.jpg"))
    )
    assert [each.file for each in joined.source.defects] == ["A/labels/x.txt"]
    assert "A: odd" in joined.source.remarks


def test_a_single_source_keeps_its_names(tmp_path):
    folder = sources.write_yolo_source(tmp_path / "set", {"x": "0 0.5 0.5 0.2 0.4\n"})
    found = read_sources("auto", {"": folder})
    assert (found.form, found.source.images[0].source) == ("yolo", "images/x.jpg")
    assert found.source.images[0].task is None


@pytest.mark.parametrize(
    ("names", "doubted"),
    [(("Kitten", "kitten"), True), (("traffic light", "traffic_light"), True), (("A", "a"), False)],
)
def test_names_of_one_source_that_differ_in_capitals_or_signs_are_said(tmp_path, names, doubted):
    sources.write_yolo_source(tmp_path, {"x": "0 0.5 0.5 0.2 0.2\n"}, names=names)
    remarks = read_sources("yolo", {"": tmp_path}).source.remarks
    assert any("classes of their own" in remark for remark in remarks) == doubted
