"""What is predicted on, and that no two images or videos have one name or one place for their results."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.predict.list_files import list_files
from pipeline.predict.render_video import get_video_path


def _touch(folder, *names: str):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def _list(*sources: Path):
    return {file.name: file for file in list_files(sources).files}


@pytest.mark.fault(10, "the name of one image is the name of another one's results")
@pytest.mark.parametrize(
    ("names", "outputs"),
    [
        (["a.jpg", "b.png", "x/a.jpg"], ["a", "b", "x/a"]),
        (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
        (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg", "a.jpg.png", "a.png"]),
        (["a.jpg", "a.jpg.png"], ["a", "a.jpg.png"]),
        (["a.jpg", "a.jpg.png", "a.jpg.png.gif"], ["a", "a.jpg.png", "a.jpg.png.gif"]),
        (["A.jpg", "a.png"], ["A.jpg", "a.png"]),
        (["v.mp4", "v.mp4.jpg"], ["v.mp4", "v.mp4.jpg"]),
        (["a.png", "a.txt/b.png"], ["a.txt/b", "a_"]),
        (["a.png", "a.jpg/b.png"], ["a.jpg/b", "a_"]),
        (["v.avi", "v.avi.mp4/b.png"], ["v.avi.mp4/b", "v.avi_"]),
    ],
)
def test_results_of_two_files_never_have_one_place(tmp_path, names, outputs):
    assert sorted(file.output for file in _list(_touch(tmp_path, *names)).values()) == outputs


@pytest.mark.fault(10, "a name that is as long as a disk allows, and its results would have a longer one")
@pytest.mark.parametrize(
    ("names", "shortened"),
    [
        ([f"{'a' * 251}.jpg", "b.jpg"], 0),
        ([f"{'a' * 251}.jpg", f"{'a' * 251}.png", f"x/{'a' * 251}.jpg"], 2),
        ([f"{'é' * 120}é.jpg", f"{'é' * 120}é.png"], 0),
        ([f"{'é' * 125}.jpg", f"{'é' * 125}.png"], 2),
        ([f"{'a' * 250}.jp2", f"{'a' * 250}.txt/b.jpg"], 0),
        ([f"{'a' * 251}.jp2", f"{'a' * 251}.txt/b.jpg"], 1),
        ([f"{'v' * 251}.avi", f"{'v' * 251}.mp4"], 1),
    ],
)
def test_the_results_of_long_names_have_names_of_their_own_that_fit(tmp_path, names, shortened):
    found = list_files([_touch(tmp_path, *names)])
    assert len(found.shortened) == shortened
    places = [str(get_video_path(Path(), file)) for file in found.files if file.is_video]
    images = [file for file in found.files if not file.is_video]
    assert len({file.output for file in found.files}) == len(names)
    results = [f"{file.output}{suffix}" for file in images for suffix in (".txt", ".jpg")]
    assert max(len(os.fsencode(Path(name).name)) for name in [*results, *places]) <= 255
    assert found == list_files([tmp_path])


@pytest.mark.fault(10, "the name of one video is that of another one's pictures")
def test_videos_of_two_files_never_have_one_place(tmp_path):
    files = _list(_touch(tmp_path, "v.avi", "v.avi.mp4", "v.mp4", "w.mov")).values()
    places = [get_video_path(tmp_path, file).name for file in files]
    assert sorted(places) == ["v.avi.mp4", "v.avi.mp4_.mp4", "v.mp4", "w.mov.mp4"]


@pytest.mark.fault(10, "several sources of one name")
def test_images_of_several_sources_never_have_one_name(tmp_path):
    folders = [_touch(tmp_path / name, "a.jpg") for name in ("p/imgs", "q/imgs", "r/imgs_2", "s/Imgs")]
    assert list(_list(*folders)) == ["imgs/a.jpg", "imgs_2/a.jpg", "imgs_2_2/a.jpg", "Imgs_3/a.jpg"]
    single = _touch(tmp_path, "p/b.jpg", "t/imgs/a.jpg")
    found = _list(single / "p/b.jpg", single / "t/imgs/a.jpg", tmp_path / "q/imgs", tmp_path / "r/imgs_2")
    assert list(found) == ["p/b.jpg", "t/imgs/a.jpg", "imgs/a.jpg", "imgs_2/a.jpg"]
    found = _list(tmp_path / "t/imgs/a.jpg", _touch(tmp_path / "u", "b.jpg") / "b.jpg", tmp_path / "q/imgs")
    assert len(found) == 3


@pytest.mark.fault(9, "results beside the source, by a path with ..")
def test_results_of_files_above_the_folder_stay_in_theirs(tmp_path, monkeypatch):
    _touch(tmp_path, "photos/1.jpg", "work/sub/2.jpg")
    monkeypatch.chdir(tmp_path / "work/sub")
    found = _list(Path("../../photos/1.jpg"), Path("2.jpg"))
    assert {name: file.output for name, file in found.items()} == {
        "photos/1.jpg": "photos/1",
        "work/sub/2.jpg": "work/sub/2",
    }


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("a/1.jpg", "a/../a/1.jpg"), "are the same"),
        (("a", "a/1.jpg"), r"a/1\.jpg is in .*a:"),
        (("a/1.jpg", "a"), r"a/1\.jpg is in .*a:"),
        (("a", "a/b"), "a/b is in .*a:"),
    ],
)
def test_an_image_that_is_named_twice_is_refused(tmp_path, names, reason):
    _touch(tmp_path, "a/1.jpg", "a/b/2.jpg")
    with pytest.raises(UserError, match=reason):
        _list(*(tmp_path / name for name in names))
