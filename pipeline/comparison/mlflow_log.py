"""Log a comparison to MLflow: a run of its own, with the page, the figures as JSON, and the differences."""

from __future__ import annotations

import json
from typing import Any, Final

from pipeline.comparison.comparison_report import ComparisonReport, describe_verdicts, report_to_json
from pipeline.comparison.comparison_result import ModelComparison
from pipeline.tracking.runs import open_report_run
from pipeline.tracking.target import TrackingTarget

COMMAND: Final = "compare"
PAGE_FILE: Final = "compare.html"
JSON_FILE: Final = "compare.json"


def log_comparison(target: TrackingTarget, report: ComparisonReport, page: str) -> str:
    """Log a comparison, and return where it is, for people.

    Args:
        target: MLflow's store and experiment.
        report: The comparison.
        page: Its HTML page.

    Raises:
        UserError: The store cannot be used.
    """
    tags = {
        "finetrack.task": report.test.task,
        "finetrack.data.digest": report.test.data,
        "finetrack.compare.verdict": report.comparisons[0].verdict if len(report.comparisons) == 1 else None,
        "finetrack.compare.runs": " ".join(
            each.run_id for model in report.models for each in model.iterations if each.run_id
        )
        or None,
    }
    with open_report_run(target, name=report.name, command=COMMAND, tags=tags) as session:
        session.log_params(build_params(report))
        session.log_metrics(build_metrics(report))
        session.set_description(describe_for_mlflow(report))
        values = json.dumps(report_to_json(report), indent=2, ensure_ascii=False, allow_nan=False)
        session.log_text(values, JSON_FILE)
        session.log_text(page, PAGE_FILE)
        run_id = session.run_id
    if run_id is None:
        return (
            "MLflow does not answer: the comparison is logged later, by the next command or `finetrack send`"
        )
    return f"logged to MLflow as {report.name} ({run_id[:8]}, {PAGE_FILE})"


def build_params(report: ComparisonReport) -> dict[str, Any]:
    """Return the models by their letters, and what was resampled."""
    models = {f"model_{place}": model.label for place, model in enumerate(report.models, 1)}
    return {**models, "resamples": report.resamples, "seed": report.seed, "test_images": report.test.images}


def build_metrics(report: ComparisonReport) -> dict[str, float]:
    """Return the differences; of several models with their number: the second model's begin with `2/`."""
    several = len(report.comparisons) > 1
    found: dict[str, float] = {}
    for place, comparison in enumerate(report.comparisons, 2):
        found |= _name_metrics(comparison, f"{place}/" if several else "")
    return found


def _name_metrics(comparison: ModelComparison, prefix: str) -> dict[str, float]:
    main = comparison.main
    metrics = {f"{prefix}difference/{each.name}": each.difference for each in (main, *comparison.figures)}
    bounds = {"low": main.low, "high": main.high, "p": main.p_value}
    return metrics | {f"{prefix}difference/{main.name}_{name}": value for name, value in bounds.items()}


def describe_for_mlflow(report: ComparisonReport) -> str:
    """Return the description of the run as Markdown: verdicts, what differs, remarks."""
    lines = [f"- **{verdict}** (A is {report.comparisons[0].first})" for verdict in describe_verdicts(report)]
    lines += [""] + [f"- `{row.name}`: {', '.join(row.values)}" for row in report.differences]
    return "\n".join([*lines, "", *(f"- {remark}" for remark in report.remarks)])
