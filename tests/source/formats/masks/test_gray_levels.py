"""Gray masks: numbers, or black and white with soft edges; decided over all masks of a source."""

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.source.formats.masks.gray_levels import choose_threshold, measure_gray_levels
from pipeline.source.formats.masks.reader import read_folder
from tests.readings import get_boxes
from tests.sources import SIZE, write_picture

SQUARES = [(10, 20, 50, 60), (40, 10, 90, 30), (5, 5, 30, 70)]
SOFT = "masks in shades of gray are read as black and white: above 127 of 255 is object"


def paint(*squares: tuple):
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    for value, x1, y1, x2, y2 in squares:
        mask[y1:y2, x1:x2] = value
    return mask


def blur(mask, size=5):
    return cv2.GaussianBlur(mask, (size, size), 0)


def write(folder, masks, suffix=".png", **options):
    for number, mask in enumerate(masks):
        write_picture(folder / f"images/{number}.jpg")
        (folder / "masks").mkdir(exist_ok=True)
        image = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
        image.save(folder / f"masks/{number}{suffix}", **options)
    return folder


def antialias(mask):
    """Return a mask of few levels, as a drawing tool draws edges."""
    large = cv2.resize(mask, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    return cv2.resize(np.roll(large, (1, 1), (0, 1)), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("size", [3, 5, 9])
def test_soft_edges_are_cut_at_half(tmp_path, size):
    write(tmp_path, [blur(paint((255, *square)), size) for square in SQUARES])
    source = read_folder(tmp_path)
    assert {name: found[0][1:] for name, found in get_boxes(source).items()} == {
        str(number): square for number, square in enumerate(SQUARES)
    }
    assert (source.names, source.remarks[0]) == (("class_1",), SOFT)


def test_few_levels_of_an_antialiased_edge_are_soft(tmp_path):
    write(tmp_path, [antialias(paint((255, *square))) for square in SQUARES])
    source = read_folder(tmp_path)
    assert source.names == ("class_1",)
    assert [len(image.raw.classes) for image in source.images] == [1, 1, 1]


def test_sharp_and_soft_masks_of_one_source_are_both_black_and_white(tmp_path):
    write(tmp_path, [paint((255, *SQUARES[0])), blur(paint((255, *SQUARES[1]))), paint()])
    source = read_folder(tmp_path)
    assert [len(image.raw.classes) for image in source.images] == [1, 1, 0]
    assert source.remarks[0] == SOFT


def test_soft_masks_among_many_sharp_ones_are_found(tmp_path):
    sharp = [paint((255, *SQUARES[0]))] * 70
    write(tmp_path, [*sharp[:35], blur(paint((255, *SQUARES[1]))), *sharp[35:]])
    source = read_folder(tmp_path)
    assert (source.names, source.remarks[0]) == (("class_1",), SOFT)


def test_numbers_with_void_stay_numbers(tmp_path):
    masks = [paint((255, 8, 18, 52, 62), (20, *SQUARES[0])), paint((3, 1, 1, 9, 9), (17, *SQUARES[1]))]
    source = read_folder(write(tmp_path, masks))
    assert source.names == ("class_3", "class_17", "class_20")
    assert source.remarks[0] == "pixels of number 255 belong to no class (void)"


def test_many_numbers_stay_numbers(tmp_path):
    masks = [
        paint(*((value, 8 * place, 0, 8 * place + 8, 40) for place, value in enumerate(range(n, 182, 16))))
        for n in range(1, 16)
    ]
    source = read_folder(write(tmp_path, [mask | paint((255, 0, 60, 96, 80)) for mask in masks]))
    assert len(source.names) == len({value for mask in masks for value in np.unique(mask)} - {0})


def test_evenly_spaced_grays_are_classes_white_too(tmp_path):
    source = read_folder(write(tmp_path, [paint((85, 0, 0, 9, 9), (170, 20, 0, 40, 9), (255, 0, 40, 9, 60))]))
    assert source.names == ("class_85", "class_170", "class_255")


def test_palette_holds_numbers_whatever_its_colors(tmp_path):
    image = Image.fromarray(blur(paint((40, *SQUARES[0])), 1)).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] * 20)
    assert read_folder(write(tmp_path, [image])).names == ("class_40",)


