"""Fingerprints of what comes from outside: images and base weights."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.compose.input_fingerprints import RESTORED_KEY, RESTORED_NAMES_KEY, fingerprint_inputs
from pipeline.core.errors import UserError
from pipeline.storage import fingerprint
from pipeline.storage.files import hash_file
from pipeline.storage.fingerprint import fingerprint_source, hash_files

OLD = 1_700_000_000


def settle(folder: Path) -> None:
    """Date the files back: a hash is kept only once a file cannot change within the clock's step."""
    for path in folder.rglob("*"):
        os.utime(path, (OLD, OLD), follow_symlinks=False)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    for name in ("b.jpg", "a/c.jpg", "a/d.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode() * 1000)
    settle(folder)
    return folder


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "hashes.db"


@pytest.fixture(autouse=True)
def still_clock(monkeypatch):
    """Change times cannot be dated back: let every file count as settled, except where a test says else."""
    monkeypatch.setattr(fingerprint, "MIN_AGE_NS", -(10**18))


def known(cache: Path) -> dict[str, str]:
    with sqlite3.connect(cache) as database:
        found = database.execute("SELECT path, sha256 FROM hashes").fetchall()
    return {os.fsdecode(path): sha256 for path, sha256 in found}


def test_a_copy_elsewhere_has_the_same_fingerprint(source, cache, tmp_path):
    shutil.copytree(source, tmp_path / "copy")
    assert fingerprint_source(source, cache=cache) == fingerprint_source(tmp_path / "copy", cache=cache)


def test_litter_and_hidden_files_do_not_count(source, cache):
    before = fingerprint_source(source, cache=cache)
    for name in ("labels.cache", ".DS_Store", "Thumbs.db", "a/.git/x", "._b.jpg"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("x")
    assert fingerprint_source(source, cache=cache) == before


@pytest.mark.parametrize("change", ["contents", "name", "gone", "new", "moved"])
def test_every_change_counts(source, cache, change):
    before = fingerprint_source(source, cache=cache)
    file = source / "b.jpg"
    if change == "contents":
        file.write_bytes(b"X" + file.read_bytes()[1:])  # same length
    elif change in {"name", "moved"}:
        file.rename(source / ("e.jpg" if change == "name" else "a/b.jpg"))
    elif change == "gone":
        file.unlink()
    else:
        (source / "new.jpg").write_bytes(b"")
    assert fingerprint_source(source, cache=cache) != before


def test_nothing_is_read_twice(source, cache):
    before = fingerprint_source(source, cache=cache)
    assert known(cache)[str(source / "b.jpg")] == hashlib.sha256(b"b.jpg" * 1000).hexdigest()
    with sqlite3.connect(cache) as database:
        database.execute("UPDATE hashes SET sha256 = 'kept'")
    assert fingerprint_source(source, cache=cache) != before


def test_a_file_that_may_still_change_is_not_remembered(source, cache, monkeypatch):
    monkeypatch.setattr(fingerprint, "MIN_AGE_NS", 2_000_000_000)
    (source / "new.jpg").write_bytes(b"x")
    fingerprint_source(source, cache=cache)
    assert str(source / "new.jpg") not in known(cache)


@pytest.mark.fault(3, "a file changes while its hash is taken")
def test_the_hash_of_a_file_that_changes_while_it_is_read_is_not_kept(source, cache):
    file = source / "b.jpg"
    times = file.stat()

    def edit_and_read(work, paths):
        for path in paths:
            if path == str(file):
                file.write_bytes(b"X" * times.st_size)
                os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
            yield work(path)

    fingerprint_source(source, cache=cache, map_files=edit_and_read)
    assert str(file) not in known(cache)
    assert len(known(cache)) == 2


def test_links_are_followed_once(source, cache):
    before = fingerprint_source(source, cache=cache)
    (source / "a/loop").symlink_to(source)
    assert fingerprint_source(source, cache=cache) == before
    (source / "linked.jpg").symlink_to(source / "b.jpg")
    assert fingerprint_source(source, cache=cache) != before


def test_what_cannot_be_read_counts_by_its_name_and_stops_nothing(source, cache):
    before = fingerprint_source(source, cache=cache)
    (source / "x.jpg").symlink_to(source / "nowhere")
    os.mkfifo(source / "pipe.jpg")
    after = fingerprint_source(source, cache=cache)
    assert after != before
    (source / "nowhere").write_bytes(b"found again")
    assert fingerprint_source(source, cache=cache) not in {before, after}


@pytest.mark.fault(11, "cache of hashes damaged")
def test_a_damaged_cache_is_started_anew(source, cache):
    before = fingerprint_source(source, cache=cache)
    cache.write_bytes(b"no database" * 1000)
    assert fingerprint_source(source, cache=cache) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_a_name_that_is_no_utf8_counts_by_its_bytes(source, cache):
    before = fingerprint_source(source, cache=cache)
    odd = source / os.fsdecode(b"pi\xe8ce.jpg")
    try:
        odd.write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes no such names")
    after = fingerprint_source(source, cache=cache)
    assert after != before
    assert fingerprint_source(source, cache=cache) == after
    assert str(odd) in known(cache)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="it takes a file whose reading does not end")
def test_a_long_reading_keeps_nobody_else_from_the_cache(source, cache):
    pipe = str(source / "endless")
    os.mkfifo(pipe)
    files = [str(source / "b.jpg"), pipe]
    reading = threading.Thread(target=lambda: list(hash_files(files, cache=cache)))
    reading.start()
    try:
        with Path(pipe).open("wb"):  # opens when the other end does, and so only after b.jpg was handed out
            time.sleep(0.3)
            with closing(sqlite3.connect(cache, timeout=0)) as other:
                other.execute("BEGIN IMMEDIATE")
    finally:
        reading.join()
    assert set(known(cache)) == set(files)


# ---- what compose.lock.json says of them


MODEL = {"weights": "w.pt", "folder": None, "sha256": None, "architecture": "yolo26n.yaml"}


def values(**changes) -> dict:
    return {
        "data": {"format": "yolo", "source": "images"},
        "model": MODEL,
        "finetune": {"strategy": "full", "distill_model": None},
        **changes,
    }


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.jpg").write_bytes(b"a")
    (tmp_path / "w.pt").write_bytes(b"w")
    return tmp_path


SHA_W = hashlib.sha256(b"w").hexdigest()


@pytest.mark.usefixtures("project")
def test_present_inputs_go_by_their_contents():
    entries, notes = fingerprint_inputs(values(), {})
    assert entries["weights"] == SHA_W
    assert len(entries["source"]) == 64
    assert notes == []


def test_images_beside_the_folder_of_a_coco_file_count(project):
    (project / "annotations").mkdir()
    (project / "annotations/x.json").write_text("{}")
    named = values(data={"format": "coco", "source": str(project.parent / "d/annotations/x.json")})
    shutil.copytree(project, project.parent / "d", ignore=shutil.ignore_patterns(".*"))
    before, _ = fingerprint_inputs(named, {})
    (project.parent / "d/images/a.jpg").write_bytes(b"b")
    after, _ = fingerprint_inputs(named, {})
    assert after["source"] != before["source"]


@pytest.mark.parametrize("absence", ["absent", "empty"])
def test_an_absent_source_keeps_what_is_recorded_with_a_word(project, absence):
    lock, _ = fingerprint_inputs(values(), {})
    (project / "images/a.jpg").unlink()
    if absence == "absent":
        (project / "images").rmdir()
    entries, notes = fingerprint_inputs(values(), lock)
    assert entries == lock
    assert notes == ["data.source=images is not on this machine: its recorded fingerprint stands"]


@pytest.mark.fault(3, "the images of a restored iteration have changed since")
def test_in_a_restored_iteration_the_record_of_changed_inputs_stands(project):
    recorded, _ = fingerprint_inputs(values(), {})
    lock = {**recorded, RESTORED_KEY: "a run"}
    (project / "images/b.jpg").write_bytes(b"b")
    (project / "w.pt").write_bytes(b"others")
    entries, notes = fingerprint_inputs(values(), lock)
    assert entries == {**lock, RESTORED_NAMES_KEY: lock["of"]}
    assert [note.split()[0] for note in notes] == ["data.source=images", "model.weights=w.pt"]
    assert fingerprint_inputs(values(), entries) == (entries, notes)
    fresh, _ = fingerprint_inputs(values(), recorded)
    assert (fresh["source"], fresh["weights"]) != (recorded["source"], recorded["weights"])


def test_in_a_restored_iteration_another_source_is_a_new_one(project):
    recorded, _ = fingerprint_inputs(values(), {})
    (project / "others").mkdir()
    (project / "others/b.jpg").write_bytes(b"b")
    other = values(data={"format": "yolo", "source": "others"})
    entries, notes = fingerprint_inputs(other, {**recorded, RESTORED_KEY: "a run"})
    assert entries["source"] != recorded["source"]
    assert notes == []


@pytest.mark.fault(3, "a later source or weights file of a restored folder stays at its first fingerprint")
def test_in_a_restored_iteration_inputs_that_came_later_are_followed(project):
    recorded, _ = fingerprint_inputs(values(), {})
    (project / "others").mkdir()
    (project / "others/b.jpg").write_bytes(b"b")
    other = values(data={"format": "yolo", "source": "others"})
    first, _ = fingerprint_inputs(other, {**recorded, RESTORED_KEY: "a run"})
    (project / "others/c.jpg").write_bytes(b"c")
    (project / "w.pt").write_bytes(b"others")
    second, notes = fingerprint_inputs(other, first)
    assert second["source"] not in {first["source"], recorded["source"]}
    assert second["weights"] == recorded["weights"]
    assert [note.split()[0] for note in notes] == ["model.weights=w.pt"]
    (project / "images/b.jpg").write_bytes(b"b")
    back, _ = fingerprint_inputs(values(), second)
    assert back["source"] == fingerprint_inputs(values(), {})[0]["source"]
    free = {key: value for key, value in second.items() if key != RESTORED_KEY}
    freed, _ = fingerprint_inputs(other, free)
    assert freed["weights"] != recorded["weights"]
    assert RESTORED_NAMES_KEY not in freed


@pytest.mark.usefixtures("project")
def test_an_absent_source_without_record_is_refused():
    lock, _ = fingerprint_inputs(values(), {})
    other = values(data={"format": "yolo", "source": "elsewhere"})
    with pytest.raises(UserError, match=r"^data\.source=elsewhere does not exist .* in conf/ or with -S$"):
        fingerprint_inputs(other, lock)


OVERLAPS = (
    *(".", "..", "data", "models", "data/prepared", "reports/x", ".finetrack", "data/../data/prepared"),
    *(".git", ".git/lfs", ".dvc", ".dvc/cache", "mlruns", "mlruns/1", "mlflow.db", "data/data.yaml"),
)


@pytest.mark.fault(9, "data.source contains an output, or lies in one")
@pytest.mark.parametrize("given", ["alone", "in a list", "by a link"])
@pytest.mark.parametrize("place", OVERLAPS)
def test_what_the_project_writes_is_no_source(project, place, given):
    for part in ("data/prepared/images", "models", ".git", "mlruns", "reports"):
        (project / part).mkdir(parents=True)
    (project / "data/data.yaml").write_text("names: [a]")
    source: str | list[str] = place
    if given == "in a list":
        source = ["images", place]
    elif given == "by a link":
        (project / "link.yaml").symlink_to(place)
        source = "link.yaml"
    with pytest.raises(UserError, match=r"overlaps|one contains the other"):
        fingerprint_inputs(values(data={"format": "yolo", "source": source}), {})


@pytest.mark.fault(9, "a link in data.source leads to an output")
@pytest.mark.parametrize("place", [".", "data", "data/prepared", ".git", "mlruns/1"])
def test_a_link_inside_a_source_does_not_lead_to_what_the_project_writes(project, place):
    for part in ("data/prepared", ".git", "mlruns/1", "images/deep"):
        (project / part).mkdir(parents=True)
    (project / "images/deep/link").symlink_to(project / place)
    with pytest.raises(UserError, match="overlaps by a link"):
        fingerprint_inputs(values(), {})


@pytest.mark.parametrize("place", ["data/own", "models/own", "images"])
def test_a_folder_beside_the_outputs_is_a_source(project, place):
    (project / "data/prepared").mkdir(parents=True)
    (project / place).mkdir(parents=True, exist_ok=True)
    (project / place / "a.jpg").write_bytes(b"a")
    entries, _ = fingerprint_inputs(values(data={"format": "yolo", "source": place}), {})
    assert len(entries["source"]) == 64


def test_an_archive_goes_by_its_contents(project):
    archive = project / "images.zip"
    archive.write_bytes(b"PK")
    entries, _ = fingerprint_inputs(values(data={"format": "yolo", "source": "images.zip"}), {})
    assert entries["source"] == hash_file(archive)


@pytest.mark.usefixtures("project")
def test_several_sources_go_by_the_contents_names_and_order_of_all(project):
    shutil.copytree(project / "images", project / "more")

    def take(*names: str) -> str:
        entries, _ = fingerprint_inputs(values(data={"format": "yolo", "source": list(names)}), {})
        return entries["source"]

    both = take("images", "more")
    assert both != take("more", "images")
    assert take("images") == fingerprint_inputs(values(), {})[0]["source"]
    (project / "more/new.jpg").write_bytes(b"new")
    assert take("images", "more") != both


def test_the_absent_one_of_several_sources_is_named(project):
    source = {"format": "yolo", "source": ["images", "gone"]}
    with pytest.raises(UserError, match=r"^data\.source=\S*/gone does not exist"):
        fingerprint_inputs(values(data=source), {})
    shutil.copytree(project / "images", project / "gone")
    lock, _ = fingerprint_inputs(values(data=source), {})
    shutil.rmtree(project / "gone")
    entries, notes = fingerprint_inputs(values(data=source), lock)
    assert entries == lock
    assert notes == ['data.source=["images", "gone"] is not on this machine: its recorded fingerprint stands']


@pytest.mark.fault(3, "one of several sources is away")
def test_an_absent_source_of_several_is_no_record_of_changed_images_in_the_others(project):
    shutil.copytree(project / "images", project / "more")
    source = {"format": "yolo", "source": ["images", "more"]}
    lock, _ = fingerprint_inputs(values(data=source), {})
    shutil.rmtree(project / "more")
    (project / "images/new.jpg").write_bytes(b"new")
    with pytest.raises(UserError, match="/more does not exist, and the images of images changed"):
        fingerprint_inputs(values(data=source), lock)


def test_a_list_of_sources_borrows_nothing_from_a_folder_with_a_comma_in_its_name(project):
    (project / "images").rename(project / "here, there")
    lock, _ = fingerprint_inputs(values(data={"format": "yolo", "source": "here, there"}), {})
    with pytest.raises(UserError, match="/here does not exist"):
        fingerprint_inputs(values(data={"format": "yolo", "source": ["here", "there"]}), lock)


def test_a_file_that_describes_a_dataset_goes_by_its_folder_and_its_name(project):
    for name in ("data.yaml", "other.yaml"):
        (project / "images" / name).write_text("names: [a]")
    named = values(data={"format": "yolo", "source": "images/data.yaml"})
    before = fingerprint_inputs(named, {})[0]["source"]
    (project / "images/a.jpg").write_bytes(b"changed")
    after = fingerprint_inputs(named, {})[0]["source"]
    other = fingerprint_inputs(values(data={"format": "yolo", "source": "images/other.yaml"}), {})
    assert len({before, after, other[0]["source"]}) == 3


@pytest.mark.usefixtures("project")
def test_drawn_images_need_no_source():
    entries, _ = fingerprint_inputs(values(data={"format": "demo", "source": None}), {})
    assert entries["source"] == "drawn"


@pytest.mark.usefixtures("project")
def test_weights_to_be_downloaded_go_by_name():
    named = values(model=MODEL | {"weights": "yolo11n.pt"})
    entries, notes = fingerprint_inputs(named, {})
    assert (entries["weights"], notes) == ("yolo11n.pt", [])
    assert fingerprint_inputs(named, entries) == (entries, [])


def test_weights_to_be_downloaded_go_by_what_a_list_says_of_them(project):
    (project / "conf/model").mkdir(parents=True)
    (project / "conf/model/SHA256SUMS").write_text(f"{SHA_W}  yolo11n.pt\n")
    named = values(model=MODEL | {"weights": "yolo11n.pt"})
    entries, _ = fingerprint_inputs(named, {})
    assert entries["weights"] == SHA_W
    (project / "yolo11n.pt").write_bytes(b"w")
    assert fingerprint_inputs(named, {})[0]["weights"] == SHA_W
    (project / "yolo11n.pt").write_bytes(b"another")
    with pytest.raises(UserError, match=f"SHA256SUMS lists {SHA_W}"):
        fingerprint_inputs(named, {})


@pytest.mark.fault(3, "a path or a name that does not exist")
@pytest.mark.parametrize("sha256", [None, SHA_W])
@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("weights", "/nowhere/typo.pt"),
        ("weights", "nets/typo.pt"),
        ("weights", "typo.pt"),
        ("weights", "yolo99n.pt"),
        ("distill_model", "/nowhere/typo.pt"),
        ("distill_model", "typo.pt"),
        ("architecture", "nets/own.yaml"),
        ("architecture", "yolo99n.yaml"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_does_not_exist_is_refused_although_another_file_is_recorded(key, name, sha256):
    lock, _ = fingerprint_inputs(values(), {})
    model, finetune = MODEL | {"sha256": sha256}, {"strategy": "full", "distill_model": None}
    (finetune if key == "distill_model" else model)[key] = name
    with pytest.raises(UserError, match=rf"{key}={name} does not exist"):
        fingerprint_inputs(values(model=model, finetune=finetune), lock)


@pytest.mark.usefixtures("project")
def test_a_folder_of_weights_that_does_not_exist_is_refused():
    lock, _ = fingerprint_inputs(values(model=MODEL | {"weights": "yolo26n.pt"}), {})
    model = MODEL | {"weights": "yolo26n.pt", "folder": "/nowhere"}
    with pytest.raises(UserError, match=r"\(model\.folder=/nowhere\) does not exist"):
        fingerprint_inputs(values(model=model), lock)


@pytest.mark.fault(3, "absent file, while another one is on record")
def test_another_folder_of_weights_borrows_no_record(project):
    for folder in ("a", "b"):
        (project / folder).mkdir()
    (project / "a/yolo26n.pt").write_bytes(b"own")
    (project / "a/yolo26n-seg.pt").write_bytes(b"own for segment")
    model = MODEL | {"weights": "yolo26n.pt", "folder": "a"}
    lock, _ = fingerprint_inputs(values(model=model), {})
    assert list(lock["siblings"]) == ["yolo26n-seg.pt"]
    entries, _ = fingerprint_inputs(values(model=model | {"folder": "b"}), lock)
    assert (entries["weights"], entries["siblings"]) == ("yolo26n.pt", {})
    shutil.rmtree(project / "a")
    entries, _ = fingerprint_inputs(values(model=model), lock)
    assert (entries["weights"], entries["siblings"]) == (lock["weights"], lock["siblings"])


@pytest.mark.fault(11, "weights damaged")
def test_a_damaged_file_that_a_list_beside_it_names_is_refused(project):
    (project / "SHA256SUMS").write_text(f"{'0' * 64}  other.pt\n{SHA_W} *w.pt\n")
    assert fingerprint_inputs(values(), {})[0]["weights"] == SHA_W
    (project / "w.pt").write_bytes(b"damaged")
    with pytest.raises(UserError, match=f"SHA256SUMS lists {SHA_W}"):
        fingerprint_inputs(values(), {})
    own = MODEL | {"sha256": hashlib.sha256(b"damaged").hexdigest()}
    assert fingerprint_inputs(values(model=own), {})[0]["weights"] == own["sha256"]


def test_a_real_file_by_its_path_needs_no_sha256(project):
    (project / "SHA256SUMS").write_text(f"{SHA_W}  w.pt\n")
    (project / "x.pt").write_bytes(b"x")
    entries, _ = fingerprint_inputs(values(model=MODEL | {"weights": str(project / "x.pt")}), {})
    assert entries["weights"] == hashlib.sha256(b"x").hexdigest()


def test_official_weights_are_those_of_the_task(project):
    model = MODEL | {"weights": "yolo26n.pt", "sha256": "0" * 64}
    data = {"format": "yolo", "source": "images", "task": "segment"}
    assert fingerprint_inputs(values(model=model, data=data), {})[0]["weights"] == "yolo26n-seg.pt"
    (project / "yolo26n-seg.pt").write_bytes(b"w")
    assert fingerprint_inputs(values(model=model, data=data), {})[0]["weights"] == SHA_W
    found = fingerprint_inputs(values(model=model, data=data | {"task": "auto"}), {})[0]
    assert found["weights"] == "yolo26n.pt"


def test_weights_of_a_task_that_prepare_has_yet_to_find_count(project):
    """`finetune` takes yolo26n-seg.pt where the images turn out to have outlines."""
    named = values(model=MODEL | {"weights": "yolo26n.pt"}, data={"format": "yolo", "source": "images"})
    before, _ = fingerprint_inputs(named, {})
    (project / "yolo26n-seg.pt").write_bytes(b"w")
    lock, _ = fingerprint_inputs(named, before)
    assert (before["siblings"], lock["siblings"]) == ({}, {"yolo26n-seg.pt": SHA_W})
    (project / "yolo26n-seg.pt").write_bytes(b"other")
    entries, _ = fingerprint_inputs(named, lock)
    assert entries["siblings"]["yolo26n-seg.pt"] == hashlib.sha256(b"other").hexdigest()
    assert entries["weights"] == lock["weights"] == "yolo26n.pt"


def test_weights_of_another_task_that_are_gone_rerun_nothing(project):
    named = values(model=MODEL | {"weights": "yolo26n.pt"})
    (project / "yolo26n-seg.pt").write_bytes(b"w")
    lock, _ = fingerprint_inputs(named, {})
    (project / "yolo26n-seg.pt").unlink()
    assert fingerprint_inputs(named, lock) == (lock, [])
    other = values(model=MODEL | {"weights": "yolo11n.pt"})
    assert fingerprint_inputs(other, lock)[0]["siblings"] == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"format": "yolo", "source": "images", "task": "segment"}},
        {"model": MODEL | {"weights": "nets/yolo26n.pt"}},
        {"finetune": {"strategy": "scratch", "distill_model": None}},
    ],
    ids=["task", "path", "scratch"],
)
def test_what_is_known_to_be_used_has_no_siblings(project, changes):
    (project / "nets").mkdir()
    (project / "nets/yolo26n.pt").write_bytes(b"w")
    (project / "yolo26n-seg.pt").write_bytes(b"w")
    named = values(**{"model": MODEL | {"weights": "yolo26n.pt"}, **changes})
    assert fingerprint_inputs(named, {})[0]["siblings"] == {}


