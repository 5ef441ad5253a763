"""Log a sweep to its parent run in MLflow: the space, results as they come, and pictures at the end."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from pipeline.runtime.progress import print_notice
from pipeline.sweep.job import JobResult
from pipeline.sweep.report.best_config import BestConfig
from pipeline.sweep.report.pictures import render_graph, render_png
from pipeline.sweep.report.points import PointSummary, SweepSummary
from pipeline.sweep.report.results_file import build_job_rows
from pipeline.sweep.report.results_table import describe_best, describe_savings
from pipeline.sweep.report.sweep_page import render_sweep_page
from pipeline.sweep.settings import SweepSettings
from pipeline.sweep.space.search_space import SearchAxis, SearchSpace

if TYPE_CHECKING:
    from pipeline.sweep.learning_curve.curve_size import LearningCurve
    from pipeline.sweep.study.pictures.draw_pictures import StudyPicture, StudyPictures  # imports Optuna

PICTURE_SECONDS: Final = 300.0
"""Seconds between two uploads of the pictures while the sweep runs."""
PICTURE_FOLDER: Final = "pictures"
PAGE_FILE: Final = "sweep.html"
CONFIG_FILE: Final = "best.yaml"
_IDENTITY_SETTINGS: Final = ("objectives", "constraints", "seeds", "folds")
"""Settings that stay the same when a sweep goes on: parameters of the run, which MLflow never changes."""
_TASK_KEYS: Final = ("data", "data.task", "data.format", "data.source")
"""Axes with which jobs may be of several tasks, whose metrics are then named by their tasks."""

DrawPictures = Callable[[], "StudyPictures"]


class ParentSession(Protocol):
    """What is used of `tracking.session.RunSession`."""

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Log parameters."""

    def log_metrics(self, values: Mapping[str, Any], *, step: int | None = None) -> None:
        """Log numbers, with a step as points of curves."""

    def set_tags(self, values: Mapping[str, Any]) -> None:
        """Set tags."""

    def set_description(self, markdown: str) -> None:
        """Set the text of the run's page."""

    def log_table(self, rows: Sequence[Mapping[str, Any]], file: str) -> None:
        """Upload rows as a table."""

    def log_text(self, content: str, file: str) -> None:
        """Upload a text as a file."""

    def log_artifact(self, path: Path, *, folder: str = "") -> None:
        """Upload a file."""


class SweepLog:
    """Logs one sweep to its parent run."""

    def __init__(
        self, session: ParentSession, space: SearchSpace, *, draw: DrawPictures | None = None
    ) -> None:
        """Choose the run.

        Args:
            session: Of the parent run.
            space: What is searched.
            draw: Draws the pictures of the study as it is now; None for none.
        """
        self._session = session
        self._space = describe_space(space)
        self._draw = draw
        self._may_have_several_kinds = any(axis.key.lstrip("+") in _TASK_KEYS for axis in space.axes)
        self._last_pictures = time.monotonic()

    def log_plan(self, space: SearchSpace, settings: SweepSettings) -> None:
        """Log the space and the settings, before the first job."""
        values = settings.model_dump(mode="json")
        fixed = {word.partition("=")[0]: word.partition("=")[2] for word in space.fixed}
        named = {name: values[name] for name in _IDENTITY_SETTINGS if values[name] not in (None, [], 1)}
        groups = {"space": self._space, "fixed": fixed, "sweep": named}
        self._session.log_params({name: group for name, group in groups.items() if group})
        values["storage"] = "database" if values["storage"] else None  # an address may hold a password
        self._session.set_tags({"finetrack.sweep.settings": json.dumps(values, allow_nan=False)})

    def log_result(self, result: JobResult, summary: SweepSummary) -> None:
        """Log a job that has ended: its score as a point of a curve, counts, now and then the pictures."""
        log_score(self._session, result, several=_has_several_kinds(summary))
        self._session.log_metrics(count_jobs(summary))
        if not self._may_have_several_kinds:
            self._log_best_metrics(summary)
        if time.monotonic() - self._last_pictures >= PICTURE_SECONDS:
            self._log_files(summary, None)

    def log_end(self, summary: SweepSummary, config: BestConfig | None) -> None:
        """Log everything that is known at the end.

        Args:
            summary: The sweep.
            config: The best point as a file of conf/experiment; None where there is none.
        """
        self._session.log_metrics(count_jobs(summary))
        self._log_best_metrics(summary)
        self._log_winner(summary)
        self._session.log_metrics(summary.test_metrics)
        if summary.savings:
            saved = {"saved/epochs": summary.savings.epochs, "saved/seconds": summary.savings.seconds}
            self._session.log_metrics(saved)
        if config:
            self._session.log_text(config.text, CONFIG_FILE)
        self._log_files(summary, config)

    def log_curve(self, summary: SweepSummary, curve: LearningCurve) -> None:
        """Log a learning curve instead of a best point, once all jobs have ended."""
        from pipeline.sweep.learning_curve.mlflow_log import log_learning_curve

        self._session.log_metrics(count_jobs(summary))
        self._log_files(summary, None)
        log_learning_curve(self._session, curve)

    def _log_best_metrics(self, summary: SweepSummary) -> None:
        several = _has_several_kinds(summary)
        for point in summary.best if not summary.has_front else []:
            self._session.log_metrics(_build_best_metrics(point, several=several))

    def _log_winner(self, summary: SweepSummary) -> None:
        """Name the winner: at the end alone, since a tag stays when later jobs leave no single winner."""
        if winner := summary.winner:
            tags = {
                "finetrack.best": summary.get_experiment(winner),
                "finetrack.best.run": winner.jobs[0].run_id,
                "finetrack.best.overrides": " ".join(winner.overrides),
            }
            if not summary.winner_is_elsewhere:  # else the process that has it says whether it is scored
                # a metric cannot be deleted: one of an earlier winner may still be there
                scored = summary.get_experiment(winner) if summary.test else "not scored"
                tags["finetrack.best.test"] = scored
            self._session.set_tags(tags)

    def _log_files(self, summary: SweepSummary, config: BestConfig | None) -> None:
        """Upload the table of jobs, the pictures, the page and the description."""
        self._last_pictures = time.monotonic()
        self._session.log_table(build_job_rows(summary.results), "jobs.json")
        self._session.set_description(describe_for_mlflow(summary, self._space, config))
        pictures = self._draw_pictures()
        with tempfile.TemporaryDirectory(prefix="finetrack-pictures-") as folder:
            for picture in pictures:
                path = Path(folder, f"{picture.name}.png")
                path.write_bytes(render_png(picture))
                self._session.log_artifact(path, folder=PICTURE_FOLDER)
        page = render_sweep_page(
            summary,
            [render_graph(picture) for picture in pictures],
            space=self._space,
            config=config.text if config else "",
            config_name=config.name if config else None,
        )
        self._session.log_text(page, PAGE_FILE)

    def _draw_pictures(self) -> Sequence[StudyPicture]:
        """Draw the pictures. An error of a library costs the pictures, not the results of a sweep."""
        try:
            found = self._draw() if self._draw else None
        except Exception as error:
            print_notice(f"sweep: the pictures could not be drawn: {type(error).__name__}: {error}")
            return []
        for problem in found.problems if found else []:
            print_notice(f"sweep: {problem}")
        return found.pictures if found else []


