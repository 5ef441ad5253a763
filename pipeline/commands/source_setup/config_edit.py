"""Change single values in conf/ and undo it: comments, order and line ends of the files stay."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.storage.files import write_file
from pipeline.storage.scratch_folder import create_scratch_folder

_QUOTED: Final = r""""(?:\\.|[^"\\])*"|'(?:''|[^'])*'"""
_VALUE: Final = rf"""(?:{_QUOTED}|\[(?:{_QUOTED}|[^\]"'#])*\]|[^#"'\[\s][^#]*?)?"""
"""A YAML value on one line: quoted, a list, or plain."""

LineValue = str | float | None | Sequence[str]
"""A value on one line of a YAML file; whole numbers, true and false count as float."""


class LineChange(NamedTuple):
    """One changed line of a file, without its line end."""

    file: str
    old: str
    new: str


class ConfigKey(NamedTuple):
    """A key with a value on its line.

    Attributes:
        file: The YAML file.
        name: The key.
        in_defaults: Whether it is an item of Hydra's defaults list: `- data: demo`.
    """

    file: Path
    name: str
    in_defaults: bool = False


def plan_change(key: ConfigKey, value: LineValue) -> LineChange:
    """Return the change of the line that holds a key; its comment stays.

    Raises:
        UserError: No line, or more than one, holds the key and a value.
    """
    start = r"[ \t]*-[ \t]+" if key.in_defaults else ""
    pattern = rf"^({start}{re.escape(key.name)}:[ \t]*){_VALUE}([ \t]+#[^\r\n]*|[ \t]*)$"
    text = _read_text(key.file)
    found = [match for line in re.split(r"\r?\n", text) if (match := re.match(pattern, line))]
    if len(found) != 1:
        raise _explain_manual_edit(key, value)
    (match,) = found
    space = "" if match[1].endswith((" ", "\t")) else " "
    change = LineChange(str(key.file), match[0], f"{match[1]}{space}{_to_yaml(value)}{match[2].rstrip()}")
    _require_only_change(key, value, (text, _replace_line(text, change)))
    return change


def apply_changes(changes: Sequence[LineChange]) -> None:
    """Write the changed files, one after the other and each as a whole.

    Raises:
        UserError: A file does not hold the old line exactly once; nothing is written then.
    """
    texts: dict[str, str] = {}
    for change in changes:
        texts[change.file] = _replace_line(texts.get(change.file) or _read_text(Path(change.file)), change)
    for file, text in texts.items():
        write_file(Path(file), text)


def revert_changes(changes: Sequence[LineChange]) -> list[LineChange]:
    """Restore the old lines; return what was done.

    Raises:
        UserError: A line was changed since; nothing is written then.
    """
    reverted = [LineChange(change.file, change.new, change.old) for change in reversed(changes)]
    apply_changes(reverted)
    return reverted


def remember_changes(changes: Sequence[LineChange]) -> None:
    """Add changes to those that can be undone."""
    write_file(_history_file(), json.dumps([*_read_history(), changes], allow_nan=False))


def recall_changes() -> list[LineChange]:
    """Return the last changes that were not undone yet; empty if there are none."""
    history = _read_history()
    return history[-1] if history else []


def plan_resets(file: Path, but: Collection[str]) -> list[LineChange]:
    """Return the changes that restore the lines of a file from before all remembered changes.

    Lines that were edited since are left alone.

    Args:
        file: The file.
        but: The keys whose lines are not restored.
    """
    lines: dict[str, tuple[str, str]] = {}
    for change in (each for changes in _read_history() for each in changes):
        key = change.old.partition(":")[0].strip()
        if change.file == str(file) and key not in but:
            lines[key] = lines.get(key, (change.old, ""))[0], change.new
    present = re.split(r"\r?\n", _read_text(file)) if lines else []
    return [LineChange(str(file), new, old) for old, new in lines.values() if new != old and new in present]


def forget_changes() -> None:
    """Remove the last changes from those that can be undone."""
    write_file(_history_file(), json.dumps(_read_history()[:-1], allow_nan=False))


def _history_file() -> Path:
    return create_scratch_folder() / "use.json"


def _read_history() -> list[list[LineChange]]:
    try:
        raw = json.loads(_history_file().read_text("utf-8"))
        return [[LineChange(*map(str, change)) for change in changes] for changes in raw]
    except (OSError, ValueError, TypeError):
        return []


def _read_text(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error}): restore it with `git checkout {file}`") from None


def _replace_line(text: str, change: LineChange) -> str:
    """Replace the only line with this content."""
    lines = re.split(r"(?<=\n)", text)
    found = [number for number, line in enumerate(lines) if line.rstrip("\r\n") == change.old]
    if len(found) != 1:
        raise UserError(
            f"{change.file} was changed since: it has no line {change.old.strip()!r}; edit it by hand"
        )
    (number,) = found
    lines[number] = change.new + lines[number][len(change.old) :]
    return "".join(lines)


def _to_yaml(value: LineValue) -> str:
    import yaml

    if isinstance(value, float):
        return _float_to_yaml(value)
    if value is None or isinstance(value, int):  # true and false are such, too
        return json.dumps(value, allow_nan=False)
    if isinstance(value, str) and re.fullmatch(r"[a-z_]+", value) and yaml.safe_load(value) == value:
        return value
    plain = value if isinstance(value, str) else [*value]
    return yaml.safe_dump(
        plain, default_style='"', default_flow_style=True, allow_unicode=True, width=float("inf")
    ).strip()


def _float_to_yaml(value: float) -> str:
    """Write a number so that YAML 1.1 reads it as one: 1e-05 without a point is text to it."""
    import yaml

    return yaml.safe_dump(value).partition("\n")[0]


def _require_only_change(key: ConfigKey, value: LineValue, texts: tuple[str, str]) -> None:
    """Check that YAML reads the new text as the old one with this value."""
    import yaml

    try:
        before, after = map(yaml.safe_load, texts)
    except yaml.YAMLError:
        raise _explain_manual_edit(key, value) from None
    if _set_value(before, key, value) != after:
        raise _explain_manual_edit(key, value)


def _set_value(values: Any, key: ConfigKey, value: LineValue) -> Any:
    plain = value if value is None or isinstance(value, str | int | float) else list(value)
    if not key.in_defaults:
        return {**values, key.name: plain}
    items = [{key.name: plain} if _is_item(item, key) else item for item in values["defaults"]]
    return {**values, "defaults": items}


def _is_item(item: object, key: ConfigKey) -> bool:
    return isinstance(item, Mapping) and list(item) == [key.name]


def _explain_manual_edit(key: ConfigKey, value: LineValue) -> UserError:
    item = f"{'- ' * key.in_defaults}{key.name}: {_to_yaml(value)}"
    return UserError(
        f"{key.file} has no single line with a value of `{key.name}:`: write `{item}` there by hand"
    )
