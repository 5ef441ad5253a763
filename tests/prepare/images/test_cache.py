"""Cache of image checks: what is checked again, and what a damaged cache costs."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare import ingest
from pipeline.prepare.images import cache
from pipeline.prepare.images.cache import CHECK_LIBRARIES, CHECK_MODULES, CheckedImageCache, read_file_stamp
from pipeline.prepare.images.check import check_image
from pipeline.prepare.stage import run_stage
from pipeline.storage.files import hash_file
from pipeline.storage.fingerprint import MIN_AGE_NS
from pipeline.storage.scratch_folder import create_scratch_folder
from tests import sources
from tests.sources import prepare_config, write_picture

DATABASE = Path(".finetrack/examined.db")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(cache, "MIN_AGE_NS", -(10**18))  # a test cannot set change times back


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that were decoded."""
    names: list[str] = []

    def check_and_record(path, load=None):
        names.append(path.name)
        return check_image(path, load)

    monkeypatch.setattr(cache, "check_image", check_and_record)
    return names


@pytest.fixture
def source(tmp_path):
    return sources.write_yolo_source(
        tmp_path / "source", {f"{n:02d}": "0 0.5 0.5 0.25 0.5\n" for n in range(12)}
    )


def run(source: Path) -> dict[str, bytes]:
    """Run the stage; return its files."""
    run_stage(prepare_config("yolo", source, near_duplicates=True))
    return {str(path): path.read_bytes() for path in sorted(PREPARED_FOLDER.rglob("*")) if path.is_file()}


def test_second_run_decodes_only_new_and_changed_images(source, decoded):
    first = run(source)
    assert len(decoded) == 12
    decoded.clear()
    assert run(source) == first
    assert decoded == []
    write_picture(source / "images/new.jpg")
    (source / "labels/new.txt").write_text("")
    (source / "images/03.jpg").write_bytes((source / "images/new.jpg").read_bytes())
    run(source)
    assert sorted(decoded) == ["03.jpg", "new.jpg"]
    hashes = {Path(record.source).name: record.sha256 for record in read_manifest(PREPARED_FOLDER).items}
    assert hashes["03.jpg"] == hashes["new.jpg"] == hash_file(source / "images/new.jpg")


def test_changed_label_is_checked_without_decoding_its_image(source, decoded):
    run(source)
    decoded.clear()
    (source / "labels/05.txt").write_text("0 0.5 0.5 0.25 0.5\n7 0.5 0.5 0.1 0.1\n")
    run(source)
    report = json.loads((PREPARED_FOLDER / "defects.json").read_text())
    assert [line["file"] for line in report["files"]] == ["images/05.jpg"]
    assert decoded == []


def test_unusable_and_repaired_images_are_not_cached(source, decoded):
    (source / "images/02.jpg").write_bytes(b"no image")
    with (source / "images/06.jpg").open("ab") as file:
        file.write(b"trailer")
    before = run(source)
    decoded.clear()
    assert run(source) == before
    assert sorted(decoded) == ["02.jpg", "06.jpg"]


@pytest.mark.parametrize("changed", ["code", "library", "file"])
def test_change_of_code_or_library_or_file_time_invalidates_rows(source, decoded, monkeypatch, changed):
    run(source)
    decoded.clear()
    if changed == "code":
        monkeypatch.setattr(cache, "CHECK_MODULES", (*CHECK_MODULES, ingest))
    elif changed == "library":
        monkeypatch.setattr(cache, "CHECK_LIBRARIES", (*CHECK_LIBRARIES, "numpy"))
    else:
        os.utime(source / "images/03.jpg", (1, 1))
    run(source)
    assert sorted(decoded) == (["03.jpg"] if changed == "file" else [f"{n:02d}.jpg" for n in range(12)])


def test_file_that_was_just_written_is_not_cached(source, decoded, monkeypatch):
    monkeypatch.setattr(cache, "MIN_AGE_NS", MIN_AGE_NS)
    run(source)
    run(source)
    assert len(decoded) == 24


def execute(statement: str) -> None:
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE images SET facts = replace(facts, '96', '97')",
        "UPDATE images SET facts = substr(facts, 1, 20)",
        "UPDATE images SET facts = 5, digest = NULL",
        "UPDATE images SET facts = NULL",
        "UPDATE images SET thumbnail = zeroblob(4096)",
        "UPDATE images SET digest = zeroblob(16)",
        "DROP TABLE images",
        "ALTER TABLE images RENAME COLUMN facts TO fiction",
    ],
)
@pytest.mark.fault(11, "rows of the image cache changed")
def test_changed_rows_are_ignored(source, decoded, statement):
    before = run(source)
    execute(statement)
    decoded.clear()
    assert run(source) == before
    assert len(decoded) == 12