def log_score(session: ParentSession, result: JobResult, *, several: bool = False) -> None:
    """Log the score of a job as a point of a curve over the jobs."""
    if result.score is not None and result.metric:
        kind = "/".join(word for word in (result.task, result.metric) if word)
        name = kind if several else result.metric
        session.log_metrics({f"job/{name}": result.score}, step=result.job.number)


def count_jobs(summary: SweepSummary) -> dict[str, int]:
    """Return how many points there are, and how many jobs by how they ended."""
    statuses = ("trained", "restored", "pruned", "failed", "killed")
    counts = {status: len(summary.list_jobs(status)) for status in statuses}
    return {"points": len(summary.points), "jobs": len(summary.results), **counts}


def describe_space(space: SearchSpace) -> dict[str, str]:
    """Return what each key of a space may be, for people."""
    return {axis.key.lstrip("+"): _describe_axis(axis) for axis in space.axes}


def describe_for_mlflow(summary: SweepSummary, space: Mapping[str, str], config: BestConfig | None) -> str:
    """Return the description of the parent run as Markdown: what was searched, the best, the next step."""
    searched = [f"- `{key}`: {values}" for key, values in space.items()]
    best = describe_best(summary, config.name if config else None)
    counts = ", ".join(f"{count} {name}" for name, count in count_jobs(summary).items() if count)
    lines = ["**Best**", "", *(f"- {line.strip()}" for line in best), "", "**Searched**", "", *searched, ""]
    lines += [f"{counts}.", *(f"{line}." for line in describe_savings(summary))]
    return "\n".join([*lines, "", f"`{summary.shown_command}`"])


def _describe_axis(axis: SearchAxis) -> str:
    if axis.choices:
        return ", ".join(axis.choices)
    words = [f"{axis.low:g} to {axis.high:g}"]
    words += ["on a logarithmic scale"] if axis.log else []
    words += [f"in steps of {axis.step:g}"] if axis.step else []
    return ", ".join([*words, *(["integers"] if axis.integer else [])])


def _has_several_kinds(summary: SweepSummary) -> bool:
    return len({point.kind for point in summary.points if point.kind}) > 1


def _build_best_metrics(point: PointSummary, *, several: bool) -> dict[str, float | None]:
    name = point.kind.replace(" ", "/") if several else str(point.metric)
    values: dict[str, float | None] = {f"best/{name}": point.mean}
    return values if point.spread is None else {**values, f"best/{name}/std": point.spread}
