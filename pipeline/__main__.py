"""Run a command: `python -m pipeline COMMAND`, or `finetrack COMMAND` from any folder of the project."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pipeline.core.errors import (
    PRUNED_EXIT_CODE,
    PrunedError,
    Terminated,
    UserError,
    describe_missing_module,
    raise_terminated,
)
from pipeline.core.stages import STAGES
from pipeline.runtime.environment import set_environment
from pipeline.runtime.output_encoding import escape_unencodable_output

LIST_ARGUMENTS = ("path", "filters", "source", "models", "overrides")
"""Names of arguments that take several words, which may stand before and after options."""


def main(arguments: list[str], start: Path | None = None) -> int:
    """Run a command. An error that the user can correct is printed as one sentence.

    Args:
        arguments: The command and its arguments.
        start: The folder that relative paths in the arguments are relative to; the current one by default.

    Returns:
        0 done, 1 an error that the user can correct, 2 wrong arguments, 3 a training that its sweep ended
        early, 130 interrupted, 143 terminated.
    """
    escape_unencodable_output()
    name, *rest = arguments or ["--help"]
    if name in ("compose", *STAGES) and not rest:  # as DVC calls them: argparse would take a tenth of compose
        status = _run_in_fork(name) if os.environ.get("FINETRACK_FORK_SERVER") else None
        if status is not None:
            return status
        return _run_reporting_errors(SimpleNamespace(command=name), start or Path.cwd())
    if name == "sweep":
        os.execv(sys.executable, [sys.executable, "-m", "pipeline.sweep", *rest])
    try:
        chosen = _parse_arguments([name, *rest])
    except SystemExit as stop:  # --help and --version end with 0, wrong arguments with 2
        return int(stop.code or 0)
    if chosen.command == "learning-curve":
        words = ["+sweep=learning_curve", *(["sweep.output=json"] if chosen.json else []), *chosen.overrides]
        os.execv(sys.executable, [sys.executable, "-m", "pipeline.sweep", *words])
    return _run_reporting_errors(chosen, start or Path.cwd())


def main_from(root: Path) -> int:
    """Run the command of sys.argv as if typed in the project's root; relative paths stay as typed."""
    start = Path.cwd()
    os.chdir(root)
    return main(sys.argv[1:], start)


def _run_in_fork(stage: str) -> int | None:
    """Run a stage in a fork of a sweep's server; return its exit status, or None if it has to run here."""
    from pipeline.runtime.fork_server.client import run_in_fork

    return run_in_fork("pipeline", [stage])


def _parse_arguments(arguments: list[str]) -> Any:
    from pipeline.commands.command_line.parser import COMMANDS, build_parser, suggest_command

    parser = build_parser()
    if not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        parser.exit(2, f"{parser.prog}: {suggest_command(arguments[0])}\n")
    chosen, rest = parser.parse_known_args(arguments)
    listed = next((name for name in LIST_ARGUMENTS if isinstance(getattr(chosen, name, None), list)), None)
    if rest and (listed is None or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest and listed:  # after an option, argparse takes no more words of a list
        setattr(chosen, listed, [*getattr(chosen, listed), *rest])
    return chosen


def _run_reporting_errors(chosen: Any, start: Path) -> int:
    set_environment()
    signal.signal(signal.SIGTERM, raise_terminated)
    try:
        _run(chosen, start)
    except UserError as error:
        print(f"{chosen.command}: {error}", file=sys.stderr)
        return PRUNED_EXIT_CODE if isinstance(error, PrunedError) else 1
    except ModuleNotFoundError as error:
        print(f"{chosen.command}: {describe_missing_module(error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has read enough; Python would complain again when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as stop:
        print(f"{chosen.command}: stopped; run it again to go on", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except Exception as error:
        print(f"{chosen.command}: {_describe_error(error)}", file=sys.stderr)
        return 1
    return 0


def _describe_error(error: Exception) -> str:
    """Return a sentence for a full disk, too little memory and the like.

    Raises:
        Exception: The error itself, which is a fault of the code: its traceback is wanted.
    """
    from pipeline.core.machine_errors import describe_machine_error

    sentence = describe_machine_error(error)
    if sentence is None:
        raise error
    return sentence


def _run(chosen: Any, start: Path) -> None:
    if chosen.command == "compose":
        _compose()
    elif chosen.command == "send":
        _send_missed()
    elif chosen.command in STAGES:
        from pipeline.compose.run_stage import run_stage

        run_stage(chosen.command)
    else:
        _run_command(chosen, start)


def _run_command(chosen: Any, start: Path) -> None:
    import importlib

    from pipeline.commands.command_line.parser import name_command_module

    chosen.start = start
    if "path" in chosen:
        from pipeline.commands.command_line.override_words import separate_overrides
        from pipeline.config.source_paths import resolve_source_path

        chosen.typed, chosen.overrides = separate_overrides(chosen.path, start)
        chosen.path = [str(resolve_source_path(start, path)) for path in chosen.typed]
    module = importlib.import_module(name_command_module(chosen.command))
    _print(module.run_command(chosen))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
    sys.stdout.flush()


def _compose() -> None:
    from pipeline.compose.stage import compose_params

    _print(compose_params())


def _send_missed() -> None:
    """Send what a tracking server missed, as each stage does at its start and end."""
    from pipeline.compose.stage import plan_config
    from pipeline.core.text import format_count
    from pipeline.storage.scratch_folder import SCRATCH_FOLDER, project_root
    from pipeline.tracking.delivery_report import describe_delivery, require_delivery
    from pipeline.tracking.examination.waiting_outboxes import list_waiting_outboxes
    from pipeline.tracking.runs import send_missed
    from pipeline.tracking.target import TrackingTarget

    where = plan_config(()).tracking
    report = send_missed(TrackingTarget(where.uri, where.experiment, where.timeout))
    others = Counter(
        each.uri
        for each in list_waiting_outboxes(project_root() / SCRATCH_FOLDER / "outbox")
        if each.uri not in {"", where.uri} and each.waiting
    )
    for uri, runs in others.items():
        waits = format_count(runs, "run waits", "runs wait")
        print(
            f"send: {waits} for MLflow at {uri}: set tracking.uri={uri}, run `finetrack send`, and set it "
            "back"
        )
    if any(report.sent.values()) or report.waiting or not others:
        print(f"send: {describe_delivery(report, where.uri)}")
    require_delivery(report, where.uri)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
