"""Mask reader: known answers for numbers, palettes, colors, binary masks, regions, holes, specks."""

import io
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.source.formats.masks import reader, values
from pipeline.source.formats.masks.class_names import load_class_table
from pipeline.source.formats.masks.reader import matches_folder, read_folder
from pipeline.source.formats.masks.values import LARGE_MASK_LOCK, read_mask
from pipeline.source.reading.trace_mask import trace_mask_outline
from pipeline.source.recognize_format import recognize_source
from tests.readings import (
    check_corrupted_source,
    corrupted_bytes,
    find_real_dataset,
    get_boxes,
    get_notes,
    get_outlines,
)
from tests.sources import SIZE, write_picture

NO_NAMES = "no labelmap.txt, class_dict.csv or classes.txt names the classes: they go by their values"


def painted(*squares: tuple, dtype=np.uint8):
    """Return a mask of values, each (value, x1, y1, x2, y2)."""
    mask = np.zeros((SIZE[1], SIZE[0]), dtype)
    for value, x1, y1, x2, y2 in squares:
        mask[y1:y2, x1:x2] = value
    return mask


def write(folder, mask, name="x", *, images="images", to="masks/x.png", palette=None):
    write_picture(folder / images / f"{name}.jpg")
    (folder / to).parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask)
    if palette:
        image = image.convert("P") if image.mode != "L" else image
        image.putpalette(palette)
    image.save(folder / to)
    return folder


