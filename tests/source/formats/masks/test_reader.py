"""Mask images with known answers: numbers, palettes, colours, black and white; regions, holes, specks."""

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
from pipeline.source.formats.masks.values import ALONE
from pipeline.source.reading.trace_mask import trace
from tests.readings import boxes, notes, outlines, real, sane, spoilt_bytes
from tests.sources import SIZE, picture

NO_NAMES = "no labelmap.txt, class_dict.csv or classes.txt names the classes: they go by their values"


def painted(*squares: tuple, dtype=np.uint8):
    """Return a mask of values, each (value, x1, y1, x2, y2)."""
    mask = np.zeros((SIZE[1], SIZE[0]), dtype)
    for value, x1, y1, x2, y2 in squares:
        mask[y1:y2, x1:x2] = value
    return mask


def write(folder, mask, name="x", *, images="images", to="masks/x.png", palette=None):
    picture(folder / images / f"{name}.jpg")
    (folder / to).parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(mask)
    if palette:
        image = image.convert("P") if image.mode != "L" else image
        image.putpalette(palette)
    image.save(folder / to)
    return folder


def test_each_connected_region_of_a_number_is_an_object(tmp_path):
    source = reader.read(
        write(tmp_path, painted((1, 10, 20, 50, 60), (2, 60, 5, 70, 15), (1, 80, 70, 96, 80)))
    )
    assert reader.recognises(tmp_path)
    assert boxes(source) == {
        "x": [("class_1", 10, 20, 50, 60), ("class_1", 80, 70, 96, 80), ("class_2", 60, 5, 70, 15)]
    }
    assert outlines(source)["x"][2] == [[[60, 5], [60, 15], [70, 15], [70, 5]]]
    assert (source.task, source.images[0].size, source.remarks) == ("segment", SIZE, (NO_NAMES,))
    assert source.images[0].raw.marks == ("class_1, region 1", "class_1, region 2", "class_2, region 1")


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "P"])
def test_a_mask_takes_few_bytes_per_pixel(tmp_path, mode):
    image = Image.new(mode, (1500, 1000))
    image.paste(1 if mode != "RGB" else (0, 200, 0), (10, 10, 900, 900))
    image.save(tmp_path / "mask.png")
    tracemalloc.start()
    found = values.read(tmp_path / "mask.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found.regions) == 1
    assert peak / 1_500_000 < 14


def test_giant_masks_are_read_one_after_another(tmp_path, monkeypatch):
    monkeypatch.setattr(values, "GIANT", 100)
    Image.new("L", (20, 20), 1).save(tmp_path / "mask.png")
    with ThreadPoolExecutor(1) as pool:
        with ALONE:
            waiting = pool.submit(values.read, tmp_path / "mask.png")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
        assert len(waiting.result(timeout=10).regions) == 1


@pytest.mark.parametrize("value", [1, 255])
def test_black_and_white(tmp_path, value):
    assert boxes(reader.read(write(tmp_path, painted((value, 10, 20, 50, 60))))) == {
        "x": [("class_1", 10, 20, 50, 60)]
    }


def test_one_bit_and_sixteen_bits(tmp_path):
    write(tmp_path, painted((1, 10, 20, 50, 60)).astype(bool))
    write(tmp_path, painted((300, 1, 2, 30, 40), dtype=np.uint16), "y", to="masks/y.png")
    assert boxes(reader.read(tmp_path)) == {
        "x": [("class_1", 10, 20, 50, 60)],
        "y": [("class_300", 1, 2, 30, 40)],
    }


def test_void_is_no_class_beside_others(tmp_path):
    source = reader.read(write(tmp_path, painted((255, 8, 18, 52, 62), (1, 10, 20, 50, 60))))
    assert boxes(source) == {"x": [("class_1", 10, 20, 50, 60)]}
    assert source.remarks[0] == "pixels of number 255 belong to no class (void)"


def test_the_colours_of_a_palette_are_named_by_a_label_map(tmp_path):
    palette = [0, 0, 0, 128, 0, 0, 0, 128, 0]
    write(tmp_path, painted((1, 10, 20, 50, 60), (2, 60, 5, 70, 15)), palette=palette)
    lines = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:128,0,0::\nbig dog:0,128,0::\n"
    (tmp_path / "labelmap.txt").write_text(lines)
    assert boxes(reader.read(tmp_path)) == {"x": [("cat", 10, 20, 50, 60), ("big dog", 60, 5, 70, 15)]}


def test_colours_are_named_by_a_table_or_else_by_themselves(tmp_path):
    colours = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    colours[20:60, 10:50] = (128, 0, 64)
    colours[5:15, 60:70] = (0, 0, 192)
    write(tmp_path, colours)
    assert reader.read(tmp_path).names == ("colour_0000c0", "colour_800040")
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\nvoid,0,0,192\ncat,128,0,64\n")
    source = reader.read(tmp_path)
    assert boxes(source) == {"x": [("cat", 10, 20, 50, 60)]}
    assert source.remarks == ("pixels of colour #0000c0 belong to no class (void)",)


@pytest.mark.parametrize(
    ("lines", "name"),
    [("background\ncat\n", "cat"), ("cat\ndog\n", "cat"), ("0 none\n1 cat\n", "cat"), ("1: cat\n", "cat")],
)
def test_numbers_are_named_by_a_list(tmp_path, lines, name):
    write(tmp_path, painted((1, 10, 20, 50, 60)))
    (tmp_path / "classes.txt").write_text(lines)
    assert reader.read(tmp_path).names == (name,)


def test_roboflow_names_the_numbers_in_a_table_of_each_split(tmp_path):
    write(tmp_path, painted((1, 10, 20, 50, 60)), images="train", to="train/x_mask.png")
    (tmp_path / "train/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n")
    source = reader.read(tmp_path)
    assert (source.names, source.remarks) == (("cat",), ())
    (tmp_path / "train/_classes.csv").write_text("filename, cat, dog\nx.jpg, 1, 0\n")
    assert reader.read(tmp_path).names == ("class_1",)


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
def test_where_images_and_masks_lie(tmp_path, images, to):
    write(tmp_path, painted((1, 10, 20, 50, 60)), images=images, to=to)
    assert reader.recognises(tmp_path)
    source = reader.read(tmp_path)
    assert boxes(source) == {"x": [("class_1", 10, 20, 50, 60)]}
    assert source.defects == ()


@pytest.mark.parametrize("odd", ["_mask.png", "masks/_mask.png", "_gt.jpg"])
def test_a_name_that_is_nothing_but_an_ending_is_a_name(tmp_path, odd):
    write(tmp_path, painted((1, 10, 20, 50, 60)), images="images", to="masks/x.png")
    (tmp_path / odd).write_bytes((tmp_path / "masks/x.png").read_bytes())
    assert reader.recognises(tmp_path)
    assert boxes(reader.read(tmp_path))["x"] == [("class_1", 10, 20, 50, 60)]


def test_images_of_one_name_in_two_splits_keep_their_masks(tmp_path):
    write(tmp_path, painted((1, 10, 20, 50, 60)), images="train/images", to="train/masks/x.png")
    write(tmp_path, painted((2, 1, 2, 30, 40)), images="val/images", to="val/masks/x.png")
    source = reader.read(tmp_path)
    assert [(i.source, i.split, i.raw.boxes.tolist()) for i in source.images] == [
        ("train/images/x.jpg", "train", [[10, 20, 50, 60]]),
        ("val/images/x.jpg", "val", [[1, 2, 30, 40]]),
    ]


def test_a_hole_and_specks_are_named(tmp_path):
    mask = painted((1, 10, 20, 50, 60), (0, 20, 30, 25, 35), (1, 70, 70, 71, 72), (1, 90, 10, 91, 11))
    source = reader.read(write(tmp_path, mask))
    assert boxes(source) == {"x": [("class_1", 10, 20, 50, 60)]}
    assert notes(source)["x"] == [
        (False, "class_1, region 1: 1 hole is filled, for labels have none"),
        (True, "2 specks of number 1, each of under 4 pixels"),
    ]


def test_a_jpeg_is_taken_for_black_and_white(tmp_path):
    source = reader.read(write(tmp_path, painted((255, 16, 24, 48, 56)), to="masks/x.jpg"))
    assert boxes(source) == {"x": [("class_1", 16, 24, 48, 56)]}
    assert notes(source)["x"] == [(False, "a JPEG mask: light is taken for object, dark for background")]


def test_image_and_mask_without_each_other_are_named_and_bad_masks(tmp_path):
    write(tmp_path, painted((1, 10, 20, 50, 60)))
    picture(tmp_path / "images/bare.jpg")
    (tmp_path / "masks/lone.png").write_bytes((tmp_path / "masks/x.png").read_bytes())
    for name, data in {
        "cut": (tmp_path / "masks/x.png").read_bytes()[:60],
        "none": b"",
        "empty": None,
    }.items():
        picture(tmp_path / f"images/{name}.jpg")
        Image.fromarray(painted()).save(tmp_path / f"masks/{name}.png")
        if data is not None:
            (tmp_path / f"masks/{name}.png").write_bytes(data)
    noise = np.random.default_rng(0).integers(0, 60000, (80, 96)).astype(np.uint16)
    write(tmp_path, noise, "noise", to="masks/noise.png")
    source = reader.read(tmp_path)
    faults = {image.path.stem: image.fault for image in source.images}
    assert (faults["x"], faults["empty"], boxes(source)["empty"]) == ("", "", [])
    assert "its mask cut.png cannot be read" in faults["cut"]
    assert "its mask none.png cannot be read" in faults["none"]
    assert "values, more than there are classes" in faults["noise"]
    assert [(d.file, d.reason) for d in source.defects] == [
        ("masks/lone.png", "an annotation without an image"),
        ("images/bare.jpg", "an image without an annotation"),
    ]


def test_nothing_there_is_refused(tmp_path):
    picture(tmp_path / "images/x.jpg")
    assert not reader.recognises(tmp_path)
    with pytest.raises(UserError, match="no mask images in"):
        reader.read(tmp_path)


def test_a_real_set_of_class_masks():
    source = reader.read(real("datumaro-assets/voc_dataset/voc_dataset1"))
    assert [image.path.stem for image in source.images] == ["2007_000001"]
    assert source.task == "segment"


@given(seed=st.integers(0, 10**6), kind=st.sampled_from(["blobs", "dust"]))
@settings(max_examples=60, deadline=None)
def test_outlines_filled_again_give_the_mask_back(seed, kind):
    """Against shapely's areas, and OpenCV's components of what is not covered."""
    rng = np.random.default_rng(seed)
    blobs = cv2.resize(rng.random((6, 6)), (30, 26), interpolation=cv2.INTER_CUBIC) > 0.55
    mask = (blobs if kind == "blobs" else rng.random((26, 30)) > 0.5).astype(np.uint8)
    outside = cv2.connectedComponents(1 - np.pad(mask, 1), connectivity=4)[1]
    filled = (outside != outside[0, 0])[1:-1, 1:-1]
    shape = trace(mask, left=100, top=50)
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


@given(data=spoilt_bytes(_png()))
@settings(max_examples=80, deadline=None)
def test_no_mask_makes_it_crash(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "spoilt_masks"
    write(folder, painted())
    (folder / "masks/x.png").write_bytes(data)
    sane(reader.read, folder)
