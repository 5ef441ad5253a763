"""What weights learnt from before they are trained on again, by the run.json beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.dataset.manifest import list_learnt_images
from pipeline.finetune.base_images import find_base_images, remark_on_base_images
from pipeline.storage.files import hash_file
from pipeline.tracking.runs import open_run
from pipeline.tracking.store.run_tags import WEIGHTS_TAG
from pipeline.tracking.target import TrackingTarget
from tests.builders import build_manifest
from tests.trainings import FOUNDATION

TARGET = TrackingTarget("sqlite:///mlflow.db", "trial", 20.0)
OFFICIAL = {"name": "yolo26n", "weights": "yolo26n.pt", "sha256": "1" * 64}
OWN = {"name": "mine", "weights": "best.pt", "sha256": "2" * 64}
RANDOM = {"name": "random", "weights": None, "sha256": None}
BUNDLED = {"name": "foundation", "weights": "f.pt", "sha256": hash_file(FOUNDATION)}


BEFORE = build_manifest(train="abc", val="de", test="f")
OTHER_SPLIT = build_manifest(train="af", val="b", test="cde")
FRESH_TEST = build_manifest(train="af", val="b", test="789")
MORE_TRAIN = build_manifest(train="abcd6", val="e", test="f")


def find(folder, prepared, *, name="best.pt", content=b"weights", **facts):
    """Find the images of weights with a run.json beside them; without facts, there is none."""
    file = folder / name
    file.write_bytes(content)
    if facts:
        hashes = {"best": "9" * 64, "last": hash_file(file)}
        (folder / "run.json").write_text(json.dumps({"sha256": hashes, **facts}))
    found = find_base_images(file, hash_file(file), prepared, TARGET)
    return None if found is None else (str(found.seen), len(found.listed))


def record(manifest=BEFORE, base=RANDOM, **more):
    return {"data": manifest.digest, "images": list_learnt_images(manifest), "base": base, **more}


@pytest.fixture(autouse=True)
def _root(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETRACK_ROOT", str(tmp_path))
    (tmp_path / "models").symlink_to(FOUNDATION.parents[1])
    monkeypatch.chdir(tmp_path)


@pytest.mark.fault(2, "the base weights were trained on present test images")
@pytest.mark.parametrize(
    ("prepared", "expected"),
    [(OTHER_SPLIT, ("3", 5)), (FRESH_TEST, ("0", 5)), (BEFORE, None), (MORE_TRAIN, None)],
)
def test_test_images_that_the_base_was_trained_on_are_counted(tmp_path, prepared, expected):
    assert find(tmp_path, prepared, **record()) == expected


@pytest.mark.fault(2, "nobody knows on which images the base weights were trained")
@pytest.mark.parametrize(
    "facts", [{}, record(sha256={"best": "9" * 64}), record(sha256=["9"]), record() | {"images": None}]
)
def test_images_of_own_weights_are_unknown_without_a_record_of_these_weights(tmp_path, facts):
    assert find(tmp_path, OTHER_SPLIT, **facts) == ("unknown", 0)


@pytest.mark.parametrize("text", ["", "[]", "3", "[" * 100_000, "\udcff"])
def test_a_damaged_record_is_none(tmp_path, text):
    (tmp_path / "run.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert find(tmp_path, OTHER_SPLIT) == ("unknown", 0)


def test_official_bundled_and_random_weights_need_no_record(tmp_path):
    assert find(tmp_path, OTHER_SPLIT, name="yolo26n-seg.pt") is None
    assert find_base_images(FOUNDATION, hash_file(FOUNDATION), OTHER_SPLIT, TARGET) is None
    assert find_base_images(None, None, OTHER_SPLIT, TARGET) is None


@pytest.mark.fault(2, "the base weights were trained on present test images")
@pytest.mark.parametrize(
    ("base", "expected"),
    [
        (RANDOM, "3"),
        (OFFICIAL, "3"),
        (BUNDLED, "3"),
        (OWN, "3 or more"),  # of an earlier version
        (None, "3 or more"),
        (OWN | {"seen": "0"}, "3"),
        (OWN | {"seen": "1"}, "3"),
        (OWN | {"seen": "1 or more"}, "3 or more"),
        (OWN | {"seen": "unknown"}, "3 or more"),
    ],
)
def test_what_the_base_of_the_base_saw_counts_too(tmp_path, base, expected):
    assert find(tmp_path, OTHER_SPLIT, **record(base=base)) == (expected, 5)


@pytest.mark.parametrize(
    ("seen", "images", "expected"),
    [
        ("0", "abcde", None),
        ("0", None, None),
        ("1", "abcdef", ("1", 6)),
        ("1", None, ("1", 0)),
        ("unknown", "abcde", ("unknown", 5)),
    ],
)
def test_a_base_of_the_same_data_saw_what_its_own_base_saw(tmp_path, seen, images, expected):
    listed = [name * 16 for name in images] if images else None
    assert find(tmp_path, BEFORE, **record(base=OWN | {"seen": seen}) | {"images": listed}) == expected


def test_the_listed_images_of_the_base_are_listed_again():
    before = [name * 16 for name in "xa"]
    assert list_learnt_images(BEFORE, before) == [name * 16 for name in "abcdex"]


@pytest.mark.parametrize(("prepared", "count"), [(OTHER_SPLIT, 1), (FRESH_TEST, 0), (BEFORE, 0)])
@pytest.mark.parametrize("key", ["model.weights", "finetune.distill_model"])
def test_what_raises_scores_is_remarked_on(tmp_path, prepared, count, key):
    Path("w.pt").write_bytes(b"weights")
    hashes = {"best": hash_file(Path("w.pt"))}
    Path("run.json").write_text(json.dumps({**record(), "sha256": hashes}))
    found = find_base_images(tmp_path / "w.pt", hashes["best"], prepared, TARGET)
    assert len(remark_on_base_images(key, "w.pt", found, prepared)) == count
    Path("run.json").unlink()
    unknown = find_base_images(tmp_path / "w.pt", hashes["best"], prepared, TARGET)
    assert len(remark_on_base_images(key, "w.pt", unknown, prepared)) == 1


@pytest.mark.fault(2, "the base weights were trained on present test images")
@pytest.mark.parametrize("is_intact", [True, False])
def test_the_run_of_the_weights_says_what_they_learnt_from(tmp_path, is_intact):
    assert find(tmp_path, OTHER_SPLIT) == ("unknown", 0)
    assert not Path("mlflow.db").exists()
    sha256 = hash_file(tmp_path / "best.pt")
    Path("finetuned").mkdir()
    hashes = {"best": sha256 if is_intact else "9" * 64}
    Path("finetuned/run.json").write_text(json.dumps({**record(), "sha256": hashes}))
    with open_run(TARGET, key="a", name="a", tags={WEIGHTS_TAG: sha256}) as session:
        session.log_artifact(Path("finetuned"))
    assert find(tmp_path, OTHER_SPLIT) == (("3", 5) if is_intact else ("unknown", 0))


def test_a_server_is_not_asked(tmp_path):
    (tmp_path / "w.pt").write_bytes(b"weights")
    server = TrackingTarget("http://127.0.0.1:9", "trial", 20.0)
    found = find_base_images(tmp_path / "w.pt", hash_file(tmp_path / "w.pt"), OTHER_SPLIT, server)
    assert str(found.seen) == "unknown"
