"""Run a module in a fork of a server: `python -m pipeline.runtime.fork_server.run MODULE ARGUMENTS`.

Without FINETRACK_FORK_SERVER, or where no server can run it, this process runs `python -m MODULE ARGUMENTS`.
"""

from __future__ import annotations

import os
import sys


def main(module: str, *arguments: str) -> int:
    """Run the module, and return its exit status."""
    from pipeline.runtime.fork_server.client import run_in_fork

    status = run_in_fork(module, list(arguments))
    if status is None:
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
