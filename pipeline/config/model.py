"""Schema of conf/model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.config.fields import ConfigGroup, LearningRate


class StrategyRates(ConfigGroup):
    """The learning rate of each strategy, to which conf/finetune refers where it gives none of its own."""

    full: LearningRate
    head: LearningRate
    gradual: LearningRate


class ModelConfig(ConfigGroup):
    """Which base weights a fine-tuning starts from.

    Ultralytics' own names of architecture and weights follow the task of the data: `yolo26n.pt` stands for
    `yolo26n-seg.pt` where that is segment. Paths are taken as they are, and give what fits.
    """

    name: str
    architecture: Annotated[
        str, Field(pattern=r"^[\w./-]+\.yaml$", description="a model YAML such as yolo26n.yaml")
    ]
    weights: str
    sha256: (
        Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits in lower case")]
        | None
    )
    folder: str | None
    lr0: StrategyRates
