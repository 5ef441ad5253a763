"""What is proven of a restored folder, and what is said where something differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import FINETUNED_FOLDER, PREPARED_FOLDER
from pipeline.restore.compare_results import compare_results
from pipeline.restore.proof import check_contents, check_evaluation, describe_comparison
from pipeline.restore.recorded_state import RecordedState
from pipeline.runtime.run_state import describe_machine, read_versions
from pipeline.storage.files import hash_file
from tests.builders import prepared_dataset

HERE = RecordedState("a run", "0" * 40, "", versions=read_versions(), machine=describe_machine())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A project's folder with a prepared dataset and weights."""
    place = tmp_path_factory.mktemp("proof")
    prepared_dataset(place / PREPARED_FOLDER, images={"train": 1, "val": 1, "test": 1}, pixels=32)
    (place / FINETUNED_FOLDER).mkdir(parents=True)
    (place / FINETUNED_FOLDER / "best.pt").write_bytes(b"weights")
    return place


def test_the_recorded_data_and_weights_are_proven(folder):
    sha256 = hash_file(folder / FINETUNED_FOLDER / "best.pt")
    assert check_contents(folder, replace(HERE, sha256=sha256)).is_proven


@pytest.mark.fault(11, "other data, or other weights")
@pytest.mark.parametrize("other", [{"data": "1" * 64}, {"sha256": "1" * 64}])
def test_other_contents_are_refused(folder, other):
    sha256 = hash_file(folder / FINETUNED_FOLDER / "best.pt")
    with pytest.raises(UserError, match=r"is recorded for a run|is not the one that is recorded"):
        check_contents(folder, replace(HERE, **{"sha256": sha256, **other}))


@pytest.mark.parametrize(
    ("state", "named"),
    [
        (HERE, ""),
        (replace(HERE, machine={**HERE.machine, "name": "elsewhere"}), "another machine"),
        (replace(HERE, versions={**HERE.versions, "torch": "1.0"}), "torch 1.0, here "),
        (replace(HERE, machine={}, versions={}), "nobody recorded"),
    ],
)
def test_a_difference_names_what_is_not_as_it_was(state, named):
    found = compare_results({"test/mAP50-95": 0.5}, {"test/mAP50-95": 0.51}, prefix="test/")
    said = describe_comparison("evaluate", found, state)
    assert "test mAP50-95 0.510000, recorded 0.500000 (difference +0.01)" in said
    assert named in said
    assert said.endswith(")") == (not named)


def test_a_run_without_results_on_test_is_no_failed_proof(folder):
    assert check_evaluation(folder, replace(HERE, is_evaluated=False)).is_proven


def list_files(folder: Path) -> list[Path]:
    """List all files and folders but for Python's compiled ones."""
    found = (path.relative_to(folder) for path in folder.rglob("*"))
    return sorted(path for path in found if "__pycache__" not in path.parts)


@pytest.mark.fault(3, "code that does not run with the libraries of today")
def test_an_evaluation_that_fails_is_a_failed_check_and_the_folder_stays_as_it_was(folder):
    (folder / "params.yaml").write_text("tracking: {uri: sqlite:///mlflow.db}\n")
    (folder / "pipeline").mkdir()
    (folder / "pipeline/__main__.py").write_text("raise SystemExit('evaluate: this is too old')\n")
    (folder / "reports").mkdir()
    (folder / "reports/metrics.json").write_text("{}")
    before = list_files(folder)
    found = check_evaluation(folder, HERE)
    assert not found.is_proven
    assert "this is too old" in found.text
    assert list_files(folder) == before
    assert (folder / "params.yaml").read_text() == "tracking: {uri: sqlite:///mlflow.db}\n"
