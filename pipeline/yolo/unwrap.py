"""Unwrap the model that Ultralytics trains."""

from __future__ import annotations

from typing import Any

import torch
from ultralytics.utils.torch_utils import unwrap_model


def unwrap_student(model: torch.nn.Module) -> Any:
    """Return the network that is trained, without the wrappers of compile and distillation."""
    inner = unwrap_model(model)
    return getattr(inner, "student_model", inner)
