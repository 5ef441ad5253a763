"""`python -m pipeline STAGE`: params.yaml -> one stage. `python -m pipeline send`: what MLflow missed.

`python -m pipeline inspect PATH`: what a folder or an archive of labelled images holds.
`python -m pipeline preview [OVERRIDE ...]`: contact sheets of what augmentation does.
`python -m pipeline data-diff REV_A REV_B`: what changed between two versions of the dataset.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from pipeline.core.errors import UserError, unready
from pipeline.runtime.environment import set_environment

if TYPE_CHECKING:
    from pipeline.config.schema import Config

STAGES = ("prepare", "augment", "finetune", "evaluate")
ASKING = ("inspect", "data-diff", "preview")
"""Commands that take arguments, and run without params.yaml."""

COMMANDS = ("compose", *STAGES, "send", *ASKING)


def main(arguments: list[str]) -> int:
    """Run one stage; what a user can mend is said in one sentence, and the exit code tells.

    Returns:
        0 done, 1 refused with a sentence, 2 unknown command, 130 interrupted, 143 terminated.
    """
    command, *rest = arguments or [""]
    if command not in COMMANDS or (rest and command not in ASKING):
        print(f"usage: python -m pipeline {{{'|'.join(COMMANDS)}}}", file=sys.stderr)
        return 2
    set_environment()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _ask(command, rest) if command in ASKING else _run(command)
    except UserError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"{command}: {unready(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"{command}: stopped; run it again to go on", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130


class Terminated(KeyboardInterrupt):
    """SIGTERM, on the same way out as Ctrl-C: everything that cleans up for the one does so for the other."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def _run(command: str) -> int:
    from pipeline.compose import stage as compose_stage

    if command == "compose":
        for line in compose_stage.run():
            print(line)
    elif command == "send":
        _send(compose_stage.load())
    else:
        _run_stage(command, compose_stage.load())
    return 0


def _ask(command: str, arguments: list[str]) -> int:
    import importlib

    try:
        for line in importlib.import_module(f"pipeline.commands.{command.replace('-', '_')}").run(arguments):
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough; Python would complain once more at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _send(config: Config) -> None:
    """Send what a tracking server missed, as each stage does at its start and end."""
    from pipeline.tracking.runs import send_missed
    from pipeline.tracking.target import TrackingTarget

    where = config.tracking
    left = send_missed(TrackingTarget(where.uri, where.experiment, where.timeout))
    if left:
        raise UserError(f"MLflow at {where.uri} is away: {left} runs wait in .finetrack/outbox")


def _run_stage(stage: str, config: Config) -> None:
    """Run a stage as the one writer of its outputs: a killed `dvc` leaves its stage at work."""
    import hashlib
    import importlib

    from pipeline.compose.code_digests import refuse_other
    from pipeline.compose.lockfile import read_lock
    from pipeline.runtime.gc_pause import without_collecting
    from pipeline.storage import files
    from pipeline.storage.files import one_writer

    if "DVC_STAGE" in os.environ:  # of what is run by hand DVC records nothing
        refuse_other(stage, read_lock())
    place = hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:12]
    with one_writer(files.scratch("locks") / f"{stage}-{place}.lock", what=f"{stage} in this folder"):
        with without_collecting():
            module = importlib.import_module(f"pipeline.{stage}.stage")
        module.run(config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
