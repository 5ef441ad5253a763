"""Measure the cost of logging: CPU seconds that `finetune` spends on MLflow, in all of its threads.

    python benchmarks/logging_cost.py [--pairs 5] [--whole]

In a copy of the project, on 28 drawn images at 32 pixels for two epochs: the cost per run, by the clocks of
the threads, and in turn the same training without MLflow (the difference of both is the same figure with the
noise of a training). Then the cost per epoch, over 100 of them. --whole trains the default demo, for the
share of logging. docs/decisions/tracking.md has the figures.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SMALL = ("data.images=28", "finetune.imgsz=32", "finetune.epochs=2", "finetune.batch=8")
ROWS = 100


class Silent:
    """A session that ignores all calls."""

    run_id = None

    def __getattr__(self, name: str) -> Any:
        """Return a function that does nothing."""
        return lambda *_, **__: None


class Meter:
    """Sums the CPU time of logging: calls of the stage, and the threads behind them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a call so that its CPU time, by the clock of its thread, is counted."""

        def counted(*arguments: Any, **options: Any) -> Any:
            begin = time.thread_time()
            try:
                return call(*arguments, **options)
            finally:
                self.seconds += time.thread_time() - begin

        return counted

    @contextmanager
    def open_run(self, opened: Any) -> Iterator[Any]:
        """Count opening the run, each call of its session, and its end."""
        session = self.timed(opened.__enter__)()
        yield Metered(session, self)
        self.timed(opened.__exit__)(None, None, None)


class Metered:
    """A session whose calls are counted."""

    def __init__(self, session: Any, meter: Meter) -> None:
        self._session, self._meter = session, meter

    def __getattr__(self, name: str) -> Any:
        """Return the attribute of the session; calls are counted."""
        found = self._meter.timed(getattr)(self._session, name)
        return self._meter.timed(found) if callable(found) else found


def main() -> None:
    """Measure the pairs, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--whole", action="store_true", help="train the default demo, for its share")
    parser.add_argument("--side", choices=("prepare", "logged", "silent", "rows"), help=argparse.SUPPRESS)
    parser.add_argument("changes", nargs="*", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        side(asked.side, asked.changes)
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "conf").symlink_to(ROOT / "conf")
        Path(folder, "models").mkdir()
        Path(folder, "models/foundation").symlink_to(ROOT / "models/foundation")
        measure(Path(folder), pairs=asked.pairs, whole=asked.whole)


def measure(folder: Path, *, pairs: int, whole: bool) -> None:
    """Print CPU seconds of each pair, and the cost per run and per epoch."""
    spent(folder, "prepare", *SMALL)
    spent(folder, "logged", *SMALL)  # creates the database, once for the project
    costs = []
    for number in range(pairs):
        order = ("logged", "silent") if number % 2 else ("silent", "logged")
        took = {name: spent(folder, name, *SMALL) for name in order}
        (logged, cost), (silent, _) = took["logged"], took["silent"]
        costs.append(cost)
        print(f"finetune {logged:.2f} s, without a word {silent:.2f} s; logging {cost:.2f} s", flush=True)
    _, row = spent(folder, "rows")
    once = statistics.median(costs)
    print(f"a run {once:.2f} s (median of {pairs}), an epoch {1000 * row:.1f} ms")
    print(f"under 1% from {100 * once:.0f} CPU seconds on")
    if whole:
        spent(folder, "prepare")
        training, cost = spent(folder, "logged")
        print(f"the embedded default: {training:.0f} s, of which logging {cost:.2f} s: {cost / training:.1%}")


def spent(folder: Path, name: str, *changes: str) -> tuple[float, float]:
    """Run one side as a process; return its CPU seconds, and the number that it prints last."""
    command = [sys.executable, str(Path(__file__).resolve()), "--side", name, *changes]
    place = {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(folder), "YOLO_CONFIG_DIR": str(folder)}
    shutil.rmtree(folder / ".finetrack/checkpoints", ignore_errors=True)  # a finished training is kept there
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=folder, env=os.environ | place, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stderr)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return processor, float(done.stdout.splitlines()[-1])


def side(name: str, changes: list[str]) -> None:
    """Run what is measured, and print the CPU seconds of logging."""
    from pipeline.compose import stage
    from pipeline.compose.stage import plan_config
    from pipeline.runtime.gc_pause import pause_gc

    config = plan_config(changes)
    if name == "prepare":
        from pipeline.augment.stage import run_stage as run_augment
        from pipeline.prepare.stage import run_stage as run_prepare

        Path("params.yaml").write_bytes(stage.compose_conf(changes).raw)
        run_prepare(config)
        run_augment(config)
        print(0)
        return
    with pause_gc():  # as `python -m pipeline` does
        from pipeline.finetune import stage as stages_finetune
        from pipeline.finetune.stage import run_stage
    if name == "rows":
        print(_rows(config))
        return
    meter = Meter()
    _count(meter, stages_finetune, silent=name == "silent")
    run_stage(config)
    print(meter.seconds)


def _count(meter: Meter, finetune: Any, *, silent: bool) -> None:
    from pipeline.tracking.sender import OutboxSender
    from pipeline.tracking.system_metrics import SystemMetricsSampler

    OutboxSender._run = meter.timed(OutboxSender._run)  # type: ignore[method-assign]
    SystemMetricsSampler._run = meter.timed(SystemMetricsSampler._run)  # type: ignore[method-assign]
    opened = finetune._open_run
    finetune._open_run = lambda *given, **options: (
        nullcontext(Silent()) if silent else meter.open_run(opened(*given, **options))
    )


def _rows(config: Any) -> float:
    """Return the CPU seconds per epoch, sent one after the other as in a training."""
    from pipeline.finetune.mlflow_log import log_epoch
    from pipeline.tracking import runs
    from pipeline.tracking.target import TrackingTarget

    target = TrackingTarget(config.tracking.uri, config.tracking.experiment)
    row = {f"curve/{number}": 0.5 for number in range(14)}
    with runs.open_run(target, key="rows", name="rows", tags={}) as session:
        log_epoch(session, {**row, "epoch": 1})
        assert session.run_id
        time.sleep(2)
        begin = time.process_time()
        for epoch in range(2, ROWS + 2):
            log_epoch(session, {**row, "epoch": epoch})
            time.sleep(0.1)
        return (time.process_time() - begin) / ROWS


if __name__ == "__main__":
    main()
