"""Pseudo-labelled images in the prepared dataset: only in train, tagged, and none that val or test shows."""

from __future__ import annotations

import json
import shutil
from collections import Counter

import cv2
import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.image_columns import read_image_columns
from pipeline.dataset.prepared import read_manifest
from pipeline.dataset.pseudo_labels import PSEUDO_LABELS_FILE, read_pseudo_label_record
from pipeline.prepare.stage import run_stage
from tests import sources
from tests.pseudo_label_folders import write_pseudo_labels
from tests.sources import prepare_config

LABEL, OTHER = "0 0.5 0.5 0.2 0.4\n", "1 0.3 0.3 0.2 0.2\n"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def source(tmp_path):
    return sources.write_yolo_source(tmp_path / "source", {f"{n:02d}": LABEL + OTHER for n in range(20)})


@pytest.fixture
def folder(tmp_path):
    write_pseudo_labels(tmp_path / "more", {f"p{number}.jpg": OTHER for number in range(6)})
    return tmp_path / "more"


def prepare(source, folder, **changes):
    given = None if folder is None else str(folder)
    run_stage(prepare_config("yolo", source, unlabelled_source=given, **changes))
    return read_manifest(PREPARED_FOLDER)


def read_left_out():
    content = json.loads((PREPARED_FOLDER / PSEUDO_LABELS_FILE).read_text())["prepare"]
    return dict(content["left_out"])


def test_they_are_tagged_train_images_and_nothing_else_changes(source, folder, capsys):
    plain = prepare(source, None)
    assert not plain.pseudo_items
    assert not (PREPARED_FOLDER / PSEUDO_LABELS_FILE).exists()
    assert b"pseudo" not in (PREPARED_FOLDER / "manifest.json").read_bytes()
    statistics = (PREPARED_FOLDER / "statistics.json").read_bytes()
    manifest = prepare(source, folder)
    assert manifest.select_labelled() == plain
    assert {item.split for item in manifest.pseudo_items} == {"train"}
    assert sorted(item.file for item in manifest.pseudo_items) == [f"train/pseudo_p{n}.jpg" for n in range(6)]
    assert {item.classes for item in manifest.pseudo_items} == {(1,)}
    assert (PREPARED_FOLDER / "statistics.json").read_bytes() == statistics
    assert len(read_image_columns(manifest)) == 26
    assert read_pseudo_label_record(PREPARED_FOLDER) == read_pseudo_label_record(folder)
    assert "6 of 6 pseudo-labelled images are train images" in capsys.readouterr().out
    assert "pseudo-labelled" in (PREPARED_FOLDER / "report.html").read_text()


def test_names_of_labelled_images_stay_theirs(tmp_path, source):
    for kind, suffix in (("images", "jpg"), ("labels", "txt")):
        (source / kind / f"00.{suffix}").rename(source / kind / f"pseudo_p.{suffix}")
    write_pseudo_labels(tmp_path / "more", {"p.jpg": LABEL, "site/p.jpg": LABEL})
    manifest = prepare(source, tmp_path / "more")
    assert {item.source for item in manifest.items if item.file.endswith("/pseudo_p.jpg")} == {
        "images/pseudo_p.jpg"
    }
    assert len(manifest.pseudo_items) == 2


