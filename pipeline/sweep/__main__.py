"""Run a sweep: a Hydra multirun whose jobs are DVC experiments (`python -m pipeline.sweep -m KEY=A,B ...`).

DVC restores results that it has computed before, so the same command again runs only what is missing.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.core.errors import Terminated, UserError, describe_missing_module, raise_terminated
from pipeline.core.machine_errors import describe_machine_error
from pipeline.core.metric_names import MAIN_METRICS

try:
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf
except ModuleNotFoundError as error:
    sys.exit(f"sweep: {describe_missing_module(error)}")

from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.plan_space import plan_space
from pipeline.config.schema import parse_config
from pipeline.runtime.environment import set_environment
from pipeline.runtime.output_encoding import escape_unencodable_output
from pipeline.runtime.versions import describe_version
from pipeline.storage.files import write_file
from pipeline.sweep.dvc_experiments import (
    find_experiment_commit,
    list_untracked_files,
    read_run_info,
    read_training_metrics,
    run_experiment,
)
from pipeline.sweep.preconditions import create_sweep_folder, require_recordable_experiments
from pipeline.sweep.report import describe_results, log_results
from pipeline.sweep.results import SweepJob, list_failed_jobs, select_main_metric
from pipeline.tracking.runs import open_parent_run
from pipeline.tracking.target import TrackingTarget

CONF = Path(__file__).parents[2] / "conf"
PARENT = "FINETRACK_PARENT_RUN"
HYDRA_FLAGS = {"--hydra-help", "-c", "--cfg", "-i", "--info"}
"""Hydra prints something and ends: its own help, the composed configuration, its search path."""

HELP = """usage: finetrack sweep KEY=A,B ... [OVERRIDE ...]
       python -m pipeline.sweep -m KEY=A,B ... [OVERRIDE ...]

Train once per combination of values. Each job is a DVC experiment, logged to MLflow under one parent run.
DVC restores what it has computed before: the same command again runs only missing and failed jobs.

arguments:
  KEY=A,B            sweep a key of the configuration; several keys give every combination
  KEY=range(1,4)     Hydra's sweep syntax: range(...), glob(...), choice(...)
  GROUP=A,B          sweep a group of conf/, such as finetune=full,head or augment=none,light
  KEY=VALUE          set a key for all jobs
  +sweep=NAME        a prepared sweep: {sweeps}

options:
  -h, --help         this text
  --version          versions
  --cfg job          print the composed configuration; runs nothing
  --hydra-help       what Hydra can do besides

examples:
  finetrack sweep finetune.lr0=3e-4,1e-3 augment=none,light
  finetrack sweep +sweep=strategies data=auto data.source=~/datasets/bottles
  finetrack sweep data.folds=5 "data.fold=range(0,5)"     mean and standard deviation over the folds
