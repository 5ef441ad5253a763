"""Images that calibrate int8: shaped as a prediction feeds them to the network."""

import cv2
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.yolo.exporting.calibration import CalibrationBatches


@pytest.fixture
def images(tmp_path):
    """A wide image, blue on the left, and two others."""
    wide = np.zeros((32, 64, 3), np.uint8)
    wide[:, :32] = (255, 0, 0)
    files = [tmp_path / f"{place}.png" for place in range(3)]
    for file in files:
        cv2.imwrite(str(file), wide)
    return files


def test_image_is_padded_to_the_size_and_has_its_colours_in_rgb(images):
    (batch,) = [*CalibrationBatches(images[:1], (64, 64))]
    pixels = batch["img"].numpy()
    assert pixels.shape == (1, 3, 64, 64)
    assert pixels.dtype == np.uint8
    assert pixels[0, :, 32, 4].tolist() == [0, 0, 255]
    assert pixels[0, :, 2, 2].tolist() == [114, 114, 114]


@pytest.mark.slow  # imports torchvision
def test_image_of_classify_is_cropped(images):
    (batch,) = [*CalibrationBatches(images[:1], (64, 64), task="classify")]
    pixels = batch["img"].numpy()
    assert pixels.shape == (1, 3, 64, 64)
    assert pixels[0, :, 2, 2].tolist() == [0, 0, 255]


def test_images_that_fill_no_batch_are_left_out(images):
    batches = CalibrationBatches(images, (64, 64), batch=2)
    assert len(batches) == 1
    assert [len(batch["img"]) for batch in batches] == [2]
    assert [len(batch["img"]) for batch in batches] == [2]  # a second pass, as some calibrations make


def test_no_images_are_refused():
    with pytest.raises(UserError, match="val images"):
        CalibrationBatches([], (64, 64))
