"""Before any test imports Ultralytics: its environment, or it would write to the home folder."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several tests run at a time

from hypothesis import HealthCheck, settings

import pipeline.edges.yolo  # noqa: F401

# How long an example takes is the machine's business, which may have other work.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
