"""Schema of conf/evaluate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.config.fields import ConfigGroup, Count, CountOrZero, PixelCount, Share


class EvaluateConfig(ConfigGroup):
    """How a model is evaluated on the test split."""

    conf: Share
    iou: Share
    max_det: Count
    batch: Count
    tile: PixelCount | None
    overlap: Annotated[float, Field(gt=0, le=0.8)]
    bootstrap: Literal[0] | Annotated[int, Field(ge=20, le=100_000)]
    worst: CountOrZero
    suspects: CountOrZero
    latency: CountOrZero
    forget: Annotated[str, Field(min_length=1)] | None
    registers: Annotated[bool, Field(alias="register")]
