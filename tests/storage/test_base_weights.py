"""Base weights: where they are found, what is refused and how, and that nothing in them is executed."""

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
from pipeline.storage import base_weights, files
from pipeline.yolo import weights
from pipeline.yolo.training import train
from pipeline.yolo.weights import WAYS_ON
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


def test_a_path_then_the_folder_is_looked_into(tmp_path):
    assert base_weights.locate("a.pt", None) is None
    (tmp_path / "store").mkdir()
    (tmp_path / "store/a.pt").write_text("in the folder")
    assert base_weights.locate("a.pt", "store") == tmp_path / "store/a.pt"
    (tmp_path / "a.pt").write_text("in the root")
    assert base_weights.locate("a.pt", "store") == tmp_path / "a.pt"
    assert base_weights.locate(str(tmp_path / "store/a.pt"), None) == tmp_path / "store/a.pt"


def test_a_temporary_copy_of_the_project_finds_the_projects_weights(tmp_path, monkeypatch):
    (tmp_path / "a.pt").write_text("x")
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert base_weights.locate("a.pt", None) == tmp_path / "a.pt"


def test_locating_needs_no_torch():
    code = "import sys, pipeline.storage.base_weights; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=trainings.CONF.parent)


def test_another_hash_is_refused_with_both(tmp_path):
    path = _detector(tmp_path / "a.pt")
    assert weights.resolve("a.pt", folder=None, sha256=files.sha256(path)) == path
    with pytest.raises(UserError, match=rf"{files.sha256(path)}, model.sha256 says {'0' * 64}; replace"):
        weights.resolve("a.pt", folder=None, sha256="0" * 64)


def test_a_name_that_nobody_has_is_refused_with_the_ways_on():
    with pytest.raises(UserError, match="Ultralytics has none of that name: give model"):
        weights.resolve("mine.pt", folder="store", sha256=None)


def test_offline_the_refusal_is_one_sentence_and_comes_soon(tmp_path):
    code = (
        "from pipeline.yolo import weights\n"
        "from pipeline.core.errors import UserError\n"
        "import time; start = time.monotonic()\n"
        "try: weights.resolve('yolo26n.pt', folder=None, sha256=None)\n"
        "except UserError as refusal: print(refusal, '|', time.monotonic() - start < 30)\n"
    )
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    environment = {**os.environ, **nowhere, "PYTHONPATH": str(trainings.CONF.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    expected = f"yolo26n.pt is not on this machine and could not be downloaded: {WAYS_ON} | True"
    assert done.stdout.strip() == expected, done.stderr


def test_a_download_gets_its_name_when_it_is_known_to_load(tmp_path):
    target = files.scratch("weights") / "yolo26n.pt"
    with pytest.raises(UserError, match="it is cut short or damaged"):
        weights.keep(target, lambda part: FOREIGN["cut"](part))
    with pytest.raises(KeyboardInterrupt):
        weights.keep(target, _stop)
    assert list(target.parent.iterdir()) == []
    whole = _detector(tmp_path / "whole.pt")
    assert weights.keep(target, lambda part: shutil.copy(whole, part)) == target
    assert list(target.parent.iterdir()) == [target]
    assert weights.load(target)


def _stop(part):
    part.write_bytes(b"half")
    raise KeyboardInterrupt


def test_several_that_ask_for_one_download_share_it(tmp_path):
    whole, target, fetched = _detector(tmp_path / "whole.pt"), files.scratch("weights") / "a.pt", []

    def fetch(part):
        fetched.append(part)
        shutil.copy(whole, part)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: weights.keep(target, fetch), range(4)))
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
def test_a_foreign_file_is_refused_in_one_sentence_and_not_executed(tmp_path, kind):
    path = tmp_path / "a.pt"
    FOREIGN[kind](path)
    with pytest.raises(UserError, match=r"a.pt .*: give model.weights a path") as refusal:
        weights.load(path)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300 + len(str(tmp_path))
    assert not (tmp_path / "executed").exists()


def test_the_trap_is_a_real_one(tmp_path):
    torch.save({"model": _Trap()}, tmp_path / "a.pt")
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert (tmp_path / "executed").exists()


def test_a_download_that_was_cut_is_refused():
    if not SHARED.exists():
        pytest.skip("../shared/data is not here")
    with pytest.raises(UserError, match="it is cut short or damaged"):
        weights.load(SHARED / "broken/truncated.pt")


def test_the_base_weights_are_what_the_network_starts_from(tmp_path):
    trainings.dataset(tmp_path)
    path = _detector(tmp_path / "a.pt")
    trainer = train.build(trainings.job(tmp_path, weights=path))
    source, found = weights.load(path).state_dict(), trainer.model.state_dict()
    assert found["model.0.conv.weight"].equal(source["model.0.conv.weight"])
    taken, tensors = trainer.transferred
    assert tensors == len(found)
    assert 0.9 * tensors < taken < tensors  # the rows of 80 classes do not fit three


def test_weights_of_another_task_fill_the_architecture(tmp_path):
    trainings.dataset(tmp_path)
    path = _save(SegmentationModel("yolo26n-seg.yaml", verbose=False), tmp_path / "a.pt")
    trainer = train.build(trainings.job(tmp_path, weights=path))
    assert type(trainer.model) is DetectionModel
    assert trainer.transferred[0] > 0.8 * trainer.transferred[1]


def test_another_task_in_another_architecture_is_refused(tmp_path):
    trainings.dataset(tmp_path)
    path = _save(SegmentationModel("yolov8n-seg.yaml", verbose=False), tmp_path / "a.pt")
    with pytest.raises(
        UserError, match=r"only \d+ of 240 tensors in the backbone of model.architecture=yolo26n.yaml"
    ):
        train.build(trainings.job(tmp_path, weights=path))
