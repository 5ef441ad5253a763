"""Simulate a camera: uneven light, blur, exposure, noise and JPEG compression."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from pipeline.core.arrays import Float32Array, ImageArray
from pipeline.source.synthetic.textures import draw_gradient_texture


def _vary_light(rng: Generator, image: Float32Array) -> Float32Array:
    """Make the light uneven: brighter on one side, or darker towards the corners."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        field = draw_gradient_texture(rng, height, width)
    else:
        x = np.linspace(-1, 1, width, dtype=np.float32)[None] - np.float32(rng.uniform(-0.4, 0.4))
        y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] - np.float32(rng.uniform(-0.4, 0.4))
        field = np.float32(0.3) - (x * x + y * y)
    return image * (np.float32(0.93) + np.float32(rng.uniform(0.05, 0.35)) * field)[..., None]


def _blur(rng: Generator, image: Float32Array) -> Float32Array:
    """Reduce sharpness: defocus, motion blur or low resolution."""
    how = rng.random()
    if how < 0.5:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6)), np.float32)
    if how < 0.7:
        size = int(rng.integers(3, 7))
        return np.asarray(cv2.blur(image, (size, 1) if rng.random() < 0.5 else (1, size)), np.float32)
    height, width = image.shape[:2]
    part = rng.uniform(0.45, 0.9)
    small = cv2.resize(image, None, fx=part, fy=part, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _change_exposure(rng: Generator, image: Float32Array) -> Float32Array:
    """Change contrast and brightness about the mean, and sometimes convert to gray."""
    mean = float(image.mean())
    image = (image - mean) * np.float32(rng.uniform(0.7, 1.3)) + np.float32(mean + rng.uniform(-20, 20))
    if rng.random() < 0.15:
        image = np.repeat(image.mean(2, keepdims=True), 3, 2)
    return image


def _add_noise(rng: Generator, image: Float32Array) -> Float32Array:
    """Add sensor noise, the same in all channels or not."""
    height, width = image.shape[:2]
    channels = 1 if rng.random() < 0.5 else 3
    noise = rng.standard_normal((height, width, channels), np.float32)
    return image + noise * np.float32(rng.uniform(1, 11))


def _compress(rng: Generator, image: ImageArray) -> ImageArray:
    """Encode as JPEG and decode again."""
    quality = int(rng.integers(30, 95))
    _, stored = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), np.uint8)


def simulate_camera(rng: Generator, scene: Float32Array) -> ImageArray:
    """Return the scene as a camera image, 0 to 255; nothing is moved, so labels stay valid."""
    steps = ((0.6, _vary_light), (0.4, _blur), (0.7, _change_exposure), (0.65, _add_noise))
    for chance, step in steps:
        if rng.random() < chance:
            scene = step(rng, scene)
    image = np.clip(scene, 0, 255).astype(np.uint8)
    return _compress(rng, image) if rng.random() < 0.5 else image
