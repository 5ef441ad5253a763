"""The one door to Ultralytics and torch; the environment is settled before either is imported."""

from pipeline.yolo import environment

environment.settle()
