"""conf/, params.yaml and DVC's experiments together, by the commands that a user types."""

from __future__ import annotations

import shutil

import pytest
import yaml

OVERRIDES = "-S finetune=head -S finetune.epochs=3"


def is_head_for_three_epochs(params: dict) -> bool:
    finetune = params["finetune"]
    return (finetune["strategy"], finetune["epochs"]) == ("head", 3) and finetune["freeze"] is not None


def of_experiment(project, name: str) -> dict:
    reference = project.run(f"git for-each-ref --format='%(refname)' 'refs/exps/*/*/{name}'").strip()
    return yaml.safe_load(project.run(f"git show {reference}:params.yaml"))


def test_a_second_repro_does_nothing(tiny):
    output = tiny.run("dvc repro")
    assert tiny.ran() == []
    assert tiny.status() == []
    assert "conf/" not in output


def test_raw_images_are_added_to_dvc_and_outputs_stay_ignored(tiny):
    raw = tiny.folder / "data/raw/images"
    raw.mkdir(parents=True)
    (raw / "a.jpg").write_bytes(b"an image")
    tiny.run("dvc add data/raw")
    assert tiny.status() == ["?? data/"]  # data/raw.dvc and data/.gitignore
    tiny.commit()
    assert set(tiny.run("git ls-files data").split()) == {"data/.gitignore", "data/raw.dvc"}
    (tiny.folder / "data/augmented").mkdir()
    (tiny.folder / "data/.prepared.unfinished").mkdir()
    for folder in ("augmented", ".prepared.unfinished"):
        (tiny.folder / "data" / folder / "file").write_text("written by a stage")
    tiny.run("dvc repro")
    assert tiny.status() == []


def test_a_change_in_conf_reruns_just_the_stages_that_use_it(tiny):
    before = tiny.params()["evaluate"]["worst"]
    tiny.edit("conf/evaluate/default.yaml", f"worst: {before}", f"worst: {before + 1}")
    assert f"conf/ changed: evaluate.worst {before} -> {before + 1}" in tiny.run("dvc repro")
    assert tiny.ran() == []
    tiny.edit("conf/finetune/full.yaml", "\nmomentum: ", "\nmomentum: 0.1 # ")
    tiny.run("dvc repro")
    assert tiny.ran() == ["finetune"]
    tiny.edit("conf/data/demo.yaml", "images: ", "images: 300 # ")
    tiny.run("dvc repro")
    assert tiny.ran() == ["prepare", "finetune"]


def test_a_change_in_code_reruns_just_the_stages_that_use_it(tiny):
    tiny.edit("pipeline/finetune/stage.py", "from __future__", "# another\nfrom __future__")
    assert "code changed: finetune" in tiny.run("dvc repro")
    assert tiny.ran() == ["finetune"]
    tiny.edit("pipeline/finetune/stage.py", "# another", "# a third")
    tiny.run("dvc repro --single-item compose finetune")
    assert tiny.ran() == ["finetune"]


def test_overrides_reach_an_experiment_in_the_workspace_and_stay(tiny):
    tiny.run(f"dvc exp run --name one {OVERRIDES}")
    assert tiny.ran() == ["finetune"]
    assert is_head_for_three_epochs(tiny.params())
    assert "params.yaml keeps what conf/ does not say: finetune.strategy=head (full)" in tiny.run("dvc repro")
    assert tiny.ran() == []
    assert is_head_for_three_epochs(tiny.params())


def test_overrides_reach_an_experiment_in_a_folder_of_its_own(tiny):
    tiny.run(f"dvc exp run --temp --name one {OVERRIDES}")
    assert tiny.ran() == ["finetune"]
    assert is_head_for_three_epochs(of_experiment(tiny, "one"))
    assert tiny.status() == []
    tiny.run("dvc exp apply one")
    # A sweep writes its best job so; a new file in conf/ must not drop what was applied.
    best = "# @package _global_\ndefaults: [override /finetune: head]\nfinetune: {epochs: 3}\n"
    (tiny.folder / "conf/experiment/best.yaml").write_text(best)
    tiny.run("dvc repro")
    assert tiny.ran() == []
    assert is_head_for_three_epochs(tiny.params())


@pytest.mark.slow
def test_overrides_reach_queued_experiments(tiny):
    tiny.run(f"dvc exp run --queue --name one {OVERRIDES}")
    tiny.run("dvc exp run --queue --name two -S finetune.epochs=4")
    tiny.run("dvc exp run --run-all --jobs 1")
    assert is_head_for_three_epochs(of_experiment(tiny, "one"))
    assert of_experiment(tiny, "two")["finetune"]["epochs"] == 4
    assert tiny.ran() == ["finetune", "finetune"]
    assert tiny.status() == []


