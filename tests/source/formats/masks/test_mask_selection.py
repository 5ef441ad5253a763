"""Several masks of one image: one kind is chosen by content, or both are named in a refusal."""

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.source.recognize_format import recognize_source
from tests.readings import get_boxes
from tests.sources import SIZE, write_picture

COUNT = 6


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def draw_view(number, value=255):
    """Draw a field of view: a large disc, one pixel further in every second image."""
    return cv2.circle(np.zeros(SIZE[::-1], np.uint8), (48 + number % 2, 40), 36, value, -1)


def draw_vessel(number, value=255, shift=0):
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[20 + 5 * number + shift : 26 + 5 * number + shift, 20:70] = value
    return mask


def draw_outline(number):
    mask = draw_vessel(number, value=1)
    return (mask - cv2.erode(mask, np.ones((3, 3), np.uint8))) * 255


def draw(folder, image, **masks):
    """Draw images and their masks; paths have {} for the number of the image."""
    for number in range(COUNT):
        write_picture(folder / image.format(number))
        for path, pixels in masks.values():
            save(folder / path.format(number), pixels(number))


def read_vessels(folder):
    """Return the source, and whether its objects are the vessels that were drawn."""
    form, source = recognize_source("auto", folder)
    found = {tuple(box[1:]) for boxes in get_boxes(source).values() for box in boxes}
    drawn = {(20, 20 + 5 * number, 70, 26 + 5 * number) for number in range(COUNT)}
    return source, form == "masks" and found == drawn


@pytest.mark.parametrize(
    ("image", "view", "truth"),
    [
        (
            "training/images/2{}_training.tif",
            "training/mask/2{}_training_mask.gif",
            "1st_manual/2{}_manual1.gif",
        ),
        (
            "training/images/2{}_training.tif",
            "training/masks/2{}_training_mask.gif",
            "1st_manual/2{}_manual1.gif",
        ),
        ("images/0{}_dr.jpg", "mask/0{}_dr_mask.tif", "manual1/0{}_dr.tif"),
        ("images/{}.jpg", "masks/{}.png", "labels/{}.png"),
        ("images/{}.jpg", "masks/{}.png", "vessels/{}.png"),
        ("images/{}.jpg", "masks/fov/{}.png", "masks/vessel/{}.png"),
        ("2{}_training.png", "2{}_training_mask.png", "2{}_manual1.png"),
    ],
)
def test_field_of_view_is_left_out_with_a_remark(tmp_path, image, view, truth):
    top = "training/" if truth.startswith("1st") else ""
    draw(tmp_path, image, view=(view, draw_view), truth=(top + truth, draw_vessel))
    source, is_vessel = read_vessels(tmp_path)
    assert is_vessel
    assert len(source.images) == COUNT
    assert not source.defects
    assert "nearly the same in every image, a field of view and no objects" in source.remarks[0]
    assert source.remarks[0].startswith("6 masks ")


def test_second_observer_is_left_out_with_a_remark(tmp_path):
    for split, observers in (("training", (1,)), ("test", (1, 2))):
        place = tmp_path / split
        draw(place, f"images/{{}}_{split}.png", view=(f"mask/{{}}_{split}_mask.gif", draw_view))
        for observer in observers:
            for number in range(COUNT):
                name = f"{'1st' if observer == 1 else '2nd'}_manual/{number}_manual{observer}.gif"
                save(place / name, draw_vessel(number, shift=observer - 1))
    source, is_vessel = read_vessels(tmp_path)
    assert is_vessel
    assert [image.split for image in source.images].count("test") == COUNT
    assert not source.defects
    assert [remark.split(" left out")[0] for remark in source.remarks[:2]] == [
        "12 masks in test/mask/, training/mask/",
        "6 masks in test/2nd_manual/",
    ]


def test_observers_in_the_names_of_masks_beside_images_are_told_apart(tmp_path):
    second = ("Image_0{}L_2ndHO.png", lambda number: draw_vessel(number, shift=2))
    draw(tmp_path, "Image_0{}L.jpg", first=("Image_0{}L_1stHO.png", draw_vessel), second=second)
    source, is_vessel = read_vessels(tmp_path)
    assert is_vessel
    assert "second annotation of the same images" in source.remarks[0]


def test_images_with_a_field_of_view_alone_are_unlabelled(tmp_path):
    for split in ("training", "test"):
        draw(tmp_path / split, "images/{}.png", view=("mask/{}_mask.gif", draw_view))
    for number in range(COUNT):
        save(tmp_path / f"training/1st_manual/{number}_manual1.gif", draw_vessel(number))
    source, is_vessel = read_vessels(tmp_path)
    assert is_vessel
    assert {finding.file for finding in source.defects} == {f"test/images/{n}.png" for n in range(COUNT)}


def test_only_masks_that_may_be_a_field_of_view_are_read_with_a_remark(tmp_path):
    draw(tmp_path, "images/{}.png", view=("masks/{}.png", draw_view))
    source = recognize_source("auto", tmp_path).source
    assert len(source.images) == COUNT
    assert "if they show the field of view, they are no annotation" in source.remarks[0]


def test_the_same_masks_in_other_values_are_left_out(tmp_path):
    colored = lambda number: np.dstack([draw_vessel(number), draw_vessel(number, 90), draw_vessel(number, 0)])  # noqa: E731
    draw(
        tmp_path,
        "images/{}.png",
        truth=("masks/{}_mask.png", draw_vessel),
        color=("masks/{}_color.png", colored),
    )
    source, is_vessel = read_vessels(tmp_path)
    assert is_vessel
    assert source.names == ("class_1",)
    assert "with the ending '_color' left out: they show the same objects" in source.remarks[0]


