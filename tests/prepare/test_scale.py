"""However many images there are: nothing is examined twice, a killed run goes on, the source stays."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from functools import partial
from operator import call
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare import ingest, stage
from pipeline.prepare.duplicates.search import SIDE
from pipeline.prepare.images import cache, check
from pipeline.prepare.images.cache import CODE, LIBRARIES, CheckedImageCache
from pipeline.prepare.images.decode import UnusableImageError
from pipeline.prepare.thumbnail_store import ThumbnailStore
from pipeline.runtime import workers
from pipeline.storage import copy_file, files
from pipeline.storage.fingerprint import SETTLED_NS
from tests import sources
from tests.sources import config, picture

OUT = Path("data/prepared")
DATABASE = Path(".finetrack/examined.db")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(cache, "SETTLED_NS", -(10**18))  # change times cannot be dated back


@pytest.fixture
def looked(monkeypatch):
    """The files that were decoded, by name."""
    found: list[str] = []
    examine = check.examine

    def noting(path, load=None):
        found.append(path.name)
        return examine(path, load)

    monkeypatch.setattr(check, "examine", noting)
    return found


@pytest.fixture
def source(tmp_path):
    return sources.yolo(tmp_path / "source", {f"{n:02d}": "0 0.5 0.5 0.25 0.5\n" for n in range(12)})


def run(source: Path) -> dict[str, bytes]:
    """Prepare, and return what was made."""
    stage.run(config("yolo", source, near_duplicates=True))
    return {str(path): path.read_bytes() for path in sorted(OUT.rglob("*")) if path.is_file()}


def test_a_second_run_decodes_new_and_changed_images_only_and_gives_the_same(source, looked):
    first = run(source)
    assert len(looked) == 12
    looked.clear()
    assert run(source) == first
    assert looked == []
    picture(source / "images/new.jpg")
    (source / "images/03.jpg").write_bytes((source / "images/new.jpg").read_bytes())
    run(source)
    assert sorted(looked) == ["03.jpg", "new.jpg"]
    made = {Path(item.source).name: item.sha256 for item in read_manifest(OUT).items}
    assert made["03.jpg"] == made["new.jpg"] == files.sha256(source / "images/new.jpg")


def test_labels_are_checked_anew_each_time(source, looked):
    run(source)
    looked.clear()
    (source / "labels/05.txt").write_text("0 0.5 0.5 0.25 0.5\n7 0.5 0.5 0.1 0.1\n")
    run(source)
    found = json.loads((OUT / "defects.json").read_text())
    assert [line["file"] for line in found["files"]] == ["images/05.jpg"]
    assert looked == []


def test_what_is_not_sound_is_looked_at_each_time(source, looked):
    (source / "images/02.jpg").write_bytes(b"no image")
    with (source / "images/06.jpg").open("ab") as file:
        file.write(b"trailer")
    before = run(source)
    looked.clear()
    assert run(source) == before
    assert sorted(looked) == ["02.jpg", "06.jpg"]


@pytest.mark.parametrize("touch", ["code", "library", "file"])
def test_other_code_or_libraries_or_another_time_of_change_count_as_new(source, looked, monkeypatch, touch):
    run(source)
    looked.clear()
    if touch == "code":
        monkeypatch.setattr(cache, "CODE", (*CODE, ingest))
    elif touch == "library":
        monkeypatch.setattr(cache, "LIBRARIES", (*LIBRARIES, "tqdm"))
    else:
        os.utime(source / "images/03.jpg", (1, 1))
    run(source)
    assert sorted(looked) == (["03.jpg"] if touch == "file" else [f"{n:02d}.jpg" for n in range(12)])


def test_what_was_just_written_is_not_trusted_yet(source, looked, monkeypatch):
    monkeypatch.setattr(cache, "SETTLED_NS", SETTLED_NS)
    run(source)
    run(source)
    assert len(looked) == 24


def poison(statement: str) -> None:
    with closing(sqlite3.connect(DATABASE)) as known, known:
        known.execute(statement)


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
def test_a_row_that_was_changed_counts_for_nothing(source, looked, statement):
    before = run(source)
    poison(statement)
    looked.clear()
    assert run(source) == before
    assert len(looked) == 12


@pytest.mark.parametrize(("start", "end"), [(0, 100), (5000, 30000), (4096, 4300)])
def test_a_damaged_database_costs_time_and_is_begun_anew(source, looked, start, end):
    before = run(source)
    data = bytearray(DATABASE.read_bytes())
    data[start:end] = b"\xa5" * (end - start)
    DATABASE.write_bytes(data)
    assert run(source) == before
    looked.clear()
    run(source)
    run(source)
    assert len(looked) <= 12
    looked.clear()
    assert run(source) == before
    assert looked == []


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
def test_a_row_that_fits_its_digest_must_make_sense_all_the_same(source, looked, facts):
    run(source)
    known = CheckedImageCache(DATABASE)
    file = cache.identity(source / "images/07.jpg")
    text = facts.replace("SHA", "0" * 64)
    with closing(sqlite3.connect(DATABASE)) as database, database:
        values = text, known._digest(file, text, b""), os.fsencode(file.path)
        database.execute("UPDATE images SET facts = ?, thumbnail = x'', digest = ? WHERE path = ?", values)
    known.__exit__(None, None, None)
    looked.clear()
    run(source)
    assert looked == ["07.jpg"]


def test_a_hash_that_lies_is_noticed_by_the_next_stage(source):
    run(source)
    known = CheckedImageCache(DATABASE)
    file = cache.identity(source / "images/07.jpg")
    with closing(sqlite3.connect(DATABASE)) as database, database:
        where = os.fsencode(file.path)
        facts, thumbnail = database.execute(
            "SELECT facts, thumbnail FROM images WHERE path = ?", [where]
        ).fetchone()
        text = json.dumps(["0" * 64, *json.loads(facts)[1:]])
        values = text, known._digest(file, text, thumbnail), where
        database.execute("UPDATE images SET facts = ?, digest = ? WHERE path = ?", values)
    known.__exit__(None, None, None)
    run(source)
    with pytest.raises(UserError, match=r"07\.jpg is not as prepare wrote it"):
        read_manifest(OUT)


def test_a_database_that_cannot_be_written_costs_time_only(source, looked):
    first = run(source)
    DATABASE.unlink()
    DATABASE.mkdir()
    assert run(source) == first
    assert len(looked) == 24


KILLED = """
import os, sys
from pathlib import Path
from pipeline.prepare import stage
from pipeline.prepare.images import cache, check
from tests.sources import config

