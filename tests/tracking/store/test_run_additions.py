"""What is added to a run that has ended: files, tags and results; its status stays."""

import pytest

from pipeline.core.errors import UserError
from pipeline.tracking.runs import open_run
from pipeline.tracking.store.client import MlflowClientCache
from pipeline.tracking.store.run_additions import RunAddition, add_to_run
from pipeline.tracking.target import TrackingTarget


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("project")))
        yield TrackingTarget("sqlite:///mlflow.db", "test")


@pytest.fixture
def run_id(target):
    with open_run(target, key="a" * 64, name="a run", tags={}) as session:
        return session.run_id


def test_run_has_what_was_added_and_is_as_finished_as_before(tmp_path, target, run_id):
    client = MlflowClientCache(target).client
    before = client.get_run(run_id).info
    (tmp_path / "best_openvino_model").mkdir()
    for file in ("best.onnx", "best_openvino_model/best.xml"):
        (tmp_path / file).write_text(file)
    files = (tmp_path / "best.onnx", tmp_path / "best_openvino_model")
    metrics = {"export/onnx-fp32/mAP50-95": 0.5, "export/onnx-fp32/none": None}
    add_to_run(
        target, run_id, RunAddition(metrics, {"finetrack.export.onnx-fp32": "{}"}, files, "export/onnx")
    )
    run = client.get_run(run_id)
    assert run.data.metrics["export/onnx-fp32/mAP50-95"] == 0.5
    assert "export/onnx-fp32/none" not in run.data.metrics
    assert run.data.tags["finetrack.export.onnx-fp32"] == "{}"
    assert (run.info.status, run.info.end_time) == ("FINISHED", before.end_time)
    assert [item.path for item in client.list_artifacts(run_id, "export/onnx")] == [
        "export/onnx/best.onnx",
        "export/onnx/best_openvino_model",
    ]


@pytest.mark.fault(6, "the run was deleted before something is added to it")
def test_run_that_is_not_there_is_named(target, run_id):
    MlflowClientCache(target).client.delete_run(run_id)
    with pytest.raises(UserError, match=run_id):
        add_to_run(target, run_id, RunAddition({}, {"a": "b"}))


@pytest.mark.fault(6, "no tracking server answers when something is added to a run")
def test_server_that_is_away_gives_one_sentence():
    away = TrackingTarget("http://127.0.0.1:9", "test", timeout=1.0)
    with pytest.raises(UserError, match="could not be written to"):
        add_to_run(away, "0" * 32, RunAddition({"a": 1}, {}))
