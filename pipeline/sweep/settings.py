"""The settings of a sweep: conf/hydra/sweeper/finetrack.yaml, `sweep.KEY=VALUE` on the command line."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

SamplerName = Literal["auto", "grid", "random", "tpe", "gp", "cmaes"]
PrunerName = Literal["none", "median", "asha", "wilcoxon"]
LauncherName = Literal["local", "slurm", "ray"]
ClusterOption = Annotated[str, Field(pattern=r"^[^\x00-\x1f]*$")] | bool | int | float
ClusterOptions = dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_-]*$")], ClusterOption]
"""No line breaks: sbatch reads its options from the lines of a script."""


class SweepSettings(BaseModel):
    """What decides how a sweep searches and runs; the keys of the jobs are no part of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(None, description="Goes on with the sweep of this name; null: from the command")
    sampler: SamplerName = Field("auto", description="auto: a grid of choices, else tpe")
    trials: int | None = Field(None, ge=1, description="Points at most; null: all of a grid, 20 of another")
    timeout: float | None = Field(None, gt=0, description="Seconds of each command after which no job starts")
    hours: float | None = Field(None, gt=0, description="Of each command; plans points by a job's time")
    seed: int = Field(0, ge=0, description="Of the sampler")
    seeds: int = Field(1, ge=1, description="Trainings of each point, with seed, seed + 1, ...")
    folds: int | None = Field(None, ge=2, description="Trains each point on this many folds")
    pruner: PrunerName = Field("none", description="Ends trainings that are behind on val")
    pruner_warmup: int = Field(0, ge=0, description="Epochs that no training is pruned before")
    pruner_startup: int = Field(4, ge=0, description="Points that are trained to the end first")
    objectives: tuple[str, ...] = Field(
        (), description="Such as mAP50-95,milliseconds; empty: the main metric"
    )
    constraints: tuple[str, ...] = Field((), description="Such as 'milliseconds <= 20'")
    test: bool = Field(False, description="Scores every job on test, not the winner alone")
    curve: bool = Field(False, description="Draws a learning curve over data.fraction, with a forecast")
    output: Literal["text", "json"] = Field("text", description="How the results are printed")
    jobs: Annotated[int, Field(ge=1)] | Literal["auto"] = Field("auto", description="Jobs at once")
    launcher: LauncherName = Field("local", description="Where jobs run")
    slurm: ClusterOptions = Field({}, description="Options of sbatch for each job: partition, time, mem, ...")
    ray: ClusterOptions = Field({}, description="What each job takes: num_cpus, num_gpus, memory, resources")
    host: str | None = Field(None, description="Address at which nodes reach this machine; null: found")
    git_remote: str = Field("origin", description="Brings code to nodes that do not share the disk")
    dvc_remote: str | None = Field(None, description="Brings data to them; null: the default remote")
    storage: str | None = Field(None, description="postgresql://USER@HOST/NAME; null: sqlite in .finetrack")
    fail_fast: bool = Field(False, description="Ends the sweep with the first job that fails")
    impossible: Literal["refuse", "skip"] = Field("refuse", description="Combinations that cannot run")
    keep: Literal["all", "best"] = Field("all", description="best: removes the other experiments at the end")
