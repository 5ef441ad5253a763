"""Fuzz all readers with atheris, one after the other: python -m tests.fuzz [--seconds N] [TARGET ...].

The seconds are for all targets together. Inputs that crash a reader are kept in .finetrack/fuzz/TARGET, with
the traceback beside them; `python -m tests.fuzz --replay FILE` runs one again. Exit status 1 after a crash.
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

from tests.fuzz.mutation import SEPARATOR, split_parts
from tests.fuzz.targets import TARGETS

CRASH_FOLDER = Path(".finetrack/fuzz")
_MAX_SECONDS = 20  # for one input
_MAX_MEMORY = 4096  # MB for one target
_MEMORY_FOLDER = Path("/dev/shm")
_ATHERIS_MISSING = (
    "atheris is missing: it is not in the lock file, since it has wheels for x86-64 Linux only. There, run "
    "`.venv/bin/uv pip install --python .venv/bin/python --group fuzz`"
)


class Outcome(NamedTuple):
    """Result of fuzzing one target."""

    executions: int
    seconds: float
    crashes: list[Path]


def main() -> int:
    """Fuzz, or replay one input."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"one or more of {', '.join(TARGETS)}; all by default"
    )
    parser.add_argument("--seconds", type=int, default=300, help="for all targets together")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one kept input again")
    arguments = parser.parse_args()
    if arguments.replay:
        return _replay(arguments.replay)
    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    if not importlib.util.find_spec("atheris"):
        sys.exit(_ATHERIS_MISSING)
    return _fuzz_all(arguments.targets or list(TARGETS), arguments.seconds)


def _fuzz_all(names: Sequence[str], seconds: int) -> int:
    print(f"{'target':<12}{'executions':>12}{'seconds':>9}{'crashes':>9}")
    outcomes = []
    for name in names:
        outcomes.append(outcome := _fuzz_target(name, max(2, seconds // len(names))))
        print(
            f"{name:<12}{outcome.executions:>12,}{outcome.seconds:>9.0f}{len(outcome.crashes):>9}", flush=True
        )
    crashes = [crash for outcome in outcomes for crash in outcome.crashes]
    executions, spent = sum(o.executions for o in outcomes), sum(o.seconds for o in outcomes)
    print(f"{'all':<12}{executions:>12,}{spent:>9.0f}{len(crashes):>9}")
    for crash in crashes:
        print(f"{crash}: python -m tests.fuzz --replay {crash}")
    return bool(crashes)


def _fuzz_target(name: str, seconds: int) -> Outcome:
    """Fuzz one target for some seconds; restart after an input that ended the process."""
    folder = CRASH_FOLDER / name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    _write_seeds(name, corpus)
    start, runs = time.time(), 0
    while (left := seconds - (time.time() - start)) >= 1:
        runs += _run_libfuzzer(name, folder, round(left))
    kept = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.suffix]
    crashes = [path for path in kept if path.stat().st_mtime >= start - 1]  # earlier ones may be fixed
    return Outcome(runs, time.time() - start, crashes)


def _run_libfuzzer(name: str, folder: Path, seconds: int) -> int:
    """Run libFuzzer once; return the number of inputs that it tried."""
    limits = [
        f"-max_total_time={seconds}",
        f"-timeout={_MAX_SECONDS}",
        f"-report_slow_units={_MAX_SECONDS}",
        f"-rss_limit_mb={_MAX_MEMORY}",
    ]
    shown = ["-print_final_stats=1", f"-artifact_prefix={folder}/"]
    with _create_source_folder() as space, (folder / "log.txt").open("w") as log:
        command = [sys.executable, "-m", "tests.fuzz.one", name, str(folder), space]
        command += [*limits, *shown, str(folder / "corpus")]
        subprocess.run(command, stdout=log, stderr=log, check=False)
    log_text = (folder / "log.txt").read_text(errors="replace")
    found = re.search(r"stat::number_of_executed_units:\s*(\d+)", log_text)
    if not found:
        raise SystemExit(f"{name} could not be fuzzed: see {folder / 'log.txt'}")
    return int(found[1])


def _write_seeds(name: str, corpus: Path) -> None:
    for number, parts in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(SEPARATOR.join(parts))


def _create_source_folder() -> tempfile.TemporaryDirectory[str]:
    """Return an empty temporary folder for sources, in memory if possible."""
    place = _MEMORY_FOLDER if _MEMORY_FOLDER.is_dir() else None
    return tempfile.TemporaryDirectory(prefix="finetrack-fuzz-", dir=place)


def _replay(file: Path) -> int:
    """Run one kept input; its folder names the target."""
    warnings.simplefilter("error", RuntimeWarning)
    with _create_source_folder() as space:
        TARGETS[file.parent.name].run(Path(space), tuple(split_parts(file.read_bytes())))
    print(f"{file}: no crash")
    return 0


if __name__ == "__main__":
    sys.exit(main())
