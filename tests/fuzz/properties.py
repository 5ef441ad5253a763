"""Run the property tests with new random cases until the time is over: python -m tests.fuzz.properties.

Hypothesis prints each failing case, and tests/conftest.py how to keep it. Exit status 1 after a failure.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

_TESTS = Path(__file__).parents[1]
_OPTIONS = ("-q", "-n", "2", "-m", "hypothesis and not slow", "--hypothesis-profile", "random")


def main() -> int:
    """Repeat the property tests; the last round may take longer than the time that is left."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.properties", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    end = time.monotonic() + parser.parse_args().seconds
    files = [str(path) for path in sorted(_TESTS.rglob("test_*.py")) if "hypothesis" in path.read_text()]
    status = 0
    while not status and time.monotonic() < end:
        status = subprocess.run([sys.executable, "-m", "pytest", *_OPTIONS, *files], check=False).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