def test_connected_region_is_an_object(tmp_path):
    source = read_folder(
        write(tmp_path, painted((1, 10, 20, 50, 60), (2, 60, 5, 70, 15), (1, 80, 70, 96, 80)))
    )
    assert matches_folder(tmp_path)
    assert get_boxes(source) == {
        "x": [("class_1", 10, 20, 50, 60), ("class_1", 80, 70, 96, 80), ("class_2", 60, 5, 70, 15)]
    }
    assert get_outlines(source)["x"][2] == [[[60, 5], [60, 15], [70, 15], [70, 5]]]
    assert (source.task, source.images[0].size, source.remarks) == ("segment", SIZE, (NO_NAMES,))
    assert source.images[0].raw.marks == ("class_1, region 1", "class_1, region 2", "class_2, region 1")


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "P"])
def test_mask_takes_few_bytes_per_pixel(tmp_path, mode):
    image = Image.new(mode, (1500, 1000))
    image.paste(1 if mode != "RGB" else (0, 200, 0), (10, 10, 900, 900))
    image.save(tmp_path / "mask.png")
    tracemalloc.start()
    found = read_mask(tmp_path / "mask.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.regions) == 1
    assert peak / 1_500_000 < 14


def test_large_masks_are_read_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(values, "LARGE_MASK_PIXELS", 100)
    Image.new("L", (20, 20), 1).save(tmp_path / "mask.png")
    with ThreadPoolExecutor(1) as pool:
        with LARGE_MASK_LOCK:
            waiting = pool.submit(read_mask, tmp_path / "mask.png")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
        assert len(waiting.result(timeout=10).regions) == 1


@pytest.mark.parametrize("value", [1, 255])
def test_binary_mask_has_one_class(tmp_path, value):
    assert get_boxes(read_folder(write(tmp_path, painted((value, 10, 20, 50, 60))))) == {
        "x": [("class_1", 10, 20, 50, 60)]
    }


def test_one_bit_and_sixteen_bit_masks_are_read(tmp_path):
    write(tmp_path, painted((1, 10, 20, 50, 60)).astype(bool))
    write(tmp_path, painted((300, 1, 2, 30, 40), dtype=np.uint16), "y", to="masks/y.png")
    assert get_boxes(read_folder(tmp_path)) == {
        "x": [("class_1", 10, 20, 50, 60)],
        "y": [("class_300", 1, 2, 30, 40)],
    }


def test_void_is_not_a_class_beside_others(tmp_path):
    source = read_folder(write(tmp_path, painted((255, 8, 18, 52, 62), (1, 10, 20, 50, 60))))
    assert get_boxes(source) == {"x": [("class_1", 10, 20, 50, 60)]}
    assert source.remarks[0] == "pixels of number 255 belong to no class (void)"


def test_label_map_names_palette_colors(tmp_path):
    palette = [0, 0, 0, 128, 0, 0, 0, 128, 0]
    write(tmp_path, painted((1, 10, 20, 50, 60), (2, 60, 5, 70, 15)), palette=palette)
    lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\nbig dog:0,128,0::\n"
    (tmp_path / "labelmap.txt").write_text(lines)
    assert get_boxes(read_folder(tmp_path)) == {"x": [("cat", 10, 20, 50, 60), ("big dog", 60, 5, 70, 15)]}


def test_colors_are_named_by_a_table_or_by_their_value(tmp_path):
    colours = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    colours[20:60, 10:50] = (128, 0, 64)
    colours[5:15, 60:70] = (0, 0, 192)
    write(tmp_path, colours)
    assert read_folder(tmp_path).names == ("colour_0000c0", "colour_800040")
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nvoid,0,0,192\ncat,128,0,64\n")
    source = read_folder(tmp_path)
    assert get_boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert source.remarks == ("pixels of colour #0000c0 belong to no class (void)",)


def test_unknown_black_is_background(tmp_path):
    colours = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    colours[20:60, 10:50] = (60, 16, 152)
    write(tmp_path, colours)
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nunknown,0,0,0\nwater,60,16,152\n")
    assert get_boxes(read_folder(tmp_path)) == {"x": [("water", 10, 20, 50, 60)]}


SQUARE = painted((255, 10, 20, 50, 60))
OTHER = painted((255, 60, 5, 70, 15))


@pytest.mark.parametrize("top", ["", "Dataset with GT/"])
def test_folders_of_images_are_classes_also_below_an_outer_folder(tmp_path, top):
    for name, place in (("a", "crack"), ("b", "crack"), ("c", "hole"), ("d", "hole")):
        write(tmp_path, SQUARE, name, images=f"{top}{place}", to=f"{top}{place}/{name}_mask.png")
    source = read_folder(tmp_path)
    assert source.names == ("crack", "hole")
    assert get_boxes(source)["d"] == [("hole", 10, 20, 50, 60)]


@pytest.mark.parametrize("ending", ["", "_EX"])
def test_folders_of_masks_of_the_same_images_are_classes(tmp_path, ending):
    for name in "abc":
        write(tmp_path, SQUARE, name, to=f"masks/crack/{name}{ending}.png")
        write(tmp_path, OTHER, name, to=f"masks/spall/{name}{ending}.png")
    source = read_folder(tmp_path)
    assert source.names == ("crack", "spall")
    assert get_boxes(source)["a"] == [("crack", 10, 20, 50, 60), ("spall", 60, 5, 70, 15)]
    assert not source.defects


def test_several_masks_of_an_image_in_one_folder_have_one_class(tmp_path):
    for image in ("k1", "m2"):
        write(tmp_path, SQUARE, image, images=f"{image}/images", to=f"{image}/masks/p{image}.png")
        write(tmp_path, OTHER, image, images=f"{image}/images", to=f"{image}/masks/q{image}.png")
    assert read_folder(tmp_path).names == ("class_1",)


@pytest.mark.parametrize(
    ("images", "to"),
    [
        (".", "x_anno.png"),
        (".", "x_drawn.png"),
        ("images", "masks/x.jpg.png"),
        ("P1/P1_photo", "P1/P1_lesion/x_lesion.png"),
    ],
)
def test_mask_is_called_as_its_image_and_a_word_more(tmp_path, images, to):
    rng = np.random.default_rng(0)
    for name in "xyz":
        write(tmp_path, SQUARE, name, images=images, to=to.replace("x", name))
        photo = rng.integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
        Image.fromarray(photo).save(tmp_path / images / f"{name}.jpg")
    assert matches_folder(tmp_path)
    assert get_boxes(read_folder(tmp_path))["z"] == [("class_1", 10, 20, 50, 60)]


def test_black_objects_on_white_are_remarked(tmp_path):
    for name in "abc":
        write(tmp_path, 255 - SQUARE, name, to=f"masks/{name}.png")
    assert "if black is the object, invert the masks" in read_folder(tmp_path).remarks[0]


def test_masks_of_very_many_images_are_recognized(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "_MAX_CHECKED_FILES", 4)
    for name in "abcdef":
        write(tmp_path, SQUARE, name, to=f"masks/{name}.png")
    assert matches_folder(tmp_path)


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        ("background\ncat\n", "cat"),
        ("unknown\n", "unknown"),
        ("cat\ndog\n", "cat"),
        ("0 none\n1 cat\n", "cat"),
        ("1: cat\n", "cat"),
    ],
)
def test_class_list_names_numbers(tmp_path, lines, name):
    write(tmp_path, painted((1, 10, 20, 50, 60)))
    (tmp_path / "classes.txt").write_text(lines)
    assert read_folder(tmp_path).names == (name,)


