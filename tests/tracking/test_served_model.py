"""The inputs that the served model accepts, and the files that it does not open."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pandas
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # MLflow on type hints: the signature is given when logging
    from pipeline.tracking import served_model
    from pipeline.tracking.served_model import SERVER_MODULE

PIXELS = np.full((20, 30, 3), (10, 90, 200), np.uint8)
PNG = cv2.imencode(".png", PIXELS)[1].tobytes()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("part.png", "secret", "abcd.jpg"):
        Path(name).write_bytes(PNG)
    return tmp_path


@pytest.mark.parametrize(
    "item",
    [
        "part.png",
        "abcd.jpg",
        Path("secret"),
        PNG,
        base64.b64encode(PNG).decode(),
        base64.encodebytes(PNG).decode(),
        f"data:image/png;base64,{base64.b64encode(PNG).decode()}",
        PIXELS[..., ::-1],
    ],
    ids=lambda item: str(item)[:20],
)
@pytest.mark.usefixtures("folder")
def test_each_form_of_an_image_is_decoded(item):
    assert (served_model._decode_image(item) == PIXELS).all()


@pytest.mark.parametrize("length", [40, 300, 4000, 5000])
@pytest.mark.usefixtures("folder")
def test_base64_text_of_any_length_is_never_a_file_name(length):
    with pytest.raises(ValueError, match="is not an image that can be read"):
        served_model._decode_image("A" * length)


@pytest.mark.parametrize("item", ["secret", "nowhere.png", "../" * 2000 + "x.png", "a\0b.png", "", "é", "{}"])
@pytest.mark.usefixtures("folder")
@pytest.mark.fault(1, "a client asks which files exist")
def test_text_that_is_not_an_image_gets_the_same_error_whether_the_file_exists_or_not(item):
    with pytest.raises(ValueError, match="is not an image that can be read"):
        served_model._decode_image(item)


@pytest.mark.fault(1, "a client sends a path to the served model")
def test_a_server_does_not_open_a_path_from_a_client(folder):
    """MLflow's server imports its app, and with it the model, in a process of its own."""
    code = """
import sys, types
from pipeline.tracking import served_model
assert served_model._decode_image("part.png").shape == (20, 30, 3)
sys.modules[served_model.SERVER_MODULE] = types.ModuleType("app")
try:
    served_model._decode_image("part.png")
except ValueError as error:
    print(error)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    assert "'part.png' is not an image that can be read" in done.stdout


def test_the_server_module_exists_in_mlflow():
    from importlib.util import find_spec

    assert find_spec(SERVER_MODULE)


GREY = np.arange(600, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
NOISE = np.random.default_rng(1).integers(0, 256, (20, 30, 4), np.uint8)


@pytest.mark.parametrize(
    ("item", "decoded"),
    [
        pytest.param(GREY, np.dstack([GREY] * 3), id="grey"),
        pytest.param(GREY[..., None], np.dstack([GREY] * 3), id="grey with a channel"),
        pytest.param(NOISE[..., :3], NOISE[..., 2::-1], id="RGB"),
        pytest.param(NOISE, NOISE[..., 2::-1], id="RGBA"),
        pytest.param(NOISE[..., :3].tolist(), NOISE[..., 2::-1], id="lists"),
        pytest.param(np.asfortranarray(NOISE[::-1, ::2, :3]), NOISE[::-1, ::2, 2::-1], id="a view"),
    ],
)
@pytest.mark.fault(10, "arrays of other forms for the served model")
def test_an_array_is_read_as_its_form_says(item, decoded):
    pixels = served_model._decode_image(item)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, decoded)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_array_equals_the_file_of_the_same_pixels(channels):
    """OpenCV reads files as Ultralytics does: grey is repeated, alpha is dropped."""
    pixels = NOISE[..., :channels]
    written = pixels if channels == 1 else pixels[..., [2, 1, 0, 3][:channels]]
    file = cv2.imencode(".png", written)[1].tobytes()
    np.testing.assert_array_equal(served_model._decode_image(pixels), served_model._decode_image(file))


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(NOISE[..., :3] / 255, id="floats to 1"),
        pytest.param(NOISE[..., :3].astype(np.float32), id="floats to 255"),
        pytest.param((NOISE[..., :3] / 255).tolist(), id="lists of floats"),
        pytest.param(NOISE[..., :3].transpose(2, 0, 1), id="channels first"),
        pytest.param(NOISE[..., :2], id="grey and alpha"),
        pytest.param(NOISE[..., :3].astype(np.uint16), id="16 bits"),
        pytest.param(
            cv2.imencode(".png", NOISE[..., :3].astype(np.uint16))[1].tobytes(), id="a file of 8 bits in 16"
        ),
        pytest.param(
            cv2.imencode(".tif", NOISE[..., 0].astype(np.int16) - 100)[1].tobytes(), id="a signed TIFF"
        ),
        pytest.param(NOISE[..., :3].astype(np.int64) * 2, id="64 bits"),
        pytest.param((NOISE[..., :3].astype(int) * 2).tolist(), id="lists up to 510"),
        pytest.param((NOISE[..., :3].astype(int) - 1).tolist(), id="lists from -1"),
        pytest.param(NOISE[..., :3] > 100, id="booleans"),
        pytest.param(NOISE[:0, :, :3], id="no rows"),
        pytest.param(NOISE[None], id="a batch as one image"),
        pytest.param([[1, 2], [3]], id="ragged lists"),
        pytest.param([], id="an empty list"),
        pytest.param(NOISE[0, :, :3], id="a row of an image"),
        pytest.param(NOISE[0, :, :3].tolist(), id="a row of an image in lists"),
        pytest.param(GREY.tolist(), id="lists without channels"),
        pytest.param(5, id="a number"),
        pytest.param(None, id="nothing"),
        pytest.param({"image": "part.png"}, id="a mapping"),
    ],
)
@pytest.mark.fault(10, "arrays of other forms for the served model")
def test_any_other_form_is_refused_with_what_is_accepted(item):
    with pytest.raises(ValueError, match=r"give base64 text, .* or an array of uint8: height x width"):
        served_model._decode_image(item)


def test_the_input_is_one_image_or_a_list_of_them():
    listed = served_model._list_images
    assert len(listed(GREY)) == len(listed(NOISE)) == len(listed("part.png")) == 1
    assert len(listed(np.stack([NOISE, NOISE]))) == len(listed([GREY, "part.png"])) == 2
    assert [*listed(pandas.DataFrame({"image": ["a.png", "b.png"]}))] == ["a.png", "b.png"]
    for other in (5, None, {"a": 1}, pandas.DataFrame({"a": ["a.png"], "b": ["b.png"]})):
        with pytest.raises(ValueError, match=r"no list of images"):
            listed(other)
