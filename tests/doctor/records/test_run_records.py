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
