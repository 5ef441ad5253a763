"""conf/ -> params.yaml by the real Hydra, in a copy of the project's conf/."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.utils.hydra import compose_and_dump

from pipeline.compose import lockfile
from pipeline.compose.lockfile import recall_checked_values
from pipeline.compose.stage import compose_params, load_config, plan_config
from pipeline.core.errors import UserError

ROOT = Path(__file__).parents[2]
PARAMS, LOCK = Path("params.yaml"), Path("compose.lock.json")
FULL = Path("conf/finetune/full.yaml")


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    (tmp_path / "weights.pt").write_bytes(b"weights")
    weights = {"weights": "weights.pt", "sha256": "null"}
    known = {"epochs": "20", "lr0": "0.001", "cos_lr": "true"}
    for path, values in ((Path("conf/model/foundation.yaml"), weights), (FULL, known)):
        for key, value in values.items():
            path.write_text(re.sub(rf"(?m)^{key}: \S+", f"{key}: {value}", path.read_text()))
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def state() -> list[tuple[bytes, int]]:
    return [(path.read_bytes(), path.stat().st_mtime_ns) for path in (PARAMS, LOCK)]


def refusal() -> str:
    with pytest.raises(UserError) as caught:
        compose_params()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_first_time_composes_what_dvc_would_byte_for_byte(project):
    assert compose_params() == ["conf/ composed into params.yaml"]
    compose_and_dump("dvc.yaml", str(project / "conf"), None, "config", str(project), [])
    assert PARAMS.read_bytes() == Path("dvc.yaml").read_bytes()
    assert load_config().finetune.epochs == 20


def test_nothing_changed_writes_nothing():
    compose_params()
    before = state()
    assert compose_params() == []
    assert state() == before


def test_a_second_time_imports_the_standard_library_alone():
    compose_params()
    code = (
        "import sys; from pipeline.__main__ import main; code = main(['compose']);"
        "heavy = {'hydra', 'omegaconf', 'pydantic', 'yaml', 'numpy', 'filelock', 'tqdm'} & set(sys.modules);"
        "sys.exit(code or (f'imported: {heavy}' if heavy else 0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_change_in_conf_is_composed_and_named():
    compose_params()
    edit(FULL, "epochs: 20", "epochs: 30")
    assert compose_params() == ["conf/ changed: finetune.epochs 20 -> 30"]
    assert load_config().finetune.epochs == 30
    assert json.loads(LOCK.read_text())["composed"]["finetune"]["epochs"] == 30


@pytest.mark.parametrize("used", [True, False])
def test_a_comment_or_a_file_of_no_use_in_conf_changes_no_value_and_drops_none(used):
    compose_params()
    edit(PARAMS, "epochs: 20", "epochs: 7")  # as an applied experiment does
    params = PARAMS.read_bytes()
    if used:
        edit(FULL, "strategy: full", "# One more comment\nstrategy: full")
    else:
        Path("conf/experiment/best.yaml").write_text("# @package _global_\nfinetune: {epochs: 3}\n")
    assert plan_config([]).finetune.epochs == 7
    for _ in range(2):  # composed, and by the fingerprint of conf/
        assert compose_params() == ["params.yaml keeps what conf/ does not say: finetune.epochs=7 (20)"]
        assert PARAMS.read_bytes() == params


def test_a_hand_edit_stays_until_conf_changes_and_then_a_copy_is_kept():
    compose_params()
    edit(PARAMS, "epochs: 20", "epochs: 7")
    edited = PARAMS.read_bytes()
    assert compose_params() == ["params.yaml keeps what conf/ does not say: finetune.epochs=7 (20)"]
    assert PARAMS.read_bytes() == edited
    assert load_config().finetune.epochs == 7

    edit(FULL, "lr0: 0.001", "lr0: 0.002")
    changed, dropped = compose_params()
    assert changed == "conf/ changed: finetune.lr0 0.001 -> 0.002"
    assert dropped.startswith("dropped (conf/ was composed anew): finetune.epochs=7 (20); a copy is ")
    assert Path(dropped.rpartition(" ")[2]).read_bytes() == edited
    assert load_config().finetune.epochs == 20


def test_many_hand_edits_are_one_short_line_and_a_file_lists_all():
    compose_params()
    for key in ("epochs: 20", "patience: ", "batch: ", "imgsz: ", "workers: ", "nbs: "):
        text = re.sub(rf"(?m)^  {key}\d*$", f"  {key.partition(':')[0]}: 32", PARAMS.read_text())
        PARAMS.write_text(text)
    (line,) = compose_params()
    assert len(line) < 200
    assert re.search(r" and \d more \(all: \.finetrack/overrides\.txt\)$", line)
    listed = Path(".finetrack/overrides.txt").read_text().splitlines()
    assert "finetune.epochs=32 (20)" in listed
    assert len(listed) == line.count("=") + int(line.split(" and ")[1].split()[0])


def test_an_edit_that_moved_to_conf_is_not_called_dropped():
    compose_params()
    edit(PARAMS, "epochs: 20", "epochs: 7")
    edit(FULL, "epochs: 20", "epochs: 7")
    assert compose_params() == ["conf/ changed: finetune.epochs 20 -> 7"]


def test_under_dvc_exp_its_params_stay_even_where_conf_changed(monkeypatch):
    compose_params()
    edit(FULL, "lr0: 0.001", "lr0: 0.002")
    edit(PARAMS, "epochs: 20", "epochs: 3")
    monkeypatch.setenv("DVC_EXP_NAME", "one")
    compose_params()
    assert load_config().finetune.epochs == 3
    assert json.loads(LOCK.read_text())["composed"]["finetune"]["lr0"] == 0.002

    monkeypatch.delenv("DVC_EXP_NAME")
    compose_params()
    assert load_config().finetune.epochs == 3


@pytest.mark.parametrize("applied", [20, 7])
@pytest.mark.fault(3, "refused experiment")
def test_a_refused_experiment_leaves_the_params_that_were_there(monkeypatch, applied):
    compose_params()
    edit(PARAMS, "epochs: 20", f"epochs: {applied}")
    compose_params()
    before = PARAMS.read_bytes()
    edit(PARAMS, f"epochs: {applied}", "epochs: 0")  # DVC writes it before any stage runs
    monkeypatch.setenv("DVC_EXP_NAME", "one")
    assert refusal().startswith("params.yaml (conf/ with -S): finetune.epochs=0 is not allowed")
    assert PARAMS.read_bytes() == before
    monkeypatch.delenv("DVC_EXP_NAME")
    compose_params()
    assert load_config().finetune.epochs == applied


def test_a_refused_experiment_in_a_fresh_clone_leaves_what_conf_says(monkeypatch):
    compose_params()
    composed = PARAMS.read_bytes()
    shutil.rmtree(".finetrack")
    edit(PARAMS, "epochs: 20", "epochs: 0")
    monkeypatch.setenv("DVC_EXP_NAME", "one")
    refusal()
    assert PARAMS.read_bytes() == composed


def test_an_experiment_in_a_copy_leaves_the_params_of_the_workspace_alone(monkeypatch, tmp_path):
    compose_params()
    before = PARAMS.read_bytes()
    copy = shutil.copytree(tmp_path, tmp_path / ".dvc/tmp/exps/one", ignore=shutil.ignore_patterns(".*"))
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_EXP_NAME", "one")
    monkeypatch.chdir(copy)
    edit(PARAMS, "epochs: 20", "epochs: 3")
    compose_params()
    assert (tmp_path / PARAMS).read_bytes() == before
    monkeypatch.chdir(tmp_path)
    edit(PARAMS, "epochs: 20", "epochs: 0")
    refusal()
    assert PARAMS.read_bytes() == before


def test_line_ends_make_no_difference():
    compose_params()
    FULL.write_bytes(FULL.read_bytes().replace(b"\n", b"\r\n"))
    assert compose_params() == []


@pytest.mark.parametrize(
    ("path", "old", "new", "sentence"),
    [
        (FULL, "epochs: 20", "epochs: 0", "conf/: finetune.epochs=0 is not allowed"),
        (FULL, "epochs: 20", "epochs: [", "conf/: finetune/full.yaml, line "),
        (
            FULL,
            "epochs: 20",
            "epochs: 20\nepochs: 21",
            "conf/: finetune/full.yaml, line ",
        ),
        (
            FULL,
            "epochs: 20",
            "epoch: 20",
            "conf/: finetune.epoch is not a known key: did you mean finetune.epochs?",
        ),
        (FULL, "epochs: 20", "epochs: ${nowhere}", "conf/: Interpolation key 'nowhere' not found"),
        (
            Path("conf/config.yaml"),
            "data: demo",
            "data: dome",
            "conf/: there is no data/dome: choose one of auto, coco, demo",
        ),
        (Path("conf/config.yaml"), "data: demo", "data: voc", "conf/: data.source is not given"),
    ],
)
def test_a_mistake_in_conf_is_one_sentence_and_nothing_is_written(path, old, new, sentence):
    compose_params()
    before = state()
    edit(path, old, new)
    assert refusal().startswith(sentence)
    assert state() == before


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ("- 1\n", "params.yaml holds no keys"),
        ("a: [\n", "params.yaml: line 2: "),
        ("seed: 1\n", "params.yaml: data is missing"),
        ("<<<<<<< ours\na: 1\n=======\n", "params.yaml: line "),
    ],
)
@pytest.mark.fault(11, "params.yaml damaged")
def test_a_broken_params_file_is_one_sentence(params, sentence):
    compose_params()
    PARAMS.write_text(params)
    assert refusal().startswith(sentence)
    with pytest.raises(UserError):
        load_config()
    assert PARAMS.read_text() == params


@pytest.mark.fault(11, "compose.lock.json damaged")
def test_a_broken_lock_is_mended():
    compose_params()
    good = LOCK.read_bytes()
    LOCK.write_text("<<<<<<< ours\n")
    compose_params()
    assert LOCK.read_bytes() == good


def test_only_the_last_checked_configurations_are_cached(monkeypatch):
    monkeypatch.setattr(lockfile, "MAX_CHECKED_CONFIGS", 2)
    compose_params()
    for seed in range(1, 5):
        edit(PARAMS, f"seed: {seed - 1}", f"seed: {seed}")
        assert load_config().seed == seed
    assert len(list(Path(".finetrack/composed").iterdir())) == 2
    assert recall_checked_values(PARAMS.read_bytes())


def test_without_params_a_stage_says_what_to_do():
    with pytest.raises(UserError, match="dvc repro"):
        load_config()


@pytest.mark.parametrize(
    ("words", "who"), [(["pipeline", "compose"], "compose"), (["pipeline.sweep"], "sweep")]
)
def test_a_python_without_the_packages_is_told_of_the_one_that_has_them(words, who):
    command = [sys.executable, "-S", "-m", *words]  # -S: nothing but the standard library
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.match(f"{who}: \\w+ is not installed for {sys.executable}: run `source", done.stderr)
    assert len(done.stderr.splitlines()) == 1


def test_yaml_written_by_hand_means_what_it_means_in_conf():
    compose_params()
    edit(PARAMS, "lr0: 0.001", "lr0: 1e-3")
    edit(PARAMS, "cos_lr: true", "cos_lr: yes")
    compose_params()
    assert load_config().finetune.lr0 == 0.001
    assert load_config().finetune.cos_lr is True


def test_a_password_in_the_tracking_address_is_refused_before_anything_is_written():
    edit(Path("conf/tracking/local.yaml"), "sqlite:///mlflow.db", "https://me:secret@h")
    assert refusal().startswith("conf/: tracking.uri must not hold a user or a password")
    assert not PARAMS.exists()
    assert not LOCK.exists()


@pytest.mark.fault(1, "YAML that expands to all memory")
def test_yaml_that_would_take_all_memory_is_refused_at_once():
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 30)]
    (Path("conf/data/mine.yaml")).write_text("\n".join(bomb))
    assert refusal().startswith("conf/data/mine.yaml holds")
    Path("conf/data/mine.yaml").unlink()
    compose_params()
    PARAMS.write_text("\n".join(bomb))
    assert refusal().startswith("params.yaml holds")


@pytest.mark.fault(3, "a shallow clone")
def test_copy_of_a_shallow_clone_is_refused_before_its_experiment_trains(project, monkeypatch):
    git = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org", "-C", str(project)]
    for command in (["init", "-q"], *[["commit", "-q", "--allow-empty", "-m", "step"]] * 2):
        subprocess.run([*git, *command], check=True)
    subprocess.run(["git", "clone", "-q", "--depth", "1", project.as_uri(), project / "clone"], check=True)
    compose_params()
    monkeypatch.setenv("DVC_EXP_NAME", "a")
    compose_params()  # an experiment in the workspace
    monkeypatch.setenv("DVC_ROOT", str(project / "clone"))
    assert "git fetch --unshallow" in refusal()


TAGS = (
    "!!python/object/apply:os.system ['touch ran']",
    "!!python/object/new:os.system ['touch ran']",
    "!!python/name:os.system",
    "!!python/module:antigravity",
)


CODE = (*TAGS, "${oc.env:SECRET}", "${oc.${half}:SECRET}", "${now:%Y}")


@pytest.fixture
def secret(project, monkeypatch):
    """A word in the environment that no file may hold at the end, and no code may run."""
    monkeypatch.setenv("SECRET", "a secret word")
    yield
    files = [path for path in project.rglob("*") if path.is_file()]
    assert not any(b"a secret word" in path.read_bytes() for path in files)
    assert not (project / "ran").exists()


@pytest.mark.usefixtures("secret")
@pytest.mark.fault(1, "`_target_` or YAML objects in the configuration of an iteration")
def test_values_of_params_that_would_run_code_or_read_the_machine_are_refused(record_property):
    compose_params()
    good = PARAMS.read_text()
    for value in CODE:
        PARAMS.write_text(good.replace("seed: 0", f"seed: {value}"))
        with pytest.raises(UserError, match=r"^params\.yaml: "):
            load_config()
    record_property("tries", len(CODE))


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("value", ["!!python/object/apply:os.system ['touch ran']", "${oc.env:SECRET}"])
@pytest.mark.fault(1, "`_target_` or YAML objects in the configuration of an iteration")
def test_values_of_conf_that_would_run_code_or_read_the_machine_are_refused(value):
    Path("conf/evaluate/sent.yaml").write_text(f"conf: 0.1\niou: {value}\n")
    with pytest.raises(UserError, match=r"^the command: "):
        plan_config(["evaluate=sent"])
    edit(Path("conf/config.yaml"), "seed: 0", f"seed: {value}")
    assert refusal().startswith("conf/: ")
    assert not PARAMS.exists()
