"""best.yaml gives the configuration of the job, composed by the real Hydra in a copy of conf/."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.compose.stage import compose_conf
from pipeline.core.errors import UserError
from pipeline.sweep.report.best_config import BestConfig, build_best_config, write_best_config

ROOT = Path(__file__).parents[3]
FILE = Path("conf/experiment/rates.yaml")


@pytest.fixture(autouse=True)
def conf(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)


def write(*overrides: str, notes=()) -> tuple[str, ...]:
    """Write the file of a job; return the overrides that repeat the job."""
    config = build_best_config("rates", overrides, notes=notes)
    write_best_config(config)
    return config.overrides


CASES = {
    "no change": (),
    "values": (
        "finetune.lr0=1e-05",
        "finetune.freeze=[0,1,'model.2']",
        "finetune.time=null",
        "finetune.imgsz=320",
        "finetune.imgsz=640",
        "data.epochs=7",  # finetune.epochs depends on it
        "seed=7",
        "tracking.run_name='1e-3'",
        "+tracking.tags.null='null'",
        "+tracking.tags.text='a # b: {c}, é'",
        "++tracking.tags.nested={a: [1,2.5], b: on}",
    ),
    "keys with a dot": (
        "+data.classes.rename={St. Bernard: dog, a.b.c: d}",
        "+tracking.tags={team.name: vision}",
        "++tracking.tags.plain=a",
    ),
    "groups": ("finetune=head", "data=yolo", "data.source='/a b/c, d'", "augment=none", "finetune.lr0=0.003"),
    "lists and references": ("data=auto", "data.source=['/a b','/c']", "finetune.lr0=${model.lr0.head}"),
    "an experiment below": ("+experiment=[smoke]", "finetune=gradual", "finetune.epochs=5"),
}


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)
def test_the_file_repeats_the_job(overrides):
    assert write(*overrides) == ("+experiment=rates",)
    assert compose_conf(["+experiment=rates"]).values == compose_conf(overrides).values


def test_the_file_is_nested_and_says_where_it_comes_from():
    write("finetune=head", "augment.online.hsv_h=0.3", notes=["val 0.4123\nof job 3"])
    assert FILE.read_text().splitlines() == [
        "# @package _global_",
        "# Written by the sweep rates.",
        "# dvc exp run -S +experiment=rates",
        "# val 0.4123 of job 3",
        "defaults:",
        "- override /finetune: head",
        "augment:",
        "  online:",
        "    hsv_h: 0.3",
    ]


def test_a_deleted_key_stays_on_the_command_line():
    tracking = Path("conf/tracking/local.yaml")
    tracking.write_text(tracking.read_text().replace("tags: {}", "tags: {line: a}"))
    overrides = ("~tracking.tags.line", "seed=3")
    repeated = write(*overrides)
    assert repeated == ("+experiment=rates", "~tracking.tags.line")
    assert compose_conf(repeated).values == compose_conf(overrides).values
    assert "# dvc exp run -S +experiment=rates -S '~tracking.tags.line'" in FILE.read_text()


def test_an_experiment_that_conf_chooses_itself_is_part_of_the_file():
    config = Path("conf/config.yaml")
    config.write_text(config.read_text().replace("- _self_", "- _self_\n  - experiment: smoke"))
    repeated = write("finetune.epochs=5")
    assert repeated == ("experiment=rates",)
    assert compose_conf(repeated).values == compose_conf(["finetune.epochs=5"]).values
    assert "- smoke" in FILE.read_text()


def test_the_file_of_the_same_sweep_is_written_again_and_another_one_stays():
    FILE.write_text("# @package _global_\n# Written by the sweep rates.\nseed: 1\n")
    write("seed=2")
    assert "seed: 2" in FILE.read_text()
    for text in ("seed: 5\n", "# @package _global_\n# Written by the sweep rates-2.\nseed: 5\n"):
        FILE.write_text(text)
        with pytest.raises(UserError, match="exists and is no file of the sweep rates"):
            write_best_config(BestConfig("rates", "seed: 3\n", ("+experiment=rates",)))
        assert FILE.read_text() == text


def test_a_file_that_would_give_other_values_than_the_job_had_is_not_written():
    expected = compose_conf(["finetune.lr0=0.003"]).values
    full = Path("conf/finetune/full.yaml")
    full.write_text(full.read_text().replace("\nmomentum: ", "\nmomentum: 0.1 # "))
    config = build_best_config("rates", ["finetune.lr0=0.003"], notes=[])
    before = sorted(path.name for path in FILE.parent.iterdir())
    with pytest.raises(UserError, match=r"finetune.momentum=0.1 \(0.9"):
        write_best_config(config, expected=expected)
    assert sorted(path.name for path in FILE.parent.iterdir()) == before
