"""Predictions on folders, archives and videos: what is written, and that a run goes on after its end."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from ultralytics import YOLO

from pipeline.core.errors import UserError
from pipeline.predict.run import run_prediction
from pipeline.yolo.inference.loaded_model import LoadedModel
from tests.predict.conftest import SETTINGS, WEIGHTS, build_request, draw_image, write_video


def _predict(sources, output, **options):
    return list(run_prediction(build_request(sources, output, **options)))


def _read_csv(folder):
    with (folder / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _read_all(folder):
    """Return the results of a folder, by file."""
    files = [folder / "predictions.json", folder / "predictions.csv", *sorted((folder / "labels").rglob("*"))]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.is_file()}


def test_results_are_those_of_the_model_in_every_format(source, tmp_path):
    _predict([source], tmp_path / "out")
    coco = json.loads((tmp_path / "out/predictions.json").read_text())
    paths = sorted(source.rglob("*.png"))
    assert [image["file_name"] for image in coco["images"]] == [
        str(path.relative_to(source)) for path in paths
    ]
    rows = _read_csv(tmp_path / "out")
    with LoadedModel(WEIGHTS, settings=SETTINGS) as model:
        expected = model.predict([cv2.imread(str(path)) for path in paths])
    assert sum(len(found.scores) for found in expected) == len(rows) == len(coco["annotations"]) > 5
    for image, path, found in zip(coco["images"], paths, expected, strict=True):
        own = [row for row in coco["annotations"] if row["image_id"] == image["id"]]
        boxes = np.array([row["bbox"] for row in own]).reshape(-1, 4)
        np.testing.assert_allclose(boxes[:, :2], found.boxes[:, :2], atol=0.02)
        np.testing.assert_allclose(boxes[:, :2] + boxes[:, 2:], found.boxes[:, 2:], atol=0.02)
        assert [row["category_id"] - 1 for row in own] == found.classes.tolist()
        height, width = cv2.imread(str(path)).shape[:2]
        assert (image["width"], image["height"]) == (width, height)
        label = (tmp_path / "out/labels" / path.relative_to(source)).with_suffix(".txt")
        lines = [line.split() for line in label.read_text().splitlines()]
        assert [int(line[0]) for line in lines] == found.classes.tolist()
        picture = cv2.imread(str((tmp_path / "out/pictures" / path.relative_to(source)).with_suffix(".jpg")))
        assert picture.shape[0] / picture.shape[1] == pytest.approx(height / width, abs=0.02)


@pytest.mark.parametrize(
    "task", ["segment", *(pytest.param(task, marks=pytest.mark.slow) for task in ("classify", "obb", "pose"))]
)
def test_every_task_has_all_formats(source, tmp_path, task):
    suffix = {"segment": "seg", "classify": "cls"}.get(task, task)
    weights = tmp_path / "net.pt"
    torch.manual_seed(0)
    YOLO(f"yolo26n-{suffix}.yaml").save(weights)
    settings = {"conf": 0.0, "max_det": 50}
    _predict([source], tmp_path / "out", weights=weights, **settings)
    coco = json.loads((tmp_path / "out/predictions.json").read_text())
    rows = _read_csv(tmp_path / "out")
    assert len(rows) == len(coco["annotations"]) > 0
    extra = {
        "segment": "outline", "classify": "score", "obb": "corner_y4", "pose": "keypoints",
    }  # fmt: skip
    assert all(row[extra[task]] for row in rows)
    assert len(list((tmp_path / "out/labels").rglob("*.txt"))) == 7
    assert len(list((tmp_path / "out/pictures").rglob("*.jpg"))) == 7


def test_a_video_has_a_result_per_frame_and_a_video(tmp_path):
    video = write_video(tmp_path / "v.mp4")
    _predict([video], tmp_path / "out")
    coco = json.loads((tmp_path / "out/predictions.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == [f"v.mp4/{n:06d}" for n in range(1, 10)]
    written = cv2.VideoCapture(str(tmp_path / "out/pictures/v.mp4"))
    assert written.get(cv2.CAP_PROP_FRAME_COUNT) == 9
    assert len(list((tmp_path / "out/labels/v.mp4").iterdir())) == 9


def test_an_archive_is_predicted_on_as_its_folder(source, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(source.rglob("*.png")):
            archive.write(path, path.relative_to(source))
    for name, one in (("folder", source), ("archive", tmp_path / "a.zip")):
        _predict([one], tmp_path / name, formats=["coco", "csv", "yolo"])
    assert _read_all(tmp_path / "folder") == _read_all(tmp_path / "archive")


def test_images_are_turned_by_their_exif_orientation(tmp_path):
    from PIL import Image

    (tmp_path / "s").mkdir()
    image = draw_image(1, (96, 64))
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(image[..., ::-1]).save(tmp_path / "s/a.jpg", exif=exif)
    _predict([tmp_path / "s"], tmp_path / "out", formats=["coco"])
    [shown] = json.loads((tmp_path / "out/predictions.json").read_text())["images"]
    assert (shown["width"], shown["height"]) == (64, 96)


@pytest.mark.fault(10, "images that cannot be read, among others")
def test_unreadable_files_are_listed_and_the_others_are_done(source, tmp_path):
    (source / "bad.jpg").write_bytes(b"no image")
    (source / "empty.png").touch()
    whole = (source / "part_0/00.png").read_bytes()
    (source / "cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (source / "cut.mp4").write_bytes(b"no video")
    lines = run_prediction(build_request([source], tmp_path / "out"))
    with pytest.raises(UserError, match="5 of 12 files could not be read"):
        list(lines)
    listed = (tmp_path / "out/unreadable.csv").read_text().splitlines()[1:]
    assert sorted(line.split(",")[0] for line in listed) == [
        "bad.jpg", "cut.mp4", "cut.png", "empty.png", "gone.png",
    ]  # fmt: skip
    assert len(json.loads((tmp_path / "out/predictions.json").read_text())["images"]) == 7
    for name in ("bad.jpg", "empty.png", "cut.png", "gone.png", "cut.mp4"):
        (source / name).unlink()
    _predict([source], tmp_path / "out")
    assert not (tmp_path / "out/unreadable.csv").exists()


@pytest.mark.fault(4, "a prediction is stopped, and a half line is left in its journal")
def test_a_stopped_run_goes_on_and_ends_with_the_same_results(source, tmp_path, monkeypatch):
    write_video(source / "v.mp4", frames=11)
    _predict([source], tmp_path / "whole")
    predict, calls = LoadedModel.predict, []

    def stop(model, images):
        calls.append(len(images))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return predict(model, images)

    monkeypatch.setattr(LoadedModel, "predict", stop)
    with pytest.raises(KeyboardInterrupt):
        _predict([source], tmp_path / "out")
    monkeypatch.undo()
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    journal = tmp_path / "out/.journal.jsonl"
    known = len(journal.read_text().splitlines())
    assert 0 < known < 18
    with journal.open("a") as file:
        file.write('{"name": "part_1/05.png", "fi')
    assert not (tmp_path / "out/predictions.json").exists()
    monkeypatch.setattr(
        LoadedModel, "predict", lambda model, images: calls.append(len(images)) or predict(model, images)
    )
    calls.clear()
    _predict([source], tmp_path / "out")
    assert sum(calls) == 18 - known
    assert _read_all(tmp_path / "out") == _read_all(tmp_path / "whole")


def test_a_finished_folder_is_only_extended(source, tmp_path, monkeypatch):
    _predict([source], tmp_path / "out")
    new = source / "part_1/90.png"
    shutil.copy(source / "part_0/00.png", new)
    (source / "part_1/01.png").write_bytes((source / "part_0/02.png").read_bytes())
    (source / "part_1/03.png").unlink()
    predict, counts = LoadedModel.predict, []
    monkeypatch.setattr(
        LoadedModel, "predict", lambda model, images: counts.append(len(images)) or predict(model, images)
    )
    _predict([source], tmp_path / "out")
    assert sum(counts) == 2
    names = [
        image["file_name"] for image in json.loads((tmp_path / "out/predictions.json").read_text())["images"]
    ]
    assert "part_1/90.png" in names
    assert "part_1/03.png" not in names
    assert len(names) == 7
    for kind in ("labels", "pictures"):
        stems = {
            str(path.relative_to(tmp_path / "out" / kind).with_suffix(""))
            for path in (tmp_path / "out" / kind).rglob("*.*")
        }
        assert stems == {name.removesuffix(".png") for name in names}


@pytest.mark.parametrize("change", [{"conf": 0.5}, {"tile": 64}, {"formats": ["csv"]}])
def test_a_folder_of_other_settings_is_not_continued(source, tmp_path, change):
    _predict([source], tmp_path / "out", formats=["csv", "coco"])
    before = _read_all(tmp_path / "out")
    with pytest.raises(UserError, match="has the results of other settings"):
        _predict([source], tmp_path / "out", **{"formats": ["csv", "coco"], **change})
    assert _read_all(tmp_path / "out") == before


@pytest.mark.fault(9, "the output folder has files of the user")
def test_a_folder_with_other_files_or_of_the_source_is_refused(source, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.txt").touch()
    for output, reason in (
        (tmp_path / "mine", "is not of `finetrack predict`"),
        (source / "out", "is in the source"),
    ):
        with pytest.raises(UserError, match=reason):
            _predict([source], output)
    assert [path.name for path in (tmp_path / "mine").iterdir() if path.name != ".lock"] == ["a.txt"]
    assert sorted(path.name for path in source.iterdir()) == ["part_0", "part_1"]


def test_a_source_without_images_is_refused(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s/a.txt").touch()
    with pytest.raises(UserError, match="no image and no video, only 1 other file"):
        _predict([tmp_path / "s"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_objects_than_max_det_are_pointed_at(source, tmp_path):
    lines = _predict([source], tmp_path / "out", formats=["csv"], conf=0.0, max_det=3)
    assert any("--max-det" in line for line in lines)


def test_a_large_image_is_predicted_on_in_tiles(tmp_path):
    (tmp_path / "s").mkdir()
    cv2.imwrite(str(tmp_path / "s/a.png"), np.tile(draw_image(2), (3, 4, 1)))
    for name, tile in (("whole", None), ("tiles", 64)):
        _predict([tmp_path / "s"], tmp_path / name, formats=["csv"], tile=tile, overlap=0.2)
    whole, tiles = (len(_read_csv(tmp_path / name)) for name in ("whole", "tiles"))
    assert tiles > 2 * whole


def test_source_files_of_one_stem_have_results_of_their_own(tmp_path):
    for suffix in (".png", ".jpg"):
        (tmp_path / "s").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"s/a{suffix}"), draw_image(1))
    _predict([tmp_path / "s"], tmp_path / "out", formats=["yolo"])
    assert sorted(path.name for path in (tmp_path / "out/labels").iterdir()) == ["a.jpg.txt", "a.png.txt"]


def test_paths_of_the_source_are_not_changed(source, tmp_path):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in source.rglob("*.png")}
    _predict([source], tmp_path / "out", formats=["csv"])
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in source.rglob("*.png")} == before
    assert sorted(Path(tmp_path).iterdir()) == sorted([source, tmp_path / "out"])