def test_gray_palette_of_soft_edges_is_brightness(tmp_path):
    image = Image.fromarray(blur(paint((255, *SQUARES[0])), 9)).convert("P")
    image.putpalette([gray for gray in range(256) for _ in range(3)])
    assert read_folder(write(tmp_path, [image])).names == ("class_1",)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_soft_masks_of_other_modes_are_black_and_white(tmp_path, mode):
    image = Image.fromarray(blur(paint((255, *SQUARES[0])))).convert(mode)
    assert get_boxes(read_folder(write(tmp_path, [image]))) == {"0": [("class_1", *SQUARES[0])]}


def test_transparent_pixels_are_background(tmp_path):
    rgba = np.full((SIZE[1], SIZE[0], 4), 255, np.uint8)
    rgba[:, :, 3] = paint((255, *SQUARES[0]))
    assert get_boxes(read_folder(write(tmp_path, [rgba]))) == {"0": [("class_1", *SQUARES[0])]}


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_jpeg_of_black_and_white_is_cut_at_half(tmp_path, quality):
    write(tmp_path, [paint((255, *square)) for square in SQUARES], ".jpg", quality=quality)
    source = read_folder(tmp_path)
    assert {name: found[0][1:] for name, found in get_boxes(source).items()} == {
        str(number): square for number, square in enumerate(SQUARES)
    }
    assert source.remarks[0] == SOFT


def test_jpeg_of_gray_and_black_is_cut_between(tmp_path):
    source = read_folder(write(tmp_path, [paint((100, 16, 24, 48, 56))], ".jpg", quality=95))
    assert get_boxes(source) == {"0": [("class_1", 16, 24, 48, 56)]}


@pytest.mark.parametrize("step", [1, 5, 60])
def test_jpeg_of_class_numbers_is_refused(tmp_path, step):
    squares = [(step * (n + 1), *square) for n, square in enumerate(SQUARES)]
    with pytest.raises(UserError, match=r"JPEG masks .* class numbers are lost"):
        read_folder(write(tmp_path, [paint(*squares)] * 2, ".jpg", quality=90))


def test_jpeg_of_several_colors_is_refused(tmp_path):
    masks = []
    for place, square in enumerate(SQUARES):
        rgb = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        rgb[:, :, place] = paint((255, *square))
        masks.append(rgb)
    with pytest.raises(UserError, match="JPEG masks in 3 colors"):
        read_folder(write(tmp_path, masks, ".jpg"))


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 200, 0), (255, 255, 0), (128, 64, 192)])
@pytest.mark.parametrize("quality", [60, 90])
def test_jpeg_of_one_color_is_read(tmp_path, color, quality):
    rgb = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    rgb[24:56, 16:48] = color
    rgb[60:70, 60:75] = color
    source = read_folder(write(tmp_path, [rgb], ".jpg", quality=quality))
    assert [len(image.raw.classes) for image in source.images] == [2]


def test_grays_that_are_neither_are_refused(tmp_path):
    gradient = np.tile(np.linspace(0, 255, SIZE[0]).astype(np.uint8), (SIZE[1], 1))
    half = np.where(np.indices(gradient.shape)[0] % 3 == 0, gradient, paint((90, 0, 0, 60, 80)))
    with pytest.raises(UserError, match="neither class numbers nor black and white"):
        read_folder(write(tmp_path, [half.astype(np.uint8)] * 2))


def test_numbers_beside_soft_masks_are_refused(tmp_path):
    with pytest.raises(UserError, match="some masks hold class numbers, others are black and white"):
        read_folder(write(tmp_path, [paint((1, *SQUARES[0])), blur(paint((255, *SQUARES[1])))]))


def test_numbers_beside_white_masks_are_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"1\.png are black and white, others such as 0\.png hold class numbers"
    ):
        read_folder(write(tmp_path, [paint((1, *SQUARES[0])), paint((255, *SQUARES[1]))]))


def test_soft_objects_of_another_value_than_white_are_objects():
    mask = np.zeros((200, 300), np.uint8)
    cv2.circle(mask, (100, 90), 60, 200, -1)
    soft = cv2.GaussianBlur(mask, (5, 5), 1)
    assert choose_threshold([measure_gray_levels(soft)]) == 100


def test_numbers_of_many_classes_in_areas_are_no_soft_edges():
    mask = np.zeros((200, 300), np.uint8)
    for number in range(1, 30):
        cv2.rectangle(mask, (9 * number, 5), (9 * number + 5, 60), 7 * number, -1)
    cv2.circle(mask, (150, 130), 60, 200, -1)
    assert choose_threshold([measure_gray_levels(mask)]) is None
