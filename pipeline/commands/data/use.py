"""Use a source for all runs: set it in conf/ after the checks of inspect (`finetrack use`)."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml

from pipeline.commands.command_line.override_quoting import find_unusable_text, quote_override
from pipeline.commands.command_line.override_words import SETTABLE_KEYS, parse_key
from pipeline.commands.data.inspect import inspect_source
from pipeline.commands.source_setup.config_edit import (
    ConfigKey,
    LineChange,
    LineValue,
    apply_changes,
    forget_changes,
    plan_change,
    plan_resets,
    recall_changes,
    remember_changes,
    revert_changes,
)
from pipeline.commands.source_setup.source_config import compose_source_config
from pipeline.commands.source_setup.source_overview import REPORT_HINT, SourceOverview
from pipeline.compose.input_fingerprints import DRAWN_FORMATS
from pipeline.compose.override_keys import require_known_key
from pipeline.compose.stage import CONF, compose_conf, plan_config
from pipeline.core.config_diff import format_yaml_value
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.finetune.automatic.image_size import CLASSIFY_SIZE, USUAL_SIZE
from pipeline.prepare.report.warning_lines import format_warning_lines

GROUP: Final = ConfigKey(CONF / "config.yaml", "data", in_defaults=True)
AUTO_FILE: Final = CONF / "data/auto.yaml"
SOURCE: Final = ConfigKey(AUTO_FILE, "source")


def run_command(arguments: Namespace) -> Iterator[str]:
    """Yield the lines to print.

    Args:
        arguments: `path`, absolute ones; `typed`, the same as typed; `overrides`; `format`; `undo`.

    Raises:
        UserError: prepare would stop at this source, or conf/ cannot be changed.
    """
    if arguments.undo and (arguments.path or arguments.overrides):
        raise UserError("give either --undo or a path")
    if arguments.undo:
        lines = undo_last_use()
    elif not arguments.path:
        raise UserError("give a folder or an archive, or --undo")
    elif drawn := _find_drawn_dataset(arguments):
        lines = _use_drawn_dataset(drawn, arguments.overrides)
    else:
        options = _list_overrides(arguments.format, arguments.overrides)
        lines = use_source(arguments.path, arguments.typed, options)
    yield from (f"use: {line}" for line in lines)


def use_source(paths: Sequence[str], typed: Sequence[str], overrides: Sequence[str]) -> Iterator[str]:
    """Check a source as inspect does, and set it and its options in conf/.

    Options that an earlier use set, and this one does not, get their earlier values again: they were those of
    another source.

    Args:
        paths: The absolute paths of the folders or archives.
        typed: The paths as typed: relative ones are stored relative to the project's folder.
        overrides: How it is read, as Hydra overrides of single values of data; data.format is one of them.
    """
    stored = [_choose_stored_path(Path(path), text) for path, text in zip(paths, typed, strict=True)]
    source = stored[0] if len(stored) == 1 else stored
    _refuse_unusable_paths(stored)
    names = [parse_key(word).removeprefix("data.") for word in overrides]
    resets = plan_resets(AUTO_FILE, but={"source", *names})
    config = compose_source_config(paths, "auto", [*map(_to_override, resets), *overrides])
    overview = inspect_source([Path(path) for path in paths], config=config)
    if overview.refusal:
        raise UserError(f"conf/ was not changed, because prepare would stop: {overview.refusal}")
    yield from _describe_source(overview)
    options: dict[str, LineValue] = {name: getattr(config.data, name) for name in names}
    if overview.task == "classify" and "imgsz" not in options and config.imgsz == USUAL_SIZE:
        options["imgsz"] = CLASSIFY_SIZE
        yield f"classify trains at {CLASSIFY_SIZE} pixels, as Ultralytics does by default (data.imgsz)"
    changes = [plan_change(ConfigKey(AUTO_FILE, name), value) for name, value in options.items()]
    changes += [plan_change(SOURCE, source), plan_change(GROUP, "auto")]
    yield from _change_conf([*resets, *changes], {"source": source, **options})


def _list_overrides(form: str, overrides: Sequence[str]) -> list[str]:
    """Return the overrides with the format among them.

    Raises:
        UserError: An override sets something else than a value of data on a line.
    """
    keys = [parse_key(word) for word in overrides]
    for key in keys:
        require_known_key(key)
        if key not in SETTABLE_KEYS:
            raise UserError(
                f"{key} is not set by this command, which sets values of data such as data.labels: write it "
                "in conf/, or give it with -S for one run"
            )
    if "data.format" not in keys:
        return [f"data.format={form}", *overrides]
    if form != "auto":
        raise UserError("give the format once: by --format or by data.format=")
    return list(overrides)


def _to_override(change: LineChange) -> str:
    """Return the override that sets what the new line sets."""
    [(key, value)] = yaml.safe_load(change.new).items()
    if isinstance(value, str):
        return quote_override(f"data.{key}", value)
    return f"data.{key}={format_yaml_value(value)}"


def undo_last_use() -> Iterator[str]:
    """Restore the lines that the last use changed."""
    changes = recall_changes()
    if not changes:
        raise UserError("there is nothing to undo: no source was set by this command, or all was undone")
    for change in revert_changes(changes):
        yield _describe_change(change)
    forget_changes()
    yield "run `dvc repro` to go on with the earlier images"


def _find_drawn_dataset(arguments: Namespace) -> str:
    """Return the name of a drawn dataset of conf/data if it was typed; empty if a path was.

    Raises:
        UserError: There is a file or folder of that name, too.
    """
    name = arguments.typed[0] if len(arguments.typed) == 1 else ""
    if name not in DRAWN_FORMATS:
        return ""
    if Path(arguments.path[0]).exists():
        raise UserError(f"{name} is a folder here and a drawn dataset: type ./{name} for the folder")
    return str(name)


def _use_drawn_dataset(name: str, overrides: Sequence[str]) -> Iterator[str]:
    if overrides:
        raise UserError(f"{overrides[0]} is for a folder or an archive: write it in conf/data/{name}.yaml")
    plan_config([f"data={name}"])
    yield from _change_conf([plan_change(GROUP, name)], {"format": name})


def _choose_stored_path(path: Path, typed: str) -> str:
    """Return the path to store: relative to the project's folder if it was typed relative."""
    if os.path.isabs(typed) or typed.startswith("~"):  # noqa: PTH117 - `~` needs a look as well
        return str(path)
    relative = os.path.relpath(path, Path.cwd())
    same = Path(relative).exists() and path.exists() and Path(relative).samefile(path)
    return relative if same and not relative.startswith("~") else str(path.resolve())


