"""Fuzz every reader, one after the other: python -m tests.fuzz [--seconds N] [TARGET ...].

The seconds are for all targets together. What crashes is kept in .finetrack/fuzz/TARGET, the traceback beside
it, and `python -m tests.fuzz --replay FILE` runs it again. Exits with 1 if anything crashed.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.mutation import SEPARATOR, parted
from tests.fuzz.targets import TARGETS

KEPT = Path(".finetrack/fuzz")
_SLOWEST = 20  # seconds that one input may take
_MOST_MEMORY = 4096  # MB that a target may fill
_IN_MEMORY = Path("/dev/shm")
_ABSENT = (
    "atheris is missing, which the lock leaves out because there are wheels for x86-64 Linux alone: run "
    "`.venv/bin/uv pip install --python .venv/bin/python --group fuzz` there"
)


class Outcome(NamedTuple):
    """What came of one target."""

    executions: int
    seconds: float
    crashes: list[Path]


def main() -> int:
    """Fuzz, or replay one input."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all if none")
    parser.add_argument("--seconds", type=int, default=300, help="for all targets together")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one kept input again")
    asked = parser.parse_args()
    if asked.replay:
        return _replay(asked.replay)
    if unknown := set(asked.targets) - set(TARGETS):
        parser.error(f"no target is called {', '.join(sorted(unknown))}")
    if not importlib.util.find_spec("atheris"):
        sys.exit(_ABSENT)
    return _all(asked.targets or list(TARGETS), asked.seconds)


def _all(names: Sequence[str], seconds: int) -> int:
    print(f"{'target':<12}{'executions':>12}{'seconds':>9}{'crashes':>9}")
    outcomes = []
    for name in names:
        outcomes.append(outcome := _fuzz(name, max(2, seconds // len(names))))
        print(
            f"{name:<12}{outcome.executions:>12,}{outcome.seconds:>9.0f}{len(outcome.crashes):>9}", flush=True
        )
    crashes = [crash for outcome in outcomes for crash in outcome.crashes]
    executions, spent = sum(o.executions for o in outcomes), sum(o.seconds for o in outcomes)
    print(f"{'all':<12}{executions:>12,}{spent:>9.0f}{len(crashes):>9}")
    for crash in crashes:
        print(f"{crash}: python -m tests.fuzz --replay {crash}")
    return bool(crashes)


def _fuzz(name: str, seconds: int) -> Outcome:
    """Fuzz one target for some seconds, anew where an input ended the process."""
    folder = KEPT / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    _sow(name, corpus)
    start, runs = time.time(), 0
    while (left := seconds - (time.time() - start)) >= 1:
        runs += _once(name, folder, round(left))
    kept = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.suffix]
    crashes = [path for path in kept if path.stat().st_mtime >= start - 1]  # earlier ones may be mended
    return Outcome(runs, time.time() - start, crashes)


def _once(name: str, folder: Path, seconds: int) -> int:
    """Run libFuzzer, and return how many inputs it tried."""
    limits = [
        f"-max_total_time={seconds}",
        f"-timeout={_SLOWEST}",
        f"-report_slow_units={_SLOWEST}",
        f"-rss_limit_mb={_MOST_MEMORY}",
    ]
    shown = ["-print_final_stats=1", f"-artifact_prefix={folder}/"]
    with _space() as space, (folder / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "tests.fuzz.one", name, str(folder), space]
        command += [*limits, *shown, str(folder / "corpus")]
        subprocess.run(command, stdout=log, stderr=log, check=False)
    said = (folder / "log.txt").read_text(errors="replace")
    found = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
    if not found:
        raise SystemExit(f"{name} could not be fuzzed: see {folder / 'log.txt'}")
    return int(found[1])


def _sow(name: str, corpus: Path) -> None:
    for number, parts in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(SEPARATOR.join(parts))


def _space() -> tempfile.TemporaryDirectory[str]:
    """Return an empty folder for sources, in memory where there is such a place."""
    place = _IN_MEMORY if _IN_MEMORY.is_dir() else None
    return tempfile.TemporaryDirectory(prefix="finetrack-fuzz-", dir=place)


def _replay(file: Path) -> int:
    """Run one kept input; its folder says which target it is of."""
    warnings.simplefilter("error", RuntimeWarning)
    with _space() as space:
        TARGETS[file.parent.name].run(Path(space), tuple(parted(file.read_bytes())))
    print(f"{file}: no crash")
    return 0


if __name__ == "__main__":
    sys.exit(main())
