"""Images that are links: their labels lie beside the link; where there are none, beside its target."""

import shutil

import pytest

from pipeline.core.errors import UserError
from pipeline.source.recognize_format import read_source
from tests.sources import write_picture

OLD = "0 0.5 0.5 0.2 0.2\n"
CORRECTED = "1 0.5 0.5 0.4 0.4\n"


def write_versions(folder, *, corrected=True):
    """Write raw/v1 with images and labels; and v2, whose images are links, with labels of its own or without.

    Returns:
        The folder of v2.
    """
    v1, v2 = folder / "raw/v1", folder / "v2"
    for place in (v1 / "labels", v2 / "images", *([v2 / "labels"] if corrected else [])):
        place.mkdir(parents=True)
    for name in ("a", "b"):
        write_picture(v1 / f"images/{name}.jpg")
        (v1 / f"labels/{name}.txt").write_text(OLD)
        (v2 / f"images/{name}.jpg").symlink_to(v1 / f"images/{name}.jpg")
        if corrected:
            (v2 / f"labels/{name}.txt").write_text(CORRECTED)
    return v2


def write_list(folder, form, lines):
    """Write a list of images, and the file that names it."""
    lists = {"data.yaml": "lists/train.txt", "yaml beside": "train.txt", "obj.data": "train.txt"}
    file = folder / lists[form]
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))
    if form == "obj.data":
        (folder / "obj.data").write_text("classes = 2\ntrain = data/train.txt\n")
        (folder / "obj.names").write_text("x\ny\n")
    else:
        (folder / "data.yaml").write_text(f"train: {lists[form]}\nnames: [x, y]\n")


def get_classes(source):
    return {image.source: image.raw.classes.tolist() for image in source.images}


@pytest.mark.parametrize("form", ["data.yaml", "yaml beside", "obj.data"])
@pytest.mark.parametrize(
    "pattern", ["./images/{}.jpg", "images/{}.jpg", "../images/{}.jpg", "{folder}/images/{}.jpg"]
)
def test_labels_of_a_listed_link_lie_beside_the_link(tmp_path, form, pattern):
    folder = write_versions(tmp_path)
    write_list(folder, form, [pattern.format(name, folder=folder) for name in ("a", "b")])
    assert get_classes(read_source("yolo", folder)) == {"images/a.jpg": [1], "images/b.jpg": [1]}


@pytest.mark.parametrize("text", ["train: images\nnames: [x, y]\n", "names: [x, y]\n"])
def test_labels_of_a_linked_folder_lie_beside_the_link(tmp_path, text):
    folder = write_versions(tmp_path)
    for path in (folder / "images").iterdir():
        path.unlink()
    (folder / "images").rmdir()
    (folder / "images").symlink_to(tmp_path / "raw/v1/images")
    (folder / "data.yaml").write_text(text)
    assert get_classes(read_source("yolo", folder)) == {"images/a.jpg": [1], "images/b.jpg": [1]}


def test_links_without_labels_have_those_of_their_targets(tmp_path):
    folder = write_versions(tmp_path, corrected=False)
    (tmp_path / "raw/v1/labels/orphan.txt").write_text(OLD)
    write_list(folder, "yaml beside", ["./images/a.jpg", "./images/b.jpg"])
    source = read_source("yolo", folder)
    assert get_classes(source) == {"images/a.jpg": [0], "images/b.jpg": [0]}
    assert [
        remark for remark in source.remarks if "2 images are links" in remark and "raw/v1/labels/" in remark
    ]
    assert not source.defects


def test_link_without_a_label_beside_links_with_labels_is_unlabelled(tmp_path):
    folder = write_versions(tmp_path)
    (folder / "labels/b.txt").unlink()
    write_list(folder, "yaml beside", ["./images/a.jpg", "./images/b.jpg"])
    source = read_source("yolo", folder)
    assert get_classes(source) == {"images/a.jpg": [1]}
    assert [(finding.file, finding.kind) for finding in source.defects] == [("images/b.jpg", "missing-label")]


