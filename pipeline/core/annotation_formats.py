"""The annotation formats that can be read, in their order of precedence."""

from __future__ import annotations

from typing import Final

ANNOTATION_FORMATS: Final = (
    "yolo",
    "coco",
    "voc",
    "cvat",
    "labelme",
    "via",
    "labelstudio",
    "createml",
    "dota",
    "kitti",
    "visdrone",
    "mot",
    "wider",
    "supervisely",
    "vott",
    "datumaro",
    "openimages",
    "tfrecord",
    "kerasyolo",
    "csv",
    "masks",
    "boxes",
    "folders",
)
"""Values of data.format. Each name has a reader, pipeline/source/formats/NAME/reader.py. If several formats
match a source, the first one reads it. docs/how-to/new-format.md explains how to add one."""
