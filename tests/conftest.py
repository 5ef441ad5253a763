"""Before any test imports Ultralytics: its environment, or it would write to the home folder."""

import logging
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several tests run at a time
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the same everywhere, byte for byte; test_gpu.py says more

import pytest
from hypothesis import HealthCheck, settings

import pipeline.yolo  # noqa: F401

# How long an example takes is the machine's business, which may have other work.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture
def heard(caplog):
    """What Ultralytics' logger says; it does not pass it on."""
    logger = logging.getLogger("ultralytics")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
