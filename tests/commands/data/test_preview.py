"""`python -m pipeline preview` on prepared datasets of every task, with the project's own conf/."""

import shutil
import subprocess
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely

from pipeline.__main__ import main
from pipeline.compose import stage
from pipeline.compose.lockfile import write_lock
from pipeline.compose.stage import CONF, plan_config
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER, PREVIEW_FOLDER
from pipeline.core.tasks import TASKS
from pipeline.dataset.prepared import read_labels
from pipeline.storage.fingerprint import fingerprint_config_folder
from tests.builders import prepared_for

ROOT = Path(__file__).parents[3]
SMALL = "finetune.imgsz=64"
OFF = (
    "hsv_h hsv_s hsv_v degrees translate scale shear perspective flipud fliplr bgr mosaic mixup cutmix "
    "copy_paste erasing"
)
STILL = {**dict.fromkeys(OFF.split(), 0.0), "auto_augment": None}


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def sheets():
    return {path.name: cv2.imread(str(path)) for path in sorted(PREVIEW_FOLDER.glob("*"))}


@pytest.mark.parametrize("task", TASKS)
def test_two_sheets_show_what_a_configuration_does(task, capsys):
    prepared_for(PREPARED_FOLDER, task, images={"train": 3})
    assert main(["preview", "augment=light", SMALL]) == 0
    told = capsys.readouterr().out
    found = sheets()
    assert sorted(found) == ["offline_1.jpg", "online_1.jpg"]
    assert all(f"reports/preview/{name}" in told for name in found)
    tile = 64 * 3 + 6  # three originals, one copy each; enlarged threefold
    assert found["offline_1.jpg"].shape == (3 * tile, 2 * 326, 3)
    assert found["online_1.jpg"].shape == (4 * tile, 4 * 326, 3)
    assert all((sheet < 250).mean() > 0.2 for sheet in found.values())


def test_without_copies_there_is_no_sheet_of_them_and_none_of_an_earlier_preview(capsys):
    prepared_for(PREPARED_FOLDER, "detect", images={"train": 2})
    assert main(["preview", "augment=strong", SMALL]) == 0
    assert main(["preview", "augment=none", SMALL]) == 0
    assert list(sheets()) == ["online_1.jpg"]
    assert "multiplier=1" in capsys.readouterr().out


def test_nothing_but_pictures_is_written():
    prepared_for(PREPARED_FOLDER, "segment", images={"train": 2})
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert main(["preview", "augment=copy_paste", SMALL]) == 0
    after = {path for path in Path().rglob("*") if path.is_file() and path.parts[0] != ".finetrack"}
    assert after - set(before) == {PREVIEW_FOLDER / "offline_1.jpg", PREVIEW_FOLDER / "online_1.jpg"}
    assert all(path.read_bytes() == data for path, data in before.items())


