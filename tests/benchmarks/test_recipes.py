"""The search of recipes: what each changes, and the table of its scores."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pipeline.config.schema import Config

ROOT = Path(__file__).parents[2]
RECIPES = OmegaConf.load(ROOT / "benchmarks/recipes.yaml")


@pytest.fixture
def recipes(monkeypatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("recipes")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [changes for name, changes in RECIPES.items() if not name.startswith("yolo-train")]
)
def test_every_recipe_is_a_valid_configuration(changes):
    with initialize_config_dir(str(ROOT / "conf"), version_base=None):
        composed = compose("config", ["augment=none", *changes.split()])
    Config.model_validate(OmegaConf.to_container(composed, resolve=True))


def test_no_recipe_is_another_one_under_a_new_name():
    assert len({frozenset(changes.split()) for changes in RECIPES.values()}) == len(RECIPES)


def test_an_experiment_changes_groups_and_keys(recipes):
    text = recipes.build_experiment(["finetune=head", "finetune.lr0=0.003"])
    found = OmegaConf.to_container(OmegaConf.create(text))
    assert found == {
        "defaults": [{"override /augment": "none"}, {"override /finetune": "head"}, "_self_"],
        "finetune": {"lr0": 0.003},
    }


def test_only_trainings_without_a_score_are_listed(recipes, tmp_path):
    asked = argparse.Namespace(
        scores=tmp_path / "scores.csv", recipes="default,warm-3", pixels=256, epochs=20, minutes=None
    )
    default, warm = recipes.list_trainings(asked, "bccd", "yolov8n", 0)
    recipes.record_score(asked.scores, default, 0.61234, 81.2)
    assert recipes.list_trainings(asked, "bccd", "yolov8n", 0) == [warm]
    recipes.record_score(asked.scores, warm, 0.6, 80.0)
    stale = warm._replace(changes="finetune.warmup_epochs=4")  # as it was before it was edited
    assert stale not in recipes.read_scores(asked.scores)
    assert recipes.read_scores(asked.scores)[default].val == 0.6123
    asked.minutes = 2.0
    assert [training.budget for training in recipes.list_trainings(asked, "bccd", "yolov8n", 0)] == [
        "2 minutes"
    ] * 2


def test_what_an_edited_recipe_was_before_is_not_shown(recipes):
    training = recipes.Training("bccd", "yolov8n", "warm-3", "finetune.warmup_epochs=3", 0, 256, "20 epochs")
    stale = training._replace(changes="finetune.warmup_epochs=4")
    scores = {training: recipes.Score(0.62, 80, "a"), stale: recipes.Score(0.1, 80, "a")}
    assert "| warm-3 | 0.620 | 1 |" in recipes.render(scores, pixels=256, budget="20 epochs")


def test_a_recipe_is_compared_where_the_default_has_the_same_set_and_seed(recipes):
    training = recipes.Training("bccd", "yolov8n", "default", "", 0, 256, "20 epochs")
    other = training._replace(recipe="warm-3", changes="finetune.warmup_epochs=3")
    scores = {
        training: recipes.Score(0.60, 80, "a"),
        other: recipes.Score(0.62, 80, "a"),
        other._replace(seed=1): recipes.Score(0.90, 80, "a"),
        other._replace(budget="5 epochs"): recipes.Score(0.10, 80, "a"),
    }
    row = recipes.render(scores, pixels=256, budget="20 epochs").splitlines()[-1]
    assert [cell.strip() for cell in row.strip("|").split("|")] == ["warm-3", "0.760", "2", "+0.020", ""]


def test_a_curve_has_the_epochs_that_were_validated(recipes, tmp_path):
    """As of finetune.val_every=2, which leaves the figures of other epochs empty."""
    file = tmp_path / "epochs.csv"
    file.write_text("epoch,seconds,metrics/mAP50-95\n1,2.0,\n2,4.5,0.25\n3,6.0,\n4,8.5,0.5\n")
    assert recipes.seconds.read_curve(file) == recipes.seconds.Curve([4.5, 8.5], [0.25, 0.5])
