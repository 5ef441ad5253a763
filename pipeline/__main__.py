"""`python -m pipeline STAGE`: params.yaml -> one stage."""

from __future__ import annotations

import importlib
import signal
import sys
from types import FrameType

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
    from pipeline.config import ConfigError  # noqa: PLC0415 (pydantic: not on the path of --help)
    from pipeline.edges.files import Refused  # noqa: PLC0415

    try:
        return _run(arguments[0])
    except (ConfigError, Refused) as error:
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
    from pipeline import compose  # noqa: PLC0415

    if command == "compose":
        compose.run()
    else:
        importlib.import_module(f"pipeline.stages.{command}").run(compose.load())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
