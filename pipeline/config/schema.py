"""The schema of params.yaml: a module per conf group, every range checked, no I/O.

Composing (Hydra) and typing (this package) are apart on purpose: a schema inside Hydra's defaults list
breaks DVC's own composition. `parse` is applied to what was composed, before any work starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError, model_validator

from pipeline.config.augment import AugmentConfig
from pipeline.config.compute import ComputeConfig
from pipeline.config.data import DataConfig
from pipeline.config.evaluate import EvaluateConfig
from pipeline.config.fields import ConfigGroup, Seed
from pipeline.config.finetune import OWNED, FinetuneConfig
from pipeline.config.messages import nearest, properties, refusal, schema_of
from pipeline.config.model import ModelConfig
from pipeline.config.tracking import TrackingConfig
from pipeline.core.config_diff import flatten, render
from pipeline.core.errors import UserError


class ConfigError(UserError):
    """Say in one sentence which key is wrong and what it may be."""


class Config(ConfigGroup):
    """One iteration."""

    seed: Seed
    data: DataConfig
    augment: AugmentConfig
    model: ModelConfig
    finetune: FinetuneConfig
    evaluate: EvaluateConfig
    tracking: TrackingConfig
    compute: ComputeConfig

    @model_validator(mode="after")
    def _possible_together(self) -> Config:
        if self.finetune.imgsz % 32:
            raise ValueError(
                f"finetune.imgsz={self.finetune.imgsz} is not allowed: it must be a multiple of 32"
            )
        mixing = [name for name in ("mosaic", "mixup", "cutmix") if getattr(self.augment.online, name)]
        if self.finetune.rect and mixing:
            raise ValueError(
                f"finetune.rect=true switches augment.online.{mixing[0]} off without a word: "
                f"set augment.online.{mixing[0]}=0, or finetune.rect=false"
            )
        if self.finetune.fraction < 1 and self.augment.offline.multiplier > 1:
            raise ValueError(
                f"finetune.fraction={self.finetune.fraction} takes the first images by path, which are the "
                f"copies of augment.offline.multiplier={self.augment.offline.multiplier}: "
                "set augment.offline.multiplier=1, or finetune.fraction=1.0"
            )
        if self.compute.backend == "ray" and self.augment.offline.workers:
            raise ValueError(
                f"augment.offline.workers={self.augment.offline.workers} counts threads of this machine, and "
                "compute.backend=ray uses the cluster's: set augment.offline.workers=0, or compute=local"
            )
        return self


def parse(values: dict[str, Any]) -> Config:
    """Check composed values and give them types.

    Args:
        values: What was composed, as plain dictionaries and lists.

    Raises:
        ConfigError: One sentence that names the key and the allowed values.
    """
    for key, value in flatten(values).items():
        if value == "???":
            raise ConfigError(f"{key} is not given: set it in conf/, or `dvc exp run -S {key}=...` for once")
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_sentence(error)) from None


def _sentence(error: ValidationError) -> str:
    """Name the first problem, unknown keys before missing ones, and count the other keys that have one.

    A union reports a problem for each of its members, all under one key.
    """
    known = properties(Config.model_json_schema())
    problems: dict[str, str] = {}
    for item in sorted(error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden"):
        key, schema = schema_of(".".join(map(str, item["loc"])), known)
        problems.setdefault(key, _problem(key, item, schema, known))
    first, *rest = problems.values()
    return first + (f" (and {len(rest)} more)" if rest else "")


def _problem(key: str, item: Any, schema: Mapping[str, Any] | None, known: Mapping[str, Any]) -> str:
    if item["type"] == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    group, _, name = key.rpartition(".")
    if item["type"] == "extra_forbidden" and group == "finetune" and name in OWNED:
        return f"{key} is this project's own: {OWNED[name]}"
    if item["type"] == "extra_forbidden":
        return f"{key} is no known key{nearest(key, known)}"
    if item["type"] == "missing":
        return f"{key} is missing"
    if schema is None:
        return f"{key}={render(item['input'])} is not allowed: it must be a group of keys"
    return refusal(key, item["input"], schema)
