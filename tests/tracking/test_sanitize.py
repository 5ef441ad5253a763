"""Legal names, parameters and tags for MLflow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tracking.sanitize import (
    MAX_NAME_LENGTH,
    MAX_PARAM_LENGTH,
    MAX_TAG_LENGTH,
    make_legal_name,
    make_names_legal,
    sanitize_metrics,
    sanitize_params,
    sanitize_tags,
)

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
def test_illegal_characters_are_replaced(name, legal):
    assert make_legal_name(name) == legal


def test_long_names_that_differ_stay_different():
    long, other = make_legal_name("x" * 300), make_legal_name("x" * 299 + "y")
    assert len(long) == len(other) == MAX_NAME_LENGTH
    assert long != other


def test_names_that_become_equal_are_numbered():
    assert make_names_legal({"AP(B)": 1, "AP_B": 2, "AP:B": 3}) == {"AP_B": 1, "AP_B_2": 2, "AP_B_3": 3}


@given(st.dictionaries(st.text(), st.integers()))
def test_no_value_is_lost_and_a_second_pass_changes_nothing(values):
    once = make_names_legal(values)
    assert list(once.values()) == list(values.values())
    assert make_names_legal(once) == once


def test_values_that_are_not_numbers_are_left_out():
    values = {"one": 1, "yes": True, "none": None, "text": "0.5", "nan": math.nan, "inf": -math.inf}
    kept = sanitize_metrics(values)
    assert kept == {"one": 1, "yes": 1}


def test_parameters_are_flattened_and_written_as_yaml():
    nested = {"finetune": {"lr0": 1e-3, "freeze": None, "amp": True, "scale": [0.5, 1]}, "tags": {}}
    assert sanitize_params(nested) == {
        "finetune.lr0": "0.001",
        "finetune.freeze": "null",
        "finetune.amp": "true",
        "finetune.scale": "[0.5, 1]",
        "tags": "{}",
    }


def test_long_values_are_cut_at_the_limit():
    assert sanitize_params({"a": "x" * 6000})["a"] == "x" * 6000
    assert len(sanitize_params({"a": "x" * 6001})["a"]) == MAX_PARAM_LENGTH
    assert len(sanitize_tags({"a": "x" * 9000})["a"]) == MAX_TAG_LENGTH


def test_tags_that_are_none_are_left_out():
    assert sanitize_tags({"commit": None, "dirty": False}) == {"dirty": "false"}
