"""Images that come later leave the old ones where they are: by the commands that a user types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

PREPARE = '''"""Split the files of a folder as the real stage does; the class is the first letter."""
import hashlib, json, pathlib, yaml
from pipeline.prepare.stored_splits import read_split_history
from pipeline.prepare.splits.history import render_history
from pipeline.prepare.splits.partition import SplitImage, SplitRules, split_dataset
data = yaml.safe_load(open("params.yaml"))["data"]
def entry(path):
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return SplitImage(path.name, sha256, None, frozenset({ord(path.name[0])}))
entries = [entry(path) for path in sorted(pathlib.Path(data["source"]).iterdir())]
rules = SplitRules(**{key: data[key] for key in SplitRules._fields})
made = split_dataset(entries, rules, read_split_history(data))
pathlib.Path("data/prepared").mkdir(parents=True)
pathlib.Path("data/prepared/splits.json").write_text(json.dumps(made.splits))
pathlib.Path("data/columns").mkdir(exist_ok=True)
pathlib.Path("data/columns/images.json").write_text("{}")
pathlib.Path("reports").mkdir(exist_ok=True)
pathlib.Path("reports/splits.json").write_text(render_history(made.history))
with open(pathlib.Path(__import__("os").environ["DVC_ROOT"]) / ".finetrack/ran", "a") as ran:
    print("prepare", file=ran)
'''


def add(source: Path, *numbers: int) -> None:
    for number in numbers:
        (source / f"{'ab'[number % 2]}{number:03d}.jpg").write_bytes(str(number).encode())


@pytest.fixture
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    add(folder, *range(20))
    return folder


@pytest.fixture
def project(tiny, source):
    """Reproduced once, and committed."""
    real = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]["prepare"]
    written = yaml.safe_load((tiny.folder / "dvc.yaml").read_text())
    written["stages"]["prepare"] |= {
        "cmd": "python divide.py",
        **{key: real[key] for key in ("outs", "metrics", "params")},
    }
    (tiny.folder / "dvc.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    (tiny.folder / "divide.py").write_text(PREPARE)
    tiny.edit("conf/config.yaml", "data: demo", "data: yolo")
    tiny.edit("conf/data/yolo.yaml", "source: ???", f"source: {source}")
    tiny.run("dvc repro")
    tiny.commit()
    tiny.ran()
    return tiny


def splits(project) -> dict[str, str]:
    return json.loads((project.folder / "data/prepared/splits.json").read_text())


def of_experiment(project, name: str) -> dict[str, str]:
    return json.loads(
        project.run(
            f"dvc get -q . data/prepared/splits.json --rev {name} -o out.json && cat out.json && rm out.json"
        )
    )


def shared(new: dict[str, str], old: dict[str, str]) -> dict[str, str]:
    return {key: new[key] for key in old}


@pytest.mark.slow
def test_images_that_come_later_move_no_old_one(project, source, tmp_path_factory):
    """In the project, in an experiment's folder of its own, and in a fresh clone, and the same in all."""
    first = splits(project)
    add(source, *range(20, 34))
    project.run("dvc repro")
    second = splits(project)
    assert shared(second, first) == first
    assert list(second.values()).count("test") == 5
    assert project.ran() == ["prepare", "finetune"]
    project.run("dvc repro")
    assert project.ran() == []

    add(source, *range(34, 60))
    project.run("dvc exp run --temp --name aside -S finetune.epochs=3")
    project.commit()
    clone = type(project)(tmp_path_factory.mktemp("clone"))
    clone.run(f"git clone -q {project.folder} .")
    clone.run("dvc repro")
    project.ran()
    project.run("dvc repro")
    assert project.ran() == ["finetune"], "what prepare made of these images in the experiment is restored"
    assert shared(splits(project), second) == second
    assert of_experiment(project, "aside") == splits(clone) == splits(project)