def test_folder_that_no_name_speaks_for_is_left_out_beside_masks(tmp_path):
    draw(
        tmp_path, "image/{}.jpg", truth=("masks/{}.png", draw_vessel), outline=("edges/{}.png", draw_outline)
    )
    source, is_vessel = read_vessels(tmp_path)
    assert is_vessel
    assert source.remarks[0].startswith("6 masks in edges/ left out")


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ("masks/{}_mask.png", "masks/{}_edge.png", ("'_edge'", "'_mask'")),
        ("masks/{}_sem.png", "masks/{}_inst.png", ("'_sem'", "'_inst'")),
        ("masks/{}_mask.png", "masks/{}_mask_edge.png", ("'_mask'", "'_mask_edge'")),
        ("masks/{}.png", "masks/{}_contour.png", ("'_contour'", "masks/0.png")),
        ("images/{}_mask.png", "images/{}_edge.png", ("'_edge'", "'_mask'")),
        ("masks/{}.png", "labels/{}.png", ("masks/", "labels/")),
        ("masks/{}.png", "gt/{}.png", ("masks/", "gt/")),
    ],
)
def test_two_kinds_of_masks_are_refused_and_named(tmp_path, one, other, named):
    draw(tmp_path, "images/{}.jpg", one=(one, draw_vessel), other=(other, draw_outline))
    with pytest.raises(UserError, match=r"images have 2 kinds of masks: .* in data\.source") as refused:
        recognize_source("auto", tmp_path)
    assert all(name in str(refused.value) for name in named)


def test_two_kinds_of_masks_of_a_single_image_are_refused(tmp_path):
    write_picture(tmp_path / "a.jpg")
    save(tmp_path / "a_mask.png", draw_vessel(0))
    save(tmp_path / "a_edge.png", draw_outline(0))
    with pytest.raises(UserError, match=r"a_mask\.png and a_edge\.png"):
        recognize_source("auto", tmp_path)


def test_masks_of_single_objects_with_any_names_are_one_kind(tmp_path):
    for number in range(COUNT):
        name = f"{number * 7919:08x}"
        write_picture(tmp_path / name / "images" / f"{name}.png")
        save(tmp_path / name / "masks" / f"{number * 104729:09x}.png", draw_vessel(number))
        save(tmp_path / name / "masks" / f"{number * 224737 + 5:09x}.png", draw_vessel(number, shift=12))
    source = recognize_source("auto", tmp_path).source
    assert [len(image.raw.classes) for image in source.images] == [2] * COUNT


def test_three_kinds_of_masks_are_all_named(tmp_path):
    kinds = {
        ending: (f"masks/{{}}_{ending}.png", lambda number, shift=shift: draw_vessel(number, shift=shift))
        for shift, ending in enumerate(("MA", "EX", "HE"))
    }
    draw(tmp_path, "images/{}.jpg", **kinds)
    with pytest.raises(UserError, match=r"3 kinds of masks: .* kinds '_ex', '_he' and '_ma'"):
        recognize_source("auto", tmp_path)


def test_the_name_of_the_source_folder_does_not_hide_a_kind(tmp_path):
    folder = tmp_path / "masks_of_vessels_and_fov"
    draw(
        folder,
        "images/{}.jpg",
        view=("masks/fov/{}.png", draw_view),
        truth=("masks/vessels/{}.png", draw_vessel),
    )
    source, is_vessel = read_vessels(folder)
    assert is_vessel
    assert source.remarks[0].startswith("6 masks in masks/fov/ left out")


@pytest.mark.parametrize("observer", ["expert_{}/", "Observer{}/", "masks/annotator-{}/", "{}st_manual/"])
def test_numbered_observers_are_told_apart(tmp_path, observer):
    second = observer.format(2).replace("2st", "2nd")
    moved = (f"{second}{{}}.png", lambda number: draw_vessel(number, shift=2))
    draw(tmp_path, "images/{}.jpg", first=(f"{observer.format(1)}{{}}.png", draw_vessel), second=moved)
    source, is_vessel = read_vessels(tmp_path)
    assert is_vessel
    assert source.remarks[0].startswith(f"6 masks in {second} left out: they are a second annotation")


def test_class_folder_of_large_objects_in_one_place_stays_a_class_with_a_remark(tmp_path):
    draw(
        tmp_path,
        "images/{}.jpg",
        disc=("masks/disc/{}.png", draw_view),
        cup=("masks/cup/{}.png", draw_vessel),
    )
    source = recognize_source("auto", tmp_path).source
    assert source.names == ("cup", "disc")
    assert source.remarks[0].startswith("the masks in masks/disc/ are nearly the same in every image")


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"\x89PNG"])
def test_unreadable_masks_do_not_stop_the_choice(tmp_path, data):
    draw(tmp_path, "images/{}.jpg", view=("masks/{}.png", draw_view), truth=("labels/{}.png", draw_vessel))
    (tmp_path / "labels/0.png").write_bytes(data)
    (tmp_path / "masks/1.png").write_bytes(data)
    source = recognize_source("auto", tmp_path).source
    assert [bool(image.fault) for image in source.images] == [True, *[False] * (COUNT - 1)]
    assert "left out" in source.remarks[0]
