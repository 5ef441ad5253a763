"""Before any test imports Ultralytics: its environment, or it would write to the home folder."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several tests run at a time

import pipeline.edges.yolo  # noqa: F401
