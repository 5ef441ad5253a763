"""The main metric of a training alone, for each weighting of the test images."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.comparison.align_predictions import align_predictions
from pipeline.comparison.compared_images import build_compared_images
from pipeline.comparison.model_scores import score_main_figure, score_predictions
from pipeline.core.metric_names import get_main_metric
from tests.comparison.stored import draw_classifications, draw_detections


@pytest.mark.parametrize("draw", [draw_detections, draw_classifications])
def test_it_is_that_of_all_figures(draw):
    [found] = align_predictions([draw(20, skill=0.7)], ["a"])
    test = build_compared_images([found], 30, seed=0)
    figures = score_predictions(found, test).figures
    assert np.array_equal(
        score_main_figure(found, test.resamples.weights), figures[get_main_metric(found.task)]
    )
