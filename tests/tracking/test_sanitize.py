import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tracking import sanitize
from pipeline.tracking.sanitize import LONGEST_NAME, LONGEST_PARAM, LONGEST_TAG

LEGAL = [
    ("metrics/mAP50-95(B)", "metrics/mAP50-95_B"),
    ("mAP50(M)", "mAP50_M"),
    ("val/box_loss", "val/box_loss"),
    ("AP50-95/Platelets", "AP50-95/Platelets"),
    ("AP/scratch (deep)", "AP/scratch _deep"),
    ("AP/裂纹", "AP/裂纹"),
    ("AP/50% cover", "AP/50_ cover"),
    ("lr:pg0", "lr_pg0"),
    ("/a//b/", "a/b"),
    ("../../a", "_/_/a"),
    (".", "_"),
    ("", "_"),
]


@pytest.mark.parametrize(("name", "legal"), LEGAL)
def test_a_name_is_made_legal(name, legal):
    assert sanitize.legal(name) == legal


def test_a_long_name_stays_its_own():
    long, other = sanitize.legal("x" * 300), sanitize.legal("x" * 299 + "y")
    assert len(long) == len(other) == LONGEST_NAME
    assert long != other


def test_names_that_become_the_same_are_both_kept():
    assert sanitize.rename({"AP(B)": 1, "AP_B": 2, "AP:B": 3}) == {"AP_B": 1, "AP_B_2": 2, "AP_B_3": 3}


@given(st.dictionaries(st.text(), st.integers()))
def test_no_value_is_lost_and_renaming_twice_changes_nothing(values):
    once = sanitize.rename(values)
    assert list(once.values()) == list(values.values())
    assert sanitize.rename(once) == once


def test_only_numbers_are_metrics():
    values = {"one": 1, "yes": True, "none": None, "text": "0.5", "nan": math.nan, "inf": -math.inf}
    kept = sanitize.numbers(values)
    assert list(kept) == ["one", "yes", "nan", "inf"]
    assert kept["one"] == kept["yes"] == 1
    assert math.isnan(kept["nan"])
    assert math.isfinite(kept["inf"])


def test_parameters_are_flat_and_read_like_yaml():
    nested = {"finetune": {"lr0": 1e-3, "freeze": None, "amp": True, "scale": [0.5, 1]}, "tags": {}}
    assert sanitize.params(nested) == {
        "finetune.lr0": "0.001",
        "finetune.freeze": "null",
        "finetune.amp": "true",
        "finetune.scale": "[0.5, 1]",
        "tags": "{}",
    }


def test_long_values_are_cut_at_the_limit():
    assert sanitize.params({"a": "x" * 6000})["a"] == "x" * 6000
    assert len(sanitize.params({"a": "x" * 6001})["a"]) == LONGEST_PARAM
    assert len(sanitize.tags({"a": "x" * 9000})["a"]) == LONGEST_TAG


def test_tags_without_a_value_are_left_out():
    assert sanitize.tags({"commit": None, "dirty": False}) == {"dirty": "false"}
