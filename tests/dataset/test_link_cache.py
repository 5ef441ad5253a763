"""Which files the next `prepare` links from the cache, and which it makes again."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.dataset.link_cache import FileSpec, LinkCache, link_cache_folder
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.stage import run_stage
from pipeline.storage.files import remove_unfinished
from pipeline.storage.fingerprint import MIN_AGE_NS
from tests import sources
from tests.sources import prepare_config

OUT = Path("data/prepared")
CACHE = Path(".finetrack/placed/project")
IMAGE = "images/train/{}.jpg"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


@pytest.fixture
def source(tmp_path):
    return sources.write_yolo_source(
        tmp_path / "source", {f"{n:02d}": "0 0.5 0.5 0.25 0.5\n" for n in range(8)}
    )


def run(source: Path, **data: object) -> dict[str, os.stat_result]:
    """Prepare after data/prepared was removed, as by DVC; return the status of each image and label file."""
    remove_unfinished(OUT)
    run_stage(prepare_config("yolo", source, **data))
    found = {
        str(path.relative_to(OUT)): path for kind in ("images", "labels") for path in OUT.glob(f"{kind}/*/*")
    }
    read_manifest(OUT)  # checks every file against its hash
    return {name: path.stat() for name, path in sorted(found.items())}


def test_second_run_links_every_file_and_none_to_the_source(source):
    first, second = run(source), run(source)
    assert {name: (found.st_ino, found.st_mtime_ns) for name, found in second.items()} == {
        name: (found.st_ino, found.st_mtime_ns) for name, found in first.items()
    }
    assert len(second) == 16
    own = {path.stat().st_ino for path in source.rglob("*")}
    assert own.isdisjoint(found.st_ino for found in second.values())
    assert all(path.stat().st_nlink == 1 for path in source.rglob("*.jpg"))


def test_equal_files_are_not_linked_to_each_other(source):
    (source / "images/01.jpg").write_bytes((source / "images/00.jpg").read_bytes())
    for _ in range(2):
        made = run(source)
        assert len({found.st_ino for found in made.values()}) == len(made)


def test_cache_holds_only_files_of_the_dataset(source):
    run(source)
    (source / "images/03.jpg").unlink()
    (source / "labels/03.txt").unlink()
    made = run(source)
    assert {path.stat().st_ino for path in CACHE.iterdir()} == {found.st_ino for found in made.values()}


def test_changed_labels_images_and_splits_are_made_again(source):
    first = run(source)
    (source / "labels/02.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (source / "images/04.jpg").write_bytes((source / "images/05.jpg").read_bytes())
    second = run(source, keep_split=False)
    changed = {
        Path(name).stem + Path(name).suffix
        for name, found in second.items()
        if name not in first or found.st_ino != first[name].st_ino
    }
    assert {"02.txt", "04.jpg"} <= changed
    third = run(source, keep_split=False, seed=5)
    assert {name.split("/", 1)[1] for name in third} != {name.split("/", 1)[1] for name in second}


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(OUT.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "data",
    [
        {"on_defect": "quarantine"},
        {"classes": {"keep": None, "drop": [], "rename": {"a": "c"}}},
        {"classes": {"keep": None, "drop": ["b"], "rename": {}}},
        {"seed": 7},
        {"near_duplicates": True, "keep_split": False},
    ],
)
def test_changed_configuration_gives_the_same_as_without_the_cache(source, data):
    (source / "labels/05.txt").write_text("0 0.5 0.5 0.25 0.5\n1 0.9 0.9 0.4 0.4\n")
    (source / "labels/06.txt").write_text("1 0.5 0.5 0.25 0.5\n")
    shutil.copy(source / "images/03.jpg", source / "images/04.jpg")
    run(source)
    run(source, **data)
    made = contents()
    shutil.rmtree(".finetrack")
    run(source, **data)
    assert contents() == made


def test_changed_task_gives_the_same_as_without_the_cache(source):
    for path in (source / "labels").iterdir():
        path.write_text("0 0.2 0.2 0.8 0.2 0.8 0.8 0.3 0.7\n")
    run(source)
    outlined = contents()
    run(source, task="detect")
    made = contents()
    assert made != outlined
    shutil.rmtree(".finetrack")
    run(source, task="detect")
    assert contents() == made


def test_writing_into_the_dataset_does_not_change_the_next_run(source):
    made = run(source)
    image, label = (next(name for name in made if name.startswith(kind)) for kind in ("images", "labels"))
    before = {name: (OUT / name).read_bytes() for name in made}
    (OUT / image).write_bytes(b"x" * made[image].st_size)
    with (OUT / label).open("a") as file:
        file.write("0 0.1 0.1 0.1 0.1\n")
    run(source)
    assert {name: (OUT / name).read_bytes() for name in made} == before


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        ("images", b"no image", "were changed after"),
        ("labels", b"no label", "were changed after"),
        ("labels", b"0 0.400000 0.500000 0.250000 0.500000\n", "as prepare wrote"),
    ],
)
def test_changed_file_with_restored_time_is_an_error_and_the_next_run_repairs_it(source, kind, data, reason):
    made = run(source)
    name = next(name for name in made if name.startswith(kind))
    (OUT / name).write_bytes(data.ljust(made[name].st_size))
    os.utime(OUT / name, ns=(0, made[name].st_mtime_ns))
    with pytest.raises(UserError, match=reason):
        run(source)  # it is linked, and its first reader finds the change
    assert run(source).keys() == made.keys()


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_cached_folder_or_symlink_is_not_linked(source, tmp_path, kind):
    run(source)
    (tmp_path / "elsewhere").mkdir()
    for path in list(CACHE.iterdir()):
        found = path.stat()
        other = path.rename(tmp_path / "elsewhere" / path.name)
        path.symlink_to(other) if kind == "link" else path.mkdir()
        os.utime(other, ns=(0, found.st_mtime_ns))
    made = run(source)
    assert not any(Path(OUT / name).is_symlink() for name in made)
    assert {path.stat().st_ino for path in (tmp_path / "elsewhere").iterdir()}.isdisjoint(
        found.st_ino for found in made.values()
    )


def test_without_hard_links_every_file_is_copied(source, monkeypatch):
    def link(_cached, _target):
        raise OSError(errno.EXDEV, "another device")

    monkeypatch.setattr(os, "link", link)
    first, second = run(source), run(source)
    assert first.keys() == second.keys()
    assert not list(CACHE.iterdir())


def test_cached_file_is_linked_several_times(tmp_path):
    wanted = FileSpec("train/a.txt", "0" * 64, 1, MIN_AGE_NS)
    cache = LinkCache(link_cache_folder())
    for number in range(3):
        cache.link_or_create(
            str(tmp_path / str(number)), wanted, lambda target: Path(target).write_bytes(b"a")
        )
    assert (tmp_path / "0").samefile(tmp_path / "2")


def test_changed_labels_of_equal_length_have_another_time(source):
    """DVC takes files of the same path, inode, size and time for the same file."""
    first = run(source)
    label = next(path for path in (source / "labels").iterdir() if path.read_text().startswith("0 "))
    label.write_text("1" + label.read_text()[1:])
    second = run(source)
    assert first.keys() == second.keys()
    assert sum(first[name].st_mtime_ns != second[name].st_mtime_ns for name in first) == 1


def test_file_that_dvc_made_read_only_is_not_linked(source):
    first = run(source)
    for path in CACHE.iterdir():
        path.chmod(0o444)
    second = run(source)
    assert all(first[name].st_ino != second[name].st_ino for name in first)
