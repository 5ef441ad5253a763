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


@pytest.mark.parametrize("pattern", ["images/{}/{}", "{}/images/{}"])
def test_labels_in_folders_beside_those_of_the_images_are_matched_in_linear_time(pattern):
    names = [f"{number:04}" for number in range(8)]
    places = [pattern.format(f"part{number:04}", f"cam{camera}") for number in range(400) for camera in "12"]
    index = ImageIndex([ROOT / place / f"{name}.jpg" for place in places for name in names])
    begun = time.process_time()
    for place in places:
        near = ROOT / place.replace("images", "labels")
        for name in names:
            match = index.find((name,), near=near, single_image=True)
            assert match.image == ROOT / place / f"{name}.jpg"
    assert time.process_time() - begun < 5


def test_image_nearest_to_the_label_wins_over_one_in_a_folder_of_its_name():
    index = ImageIndex([ROOT / "images/a/1.jpg", ROOT / "labels/1.jpg"])
    assert index.find(("1",), near=ROOT / "labels/a").image == ROOT / "labels/1.jpg"


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
