"""Brightness and sharpness of an image."""

import cv2
import numpy as np
import pytest

from pipeline.prepare.images.appearance import measure_appearance


@pytest.mark.parametrize(("shade", "brightness"), [(0, 0.0), (128, 0.502), (255, 1.0)])
def test_uniform_image_has_its_brightness_and_no_sharpness(shade, brightness):
    image = np.full((90, 120, 3), shade, np.uint8)
    found = measure_appearance(image)
    assert found.brightness == pytest.approx(brightness, abs=1e-3)
    assert found.sharpness == 0


def test_blurred_image_is_less_sharp_at_any_size():
    noise = np.random.default_rng(0).integers(0, 255, (100, 100, 3), np.uint8)
    for factor in (1, 12):
        image = cv2.resize(noise, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
        blurred = cv2.GaussianBlur(image, (0, 0), 3 * factor)
        assert measure_appearance(blurred).sharpness < measure_appearance(image).sharpness / 10