@pytest.mark.parametrize("suffix", ["pgm", "ppm"])
def test_portable_maps_are_masks(tmp_path, suffix):
    write_picture(tmp_path / "images/x.ppm")
    square = np.repeat(SQUARE[:, :, None], 3, axis=2) if suffix == "ppm" else SQUARE
    (tmp_path / "masks").mkdir()
    Image.fromarray(square).save(tmp_path / f"masks/x.{suffix}")
    form, source = recognize_source("auto", tmp_path)
    assert (form, source.task, len(source.images), source.defects) == ("masks", "segment", 1, ())


@pytest.mark.parametrize("first", ["bg", "None", "other", "back", "no class", "unknown", "nothing"])
@pytest.mark.parametrize("value", [1, 255])
def test_first_name_that_means_background_is_number_0(tmp_path, first, value):
    write(tmp_path, painted((value, 10, 20, 50, 60)))
    (tmp_path / "classes.txt").write_text(f"{first}\ncrack\n")
    assert read_folder(tmp_path).names == ("crack",)


@pytest.mark.parametrize(("first", "named"), [("other", ("other", "crack")), ("bg", ("crack", "class_2"))])
def test_other_is_a_class_if_the_masks_have_as_many_numbers(tmp_path, first, named):
    write(tmp_path, painted((1, 10, 20, 50, 60), (2, 60, 5, 70, 15)))
    (tmp_path / "classes.txt").write_text(f"{first}\ncrack\n")
    source = read_folder(tmp_path)
    assert source.names == named
    assert len(source.remarks) == (first == "other")  # that its first name is number 1


def test_roboflow_tables_name_numbers(tmp_path):
    write(tmp_path, painted((1, 10, 20, 50, 60)), images="train", to="train/x_mask.png")
    (tmp_path / "train/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n")
    source = read_folder(tmp_path)
    assert (source.names, source.remarks) == (("cat",), ())
    (tmp_path / "train/_classes.csv").write_text("filename, cat, dog\nx.jpg, 1, 0\n")
    assert read_folder(tmp_path).names == ("class_1",)


@pytest.mark.parametrize(
    ("images", "to"),
    [
        ("images", "masks/x.png"),
        ("JPEGImages", "SegmentationClass/x.png"),
        ("train/images", "train/masks/x.png"),
        ("images/train", "masks/train/x.png"),
        (".", "x_mask.png"),
        ("images", "masks/x_seg.png"),
        ("train", "train_masks/x_mask.png"),
        ("train", "ground_truth-train/x.png"),
    ],
)
def test_masks_are_found_in_usual_folders(tmp_path, images, to):
    write(tmp_path, painted((1, 10, 20, 50, 60)), images=images, to=to)
    assert matches_folder(tmp_path)
    source = read_folder(tmp_path)
    assert get_boxes(source) == {"x": [("class_1", 10, 20, 50, 60)]}
    assert source.defects == ()


