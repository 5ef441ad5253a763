"""`python -m pipeline inspect`, as a user types it."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import pytest
import yaml
from dvc.utils.hydra import to_hydra_overrides

from pipeline.__main__ import main
from pipeline.commands.command_line.override_quoting import quote_override
from pipeline.core.errors import UserError
from pipeline.prepare.stage import run_stage
from tests import sources

pytestmark = pytest.mark.usefixtures("another_project")

ROOT = Path(__file__).parents[3]
LABEL = "1 0.5 0.5 0.2 0.4\n"


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """Four images: a sound one, a background, one cut short, one with a line that is no label."""
    monkeypatch.chdir(tmp_path)
    folder = sources.write_yolo_source(
        tmp_path / "set", {"a": LABEL, "b": "", "c": LABEL, "d": LABEL + "x\n"}, train="images"
    )
    cut = folder / "images/c.jpg"
    cut.write_bytes(cut.read_bytes()[:400])
    return folder


def everything(folder):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in folder.rglob("*")
    }


def test_images_are_really_looked_at_and_nothing_is_written(dataset, tmp_path, capsys):
    before = everything(tmp_path)
    assert main(["inspect", str(dataset), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert everything(tmp_path) == before
    assert (seen["format"], seen["task"], seen["names"]) == ("yolo", "detect", ["a", "b"])
    assert (seen["found"], seen["used"]) == (4, 3)
    assert seen["images"] == {"train": 3}
    assert seen["backgrounds"] == {"train": 1}
    assert seen["objects"] == {"train": {"a": 0, "b": 2}}
    found = {(defect["file"], defect["verdict"]) for defect in seen["defects"]}
    assert found == {("images/c.jpg", "quarantined"), ("images/d.jpg", "dropped-object")}


def parted(folder, **splits):
    """Write a YOLO dataset with its own split: the names of the images in each."""
    for split, names in splits.items():
        sources.write_yolo_source(folder / split, dict.fromkeys(names, LABEL), names=None)
    places = {split: f"{split}/images" for split in splits}
    (folder / "data.yaml").write_text(yaml.safe_dump({"names": ["a", "b"], **places}))
    return folder


def looked_at(folder, capsys):
    assert main(["inspect", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_kept_split_without_train_is_foreseen_as_prepare_says_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = parted(tmp_path / "set", val="abc", test="defg")
    said = "the source has only test and val images, no train: "
    said += "set data.keep_split=false to split all images again"
    assert looked_at(folder, capsys)["refusal"] == said
    with pytest.raises(UserError) as refused:
        run_stage(sources.prepare_config("auto", folder))
    assert str(refused.value) == said
    assert main(["inspect", str(folder)]) == 0
    assert capsys.readouterr().out.endswith(f"\nprepare would stop: {said}\n")


@pytest.mark.parametrize("kind", ["byte for byte", "as near copies"])
def test_a_leak_between_kept_splits_is_foreseen(tmp_path, capsys, kind):
    folder = parted(tmp_path / "set", train="abcdef", val="gh", test="ij")
    shown, copy = folder / "train/images/c.jpg", folder / "test/images/i.jpg"
    copy.write_bytes(shown.read_bytes())
    if kind == "as near copies":
        cv2.imwrite(str(copy), cv2.imread(str(shown)), [cv2.IMWRITE_JPEG_QUALITY, 60])
    said = looked_at(folder, capsys)["refusal"]
    assert said.startswith("the split that came with the data leaks: 1 image ")
    size, pair, advice = said.split("\n  ")
    assert size.endswith(f"(1 pair {kind})")
    assert pair == "test/images/i.jpg (test) and train/images/c.jpg (train)"
    assert "data.keep_split=false" in advice


def test_what_prepare_takes_is_not_warned_of_but_its_copies_are_named(tmp_path, capsys):
    folder = parted(tmp_path / "set", train="abcdef", val="gh", test="ij")
    (folder / "train/images/b.jpg").write_bytes((folder / "train/images/a.jpg").read_bytes())
    seen = looked_at(folder, capsys)
    assert seen["refusal"] == ""
    copied = "1 image equals another one byte for byte; the largest group has 2 images"
    assert seen["remarks"][-1] == copied


def test_images_that_a_kept_split_does_not_list_are_counted(tmp_path, capsys):
    for name in "abcd":
        sources.write_picture(tmp_path / f"JPEGImages/{name}.jpg")
        sources.write_voc_file(tmp_path / f"Annotations/{name}.xml", [("cat", (11, 21, 50, 60))])
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    for split, names in (("train", "a"), ("val", "b"), ("test", "c")):
        (tmp_path / f"ImageSets/Main/{split}.txt").write_text(f"{names}\n")
    said = "1 image is in none of the splits that came with the data (data.keep_split=false would use it)"
    assert said in looked_at(tmp_path, capsys)["remarks"]


def test_nothing_usable_and_too_little_are_foreseen(tmp_path, capsys):
    folder = sources.write_yolo_source(tmp_path / "set", {"a": LABEL, "b": LABEL})
    assert looked_at(folder, capsys)["refusal"].startswith("2 usable images are too few")
    for path in (folder / "images").iterdir():
        path.write_bytes(b"")
    assert looked_at(folder, capsys)["refusal"] == "none of its images can be used"


def test_for_a_person(dataset, capsys):
    assert main(["inspect", str(dataset)]) == 0
    text = capsys.readouterr().out
    assert "  images   3 of 4 can be used\n" in text
    assert "images/d.jpg: line 2: not a label: 'x'" in text


def test_it_ends_with_the_command_for_this_data(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = "caf\u00e9 [v2], (a=b) ~'x' \"y\" $HOME #1 & co"
    folder = sources.write_yolo_source(tmp_path / name, dict.fromkeys("abcdef", LABEL))
    assert main(["inspect", name]) == 0
    *_, use, head, command = capsys.readouterr().out.splitlines()
    assert shlex.split(use) == ["finetrack", "use", str(folder), "&&", "dvc", "repro"]
    assert head == "or once, without a change of conf/:"
    words = shlex.split(command)
    assert words[:3] == ["dvc", "exp", "run"]
    overrides = to_hydra_overrides([word for word in words[3:] if word != "-S"])
    assert {each.key_or_group: each.value() for each in overrides} == {
        "data": "auto",
        "data.source": str(folder),
    }
    assert looked_at(folder, capsys)["command"] == command.strip()


def test_a_format_that_was_given_is_in_the_command(tmp_path, capsys):
    folder = sources.write_yolo_source(tmp_path / "set", dict.fromkeys("abcdef", LABEL))
    assert main(["inspect", str(folder), "--format", "yolo", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["command"].endswith(" -S data.format=yolo")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a conf/ of its own."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "conf", folder / "conf")
    monkeypatch.chdir(folder)
    return folder


def read_words(command):
    """Return the overrides of a printed `dvc exp run`, by key as Hydra reads them."""
    words = shlex.split(command)
    assert words[:3] == ["dvc", "exp", "run"]
    overrides = to_hydra_overrides([word for word in words[3:] if word != "-S"])
    return {each.key_or_group: each.value() for each in overrides}


@pytest.mark.usefixtures("project")
def test_overrides_say_how_it_is_read_and_are_in_the_commands(tmp_path, capsys):
    name = "caf\u00e9 (1), a=b~ it's"
    folder = sources.write_yolo_source(tmp_path / name / "data set", dict.fromkeys("abcdef", "1 32 24 9 9\n"))
    assert main(["inspect", str(folder)]) == 1
    assert "data.labels=pixels" in capsys.readouterr().err
    typed = ["data.labels=pixels", "+data.classes.rename={b: 'a b'}"]
    assert main(["inspect", str(folder), *typed, "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["used"], seen["objects"]["unsplit"]) == (6, {"a": 0, "a b": 6})
    assert read_words(seen["command"]) == {
        "data": "auto",
        "data.source": str(folder),
        "data.labels": "pixels",
        "data.classes.rename": {"b": "a b"},
    }
    assert seen["use"] == ""  # classes have more than one line in conf/
    assert main(["inspect", typed[0], str(folder)]) == 0
    *_, use, _, command = capsys.readouterr().out.splitlines()
    assert shlex.split(use) == ["finetrack", "use", str(folder), typed[0], "&&", "dvc", "repro"]
    assert read_words(command)["data.labels"] == "pixels"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data.lables=pixels"], "data.lables is not a known key: did you mean data.labels?"),
        (["+foo=1"], "foo is not a known key"),
        (["data.labels=inches"], "data.labels='inches' is not allowed"),
        (["data.labels=pixels,shares"], "data.labels"),
        (["data.source=1"], "names no path"),
        (["data.source=[/x"], "no viable alternative"),
        (["data.format=yolo", "--format", "coco"], "the format once"),
    ],
)
@pytest.mark.usefixtures("project")
def test_a_wrong_override_is_refused_in_one_sentence(tmp_path, capsys, arguments, said):
    folder = sources.write_yolo_source(tmp_path / "set", dict.fromkeys("abcdef", LABEL))
    assert main(["inspect", str(folder), *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.usefixtures("project")
def test_another_group_of_data_and_a_format_are_in_the_command_once(tmp_path, capsys):
    folder = sources.write_yolo_source(tmp_path / "set", dict.fromkeys("abcdef", LABEL))
    for override, key, value in (("data=yolo", "data", "yolo"), ("data.format=yolo", "data.format", "yolo")):
        assert main(["inspect", str(folder), override, "--json"]) == 0
        words = read_words(json.loads(capsys.readouterr().out)["command"])
        assert words == {"data": "auto", "data.source": str(folder), key: value}


def test_a_folder_with_an_equals_sign_is_a_path(project, capsys):
    folder = sources.write_yolo_source(project / "data.labels=pixels", dict.fromkeys("abcdef", LABEL))
    assert main(["inspect", folder.name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(folder)
    assert main(["inspect", "data.labels=shares"]) == 1
    assert "there is no file or folder data.labels=shares" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["override", "conf", "data"])
def test_tiny_objects_are_judged_at_the_imgsz_of_the_training(project, tmp_path, capsys, how):
    line = "0 0.5 0.5 0.02 0.02\n"  # 12.8 pixels at 640
    folder = sources.write_yolo_source(tmp_path / "set", dict.fromkeys("abcdef", line))
    assert not [each for each in looked_at(folder, capsys)["warnings"] if each["kind"] == "Tiny objects"]
    for file, old in (("finetune/full", "${data.imgsz}"), ("data/auto", "640")):
        path = project / f"conf/{file}.yaml"
        if how == file.partition("/")[0] or (how, file) == ("conf", "finetune/full"):
            path.write_text(path.read_text().replace(f"imgsz: {old}", "imgsz: 320"))
    arguments = ["finetune.imgsz=320"] if how == "override" else []
    assert main(["inspect", str(folder), *arguments]) == 0
    assert (
        "% of the objects are under 8 pixels on their shorter side at imgsz=320 " in capsys.readouterr().out
    )


def test_warnings_of_the_report_are_five_lines_at_most(tmp_path, capsys):
    tiny = "".join(f"{cls} 0.{place}5 0.5 0.011 0.011\n" for cls in (0, 0, 0, 0, 0, 1) for place in range(9))
    folder = sources.write_yolo_source(tmp_path / "set", {**dict.fromkeys("abcdef", tiny), "z": "", "y": ""})
    assert "Tiny objects" in {each["kind"] for each in looked_at(folder, capsys)["warnings"]}
    assert main(["inspect", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    first = next(number for number, line in enumerate(said) if line.startswith("warning: "))
    last = next(number for number, line in enumerate(said) if "report.html" in line)
    assert 1 <= last - first <= 4
    assert any(line.startswith("warning: Tiny objects: ") for line in said)


def test_several_sources_are_read_as_one(tmp_path, capsys):
    one = sources.write_yolo_source(tmp_path / "one", dict.fromkeys("abc", LABEL))
    other = sources.write_yolo_source(
        tmp_path / "other", dict.fromkeys("abc", "0 0.5 0.5 0.2 0.4\n"), names=("b",)
    )
    assert main(["inspect", str(one), str(other), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["used"], seen["objects"]) == (6, {"unsplit": {"a": 0, "b": 6}})
    assert seen["command"].endswith(f"'data.source=[{one},{other}]'")


@pytest.mark.usefixtures("project")
def test_paths_of_a_message_are_tried_as_it_names_them(tmp_path, capsys):
    paths = [
        str(sources.write_yolo_source(tmp_path / name, dict.fromkeys("abc", LABEL)))
        for name in ("one, [1] a=b", "other")
    ]
    override = quote_override("data.source", paths)
    for words in ([override], [str(tmp_path), override]):
        assert main(["inspect", *words, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["command"].endswith(shlex.quote(override))


def test_a_path_that_conf_cannot_hold_has_no_command(tmp_path, capsys):
    folder = sources.write_yolo_source(tmp_path / "${x}", dict.fromkeys("abcdef", LABEL))
    assert looked_at(folder, capsys)["command"] == ""


def test_options_of_conf_are_used(tmp_path, monkeypatch, capsys):
    folder = sources.write_yolo_source(
        tmp_path / "set", {**dict.fromkeys("bcdefg", LABEL), "a": LABEL + "x\n"}
    )
    text = (ROOT / "conf/data/auto.yaml").read_text()
    (tmp_path / "auto.yaml").write_text(text.replace("on_defect: fix ", "on_defect: refuse "))
    monkeypatch.setattr(
        "pipeline.commands.source_setup.source_config.AUTO_CONFIG_FILE", tmp_path / "auto.yaml"
    )
    assert "1 file of" in looked_at(folder, capsys)["refusal"]


def test_an_archive(dataset, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in sorted(dataset.rglob("*")):
            archive.write(path, Path("outer") / path.relative_to(dataset))
    assert main(["inspect", str(tmp_path / "set.zip"), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert (seen["found"], seen["used"]) == (4, 3)
    assert {defect["file"] for defect in seen["defects"]} == {"outer/images/c.jpg", "outer/images/d.jpg"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["gone"], "gone"),
        (["set/labels"], "no annotations recognized in"),
        (["set", "--format", "jolo"], "unknown format jolo"),
        (["set", "--format", "voc"], "no VOC annotations in"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(dataset, capsys, arguments, sentence):
    assert dataset.is_dir()
    assert main(["inspect", *arguments]) == 1
    said = capsys.readouterr().err
    assert said.startswith("inspect: ")
    assert sentence in said
    assert said.count("\n") == 1


def test_neither_torch_nor_mlflow_is_loaded():
    code = (
        "import sys, pipeline.commands.data.inspect\n"
        "from pipeline.source.formats.load_readers import load_formats; load_formats();"
        "print(sorted({'torch', 'mlflow', 'ultralytics', 'supervision', 'hydra'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ
    )
    assert run.stdout.strip() == "[]"


def test_a_reader_that_has_seen_enough_is_no_error(dataset):
    command = f"{sys.executable} -m pipeline inspect {dataset} --json | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