@pytest.mark.fault(2, "a pseudo-labelled image equals, resembles or belongs to one of val or test")
def test_images_that_val_or_test_shows_are_left_out_with_a_word(tmp_path, source, capsys):
    plain = prepare(source, None, near_duplicates=True)
    images = tmp_path / "more/images"
    images.mkdir(parents=True)
    for split in ("train", "val", "test"):
        original = source / plain.in_split(split)[0].source
        shutil.copy(original, images / f"equal_{split}.jpg")
        small = cv2.resize(cv2.imread(str(source / plain.in_split(split)[1].source)), None, fx=0.8, fy=0.8)
        cv2.imwrite(str(images / f"near_{split}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 70])
    names = [*sorted(path.name for path in images.iterdir()), "new.jpg"]
    write_pseudo_labels(tmp_path / "more", dict.fromkeys(names, LABEL))
    manifest = prepare(source, tmp_path / "more", near_duplicates=True)
    assert {item.file for item in manifest.pseudo_items} == {
        "train/pseudo_near_train.jpg", "train/pseudo_new.jpg",
    }  # fmt: skip
    left_out = read_left_out()
    assert sorted(left_out) == [
        "equal_test.jpg", "equal_train.jpg", "equal_val.jpg", "near_test.jpg", "near_val.jpg",
    ]  # fmt: skip
    assert "4 in a group with an image of val or test, 1 equal to a labelled image" in capsys.readouterr().out


def test_groups_of_val_and_test_are_left_out_too(tmp_path):
    labels = {f"cam{number % 5}/{number:02d}": LABEL for number in range(20)}
    source = sources.write_yolo_source(tmp_path / "source", labels)
    write_pseudo_labels(tmp_path / "more", {f"cam{number}/p.jpg": LABEL for number in range(7)})
    manifest = prepare(source, tmp_path / "more", group_by=r"cam(\d)", unlabelled_share=9.0)
    held_out = {item.source.split("cam")[1][0] for item in manifest.items if item.split != "train"}
    assert set(read_left_out()) == {f"cam{number}/p.jpg" for number in held_out}
    assert len(manifest.pseudo_items) == 7 - len(held_out)


@pytest.mark.fault(2, "data.group_by puts pseudo-labelled images into other groups, without a word")
@pytest.mark.parametrize(
    ("group_by", "is_told"), [("folder", True), (r"^images/cam\d", True), (r"cam\d", False)]
)
def test_groups_that_share_no_name_are_told(tmp_path, capsys, group_by, is_told):
    labels = {f"cam{number % 5}/{number:02d}": LABEL for number in range(20)}
    source = sources.write_yolo_source(tmp_path / "source", labels)
    write_pseudo_labels(tmp_path / "more", {f"cam{number}/p.jpg": LABEL for number in range(5)})
    prepare(source, tmp_path / "more", group_by=group_by)
    assert ("no pseudo-labelled image into a group of labelled ones" in capsys.readouterr().out) == is_told


@pytest.mark.fault(2, "the teacher of pseudo-labels was trained on images of val or test")
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_labels_of_a_teacher_that_knows_val_or_test_are_refused(tmp_path, source, split):
    known = [item.sha256 for item in prepare(source, None).in_split(split)]
    write_pseudo_labels(tmp_path / "more", {"p.jpg": LABEL}, trained_on=known)
    if split == "train":
        assert prepare(source, tmp_path / "more").pseudo_items
        return
    with pytest.raises(UserError, match=rf"trained on {len(known)} images? of val or test.*\({split}\)"):
        prepare(source, tmp_path / "more")


@pytest.mark.fault(2, "the teacher of pseudo-labels was trained on what data.fraction leaves out")
def test_labels_of_a_teacher_that_learned_from_more_are_refused(tmp_path, source):
    known = [item.sha256 for item in prepare(source, None).in_split("train")]
    write_pseudo_labels(tmp_path / "more", {"p.jpg": LABEL}, trained_on=known)
    with pytest.raises(UserError, match=r"7 images that data\.fraction leaves out"):
        prepare(source, tmp_path / "more", fraction=0.5)


def test_there_are_at_most_as_many_as_the_share_allows(source, folder):
    few = prepare(source, folder, unlabelled_share=0.3)  # of 14 labelled train images
    assert len(few.pseudo_items) == 4
    assert Counter(read_left_out().values()) == {"beyond data.unlabelled_share": 2}
    more = prepare(source, folder, unlabelled_share=0.36)
    assert {item.file for item in few.items} < {item.file for item in more.items}
    with pytest.raises(UserError, match="adds no image to train"):
        prepare(source, folder, unlabelled_share=0.01)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "classify"}, "are for classify, and the labels of data.source for detect"),
        ({"names": ("b", "a")}, "have the classes b, a"),
        ({"names": ("a", "b", "c")}, "have the classes a, b, c"),
    ],
)
def test_labels_of_another_kind_are_refused(tmp_path, source, changes, reason):
    write_pseudo_labels(tmp_path / "more", {"p.jpg": LABEL}, **changes)
    with pytest.raises(UserError, match=reason):
        prepare(source, tmp_path / "more")


