"""Turn a YOLOE model with set classes into an ordinary model of its family, which finds the same objects."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Final

import torch
from torch import nn
from ultralytics.nn.tasks import DetectionModel, SegmentationModel

from pipeline.core.tasks import Task

_MASK_HEADS: Final = {"YOLOESegment": "Segment", "YOLOESegment26": "Segment26"}
"""The ordinary head for masks, by that of YOLOE."""
_MASK_ARGUMENTS: Final = 3
"""Of a head for masks: classes, masks and prototypes; YOLOE's own ones follow."""
_SOURCES: Final = {"cv4": "cv5", "one2one_cv4": "one2one_cv5"}
"""Parts of an ordinary head for masks that YOLOE's head has under another name."""


def build_plain_model(model: Any, names: Sequence[str], task: Task) -> Any:
    """Build an ordinary model from a YOLOE model: same backbone, neck, boxes and masks, fixed classes.

    Args:
        model: The YOLOE model, in evaluation mode, with embeddings of its classes; it is used up.
        names: Class names by index.
        task: detect, or segment where the model has masks.
    """
    head = model.model[-1]
    with torch.no_grad():
        if not head.is_fused:
            head.fuse(nn.functional.normalize(model.pe, dim=-1))  # as its forward pass does
        kind = DetectionModel if task == "detect" else SegmentationModel
        plain = kind(_choose_network(model.yaml, task), nc=len(names), verbose=False).eval()
    target = plain.model[-1]
    parts: list[str] = [name for name, _ in target.named_children()]
    for part in parts:
        setattr(target, part, getattr(head, _SOURCES.get(part, part)))
    plain.model = nn.Sequential(*list(model.model)[:-1], target)
    plain.names = dict(enumerate(names))
    return plain


def _choose_network(yaml: dict[str, Any], task: Task) -> dict[str, Any]:
    """Return the model YAML with an ordinary last layer."""
    network = {key: deepcopy(value) for key, value in yaml.items() if key != "text_model"}
    sources, repeats, kind, arguments = network["head"][-1]
    if task == "detect":
        network["head"][-1] = [sources, repeats, "Detect", arguments[:1]]
    else:
        network["head"][-1] = [sources, repeats, _MASK_HEADS[kind], arguments[:_MASK_ARGUMENTS]]
    return network
