"""A training in a fork of a server is the one that it is in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pipeline.core.paths import FINETUNED_FOLDER, PARAMS_FILE, TRAINING_METRICS_FILE
from pipeline.runtime.fork_server import processes
from tests import trainings

SMALL = (
    *("finetune=scratch", "finetune.epochs=1", "finetune.imgsz=64", "finetune.batch=4", "finetune.threads=1"),
    *("finetune.warmup_epochs=0.0", "tracking.system_metrics=false"),
)
ROOT = Path(processes.__file__).parents[3]


def train(root, **variables):
    """Train below `root`, and return the bytes of the weights and the metrics."""
    trainings.dataset(root)
    (root / "pipeline").symlink_to(root.parent / "pipeline")
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        values = OmegaConf.to_container(compose("config", overrides=[*SMALL]), resolve=True)
    (root / PARAMS_FILE).write_text(yaml.safe_dump(values))
    environment = {**os.environ, **variables, "PYTEST_CURRENT_TEST": ""}
    command = [sys.executable, "-m", "pipeline", "finetune"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((root / TRAINING_METRICS_FILE).read_text())
    del metrics["seconds"]
    weights = {path.name: path.read_bytes() for path in (root / FINETUNED_FOLDER).glob("*.pt")}
    return weights, metrics, done.stdout.split(";")[0]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks are not safe elsewhere")
def test_weights_and_metrics_are_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "SERVER_KINDS", ("training",))
    plain, forked = tmp_path / "plain", tmp_path / "forked"
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    base = {**os.environ, "PYTEST_CURRENT_TEST": "", "FINETRACK_ROOT": str(forked)}
    server = processes.start_fork_server(tmp_path / "server", code=tmp_path, environment=base)
    try:
        first = train(plain, FINETRACK_ROOT=str(plain))
        second = train(forked, FINETRACK_ROOT=str(forked), FINETRACK_FORK_SERVER=server.address)
    finally:
        server.close()
    assert (tmp_path / "server/training.log").read_text() == ""  # it has refused nothing
    assert set(first[0]) == {"best.pt", "last.pt"}
    assert first == second
