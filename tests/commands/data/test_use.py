"""`finetrack use`: a source is set in conf/ after the checks of inspect, and the change can be undone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pipeline.__main__ import main, main_from
from tests import sources

ROOT = Path(__file__).parents[3]
LABEL = "1 0.5 0.5 0.2 0.4\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "conf", folder / "conf")
    monkeypatch.chdir(folder)
    return folder


def write_set(folder, *, names=("a", "b"), images="abcdef"):
    return sources.write_yolo_source(folder, dict.fromkeys(images, LABEL), names=names)


def read_conf(project):
    return {
        path.relative_to(project).as_posix(): path.read_text() for path in project.rglob("conf/**/*.yaml")
    }


def composed(project):
    with initialize_config_dir(str(project / "conf"), version_base=None):
        found = compose("config")
    return OmegaConf.to_container(found.data)


@pytest.mark.parametrize("name", ["plain", "caf\u00e9 [v2], (a=b) ~ 'x' \"y\" $HOME #1 & {z}: q", "null"])
def test_conf_names_the_source_and_everything_else_stays(project, tmp_path, capsys, name):
    folder = write_set(tmp_path / name)
    before = read_conf(project)
    assert main(["use", str(folder)]) == 0
    values = composed(project)
    assert (values["format"], values["source"]) == ("auto", str(folder))
    after = read_conf(project)
    changed = {file for file in after if after[file] != before[file]}
    assert changed == {"conf/config.yaml", "conf/data/auto.yaml"}
    for file in changed:
        lines = list(zip(before[file].splitlines(), after[file].splitlines(), strict=True))
        assert sum(old != new for old, new in lines) == 1
    said = capsys.readouterr().out.splitlines()
    assert all(line.startswith("use: ") for line in said)
    assert "use: conf/config.yaml: data: demo -> data: auto" in said
    assert f"use: conf/data/auto.yaml: source: ??? -> source: {folder}" in said
    assert said[-1] == "use: next: `dvc repro`; undo: `finetrack use --undo`"
    assert main(["use", "--undo"]) == 0
    assert read_conf(project) == before


def test_several_uses_are_undone_one_by_one(project, tmp_path):
    first, second = write_set(tmp_path / "first"), write_set(tmp_path / "second")
    for folder in (first, second):
        assert main(["use", str(folder)]) == 0
    assert composed(project)["source"] == str(second)
    assert main(["use", "--undo"]) == 0
    assert composed(project)["source"] == str(first)
    assert main(["use", "--undo"]) == 0
    assert composed(project)["format"] == "demo"
    assert main(["use", "--undo"]) == 1


def test_the_drawn_images_can_be_used_again(project, tmp_path, capsys):
    assert main(["use", str(write_set(tmp_path / "set"))]) == 0
    assert main(["use", "demo"]) == 0
    assert composed(project)["format"] == "demo"
    write_set(project / "demo")
    assert main(["use", "demo"]) == 1
    assert "./demo" in capsys.readouterr().err
    assert main(["use", "./demo"]) == 0
    assert composed(project)["source"] == "demo"


def test_a_relative_path_is_stored_relative_to_the_project(project, tmp_path, monkeypatch):
    write_set(project / "data/raw")
    write_set(tmp_path / "beside")
    for place, typed, stored in (
        (project / "data", "raw", "data/raw"),
        (project, "../beside", "../beside"),
        (tmp_path, "beside", "../beside"),
        (project / "data", str(tmp_path / "beside"), str(tmp_path / "beside")),
    ):
        monkeypatch.chdir(place)
        monkeypatch.setattr("sys.argv", ["finetrack", "use", typed])
        assert main_from(project) == 0
        assert composed(project)["source"] == stored


def test_several_sources_are_stored_as_a_list(project, tmp_path):
    paths = [str(write_set(tmp_path / "one, [1]")), str(write_set(tmp_path / "two", images="xyz"))]
    assert main(["use", *paths]) == 0
    assert composed(project)["source"] == paths


def test_a_format_is_set_and_reset(project, tmp_path):
    folder = str(write_set(tmp_path / "set"))
    assert main(["use", folder, "--format", "yolo"]) == 0
    assert composed(project)["format"] == "yolo"
    assert main(["use", folder]) == 0
    assert composed(project)["format"] == "auto"


def test_what_prepare_would_refuse_changes_nothing(project, tmp_path, capsys):
    before = read_conf(project)
    few = write_set(tmp_path / "few", images="ab")
    for arguments, said in (
        ([str(few)], "prepare would stop: 2 usable images are too few"),
        ([str(tmp_path / "gone")], "does not exist"),
        ([str(write_set(tmp_path / "${x}"))], "rename the folder"),
        ([str(project)], "overlaps with"),
        ([str(few), "--format", "jolo"], "data.format='jolo' is not allowed"),
        ([str(few), str(few)], "one contains the other"),
        ([], "give a folder or an archive"),
        ([str(few), "--undo"], "either"),
    ):
        assert main(["use", *arguments]) == 1
        assert said in capsys.readouterr().err
        assert read_conf(project) == before


def test_options_are_set_and_are_those_of_this_source_alone(project, tmp_path, capsys):
    pixels = sources.write_yolo_source(tmp_path / "pixels", dict.fromkeys("abcdef", "1 32 24 10 10\n"))
    plain, before = write_set(tmp_path / "plain"), read_conf(project)
    assert main(["use", str(pixels)]) == 1
    options = [
        "data.labels=pixels",
        "data.first_class=0",
        "++data.near_duplicates=false",
        "data.group_by=null",
    ]
    assert main(["use", str(pixels), *options]) == 0
    values = composed(project)
    assert {name: values[name] for name in ("labels", "first_class", "near_duplicates", "group_by")} == {
        "labels": "pixels",
        "first_class": 0,
        "near_duplicates": False,
        "group_by": None,
    }
    assert (
        "use: conf/data/auto.yaml: near_duplicates: true -> near_duplicates: false" in capsys.readouterr().out
    )
    assert main(["use", str(plain), "data.first_class=auto"]) == 0
    assert [composed(project)[name] for name in ("labels", "first_class", "near_duplicates")] == [
        *("auto", "auto", True)
    ]
    assert main(["use", "--undo"]) == 0
    assert composed(project)["labels"] == "pixels"
    auto = project / "conf/data/auto.yaml"
    auto.write_text(auto.read_text().replace("first_class: 0", "first_class: 1"))  # by hand
    assert main(["use", "demo"]) == 0
    assert main(["use", str(plain), "data.labels=shares"]) == 0
    assert [composed(project)[name] for name in ("labels", "first_class")] == ["shares", 1]
    assert main(["use", "--undo"]) == 0
    auto.write_text(auto.read_text().replace("first_class: 1", "first_class: 0"))
    assert [main(["use", "--undo"]) for _ in range(2)] == [0, 0]
    assert read_conf(project) == before


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data.lables=pixels"], "data.lables is not a known key: did you mean data.labels?"),
        (["data.labels=inches"], "data.labels='inches' is not allowed"),
        (["data.labels=pixels,shares"], "data.labels"),
        (["finetune.imgsz=320"], "finetune.imgsz is not set by this command"),
        (["data.split.train=0.8"], "data.split.train is not set by this command"),
        (["data=coco"], "data is not set by this command"),
        (["data.source=/gone"], "/gone"),
        (["data.format=yolo", "--format", "coco"], "the format once"),
        (["--undo", "data.labels=pixels"], "either"),
    ],
)
def test_an_option_that_cannot_be_set_changes_nothing(project, tmp_path, capsys, overrides, said):
    folder, before = write_set(tmp_path / "set"), read_conf(project)
    assert main(["use", str(folder), *overrides]) == 1
    assert said in capsys.readouterr().err
    assert read_conf(project) == before
    assert main(["use", "demo", "data.task=segment"]) == 1


def test_options_of_conf_decide_what_is_refused(project, tmp_path, capsys):
    folder = sources.write_yolo_source(
        tmp_path / "set", {**dict.fromkeys("bcdefg", LABEL), "a": LABEL + "x\n"}
    )
    auto = project / "conf/data/auto.yaml"
    auto.write_text(auto.read_text().replace("on_defect: fix ", "on_defect: refuse "))
    assert main(["use", str(folder)]) == 1
    assert "1 file of" in capsys.readouterr().err


def test_another_line_that_sets_the_source_is_noticed_and_nothing_is_changed(project, tmp_path, capsys):
    config = project / "conf/config.yaml"
    config.write_text(config.read_text() + "\ndata:\n  source: /elsewhere\n")
    before = read_conf(project)
    assert main(["use", str(write_set(tmp_path / "set"))]) == 1
    assert "another line of conf/ sets data.source" in capsys.readouterr().err
    assert read_conf(project) == before


def test_a_line_that_was_edited_since_is_not_undone(project, tmp_path, capsys):
    assert main(["use", str(write_set(tmp_path / "set"))]) == 0
    config = project / "conf/config.yaml"
    config.write_text(config.read_text().replace("data: auto", "data: coco"))
    assert main(["use", "--undo"]) == 1
    assert "was changed since" in capsys.readouterr().err
    assert str(tmp_path) in (project / "conf/data/auto.yaml").read_text()


def test_classes_of_images_are_trained_at_the_size_of_classify(project, tmp_path, capsys):
    for name in ("cat/a", "cat/b", "cat/c", "dog/d", "dog/e", "dog/f"):
        sources.write_picture(tmp_path / "pets" / f"{name}.png")
    assert main(["use", str(tmp_path / "pets")]) == 0
    assert "classify trains at 224 pixels" in capsys.readouterr().out
    assert composed(project)["imgsz"] == 224
    assert main(["use", str(tmp_path / "pets"), "data.imgsz=96"]) == 0
    assert composed(project)["imgsz"] == 96
    assert main(["use", str(write_set(tmp_path / "boxes"))]) == 0
    assert composed(project)["imgsz"] == 640


def test_using_the_same_again_changes_nothing(project, tmp_path, capsys):
    folder = str(write_set(tmp_path / "set"))
    assert main(["use", folder]) == 0
    capsys.readouterr()
    assert main(["use", folder]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "use: conf/ says so already"
    assert main(["use", "--undo"]) == 0
    assert composed(project)["format"] == "demo"
