"""A JPEG is decoded once, in grey: the verdict must be that of both libraries decoding all its colours."""

import io
import random
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

from pipeline.edges import decoding
from pipeline.edges.decoding import Unusable

SCENE = Image.fromarray(
    cv2.resize(np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8), (128, 96))
)


def turned():
    exif = Image.Exif()
    exif[274] = 6
    return {"exif": exif}


JPEGS = {
    "plain": (SCENE, {}),
    "progressive": (SCENE, {"progressive": True}),
    "restarts": (SCENE, {"restart_marker_blocks": 2}),
    "fine": (SCENE, {"subsampling": 0, "quality": 97}),
    "grey": (SCENE.convert("L"), {}),
    "cmyk": (SCENE.convert("CMYK"), {}),
    "turned": (SCENE, turned()),
    "two": (SCENE, {"format": "MPO", "save_all": True, "append_images": [SCENE]}),
}
DAMAGE = {
    "cut": lambda data, at, _: data[:at],
    "cut, ended": lambda data, at, _: data[:at] + b"\xff\xd9",
    "a byte": lambda data, at, rng: data[:at] + rng.randbytes(1) + data[at + 1 :],
    "left out": lambda data, at, rng: data[:at] + data[at + rng.randrange(1, 200) :],
    "twice": lambda data, at, rng: data[: at + rng.randrange(1, 100)] + data[at:],
    "zeros": lambda data, at, rng: data[:at] + bytes(length := rng.randrange(1, 200)) + data[at + length :],
}


def jpeg(name):
    image, options = JPEGS[name]
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "JPEG", **options})
    return buffer.getvalue()


def size_in_colour(data):
    """The size where both libraries decode the whole of it, None where either does not."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            image.load()
    except Exception:
        return None
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if pixels is None else pixels.shape[:2]


def size_found(data):
    try:
        return decoding.decode(data, ".jpg")[1].shape
    except Unusable:
        return None


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_noticed_as_by_both_libraries_in_colour(name, damage, capfd):
    whole, rng = jpeg(name), random.Random(f"{name} {damage}")
    assert size_found(whole) == size_in_colour(whole) is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(20):
            data = DAMAGE[damage](whole, rng.randrange(len(whole)), rng)
            assert size_found(data) == size_in_colour(data)
    capfd.readouterr()  # libjpeg's remarks


@pytest.mark.parametrize("name", ["plain", "grey", "turned", "progressive"])
def test_the_greys_are_those_of_the_colours(name):
    data = jpeg(name)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    off = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY).astype(int) - decoding.decode(data, ".jpg")[1]
    assert np.abs(off).mean() < 1
