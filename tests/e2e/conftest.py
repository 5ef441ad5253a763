"""Projects as a user has them: a git repository with a commit, the virtual environment first on the path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.e2e.team_server import TeamServer, explain_missing_programs, start_team_server

ROOT = Path(__file__).parents[2]
PARTS = (
    ".dvc/config",
    ".dvc/.gitignore",
    ".dvcignore",
    ".gitignore",
    "conf",
    "hydra_plugins",
    "pipeline",
    "dvc.yaml",
)

TINY = '''"""Stages that take a moment, to watch DVC and Hydra at work; what they call is theirs alone."""
import json, os, pathlib, sys, time, yaml
stage, params = sys.argv[1], yaml.safe_load(open("params.yaml"))
root = pathlib.Path(os.environ.get("FINETRACK_ROOT") or os.environ["DVC_ROOT"])
(root / ".finetrack").mkdir(exist_ok=True)
if stage != "evaluate":
    with open(root / ".finetrack/ran", "a") as ran:
        print(stage, file=ran)
if stage == "evaluate":
    score = json.loads(pathlib.Path("reports/training.json").read_text())["val"]
    pathlib.Path("reports/metrics.json").write_text(json.dumps({"test": score}))
elif stage == "finetune":
    lr0, seed = params["finetune"]["lr0"], params["seed"]
    if lr0 > 0.5:
        sys.exit("finetune: finetune.lr0 lets the loss explode")
    if seed == 99:
        (root / ".finetrack/waiting").write_text(str(os.getpid()))
        time.sleep(600)
    pathlib.Path("reports").mkdir(exist_ok=True)
    task = params["data"]["task"]
    figure = "top1" if task == "classify" else "mAP50-95"
    pathlib.Path("reports/training.json").write_text(json.dumps({"val": {figure: lr0 * 10}}))
    pathlib.Path("models/finetuned").mkdir(parents=True)
    run = {"run_id": f"run-{lr0}", "task": task, "parent": os.environ.get("FINETRACK_PARENT_RUN")}
    pathlib.Path("models/finetuned/run.json").write_text(json.dumps(run))
else:
    pathlib.Path("data/prepared").mkdir(parents=True)
    pathlib.Path("data/prepared/facts.json").write_text(json.dumps(params["data"]))
'''
TINY_STAGES = {
    "prepare": {
        "cmd": "python tiny.py prepare",
        "outs": ["data/prepared"],
    },
    "finetune": {
        "cmd": "python tiny.py finetune",
        "deps": ["data/prepared"],
        "outs": ["models/finetuned"],
        "metrics": [{"reports/training.json": {"cache": False}}],
    },
    "evaluate": {
        "cmd": "python tiny.py evaluate",
        "deps": ["models/finetuned"],
        "metrics": [{"reports/metrics.json": {"cache": False}}],
    },
}


@dataclass(frozen=True)
class Project:
    """A project's folder, and commands in it."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of this machine's user, nothing outside the folder."""
        home = self.folder / ".finetrack"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "FINETRACK_"))}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_SITE_CACHE_DIR": str(home / "dvc/site"),
            "DVC_GLOBAL_CONFIG_DIR": str(home / "dvc/global"),
            "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc/system"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            **{
                f"GIT_{role}_{what}": "tests@example.org"
                for role in ("AUTHOR", "COMMITTER")
                for what in ("NAME", "EMAIL")
            },
            **self.variables,
        }

    def run(self, command: str, *, fails: bool = False) -> str:
        """Run a command line as a user would, and return all it wrote."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=500,
        )
        output = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, f"$ {command} -> {done.returncode}\n{output}"
        assert "Traceback" not in output, output
        return output

    def params(self) -> dict:
        """Read params.yaml."""
        return yaml.safe_load((self.folder / "params.yaml").read_text())

    def edit(self, file: str, old: str, new: str) -> None:
        """Change a text in a file."""
        path = self.folder / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def commit(self) -> None:
        """Commit everything."""
        self.run("git add -A && git commit -qm step")

    def status(self) -> list[str]:
        """Return git's list of changed and untracked files."""
        return self.run("git status --porcelain").splitlines()

    def ran(self) -> list[str]:
        """Return the tiny stages that ran since the last call."""
        log = self.folder / ".finetrack/ran"
        words = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return words


def create(folder: Path, **variables: str) -> Project:
    """Copy the project as it is into a new git repository, compiled modules included: they save seconds.

    Args:
        folder: Where to.
        **variables: Environment variables of its commands.
    """
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, target)
    project = Project(folder, variables)
    project.run("git init -q")
    return project


def use_smoke_values(project: Project) -> None:
    """Give the copy the smoke experiment's values by default; those of the images go to `data=demo` alone."""
    demo, smoke = project.folder / "conf/data/demo.yaml", project.folder / "conf/experiment/smoke.yaml"
    values = yaml.safe_load(smoke.read_text())
    del values["defaults"]  # which would hide the images that `use` sets
    demo.write_text(yaml.safe_dump(yaml.safe_load(demo.read_text()) | values.pop("data")))
    smoke.with_name("small.yaml").write_text(f"# @package _global_\n{yaml.safe_dump(values)}")
    project.edit("conf/config.yaml", "- _self_", "- _self_\n  - experiment: small")


@pytest.fixture
def tiny(tiny_template, tmp_path) -> Project:
    """The real compose, conf/ and DVC settings before stages that take a moment; reproduced and committed."""
    shutil.copytree(tiny_template.folder, tmp_path, dirs_exist_ok=True)
    return Project(
        tmp_path, {"FINETRACK_FORK_SERVER": ""}
    )  # its stages need nothing that takes long to import


@pytest.fixture(scope="session")
def tiny_template(tmp_path_factory) -> Project:
    """Reproduced once for all tests: each works in a copy."""
    folder = tmp_path_factory.mktemp("tiny")
    project = create(folder)
    real = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    stages = {name: {**stage, "params": real[name]["params"]} for name, stage in TINY_STAGES.items()}
    written = {"stages": {"compose": real["compose"], **stages}}
    (folder / "dvc.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    (folder / "tiny.py").write_text(TINY)
    (folder / "weights.pt").write_bytes(b"weights")
    (folder / "conf/model/foundation.yaml").write_text(
        "name: tiny\narchitecture: yolo26n.yaml\nweights: weights.pt\nsha256: null\nfolder: null\n"
        "lr0: {full: 0.002, head: 0.01, gradual: 0.003}\n"
    )
    project.run("dvc repro")
    project.commit()
    project.ran()
    return project


@pytest.fixture(scope="session")
def team_server() -> Iterator[TeamServer]:
    """The team's MLflow server of deploy/, started once for all tests of a process."""
    pytest.importorskip("flask_wtf")
    if missing := explain_missing_programs():
        pytest.skip(missing)
    with start_team_server() as server:
        yield server
