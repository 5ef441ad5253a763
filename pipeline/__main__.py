"""`python -m pipeline STAGE`: params.yaml -> one stage."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from pipeline.core.refusal import Refused

STAGES = ("prepare", "augment", "finetune", "evaluate")
COMMANDS = ("compose", *STAGES)


def main(arguments: list[str]) -> int:
    """Run one stage; what a user can mend is said in one sentence, and the exit code tells.

    Returns:
        0 done, 1 refused with a sentence, 2 unknown command, 130 interrupted, 143 terminated.
    """
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(f"usage: python -m pipeline {{{'|'.join(COMMANDS)}}}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(arguments[0])
    except Refused as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"{arguments[0]}: stopped; run it again to go on", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130


class Terminated(KeyboardInterrupt):
    """SIGTERM, on the same way out as Ctrl-C: everything that cleans up for the one does so for the other."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def _run(command: str) -> int:
    from pipeline import compose

    if command == "compose":
        for line in compose.run():
            print(line)
    else:
        import importlib

        importlib.import_module(f"pipeline.stages.{command}").run(compose.load())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