"""


def main(arguments: list[str]) -> int:
    """Run a sweep.

    Returns:
        0 done, 1 an error that the user can correct or failed jobs, 130 interrupted, 143 terminated.
    """
    escape_unencodable_output()
    if {"-h", "--help"} & set(arguments) or not arguments:
        sweeps = sorted(path.stem for path in (CONF / "sweep").glob("*.yaml"))
        print(HELP.format(sweeps=", ".join(sweeps)), end="")
        return 0
    if "--version" in arguments:
        print(describe_version())
        return 0
    if HYDRA_FLAGS & set(arguments):
        job()
        return 0
    set_environment()
    for number in (signal.SIGTERM, signal.SIGHUP):  # SIGHUP: a closed terminal, unless under nohup
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, raise_terminated)
    return _run_reporting_errors([word for word in arguments if word not in {"-m", "--multirun"}])


def _run_reporting_errors(overrides: Sequence[str]) -> int:
    try:
        _run_sweep(overrides)
    except UserError as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print("sweep: stopped; the same command again runs what is missing", file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except Exception as error:
        sentence = describe_machine_error(error)
        if sentence is None:
            raise
        print(f"sweep: {sentence}", file=sys.stderr)
        return 1
    return 0


def _run_sweep(overrides: Sequence[str]) -> None:
    require_recordable_experiments()
    missed = list_untracked_files("conf", "pipeline", "dvc.yaml", "params.yaml")
    if missed:
        print(
            f"sweep: experiments run on what git tracks; run `git add` for these, or they miss them: {missed}"
        )
    plan = plan_space(overrides, SweepSettings())
    for sentence in plan.notes:
        print(f"sweep: {sentence}")
    folder = create_sweep_folder()
    sys.argv = [sys.argv[0], "--multirun", *overrides, f"hydra.sweep.dir={folder}"]
    with open_parent_run(
        _get_tracking_target(plan.first), name=f"sweep {' '.join(overrides)}", tags=_get_tags(overrides)
    ) as session:
        os.environ[PARENT] = session.run_id or ""
        try:
            _run_hydra()
        finally:
            done = _read_finished_jobs(folder)
            log_results(session, done)
        _print_results(done)


def _run_hydra() -> None:
    """Let Hydra run the jobs. An error of its sweeper becomes one sentence instead of a traceback."""
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        job()
    except HydraException as error:
        raise UserError(str(error)) from None


@hydra.main(config_path=str(CONF), config_name="config", version_base=None)
def job(found: DictConfig) -> float:
    """Run one job. Return its score on val for Hydra's sweeper; NaN if it failed."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    number, overrides = int(hydra_config.job.num), tuple(hydra_config.overrides.task)
    name = f"sweep-{Path(hydra_config.sweep.dir).name}-{number}"
    print(f"sweep: job {number}: {' '.join(overrides)}", flush=True)
    start = time.monotonic()
    try:
        parse_config(OmegaConf.to_container(found, resolve=True))  # type: ignore[arg-type]
        result = _run_job(number, overrides, name, folder)
    except UserError as error:
        result = SweepJob(number, overrides, name, "failed", reason=str(error))
    result = replace(result, seconds=round(time.monotonic() - start, 1))
    write_file(folder / "job.json", json.dumps(asdict(result), allow_nan=False))
    print(f"sweep: job {number}: {result.status}{_format_outcome(result)}", flush=True)
    return float("nan") if result.score is None else result.score


def _run_job(number: int, overrides: tuple[str, ...], name: str, folder: Path) -> SweepJob:
    reason = run_experiment(
        name,
        overrides,
        log=folder / "output.log",
        environment={PARENT: os.environ.get(PARENT, "")},
        tell=lambda line: print(f"sweep: job {number}: {line}", flush=True),
    )
    revision = find_experiment_commit(name)
    if reason or revision is None:
        raise UserError(reason or f"DVC made no experiment of it ({folder / 'output.log'})")
    main_metric = select_main_metric(read_training_metrics(revision)["val"])
    if main_metric is None:
        raise UserError(f"experiment {name} measured none of {', '.join(MAIN_METRICS)} on val")
    info = read_run_info(revision)
    output = (folder / "output.log").read_text("utf-8")
    status = "restored" if output.count("Stage 'finetune' ") else "trained"
    figure, score = main_metric
    task = info.get("task")
    return SweepJob(number, overrides, name, status, score, info.get("run_id"), figure=figure, task=task)


def _format_outcome(result: SweepJob) -> str:
    return f", {result.reason}" if result.score is None else f", val {result.figure} {result.score:.4f}"


def _get_tracking_target(values: Mapping[str, Any]) -> TrackingTarget:
    settings = values["tracking"]
    return TrackingTarget(settings["uri"], settings["experiment"], settings["timeout"])


def _get_tags(overrides: Sequence[str]) -> dict[str, Any]:
    return {"finetrack.sweep": shlex.join(["python", "-m", "pipeline.sweep", "-m", *overrides])}


def _read_finished_jobs(folder: Path) -> list[SweepJob]:
    found = [json.loads(path.read_text("utf-8")) for path in folder.glob("*/job.json")]
    return sorted(
        (SweepJob(**{**row, "overrides": tuple(row["overrides"])}) for row in found),
        key=lambda row: row.number,
    )


def _print_results(done: Sequence[SweepJob]) -> None:
    """Print the table and the next step. A failed job ends the parent run as FAILED."""
    print("\n".join(describe_results(done)))
    lost = list_failed_jobs(done)
    if lost:
        raise UserError(
            f"{len(lost)} of {len(done)} jobs failed: the same command again runs only what is missing"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
