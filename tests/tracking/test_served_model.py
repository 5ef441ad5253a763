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
def test_text_that_is_not_an_image_gets_the_same_error_whether_the_file_exists_or_not(item):
    with pytest.raises(ValueError, match="is not an image that can be read"):
        served_model._decode_image(item)


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
