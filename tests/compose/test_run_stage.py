"""A stage works from a snapshot: what changes while it runs is named, and its results are refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from pipeline.__main__ import main
from pipeline.compose.stage import CONF, compose_conf
from pipeline.compose.stage_snapshot import (
    INPUT_FOLDERS,
    RECORDED_LOCK_KEYS,
    require_unchanged_parameters,
    take_snapshot,
)
from pipeline.core.errors import UserError
from pipeline.core.paths import AUGMENTED_FOLDER, COMPOSE_LOCK_FILE, PARAMS_FILE, PREPARED_FOLDER, SPLITS_FILE
from pipeline.core.stages import STAGES
from pipeline.dataset.augmented import read_augmentation_records
from pipeline.dataset.prepared import read_manifest
from pipeline.storage.code_digests import compute_code_digests
from pipeline.storage.fingerprint import fingerprint_config_folder
from tests import sources
from tests.builders import prepared_dataset

ROOT = Path(__file__).parents[2]
NAMES = [f"{number:02d}" for number in range(8)]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project as compose leaves it, with prepared images, and a stage augment that takes a moment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr("pipeline.compose.stage_snapshot.SETTLING_SECONDS", 0.0)
    params = (ROOT / PARAMS_FILE).read_text()
    PARAMS_FILE.write_text(re.sub(r"multiplier: \d+", "multiplier: 9", params))
    write_lock(code=compute_code_digests())
    prepared_dataset(tmp_path / PREPARED_FOLDER, images={"train": 12, "val": 1, "test": 1}, pixels=64)
    return tmp_path


def write_lock(**entries) -> None:
    params = hashlib.sha256(PARAMS_FILE.read_bytes()).hexdigest()
    lock = {"conf": "", "composed": {}, "params": params} | entries
    COMPOSE_LOCK_FILE.write_text(json.dumps(lock))


def run_while(change: Callable[[], object], stage: str = "augment") -> int:
    """Run a stage; make a change as soon as it has begun to write its outputs."""
    parent, name = {"augment": ("data", ".augmented.*"), "prepare": ("data", ".prepared.*/images")}[stage]

    ended = threading.Event()

    def wait_and_change() -> None:
        while not [*Path(parent).glob(name)] and not ended.is_set():
            time.sleep(0.001)
        change()

    changing = threading.Thread(target=wait_and_change)
    changing.start()
    try:
        return main([stage])
    finally:
        ended.set()
        changing.join()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_input_folders_are_the_deps_of_dvc_yaml():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    deps = {stage: [str(folder) for folder in INPUT_FOLDERS[stage]] for stage in STAGES}
    assert deps == {stage: stages[stage].get("deps", []) for stage in STAGES}


def test_the_entries_of_the_lock_are_those_in_dvc_yaml():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in STAGES:
        [keys] = [
            param[str(COMPOSE_LOCK_FILE)] for param in stages[stage]["params"] if isinstance(param, dict)
        ]
        assert set(keys) == {f"code.{stage}", *RECORDED_LOCK_KEYS[stage]}


@pytest.mark.usefixtures("project")
def test_a_stage_that_nothing_disturbs_succeeds():
    assert main(["augment"]) == 0


CHANGES = {
    "params": (lambda: edit(PARAMS_FILE, "lr0: 0.002", "lr0: 0.01"), "finetune.lr0 0.002 -> 0.01"),
    "params are gone": (PARAMS_FILE.unlink, "params.yaml"),
    "params are no YAML": (lambda: PARAMS_FILE.write_text("a: [b"), "params.yaml"),
    "code in the lock": (lambda: write_lock(code={"augment": "other"}), "code.augment"),
    "an image": (lambda: os.utime(PREPARED_FOLDER / "images/train/train_000.png", (1, 1)), "train_000.png"),
    "a new image": (lambda: (PREPARED_FOLDER / "images/train/new.png").write_bytes(b"x"), "new.png"),
    "all images": (
        lambda: shutil.rmtree(PREPARED_FOLDER / "labels"),
        "data/prepared/labels/train/train_000.txt, ",
    ),
}


@pytest.mark.fault(3, "the fingerprint of the weights changes during a training")
@pytest.mark.usefixtures("project")
def test_an_entry_of_the_lock_that_dvc_records_for_the_stage_must_stay():
    code = compute_code_digests()
    write_lock(code=code, weights="one", source="one")
    snapshot = take_snapshot("finetune")
    write_lock(code=code, weights="one", source="other")
    require_unchanged_parameters(snapshot)
    write_lock(code=code, weights="other", source="other")
    with pytest.raises(UserError, match="weights one -> other"):
        require_unchanged_parameters(snapshot)


@pytest.mark.fault(3, "params, lock or inputs change while a stage runs")
@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("variable", ["DVC_STAGE", "NOT_DVC_STAGE"])
@pytest.mark.usefixtures("project")
def test_what_changes_while_a_stage_runs_is_named_and_its_results_are_refused(
    kind, variable, monkeypatch, capsys
):
    monkeypatch.setenv(variable, "augment")
    change, named = CHANGES[kind]
    assert run_while(change) == 1
    said = capsys.readouterr().err
    assert named in said
    assert said.count("\n") == 1
    assert not AUGMENTED_FOLDER.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda: edit(PARAMS_FILE, "seed: 0", "seed:  0  # the same"),
        lambda: write_lock(code=compute_code_digests() | {"evaluate": "other"}),
        lambda: write_lock(code=compute_code_digests(), source="other", weights="other"),
        lambda: (PREPARED_FOLDER / "labels/train.cache").write_bytes(b"of Ultralytics"),
        lambda: copy_over(PREPARED_FOLDER / "images/train/train_000.png"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_decides_nothing_may_change(change):
    assert run_while(change) == 0


FILE_MANAGER_FILES = (".DS_Store", "Thumbs.db", "desktop.ini")


@pytest.mark.usefixtures("project")
def test_files_that_file_managers_leave_are_no_change_for_a_stage_and_for_dvc():
    def leave_files() -> None:
        for name in FILE_MANAGER_FILES:
            (PREPARED_FOLDER / "images/train" / name).write_bytes(b"x")

    assert run_while(leave_files) == 0
    for name in FILE_MANAGER_FILES:
        (AUGMENTED_FOLDER / "images/train" / name).write_bytes(b"x")
    assert read_augmentation_records(AUGMENTED_FOLDER, prepared=read_manifest(PREPARED_FOLDER).digest)
    patterns = (ROOT / ".dvcignore").read_text().splitlines()
    assert all(any(fnmatch(name, pattern) for pattern in patterns) for name in FILE_MANAGER_FILES)


def copy_over(path: Path) -> None:
    """Replace a file by a copy: disks that number their files anew show the same."""
    copy = Path(shutil.copy2(path, "copy.png"))
    assert copy.stat().st_ino != path.stat().st_ino
    copy.replace(path)


@pytest.mark.fault(3, "params change between two stages")
def test_params_that_changed_since_compose_stop_the_next_stage(project, monkeypatch, capsys):
    monkeypatch.setenv("DVC_STAGE", "augment")
    (project / ".finetrack").mkdir()
    shutil.copy(PARAMS_FILE, project / ".finetrack/params.yaml")
    edit(PARAMS_FILE, "lr0: 0.002", "lr0: 0.01")
    assert main(["augment"]) == 1
    assert "changed since compose (finetune.lr0 0.002 -> 0.01)" in capsys.readouterr().err
    assert not AUGMENTED_FOLDER.exists()


@pytest.fixture
def configured(project):
    """A project with a conf/ that its params.yaml was composed from."""
    shutil.copytree(ROOT / CONF, project / CONF)
    composed = {"conf": fingerprint_config_folder(CONF), "composed": compose_conf().values}
    write_lock(code=compute_code_digests(), **composed)
    return project


@pytest.mark.fault(3, "conf/ is edited, and a stage is run by hand without compose")
@pytest.mark.usefixtures("configured")
def test_a_stage_that_is_run_by_hand_names_what_conf_says_and_it_does_not_use(capsys):
    edit(CONF / "config.yaml", "seed: 0", "seed: 1")
    assert main(["augment"]) == 0
    [said] = capsys.readouterr().err.splitlines()
    assert "(seed 0 -> 1)" in said
    assert "python -m pipeline compose" in said


@pytest.mark.fault(3, "conf/ cannot be composed any more, and a stage is run by hand")
@pytest.mark.usefixtures("configured")
def test_a_stage_that_is_run_by_hand_names_a_conf_that_cannot_be_composed(capsys):
    (CONF / "config.yaml").write_text("defaults: [nowhere]\n")
    assert main(["augment"]) == 0
    [said] = capsys.readouterr().err.splitlines()
    assert "nowhere" in said


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.usefixtures("configured")
def test_a_stage_that_is_run_by_hand_says_nothing_of_a_comment_in_conf(edited, capsys):
    if edited:
        (CONF / "config.yaml").write_text((CONF / "config.yaml").read_text() + "# a comment\n")
    assert main(["augment"]) == 0
    assert capsys.readouterr().err == ""


def change_for_a_moment() -> None:
    """Change params.yaml and restore it, as DVC does to start another experiment in a folder of its own."""
    before = PARAMS_FILE.read_bytes()
    edit(PARAMS_FILE, "lr0: 0.002", "lr0: 0.01")
    time.sleep(0.5)
    PARAMS_FILE.write_bytes(before)


@pytest.mark.fault(3, "DVC changes params.yaml for a moment, to start another experiment")
@pytest.mark.parametrize("beside", ["the start", "the end"])
@pytest.mark.usefixtures("project")
def test_params_that_dvc_changes_for_a_moment_refuse_no_stage(monkeypatch, beside):
    monkeypatch.setattr("pipeline.compose.stage_snapshot.SETTLING_SECONDS", 5.0)
    monkeypatch.setenv("DVC_STAGE", "augment")
    changing = threading.Thread(target=change_for_a_moment)
    if beside == "the start":
        changing.start()
        time.sleep(0.1)
        assert main(["augment"]) == 0
    else:
        snapshot = take_snapshot("augment")
        changing.start()
        time.sleep(0.1)
        require_unchanged_parameters(snapshot)
    assert yaml.safe_load(PARAMS_FILE.read_text())["finetune"]["lr0"] == 0.002
    changing.join()


@pytest.mark.fault(3, "the stage's code changes while it runs")
def test_code_that_changes_while_a_stage_runs_is_refused(project, monkeypatch, capsys):
    code = project / "pipeline"
    shutil.copytree(ROOT / "pipeline", code)
    monkeypatch.setattr("pipeline.storage.code_digests.PACKAGE_FOLDER", code)
    defaults = compute_stage_digest_defaults(code)
    monkeypatch.setattr("pipeline.storage.code_digests.compute_stage_digest.__defaults__", defaults)
    assert run_while(lambda: edit(code / "augment/affine.py", "import", "import ")) == 1
    said = capsys.readouterr().err
    assert "the code of augment changed" in said
    assert (
        "DVC would record" not in said
    )  # it takes the digest from compose.lock.json, which is the earlier one


def compute_stage_digest_defaults(code: Path) -> tuple[Path]:
    return (code,)


# ---- the images that prepare reads


@pytest.fixture
def source(project):
    """A source, and a project whose compose.lock.json has its fingerprint."""
    from pipeline.compose.input_fingerprints import fingerprint_source_images

    labels = {name: f"{number % 2} 0.5 0.5 0.2 0.4\n" for number, name in enumerate(NAMES)}
    folder = sources.write_yolo_source(project / "images", labels)
    data = {"format": "yolo", "source": "images", "images": None, "pixels": None, "near_duplicates": False}
    values = yaml.safe_load(PARAMS_FILE.read_text())
    values["data"] |= data
    PARAMS_FILE.write_text(yaml.safe_dump(values, sort_keys=False))
    write_lock(source=fingerprint_source_images(values["data"]).fingerprint, earlier="x")
    shutil.rmtree(PREPARED_FOLDER)
    return folder


def rewrite(path: Path, content: bytes) -> None:
    """Change a file and undo it, with its earlier times."""
    before, times = path.read_bytes(), path.stat()
    path.write_bytes(content)
    path.write_bytes(before)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def vanish(folder: Path) -> None:
    """Move a folder away and back, as a network disk does."""
    folder.rename(folder.with_name("away"))
    time.sleep(0.05)
    folder.with_name("away").rename(folder)


SOURCE_CHANGES = {
    "an image is new": (lambda at: sources.write_picture(at / "images/new.jpg"), "images/new.jpg"),
    "a label is edited": (
        lambda at: (at / "labels/03.txt").write_text("1 0.5 0.5 0.1 0.1\n"),
        "labels/03.txt",
    ),
    "a label is edited and undone": (lambda at: rewrite(at / "labels/03.txt", b"0 0 0 1 1"), "labels/03.txt"),
    "labels are gone": (lambda at: shutil.rmtree(at / "labels"), "labels/01.txt, "),
}


@pytest.mark.fault(3, "the source changes while prepare reads it")
@pytest.mark.parametrize("kind", SOURCE_CHANGES)
def test_a_source_that_changes_while_prepare_reads_it_is_refused(source, kind, capsys):
    change, named = SOURCE_CHANGES[kind]
    assert run_while(lambda: change(source), "prepare") == 1
    assert named in capsys.readouterr().err
    assert not PREPARED_FOLDER.exists()
    assert not SPLITS_FILE.exists()


@pytest.mark.usefixtures("source")
def test_a_source_that_stays_the_same_is_prepared():
    assert main(["prepare"]) == 0


@pytest.mark.fault(3, "the source changes between compose and prepare")
def test_a_source_that_changed_since_compose_is_refused(source, monkeypatch, capsys):
    monkeypatch.setenv("DVC_STAGE", "prepare")
    (source / "labels/03.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    assert main(["prepare"]) == 1
    assert "data.source=images changed since compose" in capsys.readouterr().err
    assert not PREPARED_FOLDER.exists()


@pytest.mark.fault(11, "a file is damaged in DVC's cache, and in the workspace that took it from there")
@pytest.mark.parametrize("link", [shutil.copyfile, os.link, os.symlink])
def test_a_damaged_input_leaves_the_cache_of_dvc_too(project, link, capsys):
    image = sorted((PREPARED_FOLDER / "images/train").iterdir())[0]
    cached = track_prepared_folder(project, image)
    damaged = bytearray(cached.read_bytes())
    damaged[-1] ^= 1
    cached.write_bytes(damaged)
    image.unlink()
    link(cached, image)
    assert main(["augment"]) == 1
    error = capsys.readouterr().err
    assert f"{image} is not as prepare wrote it" in error
    assert "DVC's cache had it damaged, too" in error
    assert not cached.exists()
    assert not image.is_symlink()
    (aside,) = (project / ".finetrack/damaged").iterdir()
    assert aside.read_bytes() == damaged


def test_a_damaged_input_whose_copy_in_the_cache_is_intact_leaves_it_there(project, capsys):
    image = sorted((PREPARED_FOLDER / "images/train").iterdir())[0]
    cached = track_prepared_folder(project, image)
    image.write_bytes(b"damaged")
    assert main(["augment"]) == 1
    assert "DVC's cache" not in capsys.readouterr().err
    assert cached.exists()


def track_prepared_folder(project: Path, file: Path) -> Path:
    """Record data/prepared in dvc.lock, with one of its files in the cache; return the cached file."""

    def cache(contents: bytes, suffix: str = "") -> Path:
        oid = hashlib.md5(contents, usedforsecurity=False).hexdigest() + suffix
        path = project / ".dvc/cache/files/md5" / oid[:2] / oid[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
        return path

    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    cached = cache(file.read_bytes())
    row = {"md5": cached.parent.name + cached.name, "relpath": file.relative_to(PREPARED_FOLDER).as_posix()}
    listed = cache(json.dumps([row]).encode(), ".dir")
    out = {"path": str(PREPARED_FOLDER), "hash": "md5", "md5": listed.parent.name + listed.name}
    stage = {"cmd": "prepare", "outs": [out]}
    (project / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"prepare": stage}}))
    stages = {"prepare": {"cmd": "prepare", "outs": [str(PREPARED_FOLDER)]}}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    return cached
