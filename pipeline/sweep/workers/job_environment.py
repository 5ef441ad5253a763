"""The environment of a job's processes, and the command that runs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pipeline.storage.git import REPOSITORY_VARIABLES
from pipeline.storage.scratch_folder import ROOT_VARIABLE
from pipeline.sweep.job import SweepContext, SweepJob
from pipeline.tracking.sweep_origin import RUN_NAME_VARIABLE

_OF_ONE_STAGE: Final = ("DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "DVC_EXP_TRAIN")
"""Set where a sweep is itself started by DVC; the jobs are no part of that stage."""


def build_environment(context: SweepContext) -> dict[str, str]:
    """Return the environment that all processes of a sweep have, of fork servers and of jobs.

    `python` is the interpreter of the sweep there: dvc.yaml names it without a path.

    Args:
        context: Of the sweep.
    """
    dropped = {*REPOSITORY_VARIABLES, *_OF_ONE_STAGE}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    root = str(context.project)
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", **context.environment, ROOT_VARIABLE: root}


def build_job_environment(
    context: SweepContext, job: SweepJob, variables: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of a job's processes.

    Args:
        context: Of the sweep.
        job: Its label becomes the name of its MLflow run.
        variables: Of this job alone, such as its share of the machine.
    """
    return {**build_environment(context), RUN_NAME_VARIABLE: job.label, **variables}


def build_dvc_command(job: SweepJob, *, pulls: bool = False) -> list[str]:
    """Return the command that runs a job as a DVC experiment, in the folder that it is started in.

    Where FINETRACK_FORK_SERVER names fork servers, it runs in a fork of one, else by itself.

    Args:
        job: The job.
        pulls: Whether recorded results are fetched from DVC's remote.
    """
    module = "pipeline.runtime.fork_server.run"
    command = [sys.executable, "-m", module, "dvc", "exp", "run", "--name", job.experiment]
    command += ["--pull"] if pulls else []
    for override in job.overrides:
        command += ["--set-param", override]
    return [*command, job.last_stage]