@pytest.mark.parametrize("odd", ["_mask.png", "masks/_mask.png", "_gt.jpg"])
def test_name_that_is_only_a_mask_suffix_is_a_name(tmp_path, odd):
    write(tmp_path, painted((1, 10, 20, 50, 60)), images="images", to="masks/x.png")
    (tmp_path / odd).write_bytes((tmp_path / "masks/x.png").read_bytes())
    assert matches_folder(tmp_path)
    assert get_boxes(read_folder(tmp_path))["x"] == [("class_1", 10, 20, 50, 60)]


def test_images_of_one_name_in_two_splits_keep_their_masks(tmp_path):
    write(tmp_path, painted((1, 10, 20, 50, 60)), images="train/images", to="train/masks/x.png")
    write(tmp_path, painted((2, 1, 2, 30, 40)), images="val/images", to="val/masks/x.png")
    source = read_folder(tmp_path)
    assert [(i.source, i.split, i.raw.boxes.tolist()) for i in source.images] == [
        ("train/images/x.jpg", "train", [[10, 20, 50, 60]]),
        ("val/images/x.jpg", "val", [[1, 2, 30, 40]]),
    ]


def test_holes_and_specks_are_noted(tmp_path):
    mask = painted((1, 10, 20, 50, 60), (0, 20, 30, 25, 35), (1, 70, 70, 71, 72), (1, 90, 10, 91, 11))
    source = read_folder(write(tmp_path, mask))
    assert get_boxes(source) == {"x": [("class_1", 10, 20, 50, 60)]}
    assert get_notes(source)["x"] == [
        (False, "class_1, region 1: 1 hole is filled, for labels have none"),
        (True, "2 specks of number 1, each of under 4 pixels"),
    ]


def test_jpeg_mask_is_binary_with_a_note(tmp_path):
    source = read_folder(write(tmp_path, painted((255, 16, 24, 48, 56)), to="masks/x.jpg"))
    assert get_boxes(source) == {"x": [("class_1", 16, 24, 48, 56)]}
    assert get_notes(source)["x"] == [(False, "a JPEG mask: light is taken for object, dark for background")]


def test_unmatched_images_and_invalid_masks_are_reported(tmp_path):
    write(tmp_path, painted((1, 10, 20, 50, 60)))
    write_picture(tmp_path / "images/bare.jpg")
    (tmp_path / "masks/lone.png").write_bytes((tmp_path / "masks/x.png").read_bytes())
    for name, data in {
        "cut": (tmp_path / "masks/x.png").read_bytes()[:60],
        "none": b"",
        "empty": None,
    }.items():
        write_picture(tmp_path / f"images/{name}.jpg")
        Image.fromarray(painted()).save(tmp_path / f"masks/{name}.png")
        if data is not None:
            (tmp_path / f"masks/{name}.png").write_bytes(data)
    noise = np.random.default_rng(0).integers(0, 60000, (80, 96)).astype(np.uint16)
    write(tmp_path, noise, "noise", to="masks/noise.png")
    source = read_folder(tmp_path)
    faults = {image.path.stem: image.fault for image in source.images}
    assert (faults["x"], faults["empty"], get_boxes(source)["empty"]) == ("", "", [])
    assert "its mask cut.png cannot be read" in faults["cut"]
    assert "its mask none.png cannot be read" in faults["none"]
    assert "values, more than there are classes" in faults["noise"]
    assert [(d.file, d.reason) for d in source.defects] == [
        ("masks/lone.png", "an annotation without an image"),
        ("images/bare.jpg", "an image without an annotation"),
    ]


