"""One run shows one evaluation: the training's own run the first, child runs the others."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from mlflow.entities import Param

from pipeline.iterations.tracked_iteration import build_run_iteration
from pipeline.tracking.dataset_input import describe_dataset
from pipeline.tracking.outbox import create_outbox
from pipeline.tracking.runs import EvaluationIdentity, attach_run, open_run
from pipeline.tracking.store.run_tags import TRAINING_TAG, WEIGHTS_TAG
from pipeline.tracking.store.tracked_runs import convert_run

TAGS = {"team": "a", "none": None, WEIGHTS_TAG: "ff" * 32}
FEW = EvaluationIdentity("e1" * 32, {"evaluate": {"max_det": 1}, "seed": 0}, TAGS)
MANY = EvaluationIdentity("e2" * 32, {"evaluate": {"max_det": 300}, "seed": 0}, TAGS)


@pytest.fixture
def training(target):
    """The id of the run of a training with parameters, a dataset, results and tags."""
    tags = {"finetrack.task": "detect", WEIGHTS_TAG: "ff" * 32, TRAINING_TAG: "t"}
    with open_run(target, key="k1", name="demo", tags=tags) as session:
        session.log_params({"finetune": {"lr0": 0.001}, "seed": 0})
        session.log_dataset("demo", "ab" * 32, source="data", classes=["pit"], splits={})
        session.log_metrics({"best/mAP50-95": 0.3})
    return session.run_id


def evaluate(target, training, identity, value):
    with attach_run(target, key="k1", run_id=training, evaluation=identity) as session:
        session.log_params({"evaluate": identity.params["evaluate"]})
        session.log_metrics({"test/mAP50": value, **({"test/mAP50_low": 0.1} if identity is FEW else {})})
        session.set_tags({"finetrack.evaluate": identity.key[:2]})
        session.log_text(str(value), "evaluation/metrics.json")
    return session.run_id


def list_children(client, training):
    experiment = client.get_experiment_by_name("trial").experiment_id
    return client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{training}'")


def count_runs(client):
    return len(client.search_runs([client.get_experiment_by_name("trial").experiment_id]))


@pytest.mark.fault(12, "a training is evaluated again with other settings")
def test_another_evaluation_has_a_child_run_with_the_parameters_of_the_training(target, client, training):
    assert evaluate(target, training, FEW, 0.5) == training
    other = evaluate(target, training, MANY, 0.6)
    assert [run.info.run_id for run in list_children(client, training)] == [other]

    first, second = client.get_run(training), client.get_run(other)
    assert first.data.metrics == {"best/mAP50-95": 0.3, "test/mAP50": 0.5, "test/mAP50_low": 0.1}
    assert first.data.params["evaluate.max_det"] == "1"
    assert second.data.metrics == {"test/mAP50": 0.6}
    assert second.data.params == {"finetune.lr0": "0.001", "evaluate.max_det": "300", "seed": "0"}
    assert second.inputs.dataset_inputs[0].dataset.name == "demo"
    assert (first.info.status, second.info.status) == ("FINISHED", "FINISHED")
    assert first.info.end_time <= second.info.start_time
    assert (first.data.tags["finetrack.evaluate"], second.data.tags["finetrack.evaluate"]) == ("e1", "e2")
    assert second.data.tags["finetrack.task"] == "detect"
    assert second.data.tags["team"] == "a"
    assert second.data.tags["mlflow.source.name"] == "python -m pipeline evaluate"
    assert "finetrack.stage.finetune" not in second.data.tags
    assert second.info.run_name == "demo evaluate-e2e2e2"
    for run in (training, other):
        assert [file.path for file in client.list_artifacts(run, "evaluation")] == ["evaluation/metrics.json"]


@pytest.mark.fault(12, "evaluated again with the same settings")
def test_an_evaluation_on_other_data_than_that_of_the_training_has_its_own_dataset(target, client):
    facts = {"source": "data/prepared", "classes": ["pit"], "splits": {}}
    with open_run(target, key="k1", name="demo", tags={"finetrack.data.digest": "ab" * 32}) as session:
        session.log_dataset("demo", "ab" * 32, **facts)
    training = session.run_id
    same, other = (
        identity._replace(dataset={**describe_dataset("demo", digest * 32, **facts), "use": "evaluation"})
        for identity, digest in ((FEW, "ab"), (MANY, "cd"))
    )
    child = evaluate(target, training, other, 0.6)
    assert child != training
    assert evaluate(target, training, same, 0.5) == training
    for run, digest in ((training, "ab"), (child, "cd")):
        [found] = client.get_run(run).inputs.dataset_inputs
        assert found.dataset.digest == digest * 6
    assert evaluate(target, training, other, 0.6) == child


def test_repeated_evaluations_stay_in_their_runs(target, client, training):
    evaluate(target, training, FEW, 0.5)
    other = evaluate(target, training, MANY, 0.6)
    for _ in range(2):
        assert evaluate(target, training, FEW, 0.5) == training
        assert evaluate(target, None, MANY, 0.6) == other
    assert len(list_children(client, training)) == 1
    assert [point.value for point in client.get_metric_history(training, "test/mAP50")] == [0.5]
    assert [point.value for point in client.get_metric_history(other, "test/mAP50")] == [0.6]
    assert len(client.get_run(other).inputs.dataset_inputs) == 1


@pytest.mark.fault(12, "an evaluation is stopped and goes on")
def test_a_stopped_evaluation_goes_on_in_its_run(target, client, training):
    evaluate(target, training, FEW, 0.5)
    with (
        contextlib.suppress(KeyboardInterrupt),
        attach_run(target, key="k1", run_id=training, evaluation=MANY) as session,
    ):
        raise KeyboardInterrupt
    [stopped] = list_children(client, training)
    assert (stopped.info.status, client.get_run(training).info.status) == ("KILLED", "FINISHED")
    assert evaluate(target, training, MANY, 0.6) == stopped.info.run_id == session.run_id
    assert client.get_run(stopped.info.run_id).info.status == "FINISHED"


@pytest.mark.parametrize("measured", [False, True])
def test_a_failed_evaluation_keeps_the_run_only_with_its_results(target, client, training, measured):
    with (
        contextlib.suppress(ZeroDivisionError),
        attach_run(target, key="k1", run_id=training, evaluation=FEW) as session,
    ):
        if measured:
            session.log_metrics({"test/mAP50": 0.5})
        _ = 1 / 0
    assert client.get_run(training).info.status == "FAILED"
    again = FEW._replace(key="e3" * 32)
    other = evaluate(target, training, again, 0.6)
    assert (other == training) is not measured
    assert client.get_run(training).data.metrics["test/mAP50"] == (0.5 if measured else 0.6)
    assert client.get_run(other).info.status == "FINISHED"


def test_repeated_evaluation_has_one_child_run_though_another_experiment_is_set(target, client, training):
    evaluate(target, training, FEW, 0.5)
    moved = replace(target, experiment="another")
    first, second = (evaluate(moved, training, MANY, 0.6) for _ in range(2))
    assert first == second
    assert [run.info.run_id for run in list_children(client, training)] == [first]


def test_messages_that_wait_for_an_earlier_training_do_not_draw_the_evaluation_to_it(
    target, client, training
):
    """As after a training that MLflow missed, and another one of the same key (`dvc repro -f finetune`)."""
    earlier = create_outbox(target.uri, target.experiment, "k1")
    earlier.append("open", stage="finetune", name="earlier", tags={"finetrack.key": "k1"})
    earlier.append("end", stage="finetune", adds=False, status="finished", tags={})
    earlier.release()
    assert evaluate(target, training, FEW, 0.5) == training
    assert client.get_run(training).data.metrics["test/mAP50"] == 0.5
    assert count_runs(client) == 2


@pytest.mark.fault(12, "two evaluations at the same time")
def test_two_evaluations_at_the_same_time_have_a_run_each(target, client, training):
    with (
        attach_run(target, key="k1", run_id=training, evaluation=FEW) as first,
        attach_run(target, key="k1", run_id=training, evaluation=MANY) as second,
    ):
        first.log_metrics({"test/mAP50": 0.5})
        second.log_metrics({"test/mAP50": 0.6})
        assert {first.run_id, second.run_id} > {training}
    for session, value in ((first, 0.5), (second, 0.6)):
        assert client.get_run(session.run_id).data.metrics["test/mAP50"] == value


@pytest.mark.fault(12, "a child run that was created only in part")
def test_a_child_run_that_was_created_in_part_is_completed(target, client, training):
    evaluate(target, training, FEW, 0.5)
    tags = {"finetrack.evaluation": MANY.key, "mlflow.parentRunId": training}
    part = client.create_run(client.get_run(training).info.experiment_id, tags=tags)
    client.log_batch(part.info.run_id, params=[Param("seed", "0")])
    assert evaluate(target, training, MANY, 0.6) == part.info.run_id
    assert client.get_run(part.info.run_id).data.params["finetune.lr0"] == "0.001"


def test_an_evaluation_without_its_training_opens_a_run_for_both(target, client):
    first = evaluate(target, "0" * 32, FEW, 0.5)
    assert evaluate(target, "0" * 32, FEW, 0.5) == first
    other = evaluate(target, "0" * 32, MANY, 0.6)
    assert [run.info.run_id for run in list_children(client, first)] == [other]
    assert client.get_run(first).data.params == {"evaluate.max_det": "1", "seed": "0"}
    assert count_runs(client) == 2


@pytest.mark.fault(12, "an evaluation fails after another one has its results")
def test_a_repeated_evaluation_stays_in_its_child_though_the_training_is_free(target, training):
    with (
        contextlib.suppress(MemoryError),
        attach_run(target, key="k1", run_id=training, evaluation=FEW) as first,
    ):
        assert first.run_id == training
        child = evaluate(target, training, MANY, 0.6)
        raise MemoryError
    assert child != training
    assert evaluate(target, training, MANY, 0.6) == child


def test_a_child_has_its_own_values_and_not_later_ones_of_the_training(target, client, training):
    for identity, latency in ((FEW, 0), (FEW, 50), (MANY, 0)):
        with attach_run(target, key="k1", run_id=training, evaluation=identity) as session:
            session.log_params({"evaluate": {"latency": latency}})
            session.log_metrics({"test/mAP50": 0.5})
    run, child = client.get_run(training), client.get_run(session.run_id)
    assert (run.data.params["evaluate.latency"], run.data.tags["evaluate.latency"]) == ("0", "50")
    assert child.data.params["evaluate.latency"] == "0"
    assert "evaluate.latency" not in child.data.tags


def fail_evaluation(target, training, identity):
    with (
        contextlib.suppress(MemoryError),
        attach_run(target, key="k1", run_id=training, evaluation=identity),
    ):
        raise MemoryError


def log_earlier_params(target, training, values):
    """Log `evaluate` with the training, as earlier versions do."""
    with open_run(target, key="k1", name="demo", tags={TRAINING_TAG: "t"}, resume=True) as session:
        session.log_params({"evaluate": values})
    assert session.run_id == training


@pytest.mark.fault(12, "an evaluation fails, and the next one has other settings")
@pytest.mark.parametrize("earlier", [False, True])
def test_the_first_evaluation_with_results_has_the_run_of_the_training(target, client, training, earlier):
    if earlier:
        log_earlier_params(target, training, {"max_det": 1, "batch": 16})
    fail_evaluation(target, training, FEW)
    assert client.get_run(training).info.status == "FAILED"
    assert evaluate(target, training, MANY, 0.6) == training

    run = client.get_run(training)
    assert (run.info.status, run.data.metrics["test/mAP50"]) == ("FINISHED", 0.6)
    assert run.data.tags["finetrack.stage.evaluate"] == "finished"
    assert run.data.tags["finetrack.evaluation"] == MANY.key
    assert "finetrack.reason" not in run.data.tags
    assert (run.data.params["evaluate.max_det"] == "1") is earlier
    params = build_run_iteration(convert_run(run)).params
    assert params.items() >= {"evaluate.max_det": 300, "seed": 0}.items()
    assert list_children(client, training) == []

    child = evaluate(target, training, FEW, 0.5)
    assert child != training
    assert client.get_run(child).data.params["evaluate.max_det"] == "1"
    assert build_run_iteration(convert_run(client.get_run(child))).params["evaluate.max_det"] == 1


def test_an_evaluation_with_another_seed_than_the_training_has_a_run_of_its_own(target, client, training):
    other = evaluate(target, training, MANY._replace(params={**MANY.params, "seed": 1}), 0.6)
    assert other != training
    assert client.get_run(other).data.params["seed"] == "1"
    assert evaluate(target, training, FEW, 0.5) == training


def test_a_value_that_changes_twice_shows_the_last_one(target, client, training):
    for value in (0, 20, 0):
        with attach_run(target, key="k1", run_id=training, evaluation=FEW) as session:
            session.log_params({"evaluate": {"latency": value}})
    run = client.get_run(training)
    assert (run.data.params["evaluate.latency"], run.data.tags["evaluate.latency"]) == ("0", "0")


def test_a_run_measured_by_an_earlier_version_is_not_changed(target, client, training):
    with attach_run(target, key="k1", run_id=training) as session:
        session.log_metrics({"test/mAP50": 0.4})
    assert evaluate(target, training, FEW, 0.5) != training
    assert client.get_run(training).data.metrics["test/mAP50"] == 0.4
