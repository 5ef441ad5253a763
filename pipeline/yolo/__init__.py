"""The only package that imports Ultralytics and torch. Sets their environment before they are imported."""

from pipeline.yolo.ultralytics_environment import set_up_environment

set_up_environment()
