"""The words of a sweep's command: `sweep.KEY=VALUE` for its settings, and the axes of a prepared sweep."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from pipeline.config.messages import describe_wrong_value, suggest_key
from pipeline.config.override_text import quote_override_text
from pipeline.core.errors import UserError
from pipeline.sweep.settings import SweepSettings

HYDRA_KEY: Final = "hydra.sweeper."
_SETTING: Final = re.compile(
    r"(?P<prefix>[+~]*)(?:sweep|hydra\.sweeper)\.(?P<key>[^=]*)(?P<value>=.*)?", re.DOTALL
)
_PLUGIN: Final = re.compile(r"[+~]*hydra/(?P<kind>sweeper|launcher)(=|$)")
_LISTS: Final = ("objectives", "constraints")
_TEXTS: Final = ("name", "storage", "host", "git_remote", "dvc_remote")
_MAPPINGS: Final = ("slurm.", "ray.")
_PLAIN_TEXT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def translate_sweep_words(words: Sequence[str]) -> list[str]:
    """Replace each `sweep.KEY=VALUE` by Hydra's `hydra.sweeper.KEY=VALUE`; other words stay.

    Lists need no brackets (`sweep.objectives=mAP50-95,milliseconds`), texts and lists no quotes.

    Raises:
        UserError: There is no such setting, it has no value, or another sweeper or launcher is chosen.
    """
    return [_translate_word(word) for word in words]


def _translate_word(word: str) -> str:
    plugin, setting = _PLUGIN.match(word), _SETTING.fullmatch(word)
    if plugin:
        raise UserError(
            f"the command: {word} chooses a {plugin['kind']}, and sweeps run with this "
            "project's own: leave it out; sweep.launcher says where jobs run, sweep.jobs how many at once"
        )
    if not setting or setting["key"].partition(".")[0] == "params":
        return word
    key, value = setting["key"], (setting["value"] or "")[1:].strip()
    _require_setting(key, word)
    if not value or "~" in setting["prefix"]:
        raise UserError(f"the command: {word} needs a value: write sweep.{key}=VALUE")
    added = "++" if key.startswith(_MAPPINGS) else ""  # Hydra adds keys to a mapping only so
    return f"{added}{HYDRA_KEY}{key}={_quote_value(key, value)}"


def _require_setting(key: str, word: str) -> None:
    known = [f"sweep.{name}" for name in SweepSettings.model_fields]
    if f"sweep.{key}" not in known and not key.startswith(_MAPPINGS):
        raise UserError(
            f"the command: {word.partition('=')[0]} is no setting of a sweep"
            f"{suggest_key(f'sweep.{key}', known) or ': it has ' + ', '.join(known)}"
        )


def _quote_value(key: str, value: str) -> str:
    """Return a value of a setting in Hydra's grammar, without its own quotes where it is a list or a text."""
    if key in _LISTS:
        value = value[1:-1] if value.startswith("[") and value.endswith("]") else value
        items = [] if value == "null" else [_strip_quotes(item.strip()) for item in value.split(",")]
        return f"[{','.join(map(quote_override_text, filter(None, items)))}]"
    if key in _TEXTS and value != "null":
        return _quote_always(_strip_quotes(value))
    return value


def _strip_quotes(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if quoted else text


def _quote_always(text: str) -> str:
    """Quote a text also where Hydra needs no quotes: `7` is a name, too."""
    quoted = quote_override_text(text)
    return quoted if quoted.startswith('"') else f'"{quoted}"'


def parse_settings(values: Mapping[str, Any]) -> SweepSettings:
    """Check the settings of a sweep.

    Args:
        values: By key, as Hydra composed them.

    Raises:
        UserError: Names the first wrong one, and what is allowed.
    """
    lists = {key: tuple(value) for key, value in values.items() if key in _LISTS and isinstance(value, list)}
    try:
        return SweepSettings.model_validate({**values, **lists}, strict=True)
    except ValidationError as error:
        raise UserError(_describe_problem(error)) from None


def _describe_problem(error: ValidationError) -> str:
    """Describe the first wrong setting; unknown ones come first."""
    problems = sorted(error.errors(include_url=False), key=lambda item: item["type"] != "extra_forbidden")
    key = str(problems[0]["loc"][0])
    properties = SweepSettings.model_json_schema()["properties"]
    if key not in properties:
        known = [f"sweep.{name}" for name in properties]
        return f"sweep.{key} is no setting of a sweep{suggest_key(f'sweep.{key}', known)}"
    schema = {name: value for name, value in properties[key].items() if name != "description"}
    value = problems[0]["input"]
    if key in _LISTS:
        return describe_wrong_value(f"sweep.{key}", value, {"description": "a list of texts"})
    return describe_wrong_value(f"sweep.{key}", value, schema)


def list_chosen_words(params: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """Return the overrides of a prepared sweep that the command does not replace, then those of the command.

    Args:
        params: `hydra.sweeper.params`: values as Hydra's sweepers take them, or lists of choices.
        words: The overrides of the command.

    Raises:
        UserError: A value is a mapping, or there are no keys.
    """
    if not isinstance(params, Mapping):
        raise UserError("hydra.sweeper.params must be a mapping of keys to values, such as {seed: '1,2'}")
    typed = {_read_key(word) for word in words}
    chosen = [
        f"{key}={_write_axis(key, value)}" for key, value in params.items() if _read_key(key) not in typed
    ]
    return [*chosen, *words]


def _read_key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _write_axis(key: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        return ",".join(map(_write_value, value))
    if isinstance(value, (dict, list)):
        raise UserError(f"hydra.sweeper.params: {key} needs values such as 'a,b' or [a, b]")
    return _write_value(value)


def _write_value(value: Any) -> str:
    """Write a YAML value in Hydra's grammar."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_write_value, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_write_value(name)}:{_write_value(item)}' for name, item in value.items())}}}"
    if isinstance(value, str):
        is_plain = _PLAIN_TEXT.fullmatch(value) and value.lower() not in {
            "null",
            "true",
            "false",
            "nan",
            "inf",
        }
        return value if is_plain else quote_override_text(value)
    return repr(value)
