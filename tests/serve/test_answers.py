"""Predictions as JSON: what each task adds, rounded, and never a number that is none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.core.detections import Detections
from pipeline.core.geometry.masks import ObjectMask
from pipeline.serve.answers import format_prediction
from pipeline.serve.inference.model_identity import ModelIdentity
from pipeline.serve.uploads.parse_upload import PredictOptions

FOUND = Detections(np.array([[1.0, 2, 3.126, 4]] * 60), np.linspace(1, 0.41, 60), np.zeros(60, np.int64))


def answer(prediction, task="detect", **options):
    model = ModelIdentity("champion", "owl", task, ("a", "b", "c"), "run", "3", "s", 64, 0.25, 0.7, 300)
    made = format_prediction(prediction, (48, 64), model, PredictOptions(**options))
    json.dumps(made, allow_nan=False)
    return made


def test_an_object_has_class_name_score_and_box():
    made = answer(FOUND)
    assert (made["width"], made["height"], len(made["objects"])) == (64, 48, 60)
    assert made["objects"][0] == {"class": 0, "name": "a", "score": 1.0, "box": [1, 2, 3.13, 4]}


def test_only_scores_from_the_threshold_are_answered():
    assert len(answer(FOUND, conf=0.7)["objects"]) == (FOUND.scores >= 0.7).sum()


def test_every_object_of_segment_has_a_polygon():
    masks = tuple(ObjectMask(5, 6, np.ones((8, 9), bool)) for _ in range(60))
    made = answer(FOUND._replace(masks=masks, outlines=()), "segment")
    for found in made["objects"]:
        polygon = np.array(found["polygon"])
        np.testing.assert_allclose([polygon.min(0), polygon.max(0)], [[5, 6], [14, 14]])


def test_obb_has_corners_and_pose_has_keypoints():
    corners = tuple(np.arange(8.0).reshape(4, 2) for _ in range(60))
    assert answer(FOUND._replace(outlines=corners), "obb")["objects"][59]["corners"][3] == [6, 7]
    points = np.ones((60, 5, 3))
    assert answer(FOUND._replace(keypoints=points), "pose")["objects"][59]["keypoints"] == [[1, 1, 1]] * 5


def test_classify_answers_the_most_probable_classes():
    made = answer(np.array([0.2, 0.5, 0.3]), "classify", top=2)
    assert [(found["name"], found["probability"]) for found in made["classes"]] == [("b", 0.5), ("c", 0.3)]


def test_what_is_no_number_is_never_answered():
    with pytest.raises(ValueError, match="not numbers"):
        answer(np.array([np.nan, 0.5, 0.3]), "classify")
    with pytest.raises(ValueError, match="not numbers"):
        answer(FOUND._replace(boxes=FOUND.boxes * np.inf))