def test_empty_folder_is_refused(tmp_path):
    write_picture(tmp_path / "images/x.jpg")
    assert not matches_folder(tmp_path)
    with pytest.raises(UserError, match="no mask images in"):
        read_folder(tmp_path)


def test_real_class_masks_are_read():
    source = read_folder(find_real_dataset("datumaro-assets/voc_dataset/voc_dataset1"))
    assert [image.path.stem for image in source.images] == ["2007_000001"]
    assert source.task == "segment"


@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["blobs", "dust"]))
@settings(max_examples=60, deadline=None)
def test_filled_outlines_equal_the_mask(seed, kind):
    """Against shapely's areas, and OpenCV's components of what is not covered."""
    rng = np.random.default_rng(seed)
    blobs = cv2.resize(rng.random((6, 6)), (30, 26), interpolation=cv2.INTER_CUBIC) > 0.55
    mask = (blobs if kind == "blobs" else rng.random((26, 30)) > 0.5).astype(np.uint8)
    outside = cv2.connectedComponents(1 - np.pad(mask, 1), connectivity=4)[1]
    filled = (outside != outside[0, 0])[1:-1, 1:-1]
    shape = trace_mask_outline(mask, left=100, top=50)
    rings = [shapely.Polygon(part) for part in shape.parts]
    assert all(ring.is_valid for ring in rings)
    covered = shapely.union_all(rings)
    rows, columns = np.nonzero(filled)
    squares = [shapely.box(100 + x, 50 + y, 101 + x, 51 + y) for x, y in zip(columns, rows, strict=True)]
    assert covered.symmetric_difference(shapely.union_all(squares)).area == 0


def _png():
    buffer = io.BytesIO()
    Image.fromarray(painted((1, 10, 20, 50, 60), (2, 60, 5, 70, 15))).save(buffer, "PNG")
    return buffer.getvalue()


@given(data=corrupted_bytes(_png()))
@settings(max_examples=80, deadline=None)
def test_corrupted_mask_is_refused_or_read(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_masks"
    write(folder, painted())
    (folder / "masks/x.png").write_bytes(data)
    check_corrupted_source(read_folder, folder)


def test_lists_of_image_sets_are_splits(tmp_path):
    for name in "ab":
        write_picture(tmp_path / "JPEGImages" / f"{name}.jpg")
        mask = painted((1, 10, 10, 40, 40))
        (tmp_path / "SegmentationClass").mkdir(exist_ok=True)
        Image.fromarray(mask).save(tmp_path / "SegmentationClass" / f"{name}.png")
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "Train.txt").write_text("a\n")
    (lists / "Test.txt").write_text("b\n")
    assert [image.split for image in read_folder(tmp_path).images] == ["train", "test"]


RED, GREEN = 0xFF0000, 0x00FF00


