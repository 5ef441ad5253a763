"""The schema of params.yaml: one module per conf group, all ranges checked, no I/O.

The schema is not registered in Hydra, since one in Hydra's defaults list breaks DVC's own composition.
`parse_config` checks the composed values before any work starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pydantic import ValidationError, model_validator

from pipeline.config.automatic import AUTOMATIC
from pipeline.config.fields import ConfigGroup, Seed
from pipeline.config.groups.augment import AugmentConfig
from pipeline.config.groups.compute import ComputeConfig
from pipeline.config.groups.data import DataConfig
from pipeline.config.groups.evaluate import EvaluateConfig
from pipeline.config.groups.export import ExportConfig
from pipeline.config.groups.finetune import RESERVED_ARGUMENTS, FinetuneConfig
from pipeline.config.groups.model import ModelConfig
from pipeline.config.groups.registry import RegistryConfig
from pipeline.config.groups.tracking import TrackingConfig
from pipeline.config.groups.zero_shot import ZeroShotConfig
from pipeline.config.messages import (
    JsonSchema,
    describe_wrong_value,
    find_key_schema,
    flatten_schema,
    suggest_key,
)
from pipeline.core.config_diff import flatten_config, format_yaml_value
from pipeline.core.errors import UserError

PREPARED_SWEEP_KEY: Final = "prepared_sweep"
"""Set by the files of conf/sweep, with their name: only a sweep reads what else they hold."""


class ConfigError(UserError):
    """A key is wrong; the sentence names it and the allowed values."""


class Config(ConfigGroup):
    """The configuration of one run."""

    seed: Seed
    data: DataConfig
    augment: AugmentConfig
    model: ModelConfig
    finetune: FinetuneConfig
    evaluate: EvaluateConfig
    tracking: TrackingConfig
    compute: ComputeConfig
    registry: RegistryConfig
    export: ExportConfig
    zero_shot: ZeroShotConfig

    @model_validator(mode="after")
    def _check_groups_together(self) -> Config:
        imgsz = self.finetune.imgsz
        if imgsz != AUTOMATIC and imgsz % 32:
            raise ValueError(f"finetune.imgsz={imgsz} is not allowed: it must be a multiple of 32, or auto")
        mixing = [name for name in ("mosaic", "mixup", "cutmix") if getattr(self.augment.online, name)]
        if self.finetune.rect and mixing:
            raise ValueError(
                f"finetune.rect=true switches augment.online.{mixing[0]} off silently: "
                f"set augment.online.{mixing[0]}=0, or finetune.rect=false"
            )
        if self.compute.backend == "ray" and self.augment.offline.workers:
            raise ValueError(
                f"augment.offline.workers={self.augment.offline.workers} counts threads of this machine, and "
                "compute.backend=ray uses the cluster's: set augment.offline.workers=0, or compute=local"
            )
        return self


def parse_config(values: dict[str, Any]) -> Config:
    """Validate composed values and convert them to a typed configuration.

    Args:
        values: The composed configuration, as plain dictionaries and lists.

    Raises:
        ConfigError: A value is missing or wrong, or it is the search space of a sweep.
    """
    if PREPARED_SWEEP_KEY in values:
        space = f"+sweep={values[PREPARED_SWEEP_KEY]}"
        raise ConfigError(
            f"{space} is a search space, and this would train once: run `finetrack sweep {space}`"
        )
    for key, value in flatten_config(values).items():
        if value == "???":
            raise ConfigError(
                f"{key} is not given: set it in conf/, or `dvc exp run -S {key}=...` for one run"
            )
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_describe_first_problem(error)) from None


def _describe_first_problem(error: ValidationError) -> str:
    """Describe the first wrong key, unknown keys before others, and count the other wrong keys.

    A union reports a problem for each of its members, all of the same key.
    """
    known = _list_key_schemas()
    problems: dict[str, str] = {}
    for item in sorted(error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden"):
        key, schema = find_key_schema(".".join(map(str, item["loc"])), known)
        problems.setdefault(key, _describe_problem(key, item, schema, known))
    first, *rest = problems.values()
    return first + (f" (and {len(rest)} more)" if rest else "")


@cache
def _list_key_schemas() -> dict[str, JsonSchema]:
    return flatten_schema(Config.model_json_schema())


def _describe_problem(key: str, item: Any, schema: Mapping[str, Any] | None, known: Mapping[str, Any]) -> str:
    if item["type"] == "value_error":
        return str(item["msg"]).removeprefix("Value error, ")
    group, _, name = key.rpartition(".")
    if item["type"] == "extra_forbidden" and group == "finetune" and name in RESERVED_ARGUMENTS:
        return f"{key} is set by the pipeline: {RESERVED_ARGUMENTS[name]}"
    if item["type"] == "extra_forbidden":
        return f"{key} is not a known key{suggest_key(key, known)}"
    if item["type"] == "missing":
        return f"{key} is missing"
    if schema is None:
        return f"{key}={format_yaml_value(item['input'])} is not allowed: it must be a group of keys"
    return describe_wrong_value(key, item["input"], schema)
