"""dvc.lock beside the files of the workspace."""

import hashlib
import json

import pytest
import yaml

from pipeline.doctor.records.contradictions import check_records
from pipeline.doctor.records.lock_stages import hash_as_dvc, list_stage_outputs


@pytest.fixture
def trained(project):
    """Weights, their run.json, reports, and a dvc.lock that names them."""
    folder = project.root / "models/finetuned"
    folder.mkdir(parents=True)
    (folder / "best.pt").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (folder / "run.json").write_text(json.dumps({"run_id": None, "sha256": {"best": digest}}))
    (project.root / "reports").mkdir()
    for name in ("training", "metrics"):
        (project.root / f"reports/{name}.json").write_text("{}")
    write_lock(project)
    return project


def write_lock(project, **deps):
    weights = hash_as_dvc(project.root / "models/finetuned")
    report = hash_as_dvc(project.root / "reports/training.json")
    outs = [
        {"path": "models/finetuned", "md5": weights},
        {"path": "reports/training.json", "md5": report},
    ]
    evaluated = {"deps": [{"path": "models/finetuned", "md5": deps.get("evaluated", weights)}]}
    stages = {"compose": {"outs": [{"path": "params.yaml", "md5": "0"}]}, "finetune": {"outs": outs}}
    content = {"schema": "2.0", "stages": {**stages, "evaluate": evaluated}}
    (project.root / "dvc.lock").write_text(yaml.safe_dump(content))


def test_records_that_agree_are_ok(trained, states):
    assert states(check_records(trained)) == ["ok"]


def test_a_new_project_has_nothing_to_compare(project, states):
    assert states(check_records(project)) == ["ok"]


def damage(project, what):
    folder = project.root / "models/finetuned"
    if what == "weights":
        (folder / "best.pt").write_bytes(b"others")
    elif what == "no weights":
        (folder / "best.pt").unlink()
    elif what == "run.json":
        (folder / "run.json").write_text('{"run_id": ')
    elif what == "report":
        (project.root / "reports/training.json").write_text('{"val": {"mAP50-95": 0.99}}')
    elif what == "no lock":
        (project.root / "dvc.lock").unlink()
    elif what == "older evaluation":
        write_lock(project, evaluated="0.dir")


@pytest.mark.fault(3, "records that contradict one another")
@pytest.mark.parametrize(
    ("what", "expected", "named"),
    [
        ("weights", ["fault", "warning"], "best.pt"),
        ("no weights", ["fault", "warning"], "best.pt"),
        ("run.json", ["fault", "warning"], "run.json"),
        ("report", ["warning"], "training.json"),
        ("no lock", ["warning"], "dvc.lock"),
        ("older evaluation", ["warning"], "metrics.json"),
    ],
)
def test_each_contradiction_is_found(trained, states, what, expected, named):
    damage(trained, what)
    found = [*check_records(trained)]
    assert states(found) == expected
    assert named in found[0].seen


def test_weights_that_are_absent_are_told(trained, states):
    (trained.root / "models/finetuned").rename(trained.root / "elsewhere")
    assert states(check_records(trained)) == ["warning"]


def test_outputs_are_those_that_dvc_yaml_names(project):
    stages = {"a": {"outs": ["data/x", {"data/y": {"cache": False}}]}, "b": {"metrics": ["reports/m.json"]}}
    (project.root / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    assert [str(path) for path in list_stage_outputs(project.root)] == ["data/x", "data/y", "reports/m.json"]