def test_a_preview_does_not_show_up_in_git_status():
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository")
    for path in (PREVIEW_FOLDER / "online_1.jpg", PREVIEW_FOLDER.parent / ".preview.x1"):
        assert subprocess.run(["git", "check-ignore", "-q", str(path)], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "data/prepared/manifest.json is absent: run prepare first"),
        (["augment=none,light"], "sweep"),
        (["augment=stronk"], "there is no augment/stronk"),
        (["augment.offline.rotate=200"], "augment.offline.rotate=200"),
        (["augment.offline.turn=20"], "augment.offline.turn"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_sentence(arguments, words, capsys):
    assert main(["preview", *arguments]) == 1
    told = capsys.readouterr().err
    assert told.startswith("preview: ")
    assert words in told
    assert told.count("\n") == 1
    assert not PREVIEW_FOLDER.exists()


def test_a_transform_that_the_task_does_not_allow_is_refused_here_too(capsys):
    prepared_for(PREPARED_FOLDER, "pose", images={"train": 2})
    assert main(["preview", "augment=copy_paste"]) == 1
    assert "copy_paste=0.5 needs outlines" in capsys.readouterr().err


@pytest.mark.parametrize(
    "settings",
    [
        ["augment.online.scale=[0.5,1.5]"],
        ["augment.online.scale=1.5"],
        ["finetune.single_cls=true"],
        ["augment.online.auto_augment=null", "augment.online.hsv_h=0.6"],
    ],
)
def test_what_a_training_of_the_task_refuses_is_refused_here_too(settings, capsys):
    prepared_for(PREPARED_FOLDER, "classify", images={"train": 2})
    assert main(["preview", "augment=none", SMALL, *settings]) == 1
    told = capsys.readouterr().err
    assert told.replace(", ", ",").startswith(f"preview: {settings[-1]} ")
    assert told.count("\n") == 1
    assert not PREVIEW_FOLDER.exists()


def test_without_train_images_there_is_nothing_to_show(capsys):
    prepared_for(PREPARED_FOLDER, "detect", images={"val": 2})
    assert main(["preview"]) == 1
    assert "no train images" in capsys.readouterr().err


def test_what_is_shown_is_what_would_run():
    """An applied experiment's params.yaml counts as long as conf/ stands, as for `dvc repro`."""
    assert plan_config([]).seed == 0
    assert not Path("params.yaml").exists()
    write_lock({"conf": fingerprint_config_folder(CONF), "composed": {}})
    Path("params.yaml").write_bytes(stage.compose_conf(["seed=7"]).raw)
    assert plan_config([]).seed == 7
    assert plan_config(["augment=none"]).seed == 0
    Path("conf/config.yaml").write_text(Path("conf/config.yaml").read_text() + "\n# changed\n")
    assert plan_config([]).seed == 0
    with pytest.raises(UserError, match="seed"):
        plan_config(["seed=-1"])


@pytest.mark.parametrize("task", TASKS)
def test_without_online_augmentation_the_network_gets_the_images_and_labels_as_they_are(task):
    from pipeline.yolo.training.preview_batches import iterate_train_samples

    manifest = prepared_for(PREPARED_FOLDER, task, images={"train": 3})
    arguments = {**STILL, "imgsz": 64, "seed": 0, "fraction": 1.0, "single_cls": False, "rect": False}
    found = list(iterate_train_samples(PREPARED_FOLDER, manifest, arguments=arguments, count=3))
    for item, (image, marked) in zip(manifest.items, found, strict=True):
        source = cv2.imread(str(PREPARED_FOLDER / "images" / item.file))
        known = read_labels(PREPARED_FOLDER / "labels" / item.label_file, task)
        if task != "classify":  # Ultralytics always crops there, at the least by chance of the aspect
            assert np.abs(image.astype(int) - source).mean() < 2
        assert sorted(marked.classes.tolist()) == sorted(known.classes.tolist())
        order = np.argsort(known.boxes[:, 0]), np.argsort(marked.boxes[:, 0])
        near = 1.6 / 64
        assert np.abs(known.boxes[order[0]] - marked.boxes[order[1]]).max() < near
        if task == "pose":
            assert np.abs(known.keypoints[order[0]] - marked.keypoints[order[1]]).max() < near
        for first, second in zip(*order, strict=True) if known.outlines else ():
            whole, shown = shapely.Polygon(known.outlines[first]), shapely.Polygon(marked.outlines[second])
            assert whole.intersection(shown).area > 0.9 * whole.union(shown).area


def test_many_outlines_take_little_memory():
    from pipeline.yolo.training.preview_batches import iterate_train_samples

    manifest = prepared_for(PREPARED_FOLDER, "segment", images={"train": 1})
    label = PREPARED_FOLDER / "labels/train/train_000.txt"
    label.write_text(label.read_text() * 600)
    arguments = {**STILL, "imgsz": 640, "seed": 0, "fraction": 1.0, "single_cls": False, "rect": False}
    tracemalloc.start()
    [(image, marked)] = iterate_train_samples(PREPARED_FOLDER, manifest, arguments=arguments, count=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (image.shape, len(marked.outlines)) == ((640, 640, 3), 600)
    assert peak < 600 * 640 * 640 / 2  # of masks alone; most of it are modules that are loaded meanwhile


def test_auto_is_the_image_size_that_a_training_would_choose(capsys):
    prepared_for(PREPARED_FOLDER, "detect", images={"train": 2})
    assert main(["preview", "augment=none", "finetune.imgsz=auto"]) == 0
    assert "at finetune.imgsz=64: " in capsys.readouterr().out
