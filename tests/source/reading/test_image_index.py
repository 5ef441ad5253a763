"""The index of images by name."""

import time
from pathlib import Path

import pytest

from pipeline.source.reading.image_index import ImageIndex

ROOT = Path("/set")


@pytest.mark.parametrize("stated", ["", "part{:04}/cam1/"])
def test_names_that_thousands_of_folders_share_are_found_at_once(stated):
    folders = [ROOT / f"part{number:04}/cam{camera}" for number in range(1000) for camera in range(1, 5)]
    index = ImageIndex([folder / "0001.jpg" for folder in folders])
    begun = time.process_time()
    for number, folder in enumerate(folders):
        near = ROOT if stated else folder
        match = index.find((f"{stated.format(number // 4)}0001.jpg",), near=near, single_image=not stated)
        assert match.image == (ROOT / stated.format(number // 4) if stated else folder) / "0001.jpg"
        assert match.doubt == 0
    assert time.process_time() - begun < 3


def test_labels_in_folders_beside_those_of_the_images_are_matched_in_linear_time():
    places = [f"part{number:04}/cam{camera}" for number in range(500) for camera in range(1, 5)]
    index = ImageIndex([ROOT / "images" / place / "0001.jpg" for place in places])
    begun = time.process_time()
    for place in places[::50]:
        match = index.find(("0001",), near=ROOT / "labels" / place, single_image=True)
        assert match.image == ROOT / "images" / place / "0001.jpg"
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("name", "near", "found", "doubt"),
    [
        ("a/1.jpg", "labels", "a/1.jpg", 0),
        ("1.jpg", "b", "b/1.jpg", 0),
        ("1", "b", "b/1.jpg", 0),
        ("1.JPG", "a", "a/1.JPG", 0),  # not a/1.jpg
        ("1.JPG", "b", "a/1.JPG", 1),  # the same case in another folder wins over another case here
        ("b/1.png", "labels", "b/1.jpg", 4),
        ("x/b/1.jpg", "labels", "b/1.jpg", 0),
    ],
)
def test_same_name_in_several_folders(name, near, found, doubt):
    index = ImageIndex([ROOT / path for path in ("a/1.JPG", "a/1.jpg", "b/1.jpg")])
    match = index.find((name,), near=ROOT / near, single_image=True)
    assert (match.image, match.doubt) == (ROOT / found, doubt)