@pytest.mark.fault(10, "people change a folder of pseudo-labels")
def test_what_people_changed_is_used_or_left_out_with_a_word(source, folder, capsys):
    (folder / "images/p0.jpg").unlink()
    (folder / "labels/p1.txt").write_text(LABEL)
    (folder / "labels/p2.txt").write_text("")
    (folder / "labels/p3.txt").write_text("0 0.5\n")
    shutil.copy(folder / "images/p5.jpg", folder / "images/p4.jpg")
    sources.write_picture(folder / "images/added.jpg")
    manifest = prepare(source, folder)
    assert {item.file: item.classes for item in manifest.pseudo_items} == {
        "train/pseudo_p1.jpg": (0,), "train/pseudo_p5.jpg": (1,),
    }  # fmt: skip
    assert set(read_left_out()) == {"p0.jpg", "p2.jpg", "p3.jpg", "p4.jpg"}
    said = capsys.readouterr().out
    assert "3 pseudo-label files were changed by hand" in said
    assert "1 image of data.unlabelled_source left out: added by hand" in said


@pytest.mark.parametrize(
    ("given", "reason"), [("nowhere", "does not exist"), ("source", "has no pseudo.json"), ("x.zip", "exist")]
)
def test_a_folder_that_pseudo_label_did_not_write_is_refused(source, given, reason):
    with pytest.raises(UserError, match=rf"data\.unlabelled_source={given} .*{reason}"):
        prepare(source, given)


@pytest.mark.fault(10, "a label that people wrote cannot be used, and its object is taught as background")
@pytest.mark.parametrize("policy", ["fix", "quarantine"])
def test_an_image_without_one_of_its_labels_is_left_out(tmp_path, source, capsys, policy):
    labels = {f"unknown{number}.jpg": f"{OTHER}{number} 0.5 0.5 0.1 0.1\n" for number in (7, 8, 9)}
    write_pseudo_labels(tmp_path / "more", {"p.jpg": OTHER, "twice.jpg": OTHER * 2, **labels})
    manifest = prepare(source, tmp_path / "more", on_defect=policy)
    assert "train/pseudo_p.jpg" in {item.file for item in manifest.pseudo_items}
    assert {*labels} <= {*read_left_out()}
    assert ("twice.jpg" in read_left_out()) == (policy == "quarantine")
    said = capsys.readouterr().out
    assert "with defects, such as unknown7.jpg (line 2: class 7" in said or policy == "quarantine"


@pytest.mark.parametrize("given", ["sent.zip", "more/pseudo.json"])
def test_an_archive_or_a_file_stands_for_the_folder(tmp_path, source, folder, given):
    shutil.make_archive(str(tmp_path / "sent"), "zip", tmp_path, folder.name)
    assert len(prepare(source, tmp_path / given).pseudo_items) == 6


@pytest.mark.fault(2, "pseudo-labels are taken for labels")
@pytest.mark.parametrize("given", ["", "more", "more/data.yaml", "more/images", "more.zip"])
def test_a_folder_of_pseudo_labels_is_no_source(tmp_path, given):
    write_pseudo_labels(tmp_path / "sent/more", {f"p{number}.jpg": OTHER for number in range(6)})
    (tmp_path / "sent/more/data.yaml").write_text("names: [a, b]\n")
    if given == "more.zip":
        shutil.make_archive(str(tmp_path / "sent/more"), "zip", tmp_path / "sent", "more")
    with pytest.raises(UserError, match=r"has labels that a model made.*data\.unlabelled_source"):
        prepare(tmp_path / "sent" / given, None)
