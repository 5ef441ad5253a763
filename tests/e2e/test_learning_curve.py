"""A learning curve as a user types it: a sweep over parts of the train images, a forecast, and a page."""

from __future__ import annotations

import json

import pytest

from pipeline.core.metric_names import get_main_metric
from pipeline.core.tasks import TASKS
from pipeline.source.synthetic.demo import FLAW_CLASSES
from tests.e2e.conftest import create, use_smoke_values
from tests.e2e.test_sweep import parents
from tests.promptable import save_promptable

COMMAND = "python -m pipeline learning-curve sweep.jobs=1 finetune.epochs=8"


def score_by_images(tiny):
    """Let the tiny stages score by the number of images, and fail for one training while a file is there."""
    tiny.edit("tiny.py", 'f"run-{lr0}"', 'f"run-{score}"')  # other weights are evaluated anew
    tiny.edit(
        "tiny.py",
        'pathlib.Path("reports/training.json").write_text(json.dumps({"val": {figure: lr0 * 10}}))',
        'share = params["data"]["fraction"]\n'
        '    if share == 1 and seed == 1 and (root / ".finetrack/broken").exists():\n'
        '        sys.exit("finetune: broken")\n'
        "    score = 0.8 - 0.2 * share ** -0.5 + seed / 1000\n"
        '    facts = {"val": {figure: score}, "train_images": round(share * 400)}\n'
        '    pathlib.Path("reports/training.json").write_text(json.dumps(facts))',
    )
    tiny.commit()


@pytest.mark.slow
def test_a_learning_curve_of_two_numbers_of_images_is_shown_without_a_forecast(tiny):
    score_by_images(tiny)
    told = tiny.run(f"{COMMAND} data.fraction=0.5,1.0 sweep.seeds=1 --json > .finetrack/curve.json")
    assert "no forecast: a forecast needs 3" in told
    curve = json.loads((tiny.folder / ".finetrack/curve.json").read_text())
    assert [size["images"] for size in curve["sizes"]] == [200, 400]
    assert [size["mean"] for size in curve["sizes"]] == pytest.approx([0.517157, 0.6])
    assert (curve["verdict"], curve["forecasts"]) == ("none", [])
    assert not list((tiny.folder / "conf/experiment").glob("fraction*"))
    (page,) = (tiny.folder / ".finetrack/sweeps").glob("*/learning_curve.html")
    assert curve["sentence"] in page.read_text()
    jobs = json.loads((page.parent / "results.json").read_text())["jobs"]
    assert ["finetune.epochs=16" in row["overrides"].split() for row in jobs] == [True, False]
    (parent,) = parents(tiny)
    assert parent.data.tags["finetrack.curve.verdict"] == "none"
    assert tiny.ran().count("finetune") == 2


@pytest.mark.slow
def test_a_learning_curve_goes_on_after_a_failure_and_forecasts(tiny):
    score_by_images(tiny)
    command = f"{COMMAND} data.fraction=0.25,0.5,1.0 sweep.seeds=2"
    broken = tiny.folder / ".finetrack/broken"
    broken.touch()
    output = tiny.run(command, fails=True)
    assert "no forecast" in output
    assert "1 of 6 jobs failed" in output
    assert tiny.ran().count("finetune") == 6

    broken.unlink()
    tiny.run(f"{command} --json > .finetrack/curve.json")
    assert tiny.ran() == ["finetune"]
    curve = json.loads((tiny.folder / ".finetrack/curve.json").read_text())
    assert curve["verdict"] == "gain"
    double = next(each for each in curve["forecasts"] if each["times"] == 2)
    assert double["images"] == 800
    assert double["low"] < 0.2 - 0.2 * 2**-0.5 < double["high"]
    (parent,) = parents(tiny)
    assert parent.data.tags["finetrack.curve.verdict"] == "gain"
    assert parent.data.metrics["forecast/2x/gain"] == pytest.approx(double["gain"], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_each_task_is_scored_on_resamples_of_its_test_images(task, tmp_path):
    project = create(tmp_path)
    use_smoke_values(project)
    project.commit()
    words = f"data.task={task} data.fraction=0.5,1.0 sweep.seeds=1 finetune.epochs=1 finetune=scratch"
    project.run(f"python -m pipeline learning-curve sweep.jobs=1 {words} --json > .curve.json")
    curve = json.loads((project.folder / ".curve.json").read_text())
    assert (curve["task"], curve["metric"]) == (task, get_main_metric(task))
    assert [size["images"] for size in curve["sizes"]] == [8, 16]
    assert curve["test_groups"] == (4 if task == "obb" else 6)  # two drawn images of obb have no object


@pytest.mark.slow
def test_a_model_without_training_is_beside_a_curve_that_was_drawn_before(tmp_path):
    project = create(tmp_path)
    use_smoke_values(project)
    project.commit()
    words = "data.task=detect data.fraction=0.5,1.0 sweep.seeds=1 finetune.epochs=1 finetune=scratch"
    command = f"python -m pipeline learning-curve sweep.jobs=1 {words} --json"
    project.run(f"{command} > .curve.json")
    save_promptable(tmp_path / ".finetrack/asked.pt", FLAW_CLASSES)
    told = project.run(f"{command} zero_shot.weights=.finetrack/asked.pt > .curve.json")
    assert "nothing is left to train" in told
    curve = json.loads((project.folder / ".curve.json").read_text())
    assert curve["zero_shot"]["label"] == "asked.pt"
    assert 0 <= curve["zero_shot"]["low"] <= curve["zero_shot"]["score"] <= curve["zero_shot"]["high"] <= 1
    told = project.run(f"{command} zero_shot.weights=absent.pt", fails=True)
    assert "zero_shot.weights" in told