def _refuse_unusable_paths(paths: Sequence[str]) -> None:
    for path in paths:
        if reason := find_unusable_text(path):
            raise UserError(f"{path!r} cannot be set in conf/, because {reason}: rename the folder")


def _describe_source(overview: SourceOverview) -> Iterator[str]:
    yield (
        f"{overview.path}: read as {overview.form} for {overview.task}, {overview.used} of "
        f"{format_count(overview.found, 'image')} can be used"
    )
    yield from overview.remarks
    yield from format_warning_lines(overview.warnings, REPORT_HINT)


def _change_conf(changes: Sequence[LineChange], expected: dict[str, object]) -> Iterator[str]:
    """Write the changes, check what Hydra composes of them, and say what changed."""
    changed = [change for change in changes if change.old != change.new]
    apply_changes(changed)
    try:
        data = compose_conf().values["data"]
        wrong = [key for key, value in expected.items() if data[key] != value]
        if wrong:
            raise UserError(f"another line of conf/ sets data.{wrong[0]}: conf/ was not changed")
    except BaseException:
        revert_changes(changed)
        raise
    if not changed:
        yield "conf/ says so already"
        return
    remember_changes(changed)
    for change in changed:
        yield _describe_change(change)
    yield "next: `dvc repro`; undo: `finetrack use --undo`"


def _describe_change(change: LineChange) -> str:
    return f"{change.file}: {_strip_comment(change.old)} -> {_strip_comment(change.new)}"


def _strip_comment(line: str) -> str:
    """Return the key and value of a line without its comment."""
    [(key, value)] = yaml.safe_load(line.strip().removeprefix("- ")).items()
    return f"{key}: {format_yaml_value(value)}"
