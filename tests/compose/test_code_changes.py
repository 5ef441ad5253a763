"""The digest of a stage's code: it changes with the stage's own files, and with nothing else."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.compose.code_changes import describe_code_changes, require_recorded_code
from pipeline.core.errors import UserError
from pipeline.storage.code_digests import CODE_LIST, compute_code_digests
from tests.builders import prepared_dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture
def package(tmp_path):
    for name in ("one", "both", "other"):
        (tmp_path / f"{name}.py").write_text(f"{name} = 1\n\n")
    lists = {"prepare": ["both.py", "one.py"], "augment": ["both.py", "other.py"]}
    (tmp_path / CODE_LIST).write_text(json.dumps(lists))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "stages"), [("one", {"prepare"}), ("other", {"augment"}), ("both", {"prepare", "augment"})]
)
def test_a_change_counts_for_the_stages_that_use_the_file(package, file, stages):
    before = compute_code_digests(package)
    (package / f"{file}.py").write_text("one = 2\n")
    after = compute_code_digests(package)
    assert {stage for stage in after if after[stage] != before[stage]} == stages
    (said,) = describe_code_changes(after, {"code": before})
    assert set(said.removeprefix("code changed: ").split(", ")) == stages


def test_line_ends_do_not_count(package):
    before = compute_code_digests(package)
    (package / "one.py").write_bytes(b"one = 1\r\n\r\n")
    assert compute_code_digests(package) == before


def test_contents_that_change_places_count(package):
    before = compute_code_digests(package)
    one, both = ((package / name).read_text() for name in ("one.py", "both.py"))
    (package / "one.py").write_text(both)
    (package / "both.py").write_text(one)
    assert compute_code_digests(package)["prepare"] != before["prepare"]


def test_nothing_is_said_the_first_time(package):
    assert describe_code_changes(compute_code_digests(package), {}) == []


@pytest.mark.parametrize("lock", [{}, {"code": {}}, None])
def test_a_stage_is_held_to_the_code_that_is_recorded_for_it(package, lock):
    lock = {"code": compute_code_digests(package)} if lock is None else lock
    require_recorded_code("prepare", lock, package)
    (package / "other.py").write_text("other = 2\n")
    require_recorded_code("prepare", lock, package)


@pytest.mark.parametrize(("variable", "code"), [("DVC_STAGE", 1), ("DVC_ROOT", 0)])
def test_other_code_than_is_recorded_is_refused_where_dvc_would_record_it(
    tmp_path, monkeypatch, capsys, variable, code
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    lock = {"conf": "", "composed": {}, "code": {"augment": "another"}}
    (tmp_path / "compose.lock.json").write_text(json.dumps(lock))
    prepared_dataset(tmp_path / "data/prepared", images={"train": 2, "val": 1, "test": 1}, pixels=64)
    assert main(["augment"]) == code
    said = capsys.readouterr().err
    assert ("dvc repro --single-item compose augment" in said) == bool(code)


def test_a_listed_file_that_is_not_there_is_refused(package):
    (package / "one.py").unlink()
    with pytest.raises(UserError, match=r"one\.py is missing: restore it, or run `make deps`"):
        compute_code_digests(package)


def test_a_pattern_stands_for_all_files_that_it_matches(package):
    (package / CODE_LIST).write_text(
        json.dumps({"prepare": ["formats/**/*.py", "one.py"], "augment": ["one.py"]})
    )
    (package / "formats/first").mkdir(parents=True)
    (package / "formats/first/reader.py").write_text("first = 1\n")
    before = compute_code_digests(package)
    (package / "formats/second").mkdir()
    (package / "formats/second/reader.py").write_text("second = 1\n")
    after = compute_code_digests(package)
    assert {stage for stage in after if after[stage] != before[stage]} == {"prepare"}
