import json

from pipeline.commands.source_setup.source_overview import (
    InspectedImage,
    SourceDescription,
    format_json,
    format_text,
    summarize_source,
)
from pipeline.core.findings import Finding
from pipeline.core.tasks import Keypoints

SOURCE = SourceDescription("pictures", "yolo", "detect", ("cat", "dog"), None, ("odd",))
BROKEN = Finding("b.jpg", "quarantined", "an empty file (0 bytes)", "empty-image")
CLIPPED = [Finding(f"c{number}.jpg", "fixed", "line 1: clipped", "clipped") for number in range(5)]
ORPHAN = Finding("x.txt", "quarantined", "a label file without an image", "orphan-label")
LOOKED = [
    InspectedImage("train", True, (0, 0, 1), ()),
    InspectedImage("train", False, (), (BROKEN,)),
    InspectedImage("val", True, (), tuple(CLIPPED)),
    InspectedImage(None, True, (1,), ()),
]


def test_counts_per_class_and_split():
    seen = summarize_source(SOURCE, iter(LOOKED), [ORPHAN])
    assert (seen.found, seen.used) == (5, 3)
    assert seen.images == {"train": 1, "val": 1, "unsplit": 1}
    assert seen.backgrounds == {"train": 0, "val": 1, "unsplit": 0}
    assert seen.objects == {
        "train": {"cat": 2, "dog": 1},
        "val": {"cat": 0, "dog": 0},
        "unsplit": {"cat": 0, "dog": 1},
    }
    assert seen.defects == (BROKEN, *CLIPPED, ORPHAN)


def test_as_text():
    lines = list(format_text(summarize_source(SOURCE, LOOKED, [ORPHAN])))
    assert lines == [
        "pictures",
        "  format   yolo",
        "  task     detect",
        "  images   3 of 5 can be used",
        "  objects  4 of 2 classes",
        "",
        "                    train       val   unsplit       all",
        "images                  1         1         1         3",
        "without objects         0         1         0         1",
        "cat                     2         0         0         2",
        "dog                     1         0         1         2",
        "",
        "remark: odd",
        "findings: 7",
        "  fixed: clipped: 5",
        "    c0.jpg: line 1: clipped",
        "    c1.jpg: line 1: clipped",
        "    c2.jpg: line 1: clipped",
        "    and 2 more (--json lists them all)",
        "  quarantined: empty-image: 1",
        "    b.jpg: an empty file (0 bytes)",
        "  quarantined: orphan-label: 1",
        "    x.txt: a label file without an image",
    ]


def test_as_json():
    posed = SOURCE._replace(task="pose", keypoints=Keypoints(("l", "r"), (1, 0)))
    data = json.loads(format_json(summarize_source(posed, LOOKED, [])))
    assert (data["format"], data["task"], data["names"]) == ("yolo", "pose", ["cat", "dog"])
    assert data["keypoints"] == {"names": ["l", "r"], "flip": [1, 0], "dims": 3}
    assert data["objects"]["train"] == {"cat": 2, "dog": 1}
    assert data["defects"][0] == BROKEN._asdict()


def test_wide_letters_and_classes_without_objects():
    source = SOURCE._replace(names=("角位", "dog", "cow", "hen"))
    lines = list(format_text(summarize_source(source, [InspectedImage("val", True, (0,), ())], [])))
    assert lines[9:11] == ["角位                    1         1", "no objects: dog, cow, hen"]


def test_nothing_at_all():
    lines = list(format_text(summarize_source(SOURCE._replace(remarks=()), [], [])))
    assert lines[-1] == "findings: none"
    assert "  images   0 of 0 can be used" in lines
