"""Which jobs share the results of prepare and augment."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.space.job_configs import JobConfigs
from pipeline.sweep.space.shared_stages import SPLIT_STAGES, compute_shared_key, read_shared_keys

ROOT = Path(__file__).parents[3]


@pytest.fixture
def configs(shared_conf):  # noqa: ARG001 - its conf/
    return JobConfigs()


pytestmark = pytest.mark.usefixtures("shared_conf")


def test_the_parameters_are_those_of_dvc_yaml():
    keys = read_shared_keys()
    assert {"seed", "data.folds", "augment.offline.rotate"} <= set(keys)
    assert not any(key.startswith(("finetune", "augment.online", "code")) for key in keys)


@pytest.mark.parametrize(
    ("word", "shared"),
    [
        ("finetune.lr0=0.1", True),
        ("finetune=head", True),
        ("model=yolov8n", True),
        ("augment.online.mosaic=0", True),
        ("augment=none", False),
        ("augment.offline.rotate=7", False),
        ("seed=3", False),
        ("data.seed=3", False),
        ("data.split.val=0.3", False),
        ("data.source=/another/folder", False),
        ("data.unlabelled_source=pseudo_labels/more", False),
    ],
)
def test_jobs_share_results_unless_a_parameter_of_these_stages_differs(configs, word, shared):
    keys = read_shared_keys()
    first, second = (compute_shared_key(configs.compose(words), keys) for words in ([], [word]))
    assert (first == second) is shared


@pytest.mark.parametrize("text", [None, "", "stages: [", "stages: {prepare: 3}"])
def test_a_damaged_dvc_yaml_is_one_sentence(tmp_path, text):
    file = tmp_path / "dvc.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match="does not say what its stages use"):
        read_shared_keys(file)


@pytest.mark.parametrize(
    ("word", "shared"),
    [("seed=3", True), ("augment.offline.rotate=7", True), ("data.seed=3", False), ("data.source=/a", False)],
)
def test_jobs_share_a_split_unless_prepare_does_something_else(configs, word, shared):
    keys = read_shared_keys(stages=SPLIT_STAGES)
    first, second = (compute_shared_key(configs.compose(words), keys) for words in ([], [word]))
    assert (first == second) is shared
