"""The model without training beside a learning curve: its score, or why it has none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pipeline.comparison.models import zero_shot as asked
from pipeline.core.errors import UserError
from pipeline.sweep.learning_curve import zero_shot
from pipeline.sweep.learning_curve.zero_shot import add_zero_shot
from tests.comparison.stored import NAMES, draw_detections
from tests.sweep.learning_curve.test_curve_page import make_curve


def _config(weights):
    return SimpleNamespace(zero_shot=SimpleNamespace(weights=weights))


@pytest.fixture
def _predictions(monkeypatch, tmp_path):
    """Stored predictions of a training, and of the model on the same images."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    words = dict(zip(NAMES, NAMES, strict=True))
    found = asked.ZeroShotPredictions(
        "yoloe.pt", "c" * 64, words, draw_detections(30, skill=0.4), ("a remark",)
    )
    monkeypatch.setattr(asked, "predict_zero_shot", lambda *_, **__: found)
    monkeypatch.setattr(zero_shot, "fetch_test_predictions", lambda *_: draw_detections(30, skill=0.9))


@pytest.mark.usefixtures("_predictions")
def test_it_is_scored_on_the_test_images_of_the_trainings():
    curve = add_zero_shot(make_curve(), _config("yoloe.pt"), seed=0)
    found = curve.zero_shot
    assert (found.label, found.sha256) == ("yoloe.pt", "c" * 64)
    assert 0 < found.low < found.score < found.high < 1
    assert curve.remarks == (*make_curve().remarks, "a remark")
    assert curve.forecasts == make_curve().forecasts


@pytest.mark.usefixtures("_predictions")
def test_what_is_in_the_way_is_a_remark_and_the_curve_stays(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise UserError("no text encoder")

    monkeypatch.setattr(asked, "predict_zero_shot", refuse)
    curve = add_zero_shot(make_curve(), _config("yoloe.pt"), seed=0)
    assert curve.zero_shot is None
    assert curve.remarks[-1] == "no zero-shot score: no text encoder"
    assert curve.sentence == make_curve().sentence


def test_without_a_model_the_curve_is_the_same():
    assert add_zero_shot(make_curve(), _config(None), seed=0) == make_curve()
