"""The journal of a prediction: where the frames of each video are, however many videos there are."""

from __future__ import annotations

from pathlib import Path

import cv2

from pipeline.predict import journal, run
from pipeline.predict.image_files import PICTURES_FOLDER
from pipeline.predict.journal import (
    ImageResult,
    Journal,
    find_frame_results,
    read_frame_results,
    read_results,
)
from pipeline.predict.list_files import SourceFile
from pipeline.predict.output_folder import OutputFolder
from pipeline.predict.render_video import get_video_path
from pipeline.predict.result_tables import ModelHead
from tests.predict.conftest import build_request, write_video


def write_journal(path, lines):
    """Write the results of frames, as (video, number), and of images, as (image, None)."""
    with Journal(path) as written:
        for name, number in lines:
            box = {"category_id": 1, "bbox": [1, 2, 10, 20], "score": 0.5}
            place = name if number is None else f"{name}/{number:06d}"
            result = ImageResult(place, name, number, place, (64, 64), [box], "é")
            written.add_result(result, SourceFile(name, Path(name)))


def test_frames_are_found_in_the_stretches_of_a_run_that_was_stopped(tmp_path):
    path = tmp_path / "j"
    write_journal(path, [("a.png", None), ("v.mp4", 1), ("v.mp4", 2)])
    with Journal(path) as written:
        written.add_error(SourceFile("bad.mp4", Path("bad.mp4")), "no video")
    write_journal(path, [("w.mp4", 1), ("v.mp4", 3)])
    with Journal(path) as written:
        written.add_end(SourceFile("v.mp4", Path("v.mp4")))
    write_journal(path, [("w.mp4", 2)])
    path.write_bytes(path.read_bytes() + b'{"file": "w.mp4", "numb')
    found = find_frame_results(path)
    assert {name: len(stretches) for name, stretches in found.items()} == {"v.mp4": 2, "w.mp4": 2}
    for name, stretches in found.items():
        wanted = [each for each in read_results(path) if each.file == name]
        assert list(read_frame_results(path, stretches)) == wanted


def test_each_frame_is_read_twice_for_the_videos_however_many_there_are(tmp_path, monkeypatch):
    names, frames = [f"{number}.mp4" for number in range(5)], 4
    files = [SourceFile(name, write_video(tmp_path / name, frames=frames), True, name) for name in names]
    folder = OutputFolder(tmp_path / "out", True)
    folder.path.mkdir()
    write_journal(folder.journal, [(name, number) for name in names for number in range(1, frames + 1)])
    read, parse = [], journal.json.loads
    monkeypatch.setattr(journal.json, "loads", lambda text: read.append(text) or parse(text))
    request = build_request([tmp_path], folder.path, formats=("pictures",))
    run._render_videos(request, folder, ModelHead("detect", ("x",), {}), files)
    assert len(read) == 2 * len(names) * frames
    for file in files:
        written = cv2.VideoCapture(str(get_video_path(folder.path / PICTURES_FOLDER, file)))
        assert written.get(cv2.CAP_PROP_FRAME_COUNT) == frames
