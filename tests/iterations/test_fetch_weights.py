"""Weights from MLflow, DVC, the workspace and files: verified, fetched once, refused if they are damaged."""

import dataclasses
import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.iterations.fetch_weights import MAX_UNUSED_DAYS, fetch_weights
from pipeline.iterations.resolve_reference import resolve_reference
from pipeline.tracking.target import TrackingTarget
from tests.iterations.projects import TARGET


@pytest.fixture
def nothing_fetched(iterations):
    shutil.rmtree(".finetrack/iterations", ignore_errors=True)
    return iterations


def fetch(text, target=TARGET):
    return fetch_weights(resolve_reference(text, TARGET, registry_name="demo"), target)


def artifact(run_id, name="best.pt"):
    [found] = Path("mlruns").rglob(f"{run_id}/artifacts/finetuned/{name}")
    return found


@pytest.fixture
def damaged(nothing_fetched):
    """Damage the weights of a run in MLflow for one test."""
    file = artifact(nothing_fetched.second)
    kept = file.read_bytes()
    file.write_bytes(b"other")
    yield nothing_fetched
    file.write_bytes(kept)


@pytest.fixture
def lost(nothing_fetched):
    """Take the weights of a run out of MLflow for one test."""
    file = artifact(nothing_fetched.first)
    file.rename(file.with_suffix(".kept"))
    yield nothing_fetched
    file.with_suffix(".kept").rename(file)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("second", b"weights of second 0.002"),
        ("second evaluate-0.5-{second:.2}", b"weights of second 0.002"),
        ("champion", b"weights of first 0.001"),
        ("tame-puma", b"nine"),
        ("HEAD", b"weights of first 0.001"),
        ("workspace", b"weights of first 0.001"),
    ],
)
def test_weights_are_those_of_the_training(nothing_fetched, text, content):
    file = fetch(text.format(**nothing_fetched._asdict()))
    assert file.read_bytes() == content
    assert file == Path(".finetrack/iterations", hashlib.sha256(content).hexdigest(), "best.pt").absolute()


@pytest.mark.usefixtures("nothing_fetched")
def test_weights_are_fetched_once():
    iteration = resolve_reference("second", TARGET, registry_name="demo")
    fetch_weights(iteration, TARGET)
    assert fetch_weights(iteration, TrackingTarget("http://127.0.0.1:9", "trial", 1.0)).is_file()


@pytest.mark.usefixtures("nothing_fetched")
def test_weights_that_were_not_used_for_long_are_deleted():
    old, other = fetch("second").parent, fetch("champion").parent
    for folder in (old, other):
        then = time.time() - (MAX_UNUSED_DAYS + 1) * 86_400
        os.utime(folder, (then, then))
    assert fetch("champion").parent == other
    assert (old.exists(), other.exists()) == (False, True)
    assert fetch("second").read_bytes() == b"weights of second 0.002"


@pytest.mark.fault(11, "a kept copy of weights is damaged")
@pytest.mark.usefixtures("nothing_fetched")
def test_a_damaged_copy_is_fetched_again():
    fetch("second").write_bytes(b"other")
    assert fetch("second").read_bytes() == b"weights of second 0.002"


@pytest.mark.fault(11, "weights in MLflow are damaged")
def test_damaged_weights_are_refused_by_name(damaged):
    with pytest.raises(UserError, match=f"run {damaged.second} are damaged"):
        fetch("second")
    assert not list(Path(".finetrack/iterations").rglob("best.pt"))


@pytest.mark.fault(11, "weights of the workspace are damaged")
@pytest.mark.usefixtures("nothing_fetched")
def test_other_weights_in_the_workspace_are_refused():
    file = Path("models/finetuned/best.pt")
    kept = file.read_bytes()
    file.unlink()  # it may be a link into the cache
    file.write_bytes(b"other")
    try:
        with pytest.raises(UserError, match="models/finetuned are damaged"):
            fetch("workspace")
    finally:
        file.write_bytes(kept)


@pytest.mark.usefixtures("lost")
def test_weights_that_mlflow_lost_come_from_dvc():
    assert fetch("first").read_bytes() == b"weights of first 0.001"


def test_weights_that_are_nowhere_are_refused_with_the_places(nothing_fetched):
    iteration = resolve_reference("second", TARGET, registry_name="demo")
    with pytest.raises(UserError, match="cannot be fetched") as refused:
        fetch_weights(iteration, TrackingTarget("http://127.0.0.1:9", "trial", 1.0))
    assert nothing_fetched.second in str(refused.value)


def test_a_failed_run_has_no_weights(nothing_fetched):
    with pytest.raises(UserError, match="cannot be fetched"):
        fetch(nothing_fetched.twins[0])


@pytest.mark.usefixtures("iterations")
def test_a_file_is_checked_before_use(tmp_path):
    file = tmp_path / "mine.pt"
    file.write_bytes(b"1")
    iteration = resolve_reference(str(file), TARGET, registry_name="demo")
    assert fetch_weights(iteration, TARGET) == file
    file.write_bytes(b"2")
    with pytest.raises(UserError, match="changed"):
        fetch_weights(iteration, TARGET)
    file.unlink()
    with pytest.raises(UserError, match="does not exist"):
        fetch_weights(iteration, TARGET)


@pytest.mark.usefixtures("nothing_fetched")
def test_weights_of_an_unknown_hash_are_fetched_each_time():
    iteration = dataclasses.replace(resolve_reference("second", TARGET, registry_name="demo"), sha256=None)
    assert fetch_weights(iteration, TARGET).read_bytes() == b"weights of second 0.002"
