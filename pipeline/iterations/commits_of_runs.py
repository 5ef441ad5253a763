"""Find the commit that recorded the results of a run: of its DVC experiment, or of a branch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pipeline.core.paths import TEST_METRICS_FILE, TRAINING_METRICS_FILE
from pipeline.iterations.iteration import Iteration
from pipeline.iterations.recorded_results import flatten_reports, identify_training
from pipeline.storage.git_history import (
    GitExperiment,
    list_commits_of_file,
    list_experiments,
    read_files_of_commits,
)
from pipeline.storage.scratch_folder import project_root

MAX_COMMITS: Final = 2000
"""Commits that changed the results, which are searched for those of a run."""
TrainingIdentity = tuple[float, ...]


@dataclass(frozen=True)
class RecordedCommits:
    """The commits with results, by the training that they are of.

    Args:
        experiments: All DVC experiments, the newest first.
        trainings: The commits of each training: experiments first, each kind newest first.
        test_metrics: Of each commit.
        identities: The training of each commit.
    """

    experiments: Sequence[GitExperiment] = ()
    trainings: Mapping[TrainingIdentity, Sequence[str]] = field(default_factory=dict)
    test_metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    identities: Mapping[str, TrainingIdentity] = field(default_factory=dict)


def read_recorded_commits() -> RecordedCommits:
    """Read what git has of all experiments and branches of the project."""
    root = project_root()
    experiments = list_experiments(root)
    commits = [item.commit for item in experiments]
    commits += list_commits_of_file(root, TRAINING_METRICS_FILE, most=MAX_COMMITS)
    commits += list_commits_of_file(root, TEST_METRICS_FILE, most=MAX_COMMITS)
    commits = list(dict.fromkeys(commits))
    files = (TRAINING_METRICS_FILE, TEST_METRICS_FILE)
    contents = read_files_of_commits(root, [(commit, path) for commit in commits for path in files])
    trainings: dict[TrainingIdentity, list[str]] = defaultdict(list)
    tests, identities = dict[str, Mapping[str, float]](), dict[str, TrainingIdentity]()
    for commit in commits:
        found = {path: contents[commit, path] for path in files if (commit, path) in contents}
        metrics, seconds = flatten_reports(found)
        if identity := identify_training(metrics, seconds):
            trainings[identity].append(commit)
            tests[commit], identities[commit] = metrics, identity
    return RecordedCommits(experiments, trainings, tests, identities)


def find_commit_of_run(iteration: Iteration, recorded: RecordedCommits | None = None) -> str | None:
    """Return the commit that recorded the results of a run; None if there is none.

    That of its DVC experiment comes first, if the experiment is still of this training; then a commit with
    the same results on test, then any of this training.

    Args:
        iteration: Of a run.
        recorded: What git has; it is read by default.
    """
    known = recorded or read_recorded_commits()
    identity = identify_training(iteration.metrics, iteration.facts.get("seconds"))
    name = iteration.facts.get("experiment")
    for experiment in known.experiments:
        if experiment.name == name and known.identities.get(experiment.commit, identity) == identity:
            return experiment.commit
    commits = known.trainings.get(identity, ()) if identity else ()
    test = _select_test(iteration.metrics)
    same = (commit for commit in commits if _select_test(known.test_metrics[commit]) == test)
    return next(same, next(iter(commits), None))


def _select_test(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith("test/mAP")}
