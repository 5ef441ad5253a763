"""Names of iterations, in a project that has all kinds of them."""

import dataclasses
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.iterations.resolve_reference import resolve_reference
from pipeline.tracking.target import TrackingTarget
from tests.iterations.projects import MANIFEST, NAMES, TARGET, git


def resolve(text):
    return resolve_reference(text, TARGET, registry_name="demo")


@pytest.mark.parametrize(
    ("text", "kind", "run"),
    [
        ("first", "run", "first"),
        ("second evaluate-0.5-{second:.2}", "run", "child"),
        ("{first}", "run", "first"),
        ("{second:.12}", "run", "second"),
        ("champion", "alias", "first"),
        ("demo@challenger", "alias", "second"),
        ("models:/demo@champion", "alias", "first"),
        ("demo/2", "version", "second"),
        ("models:/demo/1", "version", "first"),
        ("lr0=0.003", "run", "swept"),
        ("HEAD", "revision", "first"),
        ("{recorded}", "revision", "first"),
        ("workspace", "revision", "first"),
    ],
)
def test_a_name_is_resolved_to_its_run(iterations, text, kind, run):
    found = resolve(text.format(**iterations._asdict()))
    assert (found.kind, found.run_id) == (kind, getattr(iterations, run))
    assert (found.task, found.names, found.data) == ("detect", NAMES, MANIFEST.digest)
    assert found.reference == text.format(**iterations._asdict())


def test_a_run_has_what_trained_it_and_what_it_scored(iterations):
    found = resolve("champion")
    assert found.params["finetune.lr0"] == 0.001
    assert not any(key.startswith("effective.") for key in found.params)
    assert found.facts["effective"] == {"lr0": 0.001}
    assert (found.metrics["best/mAP50-95"], found.metrics["test/mAP50-95"]) == (0.5, 0.4)
    assert found.predicts_with == {"conf": 0.2, "iou": 0.7, "max_det": 300, "imgsz": 64}
    assert (found.version, found.aliases, found.status) == ("1", ("champion",), "FINISHED")
    assert found.revision == iterations.recorded


def test_a_further_evaluation_has_the_val_metrics_and_the_weights_of_its_training(iterations):
    found, training = resolve(iterations.child), resolve(iterations.second)
    assert (found.metrics["best/mAP50-95"], found.metrics["test/mAP50-95"]) == (0.6, 0.55)
    assert (found.sha256, found.facts["training"]) == (training.sha256, iterations.second)
    assert found.params["evaluate.iou"] == 0.5


def test_an_experiment_without_a_run_is_read_from_git_and_dvc(iterations):
    found = resolve("tame-puma")
    assert (found.kind, found.run_id, found.status) == ("experiment", None, None)
    assert found.revision == iterations.experiment
    assert (found.params["finetune.lr0"], found.metrics["test/mAP50-95"]) == (0.009, 0.65)
    assert found.predicts_with == {"conf": 0.2, "iou": 0.7}
    assert (found.task, found.names, found.data) == ("detect", NAMES, MANIFEST.digest)


@pytest.mark.usefixtures("iterations")
def test_a_file_of_weights_is_its_own_iteration(tmp_path):
    (tmp_path / "mine.onnx").write_bytes(b"weights")
    found = resolve(str(tmp_path / "mine.onnx"))
    assert (found.kind, found.label, found.file) == ("file", "mine.onnx", tmp_path / "mine.onnx")
    assert found.sha256


@pytest.mark.parametrize(
    "text",
    ["unknown", "seconds", "demo/7", "demo@nobody", "other@champion", "mine.pt", "-x", 'it\'s "it"', ""],
)
@pytest.mark.usefixtures("iterations")
def test_an_unknown_name_is_refused(text):
    with pytest.raises(UserError):
        resolve(text)


@pytest.mark.usefixtures("iterations")
def test_the_nearest_name_is_suggested():
    with pytest.raises(UserError, match="did you mean second"):
        resolve("secnod")


def test_a_name_of_two_runs_is_refused_with_both_ids(iterations):
    with pytest.raises(UserError) as refused:
        resolve("twin")
    assert all(run_id in str(refused.value) for run_id in iterations.twins)


def test_a_sweep_is_no_iteration(iterations):
    with pytest.raises(UserError, match="is a sweep"):
        resolve(iterations.parent)


def test_a_name_of_a_run_and_a_branch_is_refused(iterations):
    git("branch", "second", iterations.recorded)
    try:
        with pytest.raises(UserError, match="2 iterations"):
            resolve("second")
    finally:
        git("branch", "-D", "second")


def test_a_run_is_found_beside_a_branch_without_weights(iterations):
    git("branch", "second", "HEAD~1")
    try:
        assert resolve("second").run_id == iterations.second
    finally:
        git("branch", "-D", "second")


@pytest.mark.usefixtures("iterations")
def test_a_revision_without_weights_is_refused():
    with pytest.raises(UserError, match="no fine-tuned weights"):
        resolve("HEAD~1")


def test_without_mlflow_dvc_answers_with_a_notice(iterations, capsys):
    away = TrackingTarget("http://127.0.0.1:9", "trial", 1.0)
    found = resolve_reference("tame-puma", away, registry_name="demo")
    assert found.revision == iterations.experiment
    assert "cannot be read" in capsys.readouterr().err
    with pytest.raises(UserError, match="cannot be read"):
        resolve_reference("champion", away, registry_name="demo")


@pytest.mark.usefixtures("iterations")
def test_nothing_is_created_where_there_is_no_database(tmp_path):
    target = TrackingTarget(f"sqlite:///{tmp_path}/new.db", "trial", 5.0)
    with pytest.raises(UserError, match="no run"):
        resolve_reference("first", target, registry_name="demo")
    assert not (tmp_path / "new.db").exists()
    other = dataclasses.replace(TARGET, experiment="never")
    with pytest.raises(UserError, match="no run"):
        resolve_reference("first", other, registry_name="demo")
    assert "never" not in Path("mlflow.db").read_bytes().decode("latin-1")
