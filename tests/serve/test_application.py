"""Answers of the application in this process: overload, failures of the model, and a stop."""

from __future__ import annotations

import asyncio
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
import torch
from ultralytics import YOLO

from pipeline.core.errors import UserError
from pipeline.core.model_names import model_name_for_task
from pipeline.serve.application import build_application
from pipeline.serve.inference.model_identity import ModelIdentity
from pipeline.serve.inference.model_thread import ModelToServe
from pipeline.serve.inference.prediction_service import PredictionService
from pipeline.serve.request_check import RequestCheck
from pipeline.serve.uploads.limits import ServeLimits
from pipeline.yolo.inference.loaded_model import LoadedModel
from tests.serve.servers import SETTINGS
from tests.trainings import FOUNDATION

BAD, WORSE = 7, 8
"""Images of this gray make the model fail in these tests."""


def identify(model):
    return ModelIdentity("m", "m", model.task, model.names, "earlier", "1", None, 64, 0.05, 0.7, 300)


@pytest.fixture(scope="module")
def service():
    with pytest.MonkeyPatch.context() as patch:
        predict = LoadedModel.predict

        def fail_on_some(self, images):
            if any((image == BAD).all() for image in images):
                raise RuntimeError("a secret of the model")
            if any((image == WORSE).all() for image in images):
                raise UserError("the memory is not enough")
            return predict(self, images)

        patch.setattr(LoadedModel, "predict", fail_on_some)
        service = PredictionService(ModelToServe(FOUNDATION, SETTINGS, identify))
        yield service
        service.close()


def gray(value, side=64):
    return cv2.imencode(".png", np.full((side, side, 3), value, np.uint8))[1].tobytes()


def post(service, *bodies: bytes, wrap=lambda application: application, **limits):
    """Send several requests at once; return their answers."""

    async def send():
        application = wrap(build_application(service, ServeLimits(**limits)))
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await asyncio.gather(
                *(
                    client.post("/predict", content=body, headers={"Content-Type": "image/png"})
                    for body in bodies
                )
            )

    return asyncio.run(send())


def test_one_request_that_fails_does_not_fail_the_others(service, capsys):
    answers = post(service, *(gray(value) for value in (1, BAD, 2, WORSE, 3)))
    assert [answer.status_code for answer in answers] == [200, 500, 200, 503, 200]
    assert "secret" not in answers[1].text
    assert "secret" in capsys.readouterr().err
    assert "memory" in answers[3].json()["error"]


@pytest.mark.fault(2, "another model takes over while a request is answered")
def test_the_headers_of_an_answer_name_the_model_that_made_it(service):
    later = {"x-model-version": "2", "x-model-run": "later"}
    [answer] = post(service, gray(1), wrap=lambda one: RequestCheck(one, names=(), identify=lambda: later))
    assert answer.json()["model"]["version"] == answer.headers["x-model-version"] == "1"
    assert answer.json()["model"]["run"] == answer.headers["x-model-run"] == "earlier"


def test_a_server_that_is_busy_says_when_to_come_again(service):
    answers = post(service, *[gray(1)] * 6, max_requests=2)
    statuses = [answer.status_code for answer in answers]
    assert statuses.count(200) == 2
    assert statuses.count(503) == 4
    assert {answer.headers.get("retry-after") for answer in answers if answer.status_code == 503} == {"1"}


def test_images_that_need_more_memory_than_there_is_wait_for_each_other(service):
    answers = post(service, *[gray(1)] * 6, max_memory=64 * 64 * 3 * 2)
    assert {answer.status_code for answer in answers} == {200}


def test_an_image_that_needs_more_memory_than_allowed_is_refused(service):
    [answer] = post(service, gray(1), max_memory=64 * 64 * 3 - 1)
    assert answer.status_code == 413


def test_an_image_of_too_many_pixels_is_refused(service):
    [answer] = post(service, gray(1, 100), max_pixels=9999)
    assert answer.status_code == 413


def test_after_the_end_requests_are_told_to_go_elsewhere():
    service = PredictionService(ModelToServe(FOUNDATION, SETTINGS, identify))
    service.close()
    [answer] = post(service, gray(1))
    assert answer.status_code == 503
    assert not service.is_alive


@pytest.mark.parametrize(
    ("task", "key"),
    [
        ("segment", "polygon"),
        pytest.param("obb", "corners", marks=pytest.mark.slow),
        pytest.param("pose", "keypoints", marks=pytest.mark.slow),
        pytest.param("classify", "", marks=pytest.mark.slow),
    ],
)
def test_every_task_is_served(tmp_path, task, key):
    torch.manual_seed(0)
    weights = tmp_path / "best.pt"
    YOLO(model_name_for_task("yolo26n.yaml", task), verbose=False).save(weights)
    settings = {**SETTINGS, "conf": 1e-6, "max_det": 3}
    service = PredictionService(
        ModelToServe(weights, settings, lambda model: identify(model)._replace(conf=1e-6))
    )
    [answer] = post(service, gray(100))
    service.close()
    assert answer.status_code == 200
    [prediction] = answer.json()["predictions"]
    if task == "classify":
        assert len(prediction["classes"]) == 5
    else:
        assert len(np.array(prediction["objects"][0][key]).shape) == 2


def test_weights_that_cannot_be_loaded_are_refused(tmp_path):
    (tmp_path / "best.pt").write_bytes(b"no weights")
    with pytest.raises(UserError):
        PredictionService(ModelToServe(Path(tmp_path / "best.pt"), SETTINGS, identify))
