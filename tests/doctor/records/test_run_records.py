"""A run beside run.json, dvc.lock and the reports: each contradiction is named."""

import json
from dataclasses import replace

import pytest

from pipeline.doctor.records.run_records import RunRecords, compare_run, list_other_params
from pipeline.tracking.store.tracked_runs import TrackedRun

FACTS = {"run_id": "r1", "key": "k1", "sha256": {"best": "aa", "last": "bb"}}
STAGES = {
    "finetune": {
        "params": {
            "params.yaml": {
                "seed": 0,
                "finetune": {"lr0": 0.002, "workers": 8, "freeze": None, "optimizer": "AdamW"},
                "augment.online": {"hsv_h": "1e-05"},
            }
        }
    }
}
RUN = TrackedRun(
    "r1",
    "a run",
    "FINISHED",
    0.0,
    params={
        "seed": "0",
        "finetune.lr0": "0.002",
        "finetune.workers": "2",
        "finetune.freeze": "null",
        "augment.online.hsv_h": "1.0e-05",
    },
    metrics={"best/mAP50-95": 0.4, "test/mAP50-95": 0.3},
    tags={"finetrack.weights.sha256": "aa", "finetrack.key": "k1", "finetrack.stage.finetune": "finished"},
)


@pytest.fixture
def records(project):
    (project.root / "reports").mkdir()
    (project.root / "reports/training.json").write_text(json.dumps({"val": {"mAP50-95": 0.4}}))
    (project.root / "reports/metrics.json").write_text(json.dumps({"test": {"mAP50-95": 0.3}}))
    return RunRecords(FACTS, STAGES, project.root)


def test_records_of_one_training_agree(records):
    assert [*compare_run(RUN, [], records)] == []


@pytest.mark.fault(3, "records that contradict one another")
@pytest.mark.parametrize(
    ("run", "named"),
    [
        (replace(RUN, tags={**RUN.tags, "finetrack.weights.sha256": "cc"}), "SHA-256"),
        (replace(RUN, tags={**RUN.tags, "finetrack.key": "k2"}), "key"),
        (replace(RUN, params={**RUN.params, "finetune.lr0": "0.02"}), "finetune.lr0=0.02 instead of 0.002"),
        (replace(RUN, params={**RUN.params, "seed": "1"}), "seed=1 instead of 0"),
        (replace(RUN, metrics={**RUN.metrics, "best/mAP50-95": 0.41}), "val metrics"),
        (replace(RUN, metrics={**RUN.metrics, "test/mAP50-95": 0.31}), "test metrics"),
        (replace(RUN, tags={**RUN.tags, "finetrack.stage.finetune": "killed"}), "killed"),
    ],
)
def test_each_contradiction_is_named(records, run, named):
    [found] = compare_run(run, [], records)
    assert found.state != "ok"
    assert named in found.seen


def test_a_further_evaluation_may_have_the_test_metrics(records):
    first = replace(RUN, metrics={**RUN.metrics, "test/mAP50-95": 0.2})
    assert [*compare_run(first, [replace(RUN, run_id="child")], records)] == []


@pytest.mark.parametrize("stages", [{}, {"finetune": None}, {"finetune": {"params": {"params.yaml": None}}}])
def test_records_without_parameters_contradict_nothing(stages):
    assert [*list_other_params(RUN.params, stages)] == []


def _record(**changes):
    """dvc.lock of the same training, with other values in conf/finetune, model and data."""
    params = dict(STAGES["finetune"]["params"]["params.yaml"])
    params["finetune"] = {**params["finetune"], **changes.pop("finetune", {})}
    return {"finetune": {"params": {"params.yaml": params | changes}}}


PARAMS = {
    "finetune.strategy": "full",
    "finetune.device": "0",
    "finetune.epochs": "20",
    "finetune.time": "null",
    "model.name": "foundation",
    "model.architecture": "yolo26n.yaml",
    "model.lr0.full": "0.001",
    "data.fraction": "1.0",
}


@pytest.mark.parametrize(
    ("params", "recorded"),
    [
        ({}, {"finetune": {"device": 1}}),
        ({"finetune.device": "null"}, {"finetune": {"device": None}}),
        ({"finetune.device": "[0, 1]"}, {"finetune": {"device": "2,3"}}),
        ({"finetune.time": "0.5"}, {"finetune": {"time": 0.5, "epochs": 30}}),
        ({}, {"finetune": {"verbose": True, "workers": 1}}),
        ({}, {"model.lr0": {"full": 0.002, "head": 0.1}}),
        ({}, {"model.name": "mine", "data.fraction": 0.999}),
        ({}, {"model.architecture": "yolo26n-seg.yaml"}),
    ],
)
def test_what_the_run_key_leaves_out_may_differ(params, recorded):
    assert [*list_other_params({**RUN.params, **PARAMS, **params}, _record(**recorded))] == []


@pytest.mark.parametrize(
    ("params", "recorded", "named"),
    [
        ({}, {"finetune": {"device": "cpu"}}, "finetune.device=0 instead of cpu"),
        ({}, {"finetune": {"device": [0, 1]}}, "finetune.device=0 instead of [0, 1]"),
        ({}, {"finetune": {"epochs": 30}}, "finetune.epochs=20 instead of 30"),
        ({"finetune.time": "0.5"}, {"finetune": {"time": 0.6}}, "finetune.time=0.5 instead of 0.6"),
        (
            {"finetune.lr0": "auto"},
            {"finetune": {"lr0": "auto", "strategy": "full"}, "model.lr0": {"full": 0.002, "head": 1.0}},
            "model.lr0.full=0.001 instead of 0.002",
        ),
        (
            {},
            {"model.architecture": "yolo26s.yaml"},
            "model.architecture=yolo26n.yaml instead of yolo26s.yaml",
        ),
        ({}, {"augment.online": {"hsv_h": 0.1}}, "augment.online.hsv_h=1.0e-05 instead of 0.1"),
    ],
)
def test_what_the_run_key_has_may_not_differ(params, recorded, named):
    assert [*list_other_params({**RUN.params, **PARAMS, **params}, _record(**recorded))] == [named]
