"""Stored predictions from MLflow, DVC and the workspace."""

from pathlib import Path

import pytest
import yaml

from pipeline.core.errors import UserError
from pipeline.iterations.fetch_predictions import fetch_predictions
from pipeline.iterations.resolve_reference import resolve_reference
from pipeline.tracking.target import TrackingTarget
from tests.iterations.projects import TARGET


def fetch(text, target=TARGET):
    return fetch_predictions(resolve_reference(text, TARGET, registry_name="demo"), target)


@pytest.mark.parametrize(
    ("text", "content"),
    [("first", "of first"), ("tame-puma", "of 0.009"), ("HEAD", "of 0.001"), ("workspace", "of 0.001")],
)
@pytest.mark.usefixtures("iterations")
def test_predictions_are_those_of_the_iteration(text, content):
    for _ in range(2):  # a second time replaces the first copy
        folder = fetch(text)
        assert (folder / "test.json").read_text() == content


@pytest.mark.usefixtures("iterations")
def test_a_run_without_predictions_has_none():
    assert fetch("second") is None


@pytest.mark.usefixtures("iterations")
def test_predictions_of_other_weights_are_not_those_of_the_workspace():
    lock = Path("dvc.lock")
    kept = lock.read_text()
    values = yaml.safe_load(kept)
    [dep] = [dep for dep in values["stages"]["evaluate"]["deps"] if dep["path"] == "models/finetuned"]
    dep["md5"] = "0" * 32 + ".dir"
    lock.write_text(yaml.safe_dump(values))
    try:
        assert fetch("workspace") is None
    finally:
        lock.write_text(kept)


@pytest.mark.usefixtures("iterations")
def test_an_outage_is_no_absence():
    iteration = resolve_reference("first", TARGET, registry_name="demo")
    with pytest.raises(UserError, match="cannot be read"):
        fetch_predictions(iteration, TrackingTarget("http://127.0.0.1:9", "trial", 1.0))