def test_list_and_images_that_are_links_to_files_of_other_names_are_read(tmp_path):
    """DVC places files as links to its cache, whose files are called by their checksums."""
    folder = write_versions(tmp_path)
    cache = tmp_path / "cache"
    cache.mkdir()
    write_list(folder, "yaml beside", ["./images/a.jpg", "./images/b.jpg"])
    files = [folder / "train.txt", *(folder / "images").iterdir()]
    for number, path in enumerate(files):
        (cache / f"{number:030x}").write_bytes(path.read_bytes())
        path.unlink()
        path.symlink_to(cache / f"{number:030x}")
    assert get_classes(read_source("yolo", folder)) == {"images/a.jpg": [1], "images/b.jpg": [1]}


@pytest.mark.fault(3, "labels outside the source, where changes go unnoticed")
@pytest.mark.parametrize("link", ["images", "folder"])
def test_labels_outside_the_source_are_told_of(tmp_path, link):
    folder = write_versions(tmp_path, corrected=False)
    if link == "folder":
        shutil.rmtree(folder / "images")
        (folder / "images").symlink_to(tmp_path / "raw/v1/images")
    write_list(folder, "yaml beside", ["./images/a.jpg", "./images/b.jpg"])
    source = read_source("yolo", folder)
    place = (tmp_path / "raw/v1/labels").resolve()
    [remark] = [remark for remark in source.remarks if "outside data.source" in remark]
    assert remark.startswith("labels ")
    assert str(place) in remark


