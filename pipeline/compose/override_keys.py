"""Check the keys of Hydra overrides against the schema, and read their values.

Hydra itself would advise to add an unknown key with `+`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pipeline.compose.stage import CONF
from pipeline.config.messages import JsonSchema, find_key_schema, flatten_schema, suggest_key
from pipeline.core.errors import UserError


def require_known_key(key: str) -> None:
    """Require that an override names a key, a group of keys, or a group of conf/.

    Args:
        key: Without its value, and without + or ~.

    Raises:
        UserError: There is no such key; it names the nearest one.
    """
    known = _list_keys()
    groups = {name[:end] for name in known for end in range(len(name)) if name[end] == "."}
    is_hydra = key.partition(".")[0].partition("/")[0] == "hydra"
    if is_hydra or key in groups or (CONF / key).is_dir():
        return
    if find_key_schema(key, known)[1] is None:
        raise UserError(f"the command: {key} is not a known key{suggest_key(key, known)}")


def takes_only_integers(key: str) -> bool:
    """Tell whether all numbers that a key allows are integers; False for one that is not in the schema."""
    schema = find_key_schema(key, _list_keys())[1]
    options = schema.get("anyOf", [schema]) if schema else []
    kinds = {option.get("type") for option in options}
    return "integer" in kinds and "number" not in kinds


@cache
def _list_keys() -> dict[str, JsonSchema]:
    from pipeline.config.schema import Config

    return flatten_schema(Config.model_json_schema())


def parse_override_value(override: str) -> Any:
    """Return the value of an override as Hydra reads it.

    Raises:
        UserError: It is no override in Hydra's grammar.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(override).value()
    except HydraException as error:
        raise UserError(f"the command: {' '.join(str(error).split())}") from None
