"""Schema of conf/registry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.config.fields import ConfigGroup, Count, Share


class RegistryConfig(ConfigGroup):
    """The registered model of MLflow, and the limits within which a model may replace the champion."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[^/:@%\"'.\s]([^/:@%\"'\n]*[^/:@%\"'\s])?$",
            max_length=200,
            description="a name without / : @ % or quotes, at most 200 characters long",
        ),
    ]
    epsilon: Share
    class_limit: Share
    slice_limit: Share
    min_objects: Count
