"""Before any test imports Ultralytics: its environment, or it would write to the home folder."""

import pipeline.edges.yolo  # noqa: F401
