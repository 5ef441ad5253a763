"""Recognition and reading of unchanged real datasets."""

from collections import Counter
from pathlib import Path

import pytest

from pipeline.source.reading.class_selection import filter_source_classes
from pipeline.source.recognize_format import read_source, recognize_source

DATA = Path(__file__).parents[3] / "../shared/data"


def real(name):
    folder = (DATA / name).resolve()
    if not folder.is_dir():
        pytest.skip(f"{name} is not beside the project: see ../shared/data")
    return folder


@pytest.mark.parametrize(
    ("name", "form", "task", "counts"),
    [
        ("bccd", "voc", "detect", (364, 4886, 3)),
        ("rbc-coco", "coco", "detect", (240, 5638, 2)),
        ("feralcat-seg", "yolo", "segment", (296, 1126, 1)),
        ("clothing-cls", "folders", "classify", (713, 713, 10)),
        ("hub-examples/coco8", "yolo", "detect", (8, 30, 80)),
        ("hub-examples/coco8-human", "yolo", "detect", (8, 18, 1)),
        ("hub-examples/coco8-pose", "yolo", "pose", (8, 21, 1)),
        ("hub-examples/coco8-seg", "yolo", "segment", (8, 30, 80)),
        ("hub-examples/dota8", "yolo", "obb", (8, 133, 15)),
        ("hub-examples/imagenet10", "folders", "classify", (20, 20, 10)),
        ("datumaro-assets/coco_dataset/coco", "coco", "detect", (2, 2, 3)),
        ("datumaro-assets/coco_dataset/coco_instances", "coco", "detect", (2, 2, 3)),
        ("datumaro-assets/coco_dataset/coco_person_keypoints", "coco", "pose", (2, 2, 2)),
        ("datumaro-assets/coco_dataset/coco_roboflow", "coco", "detect", (2, 2, 3)),
        ("datumaro-assets/coco_dataset/mmdet_coco", "coco", "detect", (2, 2, 3)),
        ("datumaro-assets/roboflow_dataset/coco", "coco", "detect", (3, 3, 2)),
        ("datumaro-assets/roboflow_dataset/voc", "voc", "detect", (3, 4, 2)),
        ("datumaro-assets/roboflow_dataset/yolo", "yolo", "detect", (3, 4, 2)),  # valid is val/
        ("datumaro-assets/voc_dataset/voc_dataset1", "voc", "detect", (1, 2, 2)),
        ("datumaro-assets/voc_dataset/voc_dataset3", "voc", "detect", (1, 1, 1)),
        ("datumaro-assets/yolo_dataset/labels", "yolo", "detect", (2, 4, 10)),
        ("datumaro-assets/yolo_dataset/strict", "yolo", "detect", (1, 2, 10)),
        ("datumaro-assets/imagenet_dataset", "folders", "classify", (3, 3, 2)),
    ],
)
def test_real_dataset_is_recognized_and_read(name, form, task, counts):
    folder = real(name)
    assert recognize_source("auto", folder).form == form
    source = read_source("auto", folder)
    assert source.task == task
    objects = sum(len(image.raw.classes) for image in source.images)
    assert (len(source.images), objects, len(source.names)) == counts


def test_real_dataset_keeps_its_splits():
    splits = {
        name: Counter(image.split for image in read_source("auto", real(name)).images)
        for name in ("bccd", "feralcat-seg", "clothing-cls", "hub-examples/imagenet10")
    }
    assert splits == {
        "bccd": {"train": 205, "val": 87, "test": 72},
        "feralcat-seg": {"val": 195, "test": 101},
        "clothing-cls": {"val": 341, "test": 372},
        "hub-examples/imagenet10": {"train": 10, "val": 10},
    }


def test_coco8_pose_has_the_flip_idx_of_its_data_yaml():
    points = read_source("auto", real("hub-examples/coco8-pose")).keypoints
    assert points.flip == (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
    assert points.names[0] == "nose"


def test_classes_of_a_real_dataset_are_selected():
    source = read_source("auto", real("bccd"))
    chosen = filter_source_classes(
        source, keep=None, drop=["Platelets"], rename={"RBC": "cell", "WBC": "cell"}
    )
    assert chosen.names == ("cell",)
    assert sum(len(image.raw.classes) for image in chosen.images) == 4153 + 372
    assert "data.classes leaves out 1 class, in objects: Platelets 361" in chosen.remarks
    assert "data.classes makes one class of RBC and WBC: cell" in chosen.remarks


def test_dropped_image_class_drops_its_images():
    source = read_source("auto", real("clothing-cls"))
    chosen = filter_source_classes(source, keep=["hat", "dress"], drop=[], rename={})
    assert len(chosen.images) == 12 + 14 + 15 + 32
    assert chosen.names == ("dress", "hat")


def test_images_without_selected_objects_are_backgrounds_with_a_remark():
    source = read_source("auto", real("hub-examples/coco8"))
    chosen = filter_source_classes(source, keep=["person"], drop=[], rename={})
    empty = sum(not len(image.raw.classes) for image in chosen.images)
    assert 0 < empty < 8
    assert len(chosen.images) == 8
    assert f"data.classes leaves {empty} images without objects: used as backgrounds" in chosen.remarks
