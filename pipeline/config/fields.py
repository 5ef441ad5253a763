"""Field types and the base class of the schema's groups."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
LearningRate = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
PixelCount = Annotated[int, Field(ge=32, le=8192)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class ConfigGroup(BaseModel):
    """A conf group: unknown keys are errors, values are not coerced, and instances are immutable."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        serialize_by_alias=True,
    )
