"""A small project with iterations: runs in a real MLflow database, results and weights in git and DVC."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from pipeline.dataset.manifest import Manifest, serialize_manifest
from pipeline.tracking.runs import EvaluationIdentity, attach_run, open_parent_run, open_run
from pipeline.tracking.target import TrackingTarget

NAMES = ("disc", "square")
MANIFEST = Manifest("detect", NAMES, ())
STAGES = {
    "prepare": {"cmd": "mkdir -p data && cp -r made/prepared data/", "deps": ["made/prepared"]},
    "finetune": {"cmd": "mkdir -p models && cp -r made/finetuned models/", "deps": ["made/finetuned"]},
    "evaluate": {
        "cmd": "mkdir -p reports && cp -r made/evaluation reports/",
        "deps": ["made/evaluation", "models/finetuned"],
    },
}
OUTS = {"prepare": "data/prepared", "finetune": "models/finetuned", "evaluate": "reports/evaluation"}
TARGET = TrackingTarget("sqlite:///mlflow.db", "trial", 20.0)


def train(
    name: str,
    lr0: float = 0.001,
    *,
    val: float = 0.5,
    seconds: float = 7.25,
    tags: Mapping[str, Any] | None = None,
) -> str:
    """Log a training as `finetune` does, with files in the place of weights; return the run's id."""
    content = f"weights of {name} {lr0}".encode()
    digest = hashlib.sha256(content).hexdigest()
    more = {"finetrack.task": "detect", "finetrack.data.digest": MANIFEST.digest, **(tags or {})}
    with open_run(TARGET, key=digest, name=name, tags=more) as session:
        session.log_params({"finetune": {"lr0": lr0, "epochs": 2}, "seed": 0, "tracking": {"tags": {}}})
        session.log_params({"effective": {"lr0": lr0}})
        session.log_dataset("demo", MANIFEST.digest, source="data", classes=NAMES, splits={})
        session.log_metrics({"seconds": seconds}, step=1)
        session.log_metrics({"best/mAP50-95": val, "best/epoch": 1})
        write_weights(Path("models/finetuned"), content, run_id=session.run_id)
        session.log_artifact(Path("models/finetuned"))
        session.set_tags({"finetrack.weights.sha256": digest})
    return str(session.run_id)


def fail(name: str) -> str:
    """Log a training that fails; return the run's id."""
    with suppress(ValueError), open_run(TARGET, key="f" * 64, name=name, tags={}) as session:
        session.log_params({"seed": 0})
        raise ValueError("the loss exploded")
    return str(session.run_id)


def evaluate(run_id: str, *, iou: float = 0.7, test: float = 0.4, folder: Path | None = None) -> str:
    """Log an evaluation as `evaluate` does, the first of a training to its run; return the run's id."""
    identity = EvaluationIdentity(f"{iou}-{run_id}".ljust(64, "0"), {"evaluate": {"iou": iou}}, {})
    with attach_run(TARGET, key="k" * 64, run_id=run_id, evaluation=identity) as session:
        session.log_params(identity.params)
        session.log_metrics(
            {"test/mAP50-95": test, "test/mAP50-95_low": test - 0.05, "test/mAP50-95_high": test + 0.05}
        )
        session.set_model_defaults({"conf": 0.2, "iou": iou, "max_det": 300, "imgsz": 64})
        if folder:
            session.log_artifact(folder)
    return str(session.run_id)


def write_weights(folder: Path, content: bytes, *, run_id: str | None) -> None:
    """Write models/finetuned as finetune does."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "best.pt").write_bytes(content)
    hashes = {"best": hashlib.sha256(content).hexdigest()}
    facts = {"run_id": run_id, "key": "k", "task": "detect", "names": NAMES, "sha256": hashes}
    (folder / "run.json").write_text(json.dumps(facts))


def write_predictions(folder: Path, text: str) -> Path:
    """Write reports/evaluation with stored predictions in it."""
    (folder / "predictions").mkdir(parents=True, exist_ok=True)
    (folder / "predictions/test.json").write_text(text)
    return folder


def record(lr0: float, *, content: bytes, run_id: str | None, val: float, test: float, seconds: float) -> str:
    """Run the stages of DVC, and commit their results; return the commit."""
    write_weights(Path("made/finetuned"), content, run_id=run_id)
    write_predictions(Path("made/evaluation"), f"of {lr0}")
    Path("made/prepared").mkdir(parents=True, exist_ok=True)
    Path("made/prepared/manifest.json").write_text(serialize_manifest(MANIFEST))
    params = {"finetune": {"lr0": lr0, "epochs": 2}, "seed": 0, "evaluate": {"iou": 0.7}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    Path("reports").mkdir(exist_ok=True)
    training = {"val": {"mAP50-95": val}, "best_epoch": 1, "seconds": seconds}
    Path("reports/training.json").write_text(json.dumps(training))
    metrics = {"test": {"mAP50-95": test, "threshold": 0.2, "threshold_from": "val"}, "per_class": {}}
    Path("reports/metrics.json").write_text(json.dumps(metrics))
    reproduce()
    git("add", "-A")
    git("commit", "-qm", f"lr0 {lr0}")
    return git("rev-parse", "HEAD")


def reproduce() -> None:
    """Run DVC's stages in this process, which saves a second."""
    from dvc.repo import Repo

    with warnings.catch_warnings(action="ignore"), Repo() as repo:
        repo.reproduce()


def check_out(commit: str) -> None:
    """Make the workspace that of a commit, with the files that DVC tracks."""
    from dvc.repo import Repo

    git("reset", "--hard", "-q", commit)
    with warnings.catch_warnings(action="ignore"), Repo() as repo:
        repo.checkout(force=True)


def create_repository() -> None:
    """Make the current folder a project of git and DVC."""
    git("init", "-q")
    stages = {name: {**stage, "outs": [OUTS[name]]} for name, stage in STAGES.items()}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    Path(".dvc").mkdir()
    Path(".dvc/config").write_text("[core]\n    analytics = false\n")
    Path(".gitignore").write_text("/.finetrack\n/mlflow.db*\n/mlruns\n/.dvc/tmp\n/.dvc/cache\n/made\n")
    Path("pipeline").mkdir()
    Path("pipeline/code.py").write_text("1")
    git("add", "-A")
    git("commit", "-qm", "start")


def git(*command: str) -> str:
    """Run git in the current folder."""
    user = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    return subprocess.run(
        ["git", *user, *command], check=True, capture_output=True, text=True, env=os.environ
    ).stdout.strip()


def sweep(name: str) -> str:
    """Log the parent run of a sweep; return its id."""
    with open_parent_run(TARGET, name=name, tags={}) as session:
        session.log_params({"sweep": {"seeds": 1}})
        return str(session.run_id)
