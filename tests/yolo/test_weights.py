"""Base weights: which files are rejected, how, and that nothing in them is executed; how they are loaded."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ultralytics.nn.tasks import DetectionModel, SegmentationModel
from ultralytics.utils import ROOT

from pipeline.core.errors import UserError
from pipeline.storage.files import hash_file
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.yolo.inference.model_file import load_checkpoint_model
from pipeline.yolo.job import BaseWeights
from pipeline.yolo.training.train import build_trainer
from pipeline.yolo.training.transfer import choose_architecture
from pipeline.yolo.weights import WEIGHTS_ADVICE, fetch_once, find_weights, load_weights
from tests import trainings

SHARED = Path(__file__).parents[2] / "../shared/data/weights"


@pytest.fixture(autouse=True)
def _root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def _save(model, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": model.half(), "train_args": {}}, path)
    return path


def _detector(path, classes=80):
    return _save(DetectionModel("yolo26n.yaml", nc=classes, verbose=False), path)


def test_wrong_hash_is_an_error_that_names_both(tmp_path):
    path = _detector(tmp_path / "a.pt")
    assert find_weights("a.pt", folder=None, sha256=hash_file(path)) == path
    with pytest.raises(UserError, match=rf"{hash_file(path)}, not model.sha256={'0' * 64}"):
        find_weights("a.pt", folder=None, sha256="0" * 64)


def test_unknown_name_is_an_error_with_advice():
    with pytest.raises(UserError, match="Ultralytics has none of that name: give model"):
        find_weights("mine.pt", folder="store", sha256=None)


def test_offline_download_fails_soon_with_one_sentence(tmp_path):
    code = (
        "from pipeline.yolo.weights import find_weights\n"
        "from pipeline.core.errors import UserError\n"
        "import time; start = time.monotonic()\n"
        "try: find_weights('yolo26n.pt', folder=None, sha256=None)\n"
        "except UserError as refusal: print(refusal, '|', time.monotonic() - start < 30)\n"
    )
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    environment = {**os.environ, **nowhere, "PYTHONPATH": str(trainings.CONF.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    expected = f"yolo26n.pt is not on this machine and could not be downloaded: {WEIGHTS_ADVICE} | True"
    assert done.stdout.strip() == expected, done.stderr


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Insufficient free disk space 1.0 MB < 9.0 MB required"),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_download_for_which_the_disk_has_no_space_says_so(tmp_path, monkeypatch, error):
    def download(*_: object, **__: object):
        try:
            raise error
        except OSError as cause:  # as Ultralytics does
            raise ConnectionError("Download failure") from cause

    monkeypatch.setattr("ultralytics.utils.downloads.is_url", lambda *_, **__: True)
    monkeypatch.setattr("ultralytics.utils.downloads.attempt_download_asset", download)
    with pytest.raises(UserError, match=rf"^the disk is full: {tmp_path}"):
        find_weights("yolo26n.pt", folder=None, sha256=None)


def test_download_is_renamed_only_after_it_loads(tmp_path):
    target = create_scratch_folder("weights") / "yolo26n.pt"
    with pytest.raises(UserError, match="it is cut short or damaged"):
        fetch_once(target, lambda part: FOREIGN["cut"](part))
    with pytest.raises(KeyboardInterrupt):
        fetch_once(target, _stop)
    assert list(target.parent.iterdir()) == []
    whole = _detector(tmp_path / "whole.pt")
    assert fetch_once(target, lambda part: shutil.copy(whole, part)) == target
    assert list(target.parent.iterdir()) == [target]
    assert load_weights(target)


ODD_NAMES = {
    "o'brien.pt": "obrien.pt",
    "yolov5n.pt": "yolov5nu.pt",
    " a%20b ?#\u00fc.pt": "a b ?#\u00fc.pt",
    "a\nb [1-3]*.pt": "ab [1-3]*.pt",
}
"""Names of files, and of others that Ultralytics loads or may load for them."""


@pytest.mark.fault(3, "names of weights that Ultralytics changes")
@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_file_that_was_hashed_is_loaded_whatever_its_name(tmp_path, name):
    path = _detector(tmp_path / "nets" / name, classes=3)
    _detector(tmp_path / "nets" / ODD_NAMES[name], classes=5)
    assert load_weights(path, sha256=hash_file(path)).yaml["nc"] == 3
    assert load_checkpoint_model(path, "detect", "evaluate").model.yaml["nc"] == 3
    assert [*create_scratch_folder("weights").iterdir()] == []


@pytest.mark.fault(3, "weights are replaced between the hash and the load")
def test_weights_that_changed_after_they_were_hashed_are_refused(tmp_path):
    path = _detector(tmp_path / "a.pt")
    sha256 = hash_file(path)
    _detector(path, classes=5)
    with pytest.raises(UserError, match=r"a\.pt changed after its SHA-256 was taken"):
        load_weights(path, sha256=sha256)


@pytest.mark.fault(3, "a project's folder with special characters")
def test_weights_load_in_a_folder_whose_name_ultralytics_would_change(tmp_path, monkeypatch):
    root = tmp_path / "it's 100%20 a?b#c"
    path = _detector(root / "a.pt")
    monkeypatch.chdir(root)
    assert load_weights(path).yaml["nc"] == 80
    target = create_scratch_folder("weights") / "b.pt"
    assert fetch_once(target, lambda part: shutil.copy(path, part)) == target


@pytest.mark.fault(3, "names of model YAMLs that Ultralytics changes")
@pytest.mark.parametrize("name", ["it's own.yaml", "yolo26n.yaml", "own8n %20?#.yaml"])
def test_a_model_yaml_is_read_from_the_file_that_was_hashed(tmp_path, name):
    text = (ROOT / "cfg/models/26/yolo26.yaml").read_text()
    own = tmp_path / "nets" / name
    own.parent.mkdir()
    own.write_text(text.replace("nc: 80", "nc: 7"))
    for decoy in ("its own.yaml", "yolo26.yaml", "own8 %20?#.yaml"):
        for folder in (tmp_path, own.parent):
            (folder / decoy).write_text(text.replace("nc: 80", "nc: 9"))
    base = BaseWeights("random", None, None, f"nets/{name}", hash_file(own))
    assert choose_architecture(base, None, "detect")["nc"] == 7
    own.write_text(text)
    with pytest.raises(UserError, match="changed after its SHA-256"):
        choose_architecture(base, None, "detect")


def test_a_name_of_ultralytics_is_its_own_model_yaml_whatever_the_working_folder_holds(tmp_path):
    (tmp_path / "yolo26.yaml").write_text("nc: 9\nbackbone: []\nhead: []\n")
    network = choose_architecture(BaseWeights("random", None, None, "yolo26s.yaml"), None, "detect")
    assert (network["nc"], network["scale"], network["yaml_file"]) == (80, "s", "yolo26s.yaml")


def _stop(part):
    part.write_bytes(b"half")
    raise KeyboardInterrupt


@pytest.mark.fault(13, "several processes download the same weights")
@pytest.mark.parametrize("last", ["YOLOESegment", "WorldDetect"])
def test_weights_that_take_words_are_trained_in_the_network_of_the_model_yaml(last):
    task = "segment" if last == "YOLOESegment" else "detect"
    source = SimpleNamespace(yaml={"backbone": [], "head": [[-1, 1, last, ["nc"]]]})
    name = "yolo11n-seg.yaml" if task == "segment" else "yolo11n.yaml"
    network = choose_architecture(BaseWeights("open", Path("open.pt"), None, name), source, task)
    assert network["head"][-1][2] == ("Segment" if task == "segment" else "Detect")


def test_concurrent_requests_share_one_download(tmp_path):
    whole, target, fetched = _detector(tmp_path / "whole.pt"), create_scratch_folder("weights") / "a.pt", []

    def fetch(part):
        fetched.append(part)
        shutil.copy(whole, part)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fetch_once(target, fetch), range(4)))
    assert found == [target] * 4
    assert len(fetched) == 1


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("executed"),)


def _archive(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "no weights")


FOREIGN = {
    "text": lambda path: path.write_text("no weights"),
    "empty": lambda path: path.write_bytes(b""),
    "zip": _archive,
    "pickle": lambda path: path.write_bytes(pickle.dumps({"model": _Trap()})),
    "torch file with a trap": lambda path: torch.save({"model": _Trap()}, path),
    "tensors alone": lambda path: torch.save({"weight": torch.zeros(3)}, path),
    "one tensor": lambda path: torch.save(torch.zeros(3), path),
    "another module": lambda path: torch.save({"model": torch.nn.Linear(2, 2)}, path),
    "cut": lambda path: path.write_bytes(_detector(path).read_bytes()[:100_000]),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.fault(1, "weights with code in them, or no weights")
def test_foreign_file_is_rejected_in_one_sentence_and_not_executed(tmp_path, kind):
    path = tmp_path / "a.pt"
    FOREIGN[kind](path)
    with pytest.raises(UserError, match=r"a.pt .*: give model.weights a path") as refusal:
        load_weights(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300 + len(str(tmp_path))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), MemoryError()])
def test_an_error_of_the_machine_is_not_said_to_be_one_of_the_file(tmp_path, monkeypatch, error):
    def fail(*_: object, **__: object):
        raise error

    path = _detector(tmp_path / "a.pt")
    monkeypatch.setattr("pipeline.yolo.weights.load_checkpoint", fail)
    monkeypatch.setattr("pipeline.yolo.inference.model_file.YOLO", fail)
    for load in (load_weights, partial(load_checkpoint_model, task="detect", stage="evaluate")):
        with pytest.raises(type(error)) as raised:
            load(path)
        assert raised.value is error


def test_trap_is_executed_by_an_unsafe_load(tmp_path):
    torch.save({"model": _Trap()}, tmp_path / "a.pt")
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert (tmp_path / "executed").exists()


@pytest.mark.fault(11, "download cut short")
def test_truncated_download_is_rejected():
    if not SHARED.exists():
        pytest.skip("../shared/data is not here")
    with pytest.raises(UserError, match="it is cut short or damaged"):
        load_weights(SHARED / "broken/truncated.pt")


def test_training_starts_from_the_base_weights(tmp_path):
    trainings.dataset(tmp_path)
    path = _detector(tmp_path / "a.pt")
    trainer = build_trainer(trainings.job(tmp_path, weights=path))
    source, found = load_weights(path).state_dict(), trainer.model.state_dict()
    assert found["model.0.conv.weight"].equal(source["model.0.conv.weight"])
    taken, tensors = trainer.transferred_tensors
    assert tensors == len(found)
    assert 0.9 * tensors < taken < tensors  # the rows of 80 classes do not fit 3


def test_weights_of_another_task_fill_the_architecture(tmp_path):
    trainings.dataset(tmp_path)
    path = _save(SegmentationModel("yolo26n-seg.yaml", verbose=False), tmp_path / "a.pt")
    trainer = build_trainer(trainings.job(tmp_path, weights=path))
    assert type(trainer.model) is DetectionModel
    assert trainer.transferred_tensors[0] > 0.8 * trainer.transferred_tensors[1]


def test_weights_of_another_task_and_architecture_are_rejected(tmp_path):
    trainings.dataset(tmp_path)
    path = _save(SegmentationModel("yolov8n-seg.yaml", verbose=False), tmp_path / "a.pt")
    with pytest.raises(
        UserError, match=r"only \d+ of 240 tensors in the backbone of model.architecture=yolo26n.yaml"
    ):
        build_trainer(trainings.job(tmp_path, weights=path))