def test_weights_on_record_that_are_not_here_stand(project):
    lock, _ = fingerprint_inputs(values(), {})
    (project / "w.pt").unlink()
    entries, notes = fingerprint_inputs(values(), lock)
    assert entries == lock
    assert notes == ["model.weights=w.pt is not on this machine: its recorded fingerprint stands"]


@pytest.mark.usefixtures("project")
def test_absent_weights_at_a_path_are_refused():
    model = MODEL | {"weights": "weights/w.pt"}
    with pytest.raises(UserError, match=r"model\.weights=weights/w\.pt does not exist"):
        fingerprint_inputs(values(model=model), {})


@pytest.mark.fault(11, "weights are another file")
def test_a_given_sha256_is_held_against_the_file(project):
    model = MODEL | {"sha256": "0" * 64}
    with pytest.raises(UserError, match=f"has SHA-256 {SHA_W}"):
        fingerprint_inputs(values(model=model), {})
    (project / "w.pt").unlink()
    with pytest.raises(UserError, match=r"model\.weights=w\.pt does not exist"):
        fingerprint_inputs(values(model=model), {})


@pytest.mark.usefixtures("project")
def test_scratch_needs_no_weights():
    entries, _ = fingerprint_inputs(values(finetune={"strategy": "scratch", "distill_model": None}), {})
    assert entries["weights"] == "random"


