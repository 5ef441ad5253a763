"""Find the commit that recorded the results of a run: of its DVC experiment, or of a branch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from pipeline.core.metric_names import MAIN_METRICS
from pipeline.core.paths import TEST_METRICS_FILE, TRAINING_METRICS_FILE
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.recorded_results import flatten_reports
from pipeline.storage.git_history import (
    GitExperiment,
    list_commits_of_file,
    list_experiments,
    read_files_of_commits,
    read_tree_ids,
)
from pipeline.storage.scratch_folder import project_root

CODE_FOLDER: Final = Path("pipeline")
MAX_COMMITS: Final = 2000
"""Commits that changed the results, which are searched for those of a run."""
Results = tuple[tuple[float, ...], frozenset[tuple[str, float]]]
"""Tells results from all others: the training that they are of, and the main metrics on test."""


@dataclass(frozen=True)
class RecordedCommits:
    """The commits with results.

    Args:
        experiments: All DVC experiments, the newest first.
        results: Of each commit: experiments first, then branches, each the newest first.
    """

    experiments: Sequence[GitExperiment] = ()
    results: Mapping[str, Results] = field(default_factory=dict)

    @cached_property
    def commits(self) -> dict[tuple[float, ...], list[str]]:
        """The commits of each training, in the order of `results`."""
        found: dict[tuple[float, ...], list[str]] = {}
        for commit, (training, _) in self.results.items():
            found.setdefault(training, []).append(commit)
        return found

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """The commits of the experiments of each name."""
        found: dict[str, list[str]] = {}
        for experiment in self.experiments:
            found.setdefault(experiment.name, []).append(experiment.commit)
        return found


def identify_results(metrics: Mapping[str, float], seconds: float | None) -> Results | None:
    """Return what tells results from all others in both MLflow and git; None if too little is known.

    Two trainings take the same time to the last digit only where one is a copy of the other.

    Args:
        metrics: By the names in MLflow.
        seconds: Of training.
    """
    best = {name: metrics[name] for name in metrics if name.startswith("best/") and name != "best/epoch"}
    if seconds is None or not best:
        return None
    test = {(name, metrics[f"test/{name}"]) for name in MAIN_METRICS if f"test/{name}" in metrics}
    return (seconds, *(best[name] for name in sorted(best))), frozenset(test)


def read_recorded_commits() -> RecordedCommits:
    """Read what git has of all experiments and branches of the project."""
    root = project_root()
    experiments = list_experiments(root)
    files = (TRAINING_METRICS_FILE, TEST_METRICS_FILE)
    commits = [item.commit for item in experiments]
    for path in files:
        commits += list_commits_of_file(root, path, most=MAX_COMMITS)
    contents = read_files_of_commits(root, [(commit, path) for commit in commits for path in files])
    found = {
        commit: identify_results(
            *flatten_reports({path: contents[commit, path] for path in files if (commit, path) in contents})
        )
        for commit in dict.fromkeys(commits)
    }
    return RecordedCommits(experiments, {commit: known for commit, known in found.items() if known})


def add_commits(iterations: Sequence[Iteration], recorded: RecordedCommits | None = None) -> list[Iteration]:
    """Add to iterations of runs the commit that recorded their results, and git's id of the code they used.

    Args:
        iterations: Of runs.
        recorded: What git has; it is read by default.
    """
    known = recorded or read_recorded_commits()
    commits = {item.facts["commit"] for item in iterations if "commit" in item.facts}
    codes = read_tree_ids(project_root(), commits, CODE_FOLDER)
    return [
        replace(
            item,
            revision=find_commit_of_run(item, known),
            facts={**item.facts, "code": codes.get(item.facts.get("commit", ""))},
        )
        for item in iterations
    ]


def add_code(iteration: Iteration) -> Iteration:
    """Add git's id of the code in the commit of an experiment or a revision."""
    commits = [iteration.revision] if iteration.revision else []
    codes = read_tree_ids(project_root(), commits, CODE_FOLDER)
    return replace(iteration, facts={**iteration.facts, "code": codes.get(iteration.revision or "")})


def find_commit_of_run(iteration: Iteration, recorded: RecordedCommits) -> str | None:
    """Return the commit that recorded the results of a run; None if there is none.

    That of its DVC experiment comes first, if the experiment is still of this training; then a commit with
    the same results on test, then any of this training. Branches come first for a run without an experiment.

    Args:
        iteration: Of a run.
        recorded: What git has.
    """
    own = identify_results(iteration.metrics, iteration.facts.get("seconds"))
    named = recorded.by_name.get(iteration.facts.get("experiment", ""), [])
    for commit in named:
        results = recorded.results.get(commit)
        if results is None or own is None or results[0] == own[0]:
            return commit
    if own is None:
        return None
    experiments = {item.commit for item in recorded.experiments}
    same = recorded.commits.get(own[0], [])
    ordered = sorted(same, key=lambda commit: (recorded.results[commit] != own, commit in experiments))
    return next(iter(ordered), None)