@pytest.mark.fault(3, "labels outside the source, where changes go unnoticed")
def test_labels_beside_a_source_called_images_are_told_of(tmp_path):
    write_picture(tmp_path / "images/a.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text(OLD)
    source = read_source("yolo", tmp_path / "images")
    assert get_classes(source) == {"a.jpg": [0]}
    assert [remark for remark in source.remarks if f"outside data.source, in {tmp_path / 'labels'}" in remark]


def test_labels_beside_linked_files_of_the_source_are_no_remark(tmp_path):
    write_versions(tmp_path, corrected=False)
    (tmp_path / "data.yaml").write_text("train: v2/images\nnames: [x, y]\n")
    source = read_source("yolo", tmp_path)
    assert get_classes(source) == {"v2/images/a.jpg": [0], "v2/images/b.jpg": [0]}
    assert not [remark for remark in source.remarks if "outside data.source" in remark]


def write_texts(folder, text):
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text(text)


@pytest.mark.fault(10, "the output of a model lies beside linked images")
@pytest.mark.parametrize("text", [CORRECTED, ""])
def test_links_with_two_folders_of_labels_are_refused(tmp_path, text):
    folder = write_versions(tmp_path, corrected=False)
    write_list(folder, "yaml beside", ["./images/a.jpg", "./images/b.jpg"])
    write_texts(folder / "predictions", text)
    with pytest.raises(UserError) as refused:
        read_source("yolo", folder)
    assert str(folder / "predictions") in str(refused.value)
    assert str((tmp_path / "raw/v1/labels").resolve()) in str(refused.value)


def test_links_with_two_equal_folders_of_labels_have_those_of_the_source(tmp_path):
    folder = write_versions(tmp_path, corrected=False)
    write_list(folder, "yaml beside", ["./images/a.jpg", "./images/b.jpg"])
    write_texts(folder / "copied", OLD)
    source = read_source("yolo", folder)
    assert get_classes(source) == {"images/a.jpg": [0], "images/b.jpg": [0]}
    assert not [remark for remark in source.remarks if "outside data.source" in remark]


def test_folder_called_labels_counts_beside_any_folder_of_links(tmp_path):
    folder = write_versions(tmp_path, corrected=False)
    (folder / "images").rename(folder / "pictures")
    write_list(folder, "yaml beside", ["./pictures/a.jpg", "./pictures/b.jpg"])
    write_texts(folder / "labels", CORRECTED)
    assert get_classes(read_source("yolo", folder)) == {"pictures/a.jpg": [1], "pictures/b.jpg": [1]}


def write_linked_source(folder):
    """Write images/{train,val} with labels in a folder that a link leads to; return it through the link."""
    (folder / "disk").mkdir()
    (folder / "home").symlink_to(folder / "disk")
    place = folder / "home/set"
    for split in ("train", "val"):
        write_picture(place / f"images/{split}/{split}.jpg")
        label = place / f"labels/{split}/{split}.txt"
        label.parent.mkdir(parents=True)
        label.write_text(OLD)
    return place


NAMES = {"images/train/train.jpg": "train", "images/val/val.jpg": "val"}


@pytest.mark.fault(2, "absolute paths that lead through a link to the source")
@pytest.mark.parametrize("form", ["folders", "lists", "obj.data"])
@pytest.mark.parametrize("place", ["home", "disk"])
def test_paths_through_a_link_to_the_source_name_images_of_the_source(tmp_path, form, place):
    stated = write_linked_source(tmp_path)
    for split in ("train", "val"):
        (stated / f"{split}.txt").write_text(f"{stated}/images/{split}/{split}.jpg\n")
    if form == "obj.data":
        (stated / "obj.data").write_text("classes = 2\ntrain = train.txt\nvalid = val.txt\n")
        (stated / "obj.names").write_text("x\ny\n")
    else:
        ends = [".txt", ".txt"] if form == "lists" else ["", ""]
        start = f"{stated}/" if form == "lists" else f"{stated}/images/"
        text = f"train: {start}train{ends[0]}\nval: {start}val{ends[1]}\nnames: [x, y]\n"
        (stated / "data.yaml").write_text(text)
    source = read_source("yolo", tmp_path / place / "set")
    assert {image.source: image.split for image in source.images} == NAMES
    assert not source.defects
    assert not [remark for remark in source.remarks if "outside data.source" in remark]


@pytest.mark.fault(2, "absolute paths that lead through a link to the source")
@pytest.mark.parametrize("place", ["home", "disk"])
def test_image_in_two_lists_of_different_spelling_is_listed_twice(tmp_path, place):
    folder = write_linked_source(tmp_path)
    (folder / "labels/train/lone.txt").write_text(OLD)
    write_picture(folder / "images/train/unlisted.jpg")
    (folder / "old").mkdir()
    (folder / "old/train.txt").write_text(CORRECTED)
    (folder / "train.txt").write_text("".join(f"{folder}/{name}\n" for name in NAMES))
    (folder / "val.txt").write_text("./images/val/val.jpg\n")
    (folder / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [x, y]\n")
    source = read_source("yolo", tmp_path / place / "set")
    assert {image.source: image.split for image in source.images} == NAMES
    assert [note.kind for image in source.images for note in image.notes] == ["listed-twice"]
    assert sorted((finding.file, finding.kind) for finding in source.defects) == [
        ("images/train/unlisted.jpg", "unlisted-image"),
        ("labels/train/lone.txt", "orphan-label"),
    ]
    assert [remark for remark in source.remarks if "images in old/ are not read" in remark]


def test_labels_in_a_folder_of_another_name_are_found_for_paths_through_a_link(tmp_path):
    folder = write_linked_source(tmp_path)
    (folder / "images").rename(folder / "imgs")
    (folder / "labels").rename(folder / "annot_txt")
    text = f"train: {folder}/imgs/train\nval: {folder}/imgs/val\nnames: [x, y]\n"
    (folder / "data.yaml").write_text(text)
    found = read_source("yolo", folder)
    assert get_classes(found) == {"imgs/train/train.jpg": [0], "imgs/val/val.jpg": [0]}


def test_paths_through_a_link_and_an_inner_folder_start_at_the_source(tmp_path):
    folder = write_linked_source(tmp_path)
    (folder / "data.yaml").write_text(f"train: {folder}/images/train\nval: images/val\nnames: [x, y]\n")
    found = read_source("auto", tmp_path / "home")
    assert {image.source for image in found.images} == {f"set/{name}" for name in NAMES}
