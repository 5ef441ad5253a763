"""Write and log the results of a finished training: weights, report, tags, description and model."""

from __future__ import annotations

from typing import Any

from pipeline.config.schema import Config
from pipeline.core.metric_names import OVERFITTING_GAP
from pipeline.core.paths import FINETUNED_FOLDER
from pipeline.dataset.manifest import BaseSeen, list_learnt_images
from pipeline.finetune.base_images import BaseImages
from pipeline.finetune.mlflow_log import log_results
from pipeline.finetune.outputs import write_training_outputs
from pipeline.finetune.overfitting import OverfittingVerdict, detect_overfitting
from pipeline.finetune.run_name import describe_threads, summarize_training
from pipeline.finetune.training_inputs import TrainingInputs
from pipeline.storage.files import hash_file
from pipeline.tracking.session import RunSession
from pipeline.tracking.store.run_tags import WEIGHTS_TAG
from pipeline.yolo.epoch_metrics import select_val_metrics, sum_losses
from pipeline.yolo.job import TrainingResult


def write_results(
    session: RunSession, config: Config, inputs: TrainingInputs, outcome: TrainingResult
) -> None:
    """Write the files of a finished training, and log them.

    Args:
        session: Of the run.
        config: Of the training.
        inputs: Of the training.
        outcome: Its weights and figures.
    """
    best = select_val_metrics(outcome.best_figures)
    overfitting, used = _find_overfitting(outcome), outcome.effective
    file = inputs.base.path.name if inputs.base.path else None
    listed, seen = inputs.base_images or BaseImages(frozenset(), BaseSeen())
    base = {"name": inputs.base.name, "weights": file, "sha256": inputs.base.sha256, "seen": str(seen)}
    report = {
        "val": best,
        "best_epoch": outcome.best_epoch,
        "epochs": len(outcome.rows),
        "train_images": len(inputs.prepared.in_split("train")),
        "overfitting": overfitting._asdict(),
        "seconds": outcome.rows[-1]["seconds"],
        **_report_average(outcome),
    }
    facts = {
        "run_id": session.run_id,
        "key": inputs.key,
        "data": inputs.prepared.digest,
        "images": list_learnt_images(inputs.prepared, listed),
        "task": inputs.prepared.task,
        "names": list(outcome.names),
        "single_cls": config.finetune.single_cls,
        "imgsz": used["imgsz"],
        "base": base,
        "strategy": config.finetune.strategy,
        "effective": used,
    }
    if inputs.automatic:
        report["automatic"] = {value.key: value.value for value in inputs.automatic}
        facts["automatic"] = {value.key: value._asdict() for value in inputs.automatic}
    write_training_outputs(
        outcome.weights, facts, rows=outcome.rows, report=report, rate_test=inputs.rate_test
    )
    known_at_the_end = ("epochs", "average")
    session.log_params({"effective": {key: used[key] for key in known_at_the_end if key in used}})
    session.log_metrics({OVERFITTING_GAP: overfitting.gap})
    threads = describe_threads(outcome.rows)
    session.set_tags(
        {
            "finetrack.overfitting": overfitting.verdict,
            "finetrack.threads": threads,
            WEIGHTS_TAG: hash_file(FINETUNED_FOLDER / "best.pt"),
        }
    )
    session.set_description(_describe_run(config, inputs, outcome))
    epoch = None if outcome.average and outcome.average.is_taken else outcome.best_epoch
    log_results(session, inputs.prepared, best, epoch, imgsz=used["imgsz"])


def _report_average(outcome: TrainingResult) -> dict[str, Any]:
    """Return what the report says of the mean of the best epochs; nothing where there is none."""
    if (average := outcome.average) is None:
        return {}
    single = select_val_metrics(outcome.rows[outcome.best_epoch - 1])
    return {
        "average": {
            "epochs": average.epoch_list,
            "statistics": "estimated" if average.is_estimated else "averaged",
            "is_best": average.is_taken,
            "val": select_val_metrics(average.figures),
            "val_of_best_epoch": single,
        }
    }


def _find_overfitting(outcome: TrainingResult) -> OverfittingVerdict:
    return detect_overfitting(*sum_losses(outcome.rows))


def _describe_run(config: Config, inputs: TrainingInputs, outcome: TrainingResult) -> str:
    """Describe a run in MLflow's markdown."""
    data = config.data.source_name
    train, val = len(inputs.prepared.in_split("train")), len(inputs.prepared.in_split("val"))
    return (
        f"`{config.finetune.strategy}` from `{inputs.base.name}` on `{data}`: {train} train images and "
        f"{inputs.augmented.count} copies, {val} val images, for {inputs.prepared.task}.\n\n"
        f"{summarize_result(inputs, outcome)}"
    )


def summarize_result(inputs: TrainingInputs, outcome: TrainingResult) -> str:
    """Summarize a finished training in one line."""
    return summarize_training(outcome, _find_overfitting(outcome), task=inputs.prepared.task)
