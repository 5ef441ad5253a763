"""Use a source for all runs: set it in conf/ after the checks of inspect (`finetrack use`)."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import yaml

from pipeline.commands.config_edit import (
    ConfigKey,
    LineChange,
    apply_changes,
    forget_changes,
    plan_change,
    recall_changes,
    remember_changes,
    revert_changes,
)
from pipeline.commands.inspect import inspect_source
from pipeline.commands.override_quoting import find_unusable_text, quote_override
from pipeline.commands.source_overview import REPORT_HINT, SourceOverview
from pipeline.compose.input_fingerprints import DRAWN_FORMATS, refuse_project_folders
from pipeline.compose.stage import CONF, compose_conf, plan_config
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.prepare.report.warning_lines import format_warning_lines

GROUP: Final = ConfigKey(CONF / "config.yaml", "data", in_defaults=True)
SOURCE: Final = ConfigKey(CONF / "data/auto.yaml", "source")
FORMAT: Final = ConfigKey(CONF / "data/auto.yaml", "format")


def run_command(arguments: Namespace) -> Iterator[str]:
    """Yield the lines to print.

    Args:
        arguments: `path`, absolute ones; `typed`, the same as typed; `format`; `undo`.

    Raises:
        UserError: prepare would stop at this source, or conf/ cannot be changed.
    """
    if arguments.undo and arguments.path:
        raise UserError("give either --undo or a path")
    if arguments.undo:
        lines = undo_last_use()
    elif not arguments.path:
        raise UserError("give a folder or an archive, or --undo")
    elif drawn := _find_drawn_dataset(arguments):
        lines = _use_drawn_dataset(drawn)
    else:
        lines = use_source(arguments.path, arguments.typed, form=arguments.format)
    yield from (f"use: {line}" for line in lines)


def use_source(paths: Sequence[str], typed: Sequence[str], *, form: str = "auto") -> Iterator[str]:
    """Check a source as inspect does, and set it in conf/.

    Args:
        paths: The absolute paths of the folders or archives.
        typed: The paths as typed: relative ones are stored relative to the project's folder.
        form: The format, as in data.format.
    """
    stored = [_choose_stored_path(Path(path), text) for path, text in zip(paths, typed, strict=True)]
    source = stored[0] if len(stored) == 1 else stored
    _refuse_unusable_paths(stored)
    overrides = ["data=auto", f"data.format={form}", quote_override("data.source", source)]
    config = plan_config(overrides)
    for path in paths:
        refuse_project_folders(path, Path(path).resolve())
    overview = inspect_source([Path(path) for path in paths], data=config.data)
    if overview.refusal:
        raise UserError(f"conf/ was not changed, because prepare would stop: {overview.refusal}")
    yield from _describe_source(overview)
    changes = [plan_change(FORMAT, form), plan_change(SOURCE, source), plan_change(GROUP, "auto")]
    yield from _change_conf(changes, {"source": source, "format": form})


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


def _use_drawn_dataset(name: str) -> Iterator[str]:
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
    return f"{key}: {'null' if value is None else value}"
