"""Base weights: which files are rejected, how, and that nothing in them is executed; how they are loaded."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from ultralytics.nn.tasks import DetectionModel, SegmentationModel

from pipeline.core.errors import UserError
from pipeline.storage.files import hash_file
from pipeline.storage.scratch_folder import create_scratch_folder
from pipeline.yolo.training.train import build_trainer
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
    with pytest.raises(UserError, match=rf"{hash_file(path)}, model.sha256 says {'0' * 64}; replace"):
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


def _stop(part):
    part.write_bytes(b"half")
    raise KeyboardInterrupt


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
def test_foreign_file_is_rejected_in_one_sentence_and_not_executed(tmp_path, kind):
    path = tmp_path / "a.pt"
    FOREIGN[kind](path)
    with pytest.raises(UserError, match=r"a.pt .*: give model.weights a path") as refusal:
        load_weights(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300 + len(str(tmp_path))
    assert not (tmp_path / "executed").exists()


def test_trap_is_executed_by_an_unsafe_load(tmp_path):
    torch.save({"model": _Trap()}, tmp_path / "a.pt")
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert (tmp_path / "executed").exists()


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
