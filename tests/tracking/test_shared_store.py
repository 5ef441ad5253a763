"""Two clones of one commit log to one store: their trainings have one key, and each keeps its own run."""

from __future__ import annotations

import contextlib

import pytest

from pipeline.tracking.outbox import create_outbox
from pipeline.tracking.runs import EvaluationIdentity, attach_run, open_run, send_missed
from pipeline.tracking.store.run_tags import TRAINING_TAG, WEIGHTS_TAG
from pipeline.tracking.target import TrackingTarget

KEY = "k1"
ANNA, BEN = {TRAINING_TAG: "anna"}, {TRAINING_TAG: "ben"}


@pytest.fixture
def store(target, tmp_path):
    """A database that all clones use."""
    return TrackingTarget(f"sqlite:///{tmp_path / 'mlflow.db'}", target.experiment, target.timeout)


@pytest.fixture
def enter(tmp_path, monkeypatch):
    """Change into the clone of a person."""

    def change(person):
        (tmp_path / person).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / person)

    return change


def stop_training(store, tags):
    with (
        contextlib.suppress(KeyboardInterrupt),
        open_run(store, key=KEY, name="stopped", tags=tags) as session,
    ):
        session.log_metrics({"loss": 1.0}, step=0)
        raise KeyboardInterrupt
    return session.run_id


def train(store, tags, weights, *, resume=False):
    with open_run(store, key=KEY, name="trained", tags=tags, resume=resume) as session:
        session.log_metrics({"loss": 0.5}, step=1)
        session.log_metrics({"best/mAP50-95": 0.4})
        session.set_tags({WEIGHTS_TAG: weights})
    return session.run_id


def evaluate(store, run_id, weights, value=0.5):
    identity = EvaluationIdentity(f"{weights}{value}", {"seed": 0}, {WEIGHTS_TAG: weights})
    with attach_run(store, key=KEY, run_id=run_id, evaluation=identity) as session:
        session.log_metrics({"test/mAP50-95": value})
    return session.run_id


def read_run(client, run_id):
    run = client.get_run(run_id)
    return run.info.status, run.data.metrics, run.data.tags[WEIGHTS_TAG]


@pytest.mark.fault(12, "a training goes on while a colleague's run on the store has its key")
def test_a_resumed_training_goes_on_in_its_own_run(store, client, enter):
    enter("anna")
    own = stop_training(store, ANNA)
    enter("ben")
    other = train(store, BEN, "b")
    assert evaluate(store, other, "b") == other
    before = read_run(client, other)
    enter("anna")
    assert train(store, ANNA, "a", resume=True) == own
    assert read_run(client, own) == ("FINISHED", {"loss": 0.5, "best/mAP50-95": 0.4}, "a")
    assert read_run(client, other) == before


@pytest.mark.fault(12, "a training goes on whose run was deleted, or that an earlier version began")
@pytest.mark.parametrize("tags", [ANNA, {}])
def test_a_resumed_training_without_its_run_opens_a_new_one_and_says_so(store, client, enter, capfd, tags):
    enter("anna")
    client.delete_run(stop_training(store, tags))
    enter("ben")
    other = train(store, BEN, "b")
    before = read_run(client, other)
    enter("anna")
    capfd.readouterr()
    own = train(store, tags, "a", resume=True)
    said = [line for line in capfd.readouterr().err.splitlines() if "new run" in line]
    assert (len(said), own == other) == (1, False)
    assert read_run(client, own)[2] == "a"
    assert read_run(client, other) == before


def test_a_training_of_an_earlier_version_goes_on_in_the_run_whose_messages_wait_here(store, client, enter):
    enter("ben")
    other = train(store, BEN, "b")
    enter("anna")
    earlier = create_outbox(store.uri, store.experiment, KEY)
    earlier.append("open", stage="finetune", name="earlier", tags={"finetrack.key": KEY})
    earlier.append("metrics", values={"loss": 1.0}, step=0)
    earlier.release()
    own = train(store, ANNA, "a", resume=True)
    assert own != other
    assert client.get_run(own).info.run_name == "earlier"
    assert [point.value for point in client.get_metric_history(own, "loss")] == [1.0, 0.5]
    assert train(store, ANNA, "a", resume=True) == own


def test_messages_of_an_earlier_training_do_not_draw_a_resumed_one_to_its_run(store, client, enter):
    enter("anna")
    own = stop_training(store, ANNA)
    earlier = create_outbox(store.uri, store.experiment, KEY)
    earlier.append("open", stage="finetune", name="before", tags={"finetrack.key": KEY, **BEN})
    earlier.append("end", stage="finetune", adds=False, status="finished", tags={})
    earlier.release()
    assert train(store, ANNA, "a", resume=True) == own
    send_missed(store)
    assert client.get_run(own).info.status == "FINISHED"


@pytest.mark.fault(12, "an evaluation whose training's run is gone finds a colleague's run of its key")
def test_an_evaluation_without_its_training_takes_no_run_of_other_weights(store, client, enter, capfd):
    enter("ben")
    other = train(store, BEN, "b")
    before = read_run(client, other)
    enter("anna")
    for run_id, said in ((other, "gets a new run"), ("0" * 32, "is added to the run"), (None, "")):
        own = evaluate(store, run_id, "a")
        assert own != other
        assert read_run(client, own) == ("FINISHED", {"test/mAP50-95": 0.5}, "a")
        assert said in capfd.readouterr().err
    assert evaluate(store, None, "a") == own
    assert read_run(client, other) == before
    child = evaluate(store, None, "a", 0.6)
    assert client.get_run(child).data.tags["mlflow.parentRunId"] == own
    assert read_run(client, child)[2] == "a"


def test_an_evaluation_without_its_training_takes_a_run_of_the_same_weights(store, client, enter):
    enter("ben")
    other = train(store, BEN, "b")
    enter("anna")
    assert evaluate(store, None, "b") == other
    assert client.get_run(other).data.metrics["test/mAP50-95"] == 0.5
