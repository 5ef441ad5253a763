"""Images that are links: their labels lie beside the link; where there are none, beside its target."""

import pytest

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