def test_a_change_in_conf_after_an_applied_experiment_names_what_goes(tiny):
    tiny.run(f"dvc exp run --name one {OVERRIDES}")
    tiny.edit("conf/finetune/full.yaml", "\nmomentum: ", "\nmomentum: 0.1 # ")
    output = tiny.run("dvc repro")
    assert "dropped (conf/ was composed anew): finetune.strategy=head (full), finetune.epochs=3" in output
    copy = output.partition("a copy is ")[2].splitlines()[0]
    assert "strategy: head" in (tiny.folder / copy).read_text()


def test_two_configurations_never_share_a_result(tiny):
    """Every key counts: DVC's run-cache ignores keys by certain names, which conf/ must not use."""
    for override in ("finetune.imgsz=320", "finetune.nbs=32", "finetune=head"):
        tiny.run(f"dvc exp run -S {override}")
        assert tiny.ran() == ["finetune"], override


MISTAKES = {
    "+finetune.epoch=3": "finetune.epoch is not a known key: did you mean finetune.epochs?",
    "finetune.lr0=5": "finetune.lr0=5 is not allowed: it must be a number, above 0 and at most 1",
    "finetune.optimizer=auto": "finetune.optimizer=auto chooses its own learning rate",
    "data=yolo": "data.source is not given",
    "finetun.epochs=3": "Could not override 'finetun.epochs'",  # DVC's own words: it composes before us
    "finetune=hed": "Could not find 'finetune/hed'",
}


@pytest.mark.slow
def test_mistakes_start_nothing_and_leave_an_applied_experiment(tiny):
    tiny.run(f"dvc exp run --name one {OVERRIDES}")
    tiny.commit()
    tiny.ran()
    for override, sentence in MISTAKES.items():
        assert sentence in tiny.run(f"dvc exp run -S {override}", fails=True)
    assert tiny.status() == []
    tiny.run("dvc repro")
    assert tiny.ran() == []
    assert is_head_for_three_epochs(tiny.params())


def test_a_colleague_who_pulled_has_nothing_to_do(tiny, tmp_path_factory):
    source, remote = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("remote")
    (source / "a.jpg").write_bytes(b"a")
    tiny.run(f"dvc remote add -d storage {remote}")
    tiny.edit("conf/config.yaml", "data: demo", "data: yolo")
    tiny.edit("conf/data/yolo.yaml", "source: ???", f"source: {source}")
    tiny.run("dvc repro")
    tiny.commit()
    tiny.run("dvc push")
    shutil.rmtree(source)

    clone = type(tiny)(tmp_path_factory.mktemp("clone"))
    clone.run(f"git clone -q {tiny.folder} .")
    clone.run("dvc pull")
    output = clone.run("dvc repro")
    assert f"data.source={source} is not on this machine: its recorded fingerprint stands" in output
    assert clone.ran() == []
    assert clone.status() == []


def test_changed_images_run_prepare_again_and_a_touch_or_another_place_does_not(tiny, tmp_path_factory):
    source = tmp_path_factory.mktemp("source")
    (source / "a.jpg").write_bytes(b"a")
    run = f"dvc exp run -S data=yolo -S data.source={source}"
    tiny.run(run)
    assert tiny.ran() == ["prepare", "finetune"]
    (source / "a.jpg").touch()
    tiny.run("dvc repro")
    assert tiny.ran() == []
    copy = shutil.copytree(source, tmp_path_factory.mktemp("elsewhere") / "copy")
    tiny.run(f"dvc exp run -S data=yolo -S data.source={copy}")
    assert tiny.ran() == []
    tiny.run(run)
    (source / "a.jpg").write_bytes(b"b")
    tiny.run("dvc repro")
    assert tiny.ran()[0] == "prepare"


@pytest.mark.slow
@pytest.mark.fault(3, "`dvc exp run -S` with paths that do not exist")
def test_a_path_that_does_not_exist_is_no_experiment_and_a_copy_of_the_weights_needs_no_sha256(tiny):
    before, params = tiny.run("dvc exp show --csv"), (tiny.folder / "params.yaml").read_bytes()
    for override in ("model.weights=/nowhere/typo.pt", "finetune.distill_model=nets/typo.pt"):
        said = tiny.run(f"dvc exp run -S {override}", fails=True)
        assert f"{override} does not exist" in said
        assert (tiny.folder / "params.yaml").read_bytes() == params
    assert tiny.run("dvc exp show --csv") == before
    assert tiny.ran() == []
    copy = tiny.folder / ".finetrack/a copy.pt"
    shutil.copy(tiny.folder / "weights.pt", copy)
    tiny.run(f"dvc exp run -S 'model.weights=\"{copy}\"'")
    assert tiny.params()["model"]["weights"] == str(copy)
    assert tiny.ran() == []
