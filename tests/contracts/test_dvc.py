"""dvc.yaml, the schema and the code agree."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pipeline.config.messages import flatten_schema
from pipeline.config.schema import Config
from pipeline.core.stages import STAGES
from pipeline.storage.code_digests import CODE_LIST, PACKAGE_FOLDER
from tests.contracts import closure

ROOT = Path(__file__).parents[2]
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
KEYS = list(flatten_schema(Config.model_json_schema()))
LOCKS = ("params.yaml", "compose.lock.json", "splits.lock.json")
MACHINE = {
    *("data.source", "data.unlabelled_source", "model.folder", "model.weights", "model.sha256"),
    *("augment.offline.workers", "compute.backend", "compute.address"),
}
"""What may differ from machine to machine without a rerun: places, whose contents compose.lock.json has the
fingerprints of, a check of them, and who does the work."""
REFERRED_TO = {"data.epochs", "data.imgsz"}
"""What counts as the value of conf/finetune that refers to it."""
AFTER_THE_STAGES = ("tracking.", "registry.", "export.", "zero_shot.")
"""What is used when a stage is done, or by commands."""
TOLD_TO_MLFLOW = ("tracking", "registry.name", "data.format", "data.source_name")
"""What shapes no result of a stage: where its run is kept, and what the dataset is called there."""
TOLD_ON_THE_CONSOLE = {"prepare": ("finetune.imgsz",)}
"""What a stage uses for lines on the console alone; its files are the same without it."""
LOCK_KEYS = {"source", "unlabelled", "earlier", "weights", "siblings", "teacher", "architecture", "forget"}
LOCK_KEYS |= {f"code.{stage}" for stage in STAGES}


def params(stage: str) -> list[str]:
    return [item for item in DVC[stage]["params"] if isinstance(item, str)]


def test_one_word_per_stage():
    modules = {path.parent.name for path in (ROOT / "pipeline").glob("*/stage.py")} - {"compose"}
    assert set(STAGES) == modules == set(DVC) - {"compose"}
    groups = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}
    assert set(Config.model_fields) - {"seed"} == groups - {"experiment", "hydra", "sweep"}
    assert {"augment", "finetune", "evaluate"} <= groups
    assert all(DVC[name]["cmd"] == f"python -m pipeline {name}" for name in DVC)


@pytest.mark.parametrize("stage", STAGES)
def test_every_param_is_in_the_schema(stage):
    for param in params(stage):
        assert any(key == param or key.startswith(f"{param}.") for key in KEYS), param
    locks = [item["compose.lock.json"] for item in DVC[stage]["params"] if isinstance(item, dict)]
    assert {key for keys in locks for key in keys} <= LOCK_KEYS


def test_every_key_that_shapes_a_result_is_a_param_of_some_stage():
    tracked = [param for stage in STAGES for param in params(stage)]
    loose = [key for key in KEYS if not any(key == param or key.startswith(f"{param}.") for param in tracked)]
    assert {key for key in loose if not key.startswith(AFTER_THE_STAGES)} == MACHINE | REFERRED_TO


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_no_group_that_dvc_does_not_know_of(stage):
    """`config.finetune.imgsz` in evaluate.py must be one of evaluate's params, or it would not rerun."""
    code = (ROOT / f"pipeline/{stage}/stage.py").read_text()
    read = {match.rstrip(".") for match in re.findall(r"(?<!pipeline\.)\bconfig\.([a-z_0-9.]+)", code)}
    allowed = [*params(stage), *TOLD_TO_MLFLOW, *MACHINE, *TOLD_ON_THE_CONSOLE.get(stage, ())]
    for key in read - {"model_dump"}:
        inside = any(
            f"{key}.".startswith(f"{param}.") or f"{param}.".startswith(f"{key}.") for param in allowed
        )
        assert inside, f"{stage}.py reads config.{key}, which dvc.yaml does not list among its params"


def test_the_listed_code_is_the_code_that_runs():
    assert (PACKAGE_FOLDER / CODE_LIST).read_text() == closure.render(), "run `make deps`"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_own_code(stage):
    locks = [item["compose.lock.json"] for item in DVC[stage]["params"] if isinstance(item, dict)]
    assert [key for keys in locks for key in keys if key.startswith("code")] == [f"code.{stage}"]


def test_every_import_can_be_read_from_the_code():
    dynamic = [path for path in (ROOT / "pipeline").rglob("*.py") if "import_module(" in path.read_text()]
    allowed = {
        "__main__.py",
        "run_stage.py",
        "load_readers.py",  # closure.py adds the readers that it imports
        "imports.py",  # of fork servers, which stages do not import
        "run_fork.py",
        "run_checks.py",  # of the doctor, which no stage imports
        "served_model.py",  # the code of tiles that a logged model brings along; no stage runs it
    }
    assert {path.name for path in dynamic} == allowed, "the lists of code would miss it"


def test_compose_always_runs_and_is_never_cached():
    assert DVC["compose"]["always_changed"]
    outs = {name: options for out in DVC["compose"]["outs"] for name, options in out.items()}
    assert outs == {name: {"cache": False, "persist": True} for name in LOCKS}
