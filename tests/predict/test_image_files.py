"""The files of one image, where JPEG or the disk has limits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.predict.image_files import MAX_JPEG_SIDE, write_picture
from pipeline.predict.journal import ImageResult
from pipeline.predict.output_folder import open_output_folder
from pipeline.predict.render_video import CODEC, _require_frames


def test_a_strip_that_is_longer_than_a_jpeg_has_a_smaller_picture(tmp_path):
    box = {"category_id": 1, "bbox": [69_000, 10, 500, 20], "score": 0.9}
    result = ImageResult("a.png", "a.png", None, "a", (70_000, 40), [box])
    write_picture(tmp_path, np.zeros((40, 70_000, 3), np.uint8), result, "detect", ("x",))
    with Image.open(tmp_path / "a.jpg") as picture:
        assert picture.width == MAX_JPEG_SIDE


@pytest.mark.parametrize("left", ["labels", "pictures", ".journal.part"])
def test_a_run_that_ended_before_its_first_line_goes_on(tmp_path, left):
    open_output_folder(tmp_path / "out", {"conf": 0.5})
    (tmp_path / "out" / left).mkdir()
    assert not open_output_folder(tmp_path / "out", {"conf": 0.5}).is_continued
    with pytest.raises(UserError, match="other settings"):
        open_output_folder(tmp_path / "out", {"conf": 0.4})


@pytest.mark.fault(13, "the disk is full while a video is written")
def test_a_video_without_its_last_frames_is_refused(tmp_path):
    path = tmp_path / "v.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*CODEC), 10, (64, 48))
    for _ in range(12):
        writer.write(np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    _require_frames(path, 12, Path("v.mp4"))
    with pytest.raises(UserError, match="12 of 13 frames"):
        _require_frames(path, 13, Path("v.mp4"))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match="0 of 12 frames"):
        _require_frames(path, 12, Path("v.mp4"))
