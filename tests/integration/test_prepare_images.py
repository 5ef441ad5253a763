"""Image files, sound and not: what training could read, and what it would rewrite or skip."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.edges.images import Unusable, examine
from tests.sources import SIZE, picture


@pytest.fixture
def jpeg(tmp_path):
    return picture(tmp_path / "x.jpg")


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG", ".png", ".bmp", ".webp", ".tif"])
def test_a_sound_image_goes_on_byte_for_byte(tmp_path, suffix):
    path = picture(tmp_path / f"x{suffix}")
    found = examine(path)
    assert found == (path.read_bytes(), suffix.lower(), SIZE, "")


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16", "CMYK", "1"])
def test_colour_modes_that_training_reads(tmp_path, mode):
    suffix = ".jpg" if mode == "CMYK" else ".png"
    Image.new(mode, (40, 30)).save(tmp_path / f"x{suffix}")
    assert examine(tmp_path / f"x{suffix}").size == (40, 30)


def test_cut_anywhere_it_is_found_damaged(jpeg):
    data = jpeg.read_bytes()
    for length in (len(data) - 1, len(data) - 2, len(data) - 20, len(data) // 2):
        jpeg.write_bytes(data[:length])
        with pytest.raises(Unusable, match=r"damaged: .*truncated"):
            examine(jpeg)


def test_a_png_that_was_cut_or_changed_is_found_damaged(tmp_path):
    path = picture(tmp_path / "x.png")
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], data[:200] + b"\0" * 50 + data[250:]):
        path.write_bytes(broken)
        with pytest.raises(Unusable, match=r"damaged|cannot be read"):
            examine(path)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "an empty file"), (b"no image at all", "not an image"), (b"<svg/>", "not an image")],
)
def test_no_image_at_all(tmp_path, data, reason):
    (tmp_path / "x.jpg").write_bytes(data)
    with pytest.raises(Unusable, match=reason):
        examine(tmp_path / "x.jpg")
    with pytest.raises(Unusable, match="no such file"):
        examine(tmp_path / "y.jpg")


def test_bytes_after_the_end_of_a_jpeg_are_cut_off_and_its_pixels_stay(jpeg):
    data = jpeg.read_bytes()
    jpeg.write_bytes(data + b"trailer")
    found = examine(jpeg)
    assert found.data == data
    assert found.note == "7 bytes after the end of the JPEG cut off"


def test_ultralytics_leaves_what_was_mended_as_it_is(jpeg, tmp_path):
    from ultralytics.data.utils import check_image

    jpeg.write_bytes(jpeg.read_bytes() + b"trailer")
    mended = tmp_path / "mended.jpg"
    mended.write_bytes(examine(jpeg).data)
    before = mended.read_bytes()
    assert check_image(str(mended)) == ("", SIZE[::-1])
    assert mended.read_bytes() == before


def test_a_suffix_that_does_not_fit_is_put_right(tmp_path):
    path = picture(tmp_path / "x.png").rename(tmp_path / "x.jpg")
    found = examine(path)
    assert (found.suffix, found.note) == (".png", "PNG contents under the suffix .jpg")


def test_a_format_that_training_does_not_read_is_named(tmp_path):
    Image.new("P", (40, 30)).save(tmp_path / "x.gif")
    with pytest.raises(Unusable, match="GIF is no format that training reads: convert it"):
        examine(tmp_path / "x.gif")


def test_an_image_too_small_to_train_on(tmp_path):
    path = picture(tmp_path / "x.png", size=(40, 9))
    with pytest.raises(Unusable, match="40 x 9 pixels: training leaves out"):
        examine(path)


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))]
)
def test_the_size_is_that_of_the_image_as_it_is_displayed(tmp_path, orientation, size):
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(file, "JPEG", exif=exif)
    (tmp_path / "x.jpg").write_bytes(file.getvalue())
    assert examine(tmp_path / "x.jpg").size == size
    read = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    assert read.shape[1::-1] == size
