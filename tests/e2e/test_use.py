"""`finetrack use` and the command that inspect prints, as a user types them, before a real prepare."""

from __future__ import annotations

import shlex

import yaml

from tests import sources
from tests.e2e.conftest import Project

NAME = "caf\u00e9 [v2], (a=b) ~ it's $HOME #1 & co"


def read_classes(project: Project) -> list[str]:
    return yaml.safe_load((project.folder / "data/prepared/manifest.json").read_text())["names"]


def test_used_data_and_the_printed_command_are_prepared(tiny):
    real = yaml.safe_load((tiny.folder / "dvc.yaml").read_text())
    real["stages"]["prepare"]["cmd"] = "python -m pipeline prepare"
    (tiny.folder / "dvc.yaml").write_text(yaml.safe_dump(real, sort_keys=False))
    labels = dict.fromkeys("abcdef", "0 0.5 0.5 0.2 0.4\n")
    first = sources.write_yolo_source(tiny.folder / "raw" / NAME, labels, names=("cat",))
    second = sources.write_yolo_source(
        tiny.folder.parent / f"{tiny.folder.name} {NAME}", labels, names=("dog",)
    )
    output = tiny.run(f"python -m pipeline use {shlex.quote(f'raw/{NAME}')}")
    assert "use: conf/config.yaml: data: demo -> data: auto" in output
    tiny.run("dvc repro prepare")
    assert read_classes(tiny) == ["cat"]
    assert tiny.params()["data"]["source"] == f"raw/{NAME}"
    tiny.run("git add -A && git commit -qm used")
    both = shlex.join([str(second), str(first)])
    command = tiny.run(f"python -m pipeline inspect {both}").splitlines()[-1]
    assert command.startswith("  dvc exp run -S data=auto -S ")
    tiny.run(f"{command} prepare")
    assert read_classes(tiny) == ["dog", "cat"]
    assert tiny.params()["data"]["source"] == [str(second), str(first)]
