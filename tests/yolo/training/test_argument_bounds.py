"""Ultralytics accepts the ends of every range that the schema of conf/finetune and conf/augment allows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ultralytics.cfg import get_cfg

from pipeline.config.automatic import AUTOMATIC
from pipeline.config.groups.augment import OnlineAugmentation
from pipeline.config.groups.finetune import FinetuneConfig
from pipeline.config.messages import flatten_schema
from pipeline.config.schema import ConfigError, parse_config
from pipeline.finetune.stage import PIPELINE_KEYS
from pipeline.yolo.job import drop_unset_arguments
from tests.config.test_schema import changed

SCHEMAS = {
    name: schema
    for group in (FinetuneConfig, OnlineAugmentation)
    for name, schema in flatten_schema(group.model_json_schema()).items()
    if name.partition(".")[0] not in PIPELINE_KEYS
}
FAR = 1e6
"""Stands for the end of a range that has none."""


def list_ends(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the ends of each range, and each word, that a JSON schema allows."""
    for option in schema.get("anyOf", ()):
        yield from list_ends(option)
    yield from schema.get("enum", [schema["const"]] if "const" in schema else [])
    kind = schema.get("type")
    if kind == "boolean":
        yield from (True, False)
    elif kind == "null":
        yield None
    elif kind == "array":
        count = schema.get("minItems", 1)
        yield from ([end] * count for end in list_ends(schema["items"]))
    elif kind in {"integer", "number"}:
        yield from list_range(schema, int if kind == "integer" else float)


def list_range(schema: Mapping[str, Any], kind: type) -> Iterator[int | float]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        low = math.nextafter(schema["exclusiveMinimum"], math.inf)
    if "exclusiveMaximum" in schema:
        high = math.nextafter(schema["exclusiveMaximum"], -math.inf)
    yield from (kind(-FAR if low is None else low), kind(FAR if high is None else high))


ENDS = [
    pytest.param(name, end, id=f"{name}={end}")
    for name, schema in SCHEMAS.items()
    for end in list_ends(schema)
    if end != AUTOMATIC or name == "optimizer"  # the others are numbers before Ultralytics sees them
]


@pytest.mark.parametrize(("name", "end"), ENDS)
def test_ultralytics_accepts_what_the_schema_allows(name, end):
    get_cfg(overrides=drop_unset_arguments({name: end}))


def test_each_argument_with_a_range_has_two_ends():
    numbers = {param.values[0] for param in ENDS if isinstance(param.values[1], float)}
    assert {"scale", "dlam", "lr0", "box", "perspective", "weight_decay"} <= numbers
    assert [name for name in numbers if sum(param.values[0] == name for param in ENDS) < 2] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"augment.online.scale": 1.5},
        {"augment.online.scale": 20},
        {"augment.online.scale": [0.5]},
        {"augment.online.scale": [0.0, 1.5]},
        {"finetune.dlam": 1.1},
    ],
)
def test_what_ultralytics_refuses_is_refused_before_there_is_a_run(changes):
    [key] = changes
    with pytest.raises(ConfigError, match=rf"{key}=.* is not allowed"):
        parse_config(changed(changes))


def test_a_range_of_sizes_may_begin_and_end_above_1():
    assert parse_config(changed({"augment.online.scale": [0.5, 1.5]})).augment.online.scale == [0.5, 1.5]