@pytest.mark.usefixtures("project")
def test_no_teacher_and_an_architecture_of_ultralytics_go_by_name():
    entries, notes = fingerprint_inputs(values(), {})
    assert (entries["teacher"], entries["architecture"], notes) == ("none", "yolo26n.yaml", [])


@pytest.mark.parametrize("changed", ["teacher", "architecture"])
def test_the_contents_of_teacher_and_architecture_count(project, changed):
    places = {"teacher": project / "nets/t.pt", "architecture": project / "nets/own.yaml"}
    (project / "nets").mkdir()
    for place in places.values():
        place.write_bytes(b"a")
    named = values(
        model=MODEL | {"architecture": "nets/own.yaml"},
        finetune={"strategy": "full", "distill_model": "nets/t.pt"},
    )
    lock, _ = fingerprint_inputs(named, {})
    places[changed].write_bytes(b"b")
    entries, _ = fingerprint_inputs(named, lock)
    assert {key for key in lock if lock[key] != entries[key]} == {changed}
    assert entries[changed] == hashlib.sha256(b"b").hexdigest()
    places[changed].unlink()
    assert fingerprint_inputs(named, entries)[0] == entries


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("key", ["model.weights", "model.folder", "finetune.distill_model"])
@pytest.mark.fault(3, "weights inside an output")
def test_what_dvc_deletes_before_it_is_read_is_refused(project, key, there):
    out = project / "models/finetuned"
    if there:
        out.mkdir(parents=True)
        (project / "cached").write_bytes(b"x")
        (out / "best.pt").symlink_to(project / "cached")
    best = "models/finetuned/best.pt"
    changes = {
        "model.weights": {"model": MODEL | {"weights": best}},
        "model.folder": {"model": MODEL | {"weights": "best.pt", "folder": "models/finetuned"}},
        "finetune.distill_model": {"finetune": {"strategy": "full", "distill_model": best}},
    }
    with pytest.raises(UserError, match=r"is in models/finetuned, .*: copy it to a folder of its own"):
        fingerprint_inputs(values(**changes[key]), {})


