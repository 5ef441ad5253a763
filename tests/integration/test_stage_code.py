"""The digest of a stage's code: it changes with the stage's own files, and with nothing else."""

import json

import pytest

from pipeline.core.refusal import Refused
from pipeline.edges import stage_code


@pytest.fixture
def package(tmp_path):
    for name in ("one", "both", "other"):
        (tmp_path / f"{name}.py").write_text(f"{name} = 1\n\n")
    lists = {"prepare": ["both.py", "one.py"], "augment": ["both.py", "other.py"]}
    (tmp_path / stage_code.LISTED).write_text(json.dumps(lists))
    return tmp_path


@pytest.mark.parametrize(
    ("file", "stages"), [("one", {"prepare"}), ("other", {"augment"}), ("both", {"prepare", "augment"})]
)
def test_a_change_counts_for_the_stages_that_use_the_file(package, file, stages):
    before = stage_code.digests(package)
    (package / f"{file}.py").write_text("one = 2\n")
    after = stage_code.digests(package)
    assert {stage for stage in after if after[stage] != before[stage]} == stages
    (said,) = stage_code.changed(after, {"code": before})
    assert set(said.removeprefix("code changed: ").split(", ")) == stages


def test_line_ends_do_not_count(package):
    before = stage_code.digests(package)
    (package / "one.py").write_bytes(b"one = 1\r\n\r\n")
    assert stage_code.digests(package) == before


def test_contents_that_change_places_count(package):
    before = stage_code.digests(package)
    one, both = ((package / name).read_text() for name in ("one.py", "both.py"))
    (package / "one.py").write_text(both)
    (package / "both.py").write_text(one)
    assert stage_code.digests(package)["prepare"] != before["prepare"]


def test_nothing_is_said_the_first_time(package):
    assert stage_code.changed(stage_code.digests(package), {}) == []


def test_a_listed_file_that_is_not_there_is_refused(package):
    (package / "one.py").unlink()
    with pytest.raises(Refused, match=r"one\.py is missing: restore it, or run `make deps`"):
        stage_code.digests(package)
