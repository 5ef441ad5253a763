"""`python -m pipeline.sweep -m KEY=A,B ...`: a Hydra multirun whose jobs are DVC experiments.

What DVC has computed before is restored, so that the same command again runs only what is missing.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

from pipeline.core.errors import UserError, unready

try:
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf
except ModuleNotFoundError as error:
    sys.exit(f"sweep: {unready(error)}")

from pipeline.compose import stage
from pipeline.config.schema import parse
from pipeline.storage import files
from pipeline.storage.files import SCRATCH
from pipeline.sweep import dvc_experiments, results
from pipeline.sweep.dvc_experiments import require_commit
from pipeline.sweep.results import FIGURES, SweepJob
from pipeline.tracking import runs
from pipeline.tracking.session import RunSession
from pipeline.tracking.target import TrackingTarget

CONF = Path(__file__).parents[2] / "conf"
PARENT = "FINETRACK_PARENT_RUN"
ASKING = {"-h", "--help", "--hydra-help", "--version", "-c", "--cfg", "-i", "--info"}


def main(arguments: list[str]) -> int:
    """Run a sweep.

    Returns:
        0 done, 1 refused or with failed jobs, 130 interrupted, 143 terminated.
    """
    if ASKING & set(arguments):
        job()
        return 0
    for sign in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal, unless under nohup
        if signal.getsignal(sign) is not signal.SIG_IGN:
            signal.signal(sign, _terminate)
    try:
        _sweep([word for word in arguments if word not in {"-m", "--multirun"}])
    except UserError as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("sweep: stopped; the same command again runs what is missing", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    return 0


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, on the same way out as Ctrl-C."""


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise Terminated


def _sweep(overrides: Sequence[str]) -> None:
    require_commit()
    missed = dvc_experiments.untracked("conf", "pipeline", "dvc.yaml", "params.yaml")
    if missed:
        print(
            f"sweep: experiments run on what git tracks; run `git add` for these, or they miss them: {missed}"
        )
    folder = Path(SCRATCH, "sweeps", time.strftime("%m%d-%H%M%S"))
    sys.argv = [sys.argv[0], "--multirun", *overrides, f"hydra.sweep.dir={folder}"]
    with runs.parent(
        _target(overrides), name=f"sweep {' '.join(overrides)}", tags=_tags(overrides)
    ) as session:
        os.environ[PARENT] = session.run_id or ""
        try:
            _multirun()
        finally:
            done = _done(folder)
            _log(session, done)
        _conclude(done)


def _multirun() -> None:
    """Have Hydra run the jobs; of what its sweeper refuses it would print a traceback."""
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        job()
    except HydraException as error:
        raise UserError(str(error)) from None


@hydra.main(config_path=str(CONF), config_name="config", version_base=None)
def job(found: DictConfig) -> float:
    """Run one job, and give its score on val to Hydra's sweeper; a failed job's is no number."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    number, overrides = int(hydra_config.job.num), tuple(hydra_config.overrides.task)
    name = f"sweep-{Path(hydra_config.sweep.dir).name}-{number}"
    print(f"job {number}: {' '.join(overrides)}", flush=True)
    start = time.monotonic()
    try:
        parse(OmegaConf.to_container(found, resolve=True))  # type: ignore[arg-type]
        result = _run(number, overrides, name, folder)
    except UserError as error:
        result = SweepJob(number, overrides, name, "failed", reason=str(error))
    result = replace(result, seconds=round(time.monotonic() - start, 1))
    files.write(folder / "job.json", json.dumps(asdict(result)))
    print(f"job {number}: {result.status}{_outcome(result)}", flush=True)
    return float("nan") if result.score is None else result.score


def _run(number: int, overrides: tuple[str, ...], name: str, folder: Path) -> SweepJob:
    reason = dvc_experiments.run(
        name,
        overrides,
        log=folder / "output.log",
        environment={PARENT: os.environ.get(PARENT, "")},
        tell=lambda line: print(f"job {number}: {line}", flush=True),
    )
    revision = dvc_experiments.commit(name)
    if reason or revision is None:
        raise UserError(reason or f"DVC made no experiment of it ({folder / 'output.log'})")
    judged = results.judged(dvc_experiments.training(revision)["val"])
    if judged is None:
        raise UserError(f"experiment {name} measured none of {', '.join(FIGURES)} on val")
    made = dvc_experiments.made(revision)
    status = "restored" if (folder / "output.log").read_text().count("Stage 'finetune' ") else "trained"
    figure, score = judged
    task = made.get("task")
    return SweepJob(number, overrides, name, status, score, made.get("run_id"), figure=figure, task=task)


def _outcome(result: SweepJob) -> str:
    return f", {result.reason}" if result.score is None else f", val {result.figure} {result.score:.4f}"


def _target(overrides: Sequence[str]) -> TrackingTarget:
    settings = stage.preview(overrides)["tracking"]
    return TrackingTarget(settings["uri"], settings["experiment"], settings["timeout"])


def _tags(overrides: Sequence[str]) -> dict[str, Any]:
    return {"finetrack.sweep": shlex.join(["python", "-m", "pipeline.sweep", "-m", *overrides])}


def _done(folder: Path) -> list[SweepJob]:
    found = [json.loads(path.read_text()) for path in folder.glob("*/job.json")]
    return sorted(
        (SweepJob(**{**row, "overrides": tuple(row["overrides"])}) for row in found),
        key=lambda row: row.number,
    )


def _log(session: RunSession, done: Sequence[SweepJob]) -> None:
    """Give the parent run the table of jobs, their scores as a curve, and the best."""
    if not done:
        return
    found = results.best(done)

    def name(row: SweepJob) -> str:  # of one task as its children call it: one column in the UI
        return results.kind(row).replace(" ", "/") if len(found) > 1 else str(row.figure)

    session.table([{**asdict(row), "overrides": " ".join(row.overrides)} for row in done], "jobs.json")
    for row in done:
        if row.figure:
            session.metrics({f"job/{name(row)}": row.score}, step=row.number)
    session.metrics({"jobs": len(done), "failed": len(results.failed(done))})
    for best in found:
        session.metrics({f"best/{name(best)}": best.score})
    if len(found) == 1:
        session.tags({"finetrack.best": found[0].experiment, "finetrack.best.run": found[0].run_id})
        session.params({"best": results.changes(found[0])})


def _conclude(done: Sequence[SweepJob]) -> None:
    """Print the table, and how to go on; end the parent run as FAILED where a job failed."""
    print(f"\n{results.table(done)}\n")
    found = results.best(done)
    for best in found:
        name = f"best by {results.kind(best)}" if len(found) > 1 else "best"
        print(f"{name}: take it into the workspace with `dvc exp apply {best.experiment}`")
    lost = results.failed(done)
    if lost:
        raise UserError(
            f"{len(lost)} of {len(done)} jobs failed: the same command again runs only what is missing"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
