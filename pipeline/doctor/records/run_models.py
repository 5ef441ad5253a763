"""Find finished runs whose model is not in MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.core.text import format_count
from pipeline.doctor.check_finding import CheckFinding
from pipeline.doctor.records.journals import is_readable

if TYPE_CHECKING:
    from pipeline.doctor.examined_project import ExaminedProject


def check_run_models(project: ExaminedProject) -> Iterator[CheckFinding]:
    """Find finished trainings without a model, or whose model has lost its files."""
    if not is_readable(project) or project.runs is None:
        yield CheckFinding("ok", "no runs to check")
        return
    lacking = project.runs.list_without_model()
    if not lacking:
        yield CheckFinding("ok", "each finished training has its model")
        return
    named = "; ".join(
        f"{item.name or item.run_id[:8]} ({item.run_id[:8]}): {item.reason}" for item in lacking[:2]
    )
    what = format_count(len(lacking), "finished training has", "finished trainings have")
    seen = f"{what} no model in MLflow: {named}{'; ...' if len(lacking) > 2 else ''}"
    yield CheckFinding(
        "warning",
        seen,
        "`finetrack send`, if messages wait; else its weights are in DVC (`finetrack runs`), or "
        "restore mlruns/ from a backup",
    )
