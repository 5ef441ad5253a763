"""Schema of conf/zero_shot."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.config.fields import ConfigGroup


class ZeroShotConfig(ConfigGroup):
    """A model that finds classes by words, without training, to compare trained models with.

    `prompts` maps names of classes to the words that the model is asked for; other classes are asked for by
    their names.
    """

    weights: str | None
    prompts: dict[str, Annotated[str, Field(min_length=1)]]
    text_encoder: str | None