def test_the_images_of_evaluate_forget_are_fingerprinted_by_their_manifest(project):
    def fingerprint(forget, lock=None):
        return fingerprint_inputs(values() | {"evaluate": {"forget": forget}}, lock or {})[0]

    assert fingerprint(None)["forget"] == "none"
    assert fingerprint("base")["forget"] == "base"
    with pytest.raises(UserError, match=r"evaluate\.forget=old does not exist"):
        fingerprint("old")
    (project / "old").mkdir()
    (project / "old/manifest.json").write_text("{}")
    first = fingerprint("old")
    (project / "old/manifest.json").write_text("{ }")
    assert fingerprint("old")["forget"] != first["forget"]
    (project / "old/manifest.json").unlink()
    assert fingerprint("old", first)["forget"] == first["forget"]
    (project / "old/part.jpg").write_bytes(b"an image")
    with pytest.raises(UserError, match="is no prepared dataset"):
        fingerprint("old", first)


def test_the_groups_of_the_images_of_evaluate_forget_count_too(project):
    """The intervals are computed by them."""
    for folder, file in (("prepared", "manifest.json"), ("columns", "images.json")):
        (project / "old/data" / folder).mkdir(parents=True)
        (project / "old/data" / folder / file).write_text("{}")

    def fingerprint():
        return fingerprint_inputs(values() | {"evaluate": {"forget": "old/data/prepared"}}, {})[0]["forget"]

    first = fingerprint()
    (project / "old/data/columns/images.json").write_text("{ }")
    assert fingerprint() != first
