"""A training from own weights after another split: its record says how many test images they saw."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from mlflow import MlflowClient
from omegaconf import OmegaConf

from pipeline.config.schema import parse_config
from pipeline.core.paths import AUGMENTED_FOLDER, FINETUNED_FOLDER, PREPARED_FOLDER
from pipeline.dataset.augmented import write_augmentation_records
from pipeline.dataset.prepared import read_manifest, write_manifest
from pipeline.evaluate.seen_images import find_seen_images
from pipeline.finetune.stage import run_stage
from pipeline.iterations.resolve_reference import resolve_reference
from pipeline.tracking.target import TrackingTarget
from tests import trainings

TARGET = TrackingTarget("sqlite:///mlflow.db", "finetrack", 20.0)


def train(**changes):
    """Train for an epoch; return run.json and the tags of the run."""
    small = ["finetune.epochs=1", "finetune.imgsz=64", "finetune.batch=4", "tracking.system_metrics=false"]
    with initialize_config_dir(str(trainings.CONF), version_base=None):
        given = [f"{key}={value}" for key, value in changes.items()]
        values = OmegaConf.to_container(compose("config", overrides=[*small, *given]), resolve=True)
    run_stage(parse_config(yaml.safe_load(yaml.safe_dump(values))))
    facts = json.loads((FINETUNED_FOLDER / "run.json").read_text())
    return facts, MlflowClient(TARGET.address).get_run(facts["run_id"]).data.tags


def exchange_test_images():
    """Exchange the test images with train images, as another split does."""
    manifest = read_manifest(PREPARED_FOLDER)
    items = {item.file: item for item in manifest.items}
    for one, other in zip(manifest.in_split("train"), manifest.in_split("test"), strict=False):
        for folder, files in (
            ("images", (one.file, other.file)),
            ("labels", (one.label_file, other.label_file)),
        ):
            first, second = (PREPARED_FOLDER / folder / file for file in files)
            contents = first.read_bytes(), second.read_bytes()
            second.write_bytes(contents[0])
            first.write_bytes(contents[1])
        items[one.file], items[other.file] = replace(other, file=one.file), replace(one, file=other.file)
    changed = write_manifest(PREPARED_FOLDER, replace(manifest, items=tuple(items.values())))
    write_augmentation_records(AUGMENTED_FOLDER, changed.digest, [])
    return changed


@pytest.mark.slow
@pytest.mark.fault(2, "the base weights were trained on present test images")
def test_a_training_goes_on_from_weights_that_saw_its_test_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINETRACK_ROOT", str(tmp_path))
    trainings.dataset(tmp_path)
    first, tags = train(finetune="scratch")
    assert (first["base"]["seen"], "finetrack.base.seen" in tags) == ("0", False)
    shutil.copytree(FINETUNED_FOLDER, "v1")
    own = {"finetune": "full", "model": "yolo26n", "model.weights": "v1/best.pt"}

    same, tags = train(**own)
    assert (same["base"]["seen"], "finetrack.base.seen" in tags) == ("0", False)
    assert "model.weights" not in capsys.readouterr().out
    changed = exchange_test_images()
    second, tags = train(**own)
    assert second["base"]["seen"] == tags["finetrack.base.seen"] == "2"
    assert set(first["images"]) < set(second["images"])
    assert "model.weights=v1/best.pt was trained on 2 of the 2 test images" in capsys.readouterr().out
    assert find_seen_images(second, changed).number == 2
    for name in (second["run_id"], "workspace"):
        assert resolve_reference(name, TARGET, registry_name="none").facts["base_seen"] == "2"

    Path("v1/run.json").unlink()  # its run has it, too
    third, tags = train(**own, seed=1)
    assert third["base"]["seen"] == tags["finetrack.base.seen"] == "2"