@pytest.mark.parametrize(("start", "end"), [(0, 100), (5000, 30000), (4096, 4300)])
@pytest.mark.fault(11, "image cache damaged")
def test_damaged_database_is_created_again(source, decoded, start, end):
    before = run(source)
    data = bytearray(DATABASE.read_bytes())
    data[start:end] = b"\xa5" * (end - start)
    DATABASE.write_bytes(data)
    assert run(source) == before
    decoded.clear()
    run(source)
    run(source)
    assert len(decoded) <= 12
    decoded.clear()
    assert run(source) == before
    assert decoded == []


@pytest.mark.parametrize(
    "facts",
    [
        '["SHA", "/../../x.jpg", [96, 80], 0.5, 9.0, []]',
        '["SHA", ".jpg", [96, 80], 0.5, 9.0, [["why", "no such kind"]]]',
        '["short", ".jpg", [96, 80], 0.5, 9.0, []]',
        '["SHA", ".jpg", [96], 0.5, 9.0, []]',
        '["SHA", ".jpg", "96", 0.5, 9.0, []]',
        '{"sha256": "SHA"}',
        "not JSON",
    ],
)
@pytest.mark.fault(11, "rows of the image cache changed")
def test_row_with_a_valid_digest_and_invalid_values_is_ignored(source, decoded, facts):
    run(source)
    cached = CheckedImageCache(DATABASE)
    stamp = read_file_stamp(source / "images/07.jpg")
    text = facts.replace("SHA", "0" * 64)
    with closing(sqlite3.connect(DATABASE)) as database, database:
        values = text, cached._digest_row(stamp, text, b""), os.fsencode(stamp.path)
        database.execute("UPDATE images SET facts = ?, thumbnail = x'', digest = ? WHERE path = ?", values)
    cached.__exit__(None, None, None)
    decoded.clear()
    run(source)
    assert decoded == ["07.jpg"]


@pytest.mark.fault(11, "wrong hash in the image cache")
def test_wrong_hash_in_the_cache_is_noticed_by_the_next_stage(source):
    run(source)
    cached = CheckedImageCache(DATABASE)
    stamp = read_file_stamp(source / "images/07.jpg")
    with closing(sqlite3.connect(DATABASE)) as database, database:
        path = os.fsencode(stamp.path)
        facts, thumbnail = database.execute(
            "SELECT facts, thumbnail FROM images WHERE path = ?", [path]
        ).fetchone()
        text = json.dumps(["0" * 64, *json.loads(facts)[1:]])
        values = text, cached._digest_row(stamp, text, thumbnail), path
        database.execute("UPDATE images SET facts = ?, digest = ? WHERE path = ?", values)
    cached.__exit__(None, None, None)
    run(source)
    with pytest.raises(UserError, match=r"07\.jpg is not as prepare wrote it"):
        read_manifest(PREPARED_FOLDER)


@pytest.mark.fault(13, "image cache cannot be written")
def test_prepare_works_without_a_database_that_can_be_written(source, decoded):
    first = run(source)
    DATABASE.unlink()
    DATABASE.mkdir()
    assert run(source) == first
    assert len(decoded) == 24


KILLED_RUN = """
import os, sys
from pathlib import Path
from pipeline.prepare.images import cache
from pipeline.prepare.images.check import check_image
from pipeline.prepare.stage import run_stage
from tests.sources import prepare_config

cache.MIN_AGE_NS, cache.SAVE_INTERVAL_SECONDS = -(10**18), 0
remaining = iter(range(8))

def check_or_die(path, load=None):
    if next(remaining, None) is None:
        os.kill(os.getpid(), 9)
    return check_image(path, load)

cache.check_image = check_or_die
run_stage(prepare_config("yolo", Path(sys.argv[1])))
"""


@pytest.mark.fault(13, "SIGKILL of prepare")
def test_run_after_a_killed_run_uses_what_was_cached(source, decoded):
    root = Path(__file__).parents[3]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(source)],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    run(source)
    assert 1 <= len(decoded) < 12
    assert {path.name for path in PREPARED_FOLDER.parent.iterdir()} == {"prepared", "columns"}


def test_check_modules_are_all_modules_that_decide_a_check():
    import grimp

    graph = grimp.build_graph("pipeline", cache_dir=None)
    needed = graph.find_upstream_modules("pipeline.prepare.images.check") | {"pipeline.prepare.images.check"}
    passive = {  # packages, types and names of files
        "pipeline",
        "pipeline.core",
        "pipeline.core.arrays",
        "pipeline.prepare",
        "pipeline.prepare.images",
        "pipeline.prepare.images.errors",
        "pipeline.prepare.duplicates",
        "pipeline.storage",
        "pipeline.core.findings",
        "pipeline.core.errors",
        "pipeline.core.machine_errors",
        "pipeline.storage.fingerprint",
        "pipeline.source.embedded_image",  # images inside other files are not cached
        "pipeline.prepare.duplicates.alignment",  # the search for duplicates uses it later, not this check
        "pipeline.prepare.duplicates.budget",  # the same
    }
    assert needed - passive == {module.__name__ for module in CHECK_MODULES}


def test_cache_is_in_the_scratch_folder(source):
    run(source)
    assert DATABASE.resolve() == create_scratch_folder() / "examined.db"
