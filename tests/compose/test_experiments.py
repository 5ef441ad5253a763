"""The experiments of conf/experiment compose, whatever conf/ says otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ultralytics.utils import DEFAULT_CFG_DICT

from pipeline.compose.stage import plan_config

CONF = Path(__file__).parents[2] / "conf"
EXPERIMENTS = [path.stem for path in sorted((CONF / "experiment").glob("*.yaml"))]


@pytest.mark.parametrize("used", ["demo", "auto"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_can_be_chosen_with_any_images(tmp_path, monkeypatch, name, used):
    main = shutil.copytree(CONF, tmp_path / "conf") / "config.yaml"
    main.write_text(main.read_text().replace("- data: demo", f"- data: {used}"))
    auto = tmp_path / "conf/data/auto.yaml"
    auto.write_text(auto.read_text().replace("source: ???", "source: any"))
    monkeypatch.chdir(tmp_path)
    config = plan_config([f"+experiment={name}"])
    assert config.data.format == {"smoke": "demo", "foundation": "shapes"}.get(name, used)


def test_yolo_train_has_the_arguments_of_yolo_train():
    """Those that the optimizer chooses itself are left out, and those that change no result."""
    config = plan_config(["data=auto", "data.source=any", "+experiment=yolo-train"])
    own = config.finetune.model_dump() | config.augment.online.model_dump()
    differ = {name for name, value in own.items() if DEFAULT_CFG_DICT.get(name, value) != value}
    assert differ == {"lr0", "warmup_bias_lr", "cache"}
    assert (config.finetune.optimizer, config.finetune.lr0) == ("auto", None)
    assert config.augment.offline.multiplier == 1
