"""The one door to Ultralytics and torch; the environment is settled before either is imported."""

from pipeline.edges.yolo import environment

environment.settle()
