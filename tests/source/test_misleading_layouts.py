"""Trees that look like class folders and are not: each is drawn, and read as what it is, or refused."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.source.archives.extract import unpack_source
from pipeline.source.recognize_format import recognize_source
from tests.sources import SIZE, write_picture, write_yolo_source

BOXES = [(10, 20, 50, 60), (40, 10, 90, 30), (5, 5, 30, 70), (60, 40, 95, 79)]


def draw_mask(path, number=0, *, value=255):
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    x1, y1, x2, y2 = BOXES[number % len(BOXES)]
    mask[y1:y2, x1:x2] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)


def draw_pairs(folder, image, mask, *, count=4, first=0, value=255):
    """Draw images and masks; `image` and `mask` are paths with {} for the number."""
    for number in range(first, first + count):
        write_picture(folder / image.format(number))
        draw_mask(folder / mask.format(number), number, value=value)


def draw_photos(folder, *names: str):
    for name in names:
        write_picture(folder / name)


def draw_numbered_photos(folder, *places: str, count=4):
    draw_photos(folder, *(f"{place}/{number}.jpg" for place in places for number in range(count)))


def draw_defects_with_masks(folder):
    for name in ("crack", "fray"):
        draw_pairs(folder, f"{name}/Imgs/{{}}.jpg", f"{name}/Imgs/{{}}.png")


def draw_tumors_with_several_masks(folder):
    draw_pairs(folder, "benign/benign ({}).png", "benign/benign ({})_mask.png")
    draw_pairs(folder, "malignant/malignant ({}).png", "malignant/malignant ({})_mask.png")
    draw_mask(folder / "malignant/malignant (0)_mask_1.png", 3)


def draw_patients(folder):
    for name in ("TCGA_CS_4941_1996", "TCGA_DU_5872_1995", "TCGA_CS_4942_1997"):
        draw_pairs(folder, f"{name}/{name}_{{}}.png", f"{name}/{name}_{{}}_mask.png")


def draw_anomalies(folder):
    draw_pairs(folder, "test/broken/{}.png", "ground_truth/broken/{}_mask.png")
    draw_pairs(folder, "test/bent/{}.png", "ground_truth/bent/{}_mask.png")
    draw_numbered_photos(folder, "train/good", "test/good")


def draw_camvid(folder):
    draw_pairs(folder, "train/{}.png", "trainannot/{}.png", value=1)
    draw_pairs(folder, "val/{}.png", "valannot/{}.png", value=1, count=2)


def draw_isic(folder):
    draw_pairs(folder, "ISIC_Data/ISIC_{}.jpg", "ISIC_GroundTruth/ISIC_{}_segmentation.png")


def draw_image_and_label(folder):
    draw_pairs(folder, "image/{}.jpg", "label/{}.png", value=1)


def draw_imgs_and_gt(folder):
    draw_pairs(folder, "imgs/{}.jpg", "gt/{}.png")


def draw_images_and_png_labels(folder):
    draw_pairs(folder, "images/{}.jpg", "labels/{}.png", value=1)


def draw_satellite_pairs(folder):
    draw_pairs(folder, "train/{}_sat.jpg", "train/{}_mask.png")


def draw_folders_of_unknown_names(folder):
    draw_pairs(folder, "A/{}.jpg", "B/{}.png")


def draw_nuclei(folder):
    """Draw a folder per image, with a mask per object, as in DSB 2018."""
    for number in range(6):
        name = f"{number * 7919:08x}"
        write_picture(folder / name / "images" / f"{name}.png")
        for place in range(2):
            draw_mask(folder / name / "masks" / f"{number * 104729 + place:09x}.png", place)


def draw_folder_per_image_and_mask(folder):
    for number in range(6):
        draw_pairs(folder, f"case_{number}/image.png", f"case_{number}/mask.png", count=1)


def draw_mask_wearers(folder):
    draw_numbered_photos(folder, "mask", "no_mask")


def draw_digits(folder):
    for number in range(4):
        draw_mask(folder / f"zero/{number}.png", number)
        draw_mask(folder / f"one/{number}.png", number + 1)


def draw_counted_classes(folder):
    draw_numbered_photos(folder, "cat", "dog")


def draw_classes_with_split_folders(folder):
    draw_numbered_photos(folder, "cat/train", "cat/test", "dog/train", "dog/test")


def draw_class_and_train(folder):
    draw_numbered_photos(folder, "bus", "train", "car")


def draw_classes_one_deeper(folder):
    draw_numbered_photos(folder, "Dataset/0", "Dataset/1", "Dataset/2")
    draw_numbered_photos(folder, "Examples", count=2)


def draw_two_yolo_sets(folder):
    for name in ("A", "B"):
        write_yolo_source(folder / name, {f"{name}{n}": "0 0.5 0.5 0.2 0.4\n" for n in range(3)}, names=None)
    draw_numbered_photos(folder, "Raw/Training", "Raw/Validation")


def draw_yolo_beside_code(folder):
    write_yolo_source(folder / "dataset", {"x": "0 0.5 0.5 0.2 0.4\n"}, train="images")
    (folder / "frontend/src").mkdir(parents=True)
    (folder / "frontend/src/index.js").write_text("x")


def draw_yolo_three_levels_down(folder):
    write_yolo_source(folder / "project/data/parts", {"x": "0 0.5 0.5 0.2 0.4\n"}, train="images")
    (folder / "project/src").mkdir()
    (folder / "docs").mkdir()
    (folder / "project/src/a.py").write_text("")
    (folder / "docs/a.md").write_text("")
    (folder / "project/data/notes").mkdir()


def draw_two_sets_of_the_same_classes(folder):
    draw_numbered_photos(folder, "first/cat", "first/dog", "second/cat", "second/dog")


def draw_image_per_folder(folder):
    draw_photos(folder, *(f"item_{number}/{number * 31}.jpg" for number in range(8)))


def draw_same_names_per_folder(folder):
    draw_photos(folder, *(f"scene_{n}/{name}.jpg" for n in range(6) for name in ("left", "right")))


def draw_photos_in_pairs(folder):
    numbers = [n * n * 37 + 411 for n in range(8)]
    draw_photos(folder, *(f"{place}/IMG_{n}.jpg" for place in ("noisy", "clean") for n in numbers))


def draw_images_and_annotations(folder):
    draw_numbered_photos(folder, "photos", "annotations")


def draw_splits_without_classes(folder):
    draw_numbered_photos(folder, "train", "val", "extra")


def draw_camvid_and_isic(folder):
    draw_camvid(folder / "camvid")
    draw_isic(folder / "isic")


SEGMENT = [
    (draw_defects_with_masks, {"crack": 4, "fray": 4}, {None}),
    (draw_tumors_with_several_masks, {"benign": 4, "malignant": 5}, {None}),
    (draw_patients, {"class_1": 12}, {None}),
    (draw_anomalies, {"bent": 4, "broken": 4}, {None, "test"}),
    (draw_camvid, {"class_1": 6}, {"train", "val"}),
    (draw_isic, {"class_1": 4}, {None}),
    (draw_image_and_label, {"class_1": 4}, {None}),
    (draw_imgs_and_gt, {"class_1": 4}, {None}),
    (draw_images_and_png_labels, {"class_1": 4}, {None}),
    (draw_satellite_pairs, {"class_1": 4}, {None}),
    (draw_folders_of_unknown_names, {"class_1": 4}, {None}),
    (draw_nuclei, {"class_1": 12}, {None}),
    (draw_folder_per_image_and_mask, {"class_1": 6}, {None}),
]


@pytest.mark.parametrize(("draw", "objects", "splits"), SEGMENT)
def test_masks_are_read_as_masks(tmp_path, draw, objects, splits):
    draw(tmp_path)
    form, source = recognize_source("auto", tmp_path)
    counts = {
        name: sum((image.raw.classes == number).sum() for image in source.images)
        for number, name in enumerate(source.names)
    }
    assert (form, source.task, counts) == ("masks", "segment", objects)
    assert {image.split for image in source.images} <= splits
    assert not [image.fault for image in source.images if image.fault]
    assert {finding.kind for finding in source.defects} <= {"missing-label"}


CLASSES = [
    (draw_mask_wearers, ("mask", "no_mask"), {None}),
    (draw_digits, ("one", "zero"), {None}),
    (draw_counted_classes, ("cat", "dog"), {None}),
    (draw_classes_with_split_folders, ("cat", "dog"), {"train", "test"}),
    (draw_class_and_train, ("bus", "car", "train"), {None}),
]


@pytest.mark.parametrize(("draw", "names", "splits"), CLASSES)
def test_classes_are_read_as_classes(tmp_path, draw, names, splits):
    draw(tmp_path)
    form, source = recognize_source("auto", tmp_path)
    assert (form, source.task, source.names) == ("folders", "classify", names)
    assert {image.split for image in source.images} == splits
    assert {image.source for image in source.images} == {
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")
    }


REFUSED = [
    (draw_classes_one_deeper, r"but in Dataset/ \(folders\)"),
    (draw_two_yolo_sets, r"but in A/ \(yolo\), B/ \(yolo\)"),
    (draw_yolo_beside_code, r"but in dataset/ \(yolo\)"),
    (draw_yolo_three_levels_down, r"but in project/data/parts/ \(yolo\)"),
    (draw_two_sets_of_the_same_classes, r"but in first/ \(folders\), second/ \(folders\)"),
    (draw_image_per_folder, r"nearly all of the 8 folders hold one image"),
    (draw_same_names_per_folder, r"hold left.jpg, right.jpg: a folder per image"),
    (draw_photos_in_pairs, r"clean and noisy hold images of the same names"),
    (draw_images_and_annotations, r"a folder is called annotations"),
    (draw_splits_without_classes, r"train and val are parts of a dataset"),
    (draw_camvid_and_isic, r"ISIC_GroundTruth/ and \w+annot/ may belong to different datasets"),
]


@pytest.mark.parametrize(("draw", "reason"), REFUSED)
def test_what_is_not_clear_is_refused_with_the_folder_that_is_meant(tmp_path, draw, reason):
    draw(tmp_path)
    with pytest.raises(UserError) as refused:
        recognize_source("auto", tmp_path)
    assert re.search(reason, str(refused.value))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("draw", [draw_photos_in_pairs, draw_image_per_folder])
def test_folders_are_classes_if_the_format_is_given(tmp_path, draw):
    draw(tmp_path)
    form, source = recognize_source("folders", tmp_path)
    assert (form, source.task) == ("folders", "classify")


def test_class_of_masks_beside_photos_is_remarked(tmp_path):
    draw_photos(tmp_path, *(f"photo/{name}.jpg" for name in "abcd"))
    for number in range(4):
        draw_mask(tmp_path / f"drawing/{number}.png", number)
    source = recognize_source("auto", tmp_path).source
    assert source.names == ("drawing", "photo")
    assert any(remark.startswith("the images in drawing look like masks") for remark in source.remarks)


def test_datasets_in_an_archive_are_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draw_two_yolo_sets(tmp_path / "drawn")
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "drawn")
    with pytest.raises(UserError, match=r"but in A/ \(yolo\), B/ \(yolo\), .*: unpack the archive, and set"):
        recognize_source("auto", unpack_source(Path(archive)))


def draw_disc(path, number=0, *, value=255):
    """Draw the field of view of a round camera, which hardly differs between images."""
    y, x = np.ogrid[: SIZE[1], : SIZE[0]]
    disc = np.where((x - 48 - number % 2) ** 2 + (y - 40) ** 2 < 36**2, value, 0).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(disc).save(path)


def draw_retinas(folder):
    """Draw the tree of DRIVE: fields of view in mask/, and two annotations of the test images."""
    draw_pairs(folder, "training/images/{}_training.tif", "training/1st_manual/{}_manual1.gif", first=21)
    draw_pairs(folder, "test/images/{}_test.tif", "test/1st_manual/{}_manual1.gif")
    for number in range(4):
        draw_disc(folder / f"training/mask/{21 + number}_training_mask.gif", number)
        draw_disc(folder / f"test/mask/{number}_test_mask.gif", number)
        draw_mask(folder / f"test/2nd_manual/{number}_manual2.gif", number + 1)


def draw_lungs(folder):
    for number in range(4):
        draw_photos(folder, f"CXR_png/MC_{number}.png")
        draw_mask(folder / f"ManualMask/leftMask/MC_{number}.png", number)
        draw_mask(folder / f"ManualMask/rightMask/MC_{number}.png", number + 1)


MORE_MASKS = [
    (draw_retinas, {"class_1": 8}, 3),
    (draw_lungs, {"leftMask": 4, "rightMask": 4}, 1),
]


@pytest.mark.parametrize(("draw", "objects", "remarks"), MORE_MASKS)
def test_several_masks_of_an_image_are_read_with_a_remark(tmp_path, draw, objects, remarks):
    draw(tmp_path)
    form, source = recognize_source("auto", tmp_path)
    counts = {
        name: sum((image.raw.classes == number).sum() for image in source.images)
        for number, name in enumerate(source.names)
    }
    assert (form, counts, source.defects) == ("masks", objects, ())
    assert len(source.remarks) == remarks


def draw_edges_beside_masks(folder):
    draw_pairs(folder, "images/{}.jpg", "masks/{}_mask.png")
    for number in range(4):
        draw_mask(folder / f"masks/{number}_edge.png", number + 1)


def draw_labels_beside_masks(folder):
    draw_pairs(folder, "images/{}.jpg", "masks/{}.png")
    for number in range(4):
        draw_mask(folder / f"labels/{number}.png", number + 1)


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (draw_edges_beside_masks, r"keep one of the kinds '_edge' and '_mask' in data\.source"),
        (draw_labels_beside_masks, r"keep one of masks/ and labels/ in data\.source"),
    ],
)
def test_two_kinds_of_masks_are_refused_with_both_named(tmp_path, draw, reason):
    draw(tmp_path)
    with pytest.raises(UserError, match=reason):
        recognize_source("auto", tmp_path)
