"""Labels as text: formatted labels are parsed back, and a wrong line is named."""

import pytest

from pipeline.core.tasks import TASKS
from pipeline.dataset.labels import format_labels, parse_labels


@pytest.mark.parametrize("line", ["cat", "-1", "0.5", "²", "9" * 19, "9" * 400])
@pytest.mark.parametrize("task", TASKS)
def test_class_must_be_a_plain_index_of_up_to_nine_digits(line, task):
    values = {"detect": 4, "segment": 6, "classify": 0, "obb": 8, "pose": 7}[task]
    text = f"0{' 0.5' * values}\n"
    assert format_labels(parse_labels(text, task), task) == text.replace("0.5", "0.500000")
    with pytest.raises(ValueError, match=r"^line 2: expected 'class"):
        parse_labels(f"{text}{line}{' 0.5' * values}\n", task)


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999"])
@pytest.mark.parametrize("task", ["detect", "segment", "obb", "pose"])
def test_value_that_is_not_finite_is_named(value, task):
    values = {"detect": 4, "segment": 6, "obb": 8, "pose": 7}[task]
    with pytest.raises(ValueError, match=r"^line 1: a value is not finite"):
        parse_labels(f"0{' 0.5' * (values - 1)} {value}\n", task)
