"""Thumbnails of files with any content."""

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.prepare.report.safe_thumbnails import read_thumbnail
from tests import sources


def test_large_image_is_downscaled(tmp_path):
    sources.write_picture(tmp_path / "large.jpg", size=(2000, 1000))
    found = read_thumbnail("large.jpg", tmp_path, 200)
    assert found is not None
    assert found.shape == (100, 200, 3)


@pytest.mark.parametrize("name", ["../outside.jpg", "linked.jpg", "folder/outside.jpg"])
def test_file_outside_of_the_source_is_not_opened(name, tmp_path):
    root = tmp_path / "source"
    root.mkdir()
    sources.write_picture(tmp_path / "elsewhere/outside.jpg")
    sources.write_picture(tmp_path / "outside.jpg")
    (root / "linked.jpg").symlink_to(tmp_path / "outside.jpg")
    (root / "folder").symlink_to(tmp_path / "elsewhere")
    assert read_thumbnail(name, root, 200) is None


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\xff\xd8\xff\xe0",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"no image",
    ],
    ids=["empty", "cut", "postscript", "text"],
)
def test_file_that_is_no_image_has_no_thumbnail(contents, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(contents)
    assert read_thumbnail("bad.jpg", tmp_path, 200) is None
    assert read_thumbnail("absent.jpg", tmp_path, 200) is None
    assert read_thumbnail(".", tmp_path, 200) is None


def test_truncated_file_is_shown_up_to_the_cut(tmp_path):
    whole = sources.write_picture(tmp_path / "cut.jpg", size=(400, 400)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    found = read_thumbnail("cut.jpg", tmp_path, 400)
    assert found is not None
    assert found[:100].std() > 10
    assert found[-50:].std() < 1


def test_decompression_bomb_is_not_decoded(tmp_path):
    Image.new("1", (9000, 9000)).save(tmp_path / "bomb.png")
    assert read_thumbnail("bomb.png", tmp_path, 200) is None


def test_16_bit_gray_values_are_scaled_to_8_bits(tmp_path):
    deep = np.linspace(1000, 3000, 64 * 64).reshape(64, 64).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    found = read_thumbnail("deep.png", tmp_path, 64)
    assert found is not None
    assert (found.min(), found.max()) == (0, 255)
