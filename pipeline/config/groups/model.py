"""Schema of conf/model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.config.fields import ConfigGroup, LearningRate


class StrategyRates(ConfigGroup):
    """The default learning rate of each strategy, to which conf/finetune refers."""

    full: LearningRate
    head: LearningRate
    gradual: LearningRate


class ModelConfig(ConfigGroup):
    """The base weights that fine-tuning starts from.

    Names of Ultralytics' models follow the task of the data: for segment, `yolo26n.pt` means
    `yolo26n-seg.pt`. Paths are used as they are; tensors that do not fit are not transferred.
    """

    name: str
    architecture: Annotated[
        str, Field(pattern=r"^[^\r\n]+\.yaml$", description="a model YAML such as yolo26n.yaml")
    ]
    weights: str
    sha256: (
        Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits in lower case")]
        | None
    )
    folder: str | None
    lr0: StrategyRates