cache.SETTLED_NS, cache.EVERY = -(10**18), 0
examine, left = check.examine, iter(range(8))

def dying(path, load=None):
    if next(left, None) is None:
        os.kill(os.getpid(), 9)
    return examine(path, load)

check.examine = dying
stage.run(config("yolo", Path(sys.argv[1])))
"""


def test_a_killed_run_goes_on_where_it_was(source, looked):
    root = Path(__file__).parents[2]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(source)],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    run(source)
    assert 1 <= len(looked) < 12
    assert [path.name for path in OUT.parent.iterdir()] == ["prepared"]


def test_the_source_is_neither_changed_nor_linked(source):
    before = {path: (path.stat(), path.read_bytes()) for path in source.rglob("*") if path.is_file()}
    run(source)
    for path in (OUT / "images").rglob("*.jpg"):
        path.chmod(0o444)  # as DVC does with what it takes into its cache
        os.truncate(path, 0)
    for path, (was, data) in before.items():
        now = path.stat()
        assert path.read_bytes() == data
        assert (now.st_mode, now.st_nlink, now.st_ctime_ns) == (was.st_mode, was.st_nlink, was.st_ctime_ns)


def test_a_file_that_changes_while_prepare_is_at_work_is_refused(source, monkeypatch):
    judge = ingest.judge

    def meddling(entry, terms):
        judged = judge(entry, terms)
        if entry.path.name == "03.jpg":
            entry.path.write_bytes((source / "images/04.jpg").read_bytes())
        return judged

    monkeypatch.setattr(ingest, "judge", meddling)
    with pytest.raises(UserError, match=r"03\.jpg was changed while prepare was at work"):
        run(source)
    assert not OUT.exists()


@pytest.mark.parametrize("way", ["kernel", "by hand", "half"])
def test_a_copy_is_whole_whatever_the_kernel_can(tmp_path, monkeypatch, way):
    (tmp_path / "a").write_bytes(np.random.default_rng(0).bytes(300_000))
    within, calls = os.copy_file_range, []

    def copying(source, made, count):
        calls.append(count)
        if way == "by hand" or (way == "half" and len(calls) > 1):
            raise OSError(18, "other device")
        return within(source, made, count if way == "kernel" else 1000)

    monkeypatch.setattr(os, "copy_file_range", copying)
    original = cache.identity(tmp_path / "a")
    copy_file.copy(original, str(tmp_path / "b"))
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(UserError, match="changed"):
        copy_file.copy(original, str(tmp_path / "c"))
    (tmp_path / "a").unlink()
    with pytest.raises(UserError, match="changed"):
        copy_file.copy(original, str(tmp_path / "d"))


def test_work_is_asked_for_no_sooner_than_it_is_done():
    asked = []

    def todo():
        for number in range(1000):
            asked.append(number)
            yield partial(int, number)

    done = workers.each(call, todo(), total=1000, what="count")
    assert next(done) == 0
    assert len(asked) < 1000
    assert list(done) == list(range(1, 1000))


def test_little_work_is_spread_over_all_hands():
    together = Barrier(4)

    def meet(number):
        together.wait(timeout=20)
        return number

    assert list(workers.each(meet, range(4), total=4, what="count", workers=4)) == [0, 1, 2, 3]


def test_a_mistake_in_one_of_many_comes_out_and_the_rest_is_left():
    def fail():
        raise UnusableImageError("outside", "no")

    work = (fail if n == 20 else partial(int, n) for n in range(10_000))
    done = workers.each(call, work, total=10_000, what="count")
    with pytest.raises(UnusableImageError):
        list(done)


def test_thumbnails_are_read_from_their_file(tmp_path):
    rng = np.random.default_rng(0)
    looks = [rng.integers(0, 255, SIDE * SIDE, dtype=np.uint8).tobytes() for _ in range(5)]
    drawn = [ingest.drawn(n, "detect", draw=_draw, hold=tmp_path / str(n)) for n in range(7)]
    shelf = ThumbnailStore(tmp_path / "thumbnails")
    outcomes = [
        (image._replace(look=image.look._replace(signature=looks[n] if n < 5 else b"")), found)
        for n, (image, found) in enumerate(drawn)
    ]
    kept = shelf.take_from([*outcomes, (None, [])])
    assert [image and image.thumbnail for image, _ in kept] == [0, 1, 2, 3, 4, None, None, None]
    assert all(image is None or image.look.signature == b"" for image, _ in kept)
    assert len(shelf) == 5
    assert shelf[np.array([3, 0, 3])].reshape(3, -1).tolist() == [list(looks[n]) for n in (3, 0, 3)]
    assert shelf[np.zeros(0, np.int64)].shape == (0, SIDE, SIDE)


def _draw(index):
    from pipeline.source.synthetic import demo

    return demo.choose("shapes", "detect").draw(index, seed=0, pixels=64)


def test_the_code_that_examines_is_all_that_counts():
    import grimp

    graph = grimp.build_graph("pipeline", cache_dir=None)
    needed = graph.find_upstream_modules("pipeline.prepare.images.check") | {"pipeline.prepare.images.check"}
    passive = {  # types, and what only names files
        "pipeline",
        "pipeline.core",
        "pipeline.core.arrays",
        "pipeline.prepare",
        "pipeline.prepare.images",
        "pipeline.prepare.duplicates",
        "pipeline.storage",
        "pipeline.core.findings",
        "pipeline.core.errors",
        "pipeline.storage.fingerprint",
        "pipeline.prepare.duplicates.alignment",  # near_copies compares with it, which comes later
        "pipeline.prepare.duplicates.budget",  # and counts with it
    }
    assert needed - passive == {module.__name__ for module in CODE}


def test_scratch_holds_the_memory(source):
    run(source)
    assert DATABASE.resolve() == files.scratch() / "examined.db"
