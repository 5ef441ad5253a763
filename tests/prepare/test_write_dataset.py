"""Files of the prepared dataset are copies of the source, which prepare only reads."""

import os

import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.prepare import ingest
from pipeline.prepare.ingest import check_annotated_image
from pipeline.prepare.stage import run_stage
from tests import sources
from tests.sources import prepare_config


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


@pytest.fixture
def source(tmp_path):
    return sources.write_yolo_source(
        tmp_path / "source", {f"{n:02d}": "0 0.5 0.5 0.25 0.5\n" for n in range(12)}
    )


def test_source_is_neither_changed_nor_linked(source):
    before = {path: (path.stat(), path.read_bytes()) for path in source.rglob("*") if path.is_file()}
    run_stage(prepare_config("yolo", source, near_duplicates=True))
    for path in (PREPARED_FOLDER / "images").rglob("*.jpg"):
        path.chmod(0o444)  # as DVC does with files in its cache
        os.truncate(path, 0)
    for path, (status, data) in before.items():
        now = path.stat()
        assert path.read_bytes() == data
        assert (now.st_mode, now.st_nlink, now.st_ctime_ns) == (
            status.st_mode,
            status.st_nlink,
            status.st_ctime_ns,
        )


def test_file_that_changes_while_prepare_runs_is_refused(source, monkeypatch):
    def check_and_change(annotated, settings):
        result = check_annotated_image(annotated, settings)
        if annotated.path.name == "03.jpg":
            annotated.path.write_bytes((source / "images/04.jpg").read_bytes())
        return result

    monkeypatch.setattr(ingest, "check_annotated_image", check_and_change)
    with pytest.raises(UserError, match=r"03\.jpg was changed while prepare was running"):
        run_stage(prepare_config("yolo", source))
    assert not PREPARED_FOLDER.exists()
