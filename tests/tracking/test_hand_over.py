"""A training that is stopped while its results are sent: one run, one model, with the test metrics."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest
from PIL import Image

from pipeline.tracking.runs import attach_run, open_run, send_missed
from tests.tracking.test_runs import list_runs, start_python, wait_for

KILLED = """
    import signal
    from mlflow import MlflowClient
    from tests.tracking.test_hand_over import log_results

    name, when = os.environ["POINT"].split()
    called = getattr(MlflowClient, name)

    def die(*given, **options):
        if when == "after":
            called(*given, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(MlflowClient, name, die)
    with open_run(target, key="k1", name="demo", tags={"finetrack.training": "first"}) as session:
        log_results(session)
"""


@pytest.fixture
def files(target, tmp_path):
    """Weights and an example in the working directory; returns the target."""
    (tmp_path / "best.pt").write_bytes(b"in place of weights, which are not loaded here")
    Image.new("RGB", (32, 32)).save(tmp_path / "part.png")
    return target


def log_results(session):
    """Log what finetune logs at its end."""
    session.log_params({f"p{number}": number for number in range(162)})
    session.log_metrics({"loss": 1.0}, step=0)
    session.log_metrics({"best/mAP50-95": 0.5})
    session.log_artifact(Path("best.pt"), folder="finetuned")
    session.log_model(Path("best.pt"), example=Path("part.png"), metrics={"best/mAP50-95": 0.5})


def finish_training(target):
    """Resume the training at its end, as the next command does, and evaluate."""
    tags = {"finetrack.training": "first"}
    with open_run(target, key="k1", name="demo", tags=tags, resume=True) as session:
        log_results(session)
    with attach_run(target, key="k1", run_id=session.run_id) as evaluation:
        evaluation.log_metrics({"test/mAP50": 0.4})
    assert send_missed(target).waiting == 0


def check_single_model(client):
    [run] = list_runs(client)
    [model] = client.search_logged_models([run.info.experiment_id])
    assert (run.info.status, str(model.status)) == ("FINISHED", "READY")
    assert len(model.params) == len(run.data.params) == 162
    assert {metric.key: metric.value for metric in model.metrics} == {"best/mAP50-95": 0.5, "test/mAP50": 0.4}
    assert {output.model_id for output in run.outputs.model_outputs} == {model.model_id}
    for name in run.data.metrics:
        assert len(client.get_metric_history(run.info.run_id, name)) == 1


@pytest.mark.fault(12, "a training is killed while its results are sent")
@pytest.mark.parametrize(
    "point",
    [
        "finalize_logged_model after",
        pytest.param("create_logged_model after", marks=pytest.mark.slow),
        pytest.param("log_model_params before", marks=pytest.mark.slow),
        pytest.param("log_outputs after", marks=pytest.mark.slow),
        pytest.param("log_model_artifacts before", marks=pytest.mark.slow),
        pytest.param("log_model_artifacts after", marks=pytest.mark.slow),
        pytest.param("set_terminated before", marks=pytest.mark.slow),
    ],
)
def test_a_training_that_was_killed_has_one_model(files, client, point):
    process = start_python(KILLED, POINT=point)
    wait_for(process, -signal.SIGKILL)
    finish_training(files)
    check_single_model(client)


@pytest.mark.fault(12, "a training is stopped while its results are sent")
def test_a_training_that_was_stopped_has_one_model(files, client):
    tags = {"finetrack.training": "first"}
    with contextlib.suppress(KeyboardInterrupt), open_run(files, key="k1", name="demo", tags=tags) as session:
        log_results(session)
        raise KeyboardInterrupt
    finish_training(files)
    check_single_model(client)
