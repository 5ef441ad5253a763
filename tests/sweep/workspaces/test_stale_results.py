"""What a workspace keeps from one job to the next, and what it must not keep."""

from __future__ import annotations

import pytest
import yaml

from pipeline.sweep.job import SweepJob
from pipeline.sweep.workspaces.shared_results import (
    NO_RESULTS,
    note_shared_results,
    read_shared_results,
    write_shared_results,
)
from pipeline.sweep.workspaces.stale_results import (
    list_stages_up_to,
    read_lock_stages,
    remove_results_of_other_stages,
)

STAGES = {
    "compose": {"outs": [{"params.yaml": {"cache": False}}, {"compose.lock.json": {"cache": False}}]},
    "prepare": {
        "params": [{"compose.lock.json": ["source"]}],
        "outs": ["data/prepared"],
        "metrics": [{"reports/splits.json": {"cache": False}}],
    },
    "augment": {"deps": ["data/prepared"], "outs": ["data/augmented"]},
    "finetune": {
        "deps": ["data/prepared", "data/augmented"],
        "outs": ["models/finetuned"],
        "metrics": [{"reports/training.json": {"cache": False}}],
    },
    "evaluate": {
        "deps": ["data/prepared", "models/finetuned"],
        "outs": ["reports/evaluation", "../outside", "${folder}/x"],
        "metrics": [{"reports/metrics.json": {"cache": False}}],
    },
    "own": {"deps": ["models/finetuned/best.pt"], "outs": ["own.txt"]},
}


def build_lock(stages: dict) -> dict:
    """Return the entries that DVC records for stages."""

    def build_outputs(stage: dict) -> list[dict]:
        entries = [*stage.get("outs", []), *stage.get("metrics", [])]
        paths = [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]
        return [{"path": path, "md5": "0"} for path in paths if "$" not in path]

    return {
        name: {"deps": [{"path": path} for path in stage.get("deps", [])], "outs": build_outputs(stage)}
        for name, stage in stages.items()
    }


@pytest.fixture
def folder(tmp_path):
    """A project after `dvc repro`."""
    folder = tmp_path / "workspace"
    for entries in build_lock(STAGES).values():
        for out in entries["outs"]:
            path = folder / out["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("made")
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}))
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": build_lock(STAGES)}))
    return folder


def build_job(shared: str) -> SweepJob:
    return SweepJob(0, 0, 0, (), "", "name", shared=shared)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        ("finetune", {"compose", "prepare", "augment", "finetune"}),
        ("evaluate", {"compose", "prepare", "augment", "finetune", "evaluate"}),
        ("prepare", {"compose", "prepare"}),
        ("unknown", {"unknown"}),
    ],
)
def test_a_job_consists_of_its_last_stage_and_all_before_it(last, expected):
    assert list_stages_up_to(last, STAGES) == expected


@pytest.mark.fault(12, "a job's experiment would show the test metrics of another model")
def test_results_of_stages_that_a_job_does_not_run_are_removed(folder):
    remove_results_of_other_stages(folder, "finetune")
    assert list(read_lock_stages(folder)) == ["augment", "compose", "finetune", "prepare"]
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"reports/training.json", "data/prepared", "models/finetuned"} <= left
    assert not {"reports/metrics.json", "reports/evaluation", "own.txt"} & left
    assert (folder.parent / "outside").exists()


def test_a_job_that_evaluates_keeps_what_dvc_can_compare(folder):
    before = (folder / "reports/metrics.json").read_text()
    remove_results_of_other_stages(folder, "evaluate")
    assert (folder / "reports/metrics.json").read_text() == before
    assert "evaluate" in read_lock_stages(folder)
    assert "own" not in read_lock_stages(folder)


def test_a_project_without_lock_or_with_a_damaged_one_has_no_results(folder):
    (folder / "dvc.lock").write_text("stages: [")
    remove_results_of_other_stages(folder, "finetune")
    assert not (folder / "reports/metrics.json").exists()
    (folder / "dvc.lock").unlink()
    assert read_lock_stages(folder) == {}


def test_records_of_the_images_stay_for_the_next_job_that_shares_them(folder):
    note_shared_results(folder, build_job("a"), commit="c")
    shared = read_shared_results(folder, build_job("a"), commit="c")
    assert set(shared.stages) == {"compose", "prepare", "augment"}
    assert shared.files.keys() >= {"compose.lock.json", "reports/splits.json"}
    assert "params.yaml" not in shared.files

    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": {"finetune": {"cmd": "x"}}}))
    (folder / "reports/splits.json").unlink()
    write_shared_results(folder, shared)
    assert set(read_lock_stages(folder)) == {"compose", "prepare", "augment", "finetune"}
    assert (folder / "reports/splits.json").read_text() == "made"


@pytest.mark.fault(4, "a job would start from the split of another job's images")
@pytest.mark.parametrize(
    ("noted", "job", "commit"), [("a", "b", "c"), ("a", "a", "other commit"), (None, "a", "c")]
)
def test_nothing_is_shared_with_other_images_another_commit_or_a_job_that_failed_before(
    folder, noted, job, commit
):
    if noted:
        note_shared_results(folder, build_job(noted), commit="c")
    assert read_shared_results(folder, build_job(job), commit=commit) == NO_RESULTS
    assert read_shared_results(folder, build_job("a"), commit="c") == NO_RESULTS  # one note, one use
