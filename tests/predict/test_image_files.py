"""The files of one image, where JPEG or the disk has limits."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.core.detections import Detections
from pipeline.core.errors import UserError
from pipeline.core.geometry.masks import ObjectMask
from pipeline.predict.build_result import build_result
from pipeline.predict.image_files import MAX_JPEG_SIDE, remove_image_files, write_labels, write_picture
from pipeline.predict.journal import ImageResult
from pipeline.predict.list_files import SourceFile, list_files
from pipeline.predict.output_folder import open_output_folder
from pipeline.predict.read_frames import Frame
from pipeline.predict.render_video import CODEC, _require_frames, get_video_path, render_video
from pipeline.predict.result_tables import ModelHead
from tests.predict.conftest import write_video


def test_a_strip_that_is_longer_than_a_jpeg_has_a_smaller_picture(tmp_path):
    box = {"category_id": 1, "bbox": [69_000, 10, 500, 20], "score": 0.9}
    result = ImageResult("a.png", "a.png", None, "a", (70_000, 40), [box])
    write_picture(tmp_path, np.zeros((40, 70_000, 3), np.uint8), result, "detect", ("x",))
    with Image.open(tmp_path / "a.jpg") as picture:
        assert picture.width == MAX_JPEG_SIDE


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (2, 2), (1, 2)])
def test_a_thin_mask_is_a_polygon_along_its_pixels_in_yolo_text(tmp_path, shape):
    mask = ObjectMask(3, 2, np.ones(shape, bool))
    box = np.array([[3.0, 2, 3 + shape[1], 2 + shape[0]]])
    found = Detections(box, np.array([0.9]), np.array([0]), masks=(mask,))
    frame = Frame(SourceFile("a.png", Path("a.png"), output="a"), np.zeros((20, 10, 3), np.uint8))
    write_labels(tmp_path, build_result(frame, found, "segment"), "segment", ("x",))
    [line] = (tmp_path / "a.txt").read_text().splitlines()
    cls, *values = map(float, line.split())
    ring = np.array(values).reshape(-1, 2) * (10, 20)
    assert (cls, len(ring)) == (0, 4)
    np.testing.assert_allclose([*ring.min(axis=0), *ring.max(axis=0)], box[0], atol=1e-3)


@pytest.mark.fault(10, "the name of an image is as long as a disk allows")
@pytest.mark.parametrize("length", [245, 246, 251])
def test_the_files_of_an_image_with_a_long_name_are_written_and_removed(tmp_path, length):
    output = f"x/{'a' * length}"
    result = ImageResult(f"{output}.jpg", f"{output}.jpg", None, output, (64, 64), [])
    write_labels(tmp_path / "labels", result, "detect", ("x",))
    write_picture(tmp_path / "pictures", np.zeros((64, 64, 3), np.uint8), result, "detect", ("x",))
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(path.name for path in written) == [f"{'a' * length}.jpg", f"{'a' * length}.txt"]
    remove_image_files(tmp_path, output)
    assert not any(path.exists() for path in written)


def test_results_of_an_earlier_version_whose_name_is_too_long_are_removed_without_an_error(tmp_path):
    (tmp_path / "labels").mkdir()
    remove_image_files(tmp_path, "a" * 255)


def test_a_video_with_a_long_name_is_written(tmp_path):
    video = write_video(tmp_path / f"{'v' * 251}.mp4", frames=2)
    [file] = list_files([video]).files
    box = {"category_id": 1, "bbox": [1, 2, 10, 20], "score": 0.5}
    results = [ImageResult("a", file.name, number, "a", (64, 64), [box]) for number in (1, 2)]
    path = get_video_path(tmp_path / "out", file)
    render_video(path, file, results, ModelHead("detect", ("x",), {}))
    assert [each.name for each in path.parent.iterdir()] == [path.name]


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
