"""The data of a revision: val and test from DVC's cache, verified; the workspace stays as it is."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from pathlib import Path

import pytest

from pipeline.comparison.models.prepared_data import open_prepared_data
from pipeline.comparison.models.training_images import count_training_images, remark_on_training_images
from pipeline.core.errors import UserError
from pipeline.dataset.image_columns import ImageColumns, write_image_columns
from pipeline.dataset.manifest import list_learnt_images
from pipeline.evaluate.prediction_files import describe_predicted_images
from pipeline.iterations.iteration import Iteration
from tests.builders import prepared_dataset
from tests.iterations.projects import git


@pytest.fixture(scope="module")
def revision(tmp_path_factory):
    """A project whose tag `old` has other images than its workspace."""
    folder = tmp_path_factory.mktemp("revisions")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("DVC_", "FINETRACK_", "GIT_"))]:
            patch.delenv(name)
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder / "site"))
        patch.chdir(folder)
        git("init", "-q")
        manifest = prepared_dataset(
            Path("data/prepared"), images={"train": 2, "val": 1, "test": 3}, pixels=64
        )
        groups = {item.source: ImageColumns("one group") for item in manifest.items}
        Path("data/columns").mkdir()
        write_image_columns(Path("data/columns"), manifest, groups)
        Path("models/finetuned").mkdir(parents=True)
        [seen, *_] = [item.sha256 for item in manifest.in_split("test")]
        facts = {"images": list_learnt_images(manifest, [seen[:16]]), "base": {"seen": "1"}}
        Path("models/finetuned/run.json").write_text(json.dumps(facts))
        _add_to_dvc()
        git("add", "-A")
        git("commit", "-qm", "old")
        git("tag", "old")
        shutil.rmtree("data/prepared")
        newer = prepared_dataset(Path("data/prepared"), images={"train": 2, "val": 1, "test": 2}, seed=9)
        yield manifest, newer


def _add_to_dvc():
    from dvc.repo import Repo

    with warnings.catch_warnings(action="ignore"), Repo.init(".") as repo:
        repo.add(["data/prepared", "data/columns", "models/finetuned"])


def test_test_images_of_a_revision_are_fetched_and_the_workspace_stays(revision, tmp_path):
    manifest, newer = revision
    data = open_prepared_data("old", tmp_path)
    assert (data.manifest, data.name) == (manifest, "old")
    images = describe_predicted_images(manifest, "test", data.root)
    assert {image.group for image in images} == {"one group"}
    assert (tmp_path / "data/prepared/images" / images[0].file).is_file()
    assert not (tmp_path / "data/prepared/images/train").exists()
    here = open_prepared_data("workspace", tmp_path / "unused")
    assert (here.manifest, here.root, here.name) == (newer, Path(), "the workspace")


@pytest.mark.fault(11, "DVC's cache lost or damaged a test image of a revision")
def test_damaged_images_of_a_revision_are_refused(revision, tmp_path):
    manifest, _ = revision
    cache = Path(".dvc/cache/files/md5")
    content = (tmp_path / "x").parent
    image = next(item for item in manifest.in_split("test"))
    for file in cache.rglob("*"):
        if file.is_file() and file.stat().st_size > 1000 and _has_sha256(file, image.sha256):
            kept = file.read_bytes()
            file.chmod(0o644)
            file.write_bytes(b"damaged")
            try:
                with pytest.raises(UserError, match=r"old.*(missing|damaged|cannot be read)"):
                    open_prepared_data("old", content / "fetched")
            finally:
                file.write_bytes(kept)
            return
    pytest.fail("the image is not in the cache")


def _has_sha256(file, wanted):
    from pipeline.storage.files import hash_file

    return hash_file(file) == wanted


@pytest.mark.usefixtures("revision")
def test_an_unknown_revision_is_refused(tmp_path):
    with pytest.raises(UserError, match="no-such-tag"):
        open_prepared_data("no-such-tag", tmp_path)


def test_training_images_among_the_test_images_are_counted(revision):
    manifest, newer = revision

    def tell(iteration, manifest, split):
        images = [item.sha256 for item in manifest.in_split(split)]
        facts = {"data": newer.digest}
        remarks = remark_on_training_images(iteration, images, **facts, name="the workspace")
        return count_training_images(iteration, images, **facts), *remarks

    same = Iteration("a", "run", "a", data=newer.digest)
    assert tell(same, newer, "test") == (0,)
    older = Iteration("a", "run", "a", data=manifest.digest, revision="old")
    assert tell(older, newer, "test") == (0,)  # none of its images is in test now
    assert tell(older, manifest, "train") == (
        2,
        "a was trained on 2 of the 2 test images of the workspace: its score is too high",
    )
    nobody = Iteration("a", "run", "a", data=manifest.digest)
    assert tell(nobody, newer, "test")[0] is None


@pytest.mark.fault(2, "the base weights were trained on present test images")
@pytest.mark.parametrize(
    ("seen", "split", "count", "remarks"),
    [
        ("0", "test", 1, 1),  # run.json lists one of them, of its base weights
        ("2 or more", "test", 1, 1),
        ("2", "train", 2, 1),
        ("unknown", "newer", 0, 1),
        ("0", "newer", 0, 0),
    ],
)
def test_test_images_that_the_base_weights_saw_are_counted(revision, seen, split, count, remarks):
    manifest, newer = revision
    facts = {"base_seen": seen}
    iteration = Iteration("a", "run", "a", data=manifest.digest, revision="old", facts=facts)
    items = newer.in_split("test") if split == "newer" else manifest.in_split(split)
    images = [item.sha256 for item in items]
    assert count_training_images(iteration, images, data=newer.digest) == count
    assert len(remark_on_training_images(iteration, images, data=newer.digest, name="it")) == remarks


@pytest.mark.fault(2, "the base weights were trained on present test images")
@pytest.mark.parametrize(
    ("seen", "count", "remarks"), [("0", 0, 0), ("2", 2, 1), ("2 or more", 2, 1), ("unknown", 0, 1)]
)
def test_test_images_of_its_own_data_that_the_base_weights_saw_are_counted(seen, count, remarks):
    iteration = Iteration("a", "run", "a", data="d", facts={"base_seen": seen})
    assert count_training_images(iteration, ["x"], data="d") == count
    assert len(remark_on_training_images(iteration, ["x"], data="d", name="it")) == remarks