def load_colors(folder, text, file="class_dict.csv"):
    (folder / file).write_text(text)
    return load_class_table(folder, []).colors


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("name,r,g,b\ntype0,255,0,0\ntype1,0,255,0\n", ["type0", "type1"]),
        ("type0,255,0,0\ntype1,0,255,0\n", ["type0", "type1"]),
        ("name, r, g, b\n 1, 255, 0, 0\n 2, 0, 255, 0\n", ["1", "2"]),
        ("id,r,g,b,name\n0,255,0,0,cat\n1,0,255,0,big dog\n", ["cat", "big dog"]),
        ("id;name;red;green;blue\n7;cat;255;0;0\n8;dog;0;255;0\n", ["cat", "dog"]),
        ("r,g,b,a,class\n255,0,0,255,cat\n0,255,0,255,dog\n", ["cat", "dog"]),
        ('name,r,g,b\n"person, sitting",255,0,0\ndog,0.0,255.0,0.0\n', ["person, sitting", "dog"]),
        ("0,255,0,0,cat\n1,0,255,0,dog\n", ["cat", "dog"]),
        ("cat,255,0,0,255\ndog,0,255,0,255\n", ["cat", "dog"]),
        ('cat,"255,0,0"\ndog,"0,255,0"\n', ["cat", "dog"]),
        ("class 1 255 0 0\nclass 2 0 255 0\n", ["class 1", "class 2"]),
        ("cat 255 0 0\ndog2 0 255 0\n", ["cat", "dog2"]),
        ("255 0 0\tclass 1\n0 255 0\t\tclass 2\n", ["class 1", "class 2"]),
        ("255 0 0 cat\n0 255 0 2 wheeler\n", ["cat", "2 wheeler"]),
        ("0 255 0 0 cat\n1 0 255 0 dog\n", ["cat", "dog"]),
        ("1,255,0,0\n2,0,255,0\n", ["1", "2"]),
        ("# label:color_rgb:parts:actions\ntype0:255,0,0::\na:b 1:0,255,0:x:\n", ["type0", "a:b 1"]),
        ("Person, sitting 255 0 0\n0, 255, 0: dog\n", ["Person, sitting", "dog"]),
        ("cat:255,0,0::\ndog:0,255,0::\nsize: 1920 1080 3\n", ["cat", "dog"]),
        ("cat:255,0,0::\ndog:0,255,0::\nkept in version 2024 of 12 files::\n", ["cat", "dog"]),
        ("cat 255 0 0\ndog 0 255 0\n1920 1080 720 3\n", ["cat", "dog"]),
        ("cat 255 0 0\ndog 0 255 0\n1920x1080 300 2 1.5 files\n", ["cat", "dog"]),
    ],
)
def test_table_of_colors_names_them(tmp_path, text, names):
    assert load_colors(tmp_path, text) == dict(zip((RED, GREEN), names, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "7,255,0,0,cat\n3,0,255,0,dog\n",  # an id before the color, or something after it
        "0,0,0,255,cat\n1,0,0,255,dog\n",  # both
        "cat 255 0 0 255\ndog 0 255 0 255\n",  # an opacity, or names that end with a number
        "0,255,0,0,9,cat\n1,0,255,0,9,dog\n",
        "name,r,g,b\ncat,255,0,300\n",
        "name,r,g,b\ncat,255,0\n",
    ],
)
def test_table_of_colors_that_is_not_clear_is_refused(tmp_path, text):
    with pytest.raises(UserError, match=r"class_dict\.csv"):
        load_colors(tmp_path, text)


@pytest.mark.fault(10, "a table of colors with padded numbers, or with one above 255")
@pytest.mark.parametrize(
    "text",
    [
        "255 000 000\tcat\n000 255 000\tdog\n",
        "cat,255,00,0\ndog,000,255,000.0\n",
        "name,r,g,b\ncat,255,000,000\ndog,000,255,000\n",
    ],
)
def test_numbers_of_a_color_may_be_padded(tmp_path, text):
    assert load_colors(tmp_path, text) == {RED: "cat", GREEN: "dog"}


@pytest.mark.fault(10, "a table of colors with padded numbers, or with one above 255")
@pytest.mark.parametrize(
    "text",
    [
        "cat,255,0,0\ndog,0,300,0\n",
        "cat,255.0,0.0,0.0\ndog,0.0,300.0,0.0\n",
        "255 0 0\tcat\n0 0256 0\tdog\n",
        "cat:255,0,0::\ndog:0,2550,0::\n",
        "cat 255 0 0\nbig dog 256 256 256\n",
    ],
)
def test_color_with_a_number_above_255_is_refused(tmp_path, text):
    with pytest.raises(UserError, match="whole numbers of 0 to 255"):
        load_colors(tmp_path, text)


@pytest.mark.parametrize(
    "text", ["", "\n", "Pixel Value, Class\n0, cat\n", "name,r,g,b\n", "cat\n", "a:b:c\n", '"\n']
)
def test_table_without_colors_names_none(tmp_path, text):
    assert load_colors(tmp_path, text) == {}
