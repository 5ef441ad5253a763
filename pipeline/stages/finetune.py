"""finetune: base weights + train images -> fine-tuned weights and one MLflow run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.config import Config
from pipeline.core import iteration, layout
from pipeline.core.manifest import Manifest
from pipeline.core.overfitting import Overfitting, judge
from pipeline.core.records import Records
from pipeline.core.unfreezing import Schedule
from pipeline.edges import augmented, code, dataset, files, git, tracking, trained
from pipeline.edges.files import Refused
from pipeline.edges.tracking import Session
from pipeline.edges.yolo import checkpoints, weights
from pipeline.edges.yolo.job import Base, Job, Outcome, Row
from pipeline.edges.yolo.training import train

OURS = {"strategy", "precision", "gradual"}
"""The keys of conf/finetune that are no train arguments of Ultralytics."""


class Inputs(NamedTuple):
    """All that decides about the result, and the key that names it."""

    prepared: Manifest
    augmented: Records
    base: Base
    key: str


def run(config: Config) -> None:
    """Train, or go on where a training of the same iteration was stopped, and log it as one run."""
    inputs = _gather(config)
    folder = files.scratch("checkpoints", inputs.key)
    lock = files.scratch("locks") / f"{inputs.key}.lock"
    with files.one_writer(lock, what=f"the training {inputs.key[:6]}"):
        tracker = config.tracking
        target = tracking.Target(tracker.uri, tracker.experiment, tracker.timeout, tracker.system_metrics)
        name, tags = tracker.run_name or _name(config, inputs.key), _tags(config, inputs)
        resume = checkpoints.newest(folder) is not None
        with tracking.open_run(target, key=inputs.key, name=name, tags=tags, resume=resume) as session:
            _log_inputs(session, config, inputs)
            outcome = train(
                _job(config, inputs, folder),
                on_start=lambda effective: session.params({"effective": effective}),
                on_epoch=lambda row: _log_epoch(session, row),
            )
            _write(session, config, inputs, outcome)
            _log_outcome(session, outcome)
        shutil.rmtree(folder)
    print(_summary(outcome))


def _gather(config: Config) -> Inputs:
    prepared = dataset.read_manifest(layout.PREPARED)
    copies = augmented.read_records(layout.AUGMENTED, prepared=prepared.digest)
    _refuse_nothing_to_learn(prepared)
    base = _base(config)
    used = config.model_dump(mode="json", include={"seed", "data", "augment", "finetune"})
    key = iteration.key(
        params={**used, "architecture": base.architecture},
        data={"prepared": prepared.digest, "augmented": copies.digest},
        code=code.digests(),
        weights=base.sha256,
    )
    return Inputs(prepared, copies, base, key)


def _base(config: Config) -> Base:
    model = config.model
    if config.finetune.strategy == "scratch":
        return Base("random", None, None, model.architecture)
    path = weights.resolve(model.weights, folder=model.folder, sha256=model.sha256)
    return Base(model.name, path, files.sha256(path), model.architecture)


def _refuse_nothing_to_learn(prepared: Manifest) -> None:
    for split in ("train", "val"):
        if not any(item.classes for item in prepared.of(split)):
            raise Refused(
                f"the {split} split of {layout.PREPARED} has no labelled object: "
                f"add labelled images, or give the {split} split a share in data.split"
            )


def _job(config: Config, inputs: Inputs, folder: Path) -> Job:
    finetune = config.finetune
    own = finetune.model_dump(exclude=OURS) | config.augment.online.model_dump() | {"seed": config.seed}
    if teacher := finetune.distill_model:
        own["distill_model"] = str(weights.resolve(teacher, folder=config.model.folder, sha256=None))
    images = Path("images/train")
    copies = [layout.AUGMENTED / images] if inputs.augmented.copies else []
    return Job(
        arguments=own,
        base=inputs.base,
        names=inputs.prepared.names,
        train=(layout.PREPARED / images, *copies),
        val=layout.PREPARED / "images/val",
        precision=finetune.precision,
        gradual=Schedule(**finetune.gradual.model_dump()) if finetune.strategy == "gradual" else None,
        folder=folder,
    )


def _name(config: Config, key: str) -> str:
    """Name a run so that a person tells it from others: full-foundation-lr1e-3-3f2a1c."""
    rate = config.finetune.lr0
    shown = "auto" if rate is None else f"{rate:.0e}".replace("e-0", "e-") if rate < 0.01 else f"{rate:g}"
    base = Path(config.model.architecture).stem if config.finetune.strategy == "scratch" else config.model.name
    return f"{config.finetune.strategy}-{base}-lr{shown}-{key[:6]}"


def _tags(config: Config, inputs: Inputs) -> dict[str, Any]:
    commit, dirty = git.state(Path.cwd())
    return {
        **config.tracking.tags,
        "finetrack.strategy": config.finetune.strategy,
        "finetrack.base": inputs.base.name,
        "finetrack.base.sha256": inputs.base.sha256,
        "finetrack.data.digest": inputs.prepared.digest,
        "finetrack.seed": config.seed,
        "finetrack.git.commit": commit,
        "finetrack.git.dirty": dirty if commit else None,
    }


def _log_inputs(session: Session, config: Config, inputs: Inputs) -> None:
    session.params(config.model_dump(mode="json"))
    session.artifact(layout.PARAMS)
    prepared = inputs.prepared
    facts = {
        split: {"images": len(prepared.of(split)), "objects": prepared.counts(split)}
        for split in layout.SPLITS
    }
    facts["augmented"] = {
        "images": inputs.augmented.count,
        "objects": {prepared.names[cls]: count for cls, count in sorted(inputs.augmented.counts().items())},
    }
    source = config.data.source or config.data.format
    session.dataset(
        Path(source).name,
        prepared.digest,
        source=str(layout.PREPARED),
        classes=prepared.names,
        splits=facts,
    )
    for place in (layout.PREPARED, layout.AUGMENTED):
        session.artifact(place / "samples", folder=f"samples/{place.name}")


def _log_epoch(session: Session, row: Row) -> None:
    session.metrics({name: value for name, value in row.items() if name != "epoch"}, step=int(row["epoch"]))


def _write(session: Session, config: Config, inputs: Inputs, outcome: Outcome) -> None:
    base = {"name": inputs.base.name, "weights": config.model.weights, "sha256": inputs.base.sha256}
    trained.write_curves(outcome.rows)
    trained.write_report(
        {
            "val": trained.val_figures(outcome.rows[outcome.best_epoch - 1]),
            "best_epoch": outcome.best_epoch,
            "epochs": len(outcome.rows),
            "overfitting": _overfitting(outcome)._asdict(),
            "seconds": outcome.rows[-1]["seconds"],
        }
    )
    facts = {
        "run_id": session.run_id,
        "key": inputs.key,
        "names": list(inputs.prepared.names),
        "imgsz": outcome.effective["imgsz"],
        "base": base,
        "strategy": config.finetune.strategy,
        "effective": outcome.effective,
    }
    trained.write_weights(outcome.weights, facts)


def _log_outcome(session: Session, outcome: Outcome) -> None:
    best = trained.val_figures(outcome.rows[outcome.best_epoch - 1])
    overfitting = _overfitting(outcome)
    figures = {f"best/{name}": value for name, value in best.items()}
    session.metrics(figures | {"best/epoch": outcome.best_epoch, "overfitting/gap": overfitting.gap})
    session.tags({"finetrack.overfitting": overfitting.verdict})
    session.artifact(layout.TRAINING_PLOTS)
    session.artifact(layout.FINETUNED, folder="weights")
    session.model(
        layout.FINETUNED / "best.pt",
        example=trained.example(layout.PREPARED / "images/val"),
        metrics=figures,
    )


def _overfitting(outcome: Outcome) -> Overfitting:
    def losses(part: str) -> list[float]:
        return [
            sum(value for name, value in row.items() if name.startswith(f"{part}/")) for row in outcome.rows
        ]

    return judge(losses("train"), losses("val"))


def _summary(outcome: Outcome) -> str:
    best = outcome.rows[outcome.best_epoch - 1]
    overfitting = _overfitting(outcome)
    return (
        f"finetune: val mAP50-95 {best['metrics/mAP50-95']:.3f}, mAP50 {best['metrics/mAP50']:.3f} "
        f"in epoch {outcome.best_epoch} of {len(outcome.rows)}; overfitting {overfitting.verdict} "
        f"(gap {overfitting.gap:.3f}); {outcome.rows[-1]['seconds']:.0f} seconds of training"
    )
