"""Labels as text: what was rendered is read again, and what is no line of a task is named."""

import pytest

from pipeline.core.tasks import TASKS
from pipeline.dataset import labels


@pytest.mark.parametrize("line", ["cat", "-1", "0.5", "²", "9" * 19, "9" * 400])
@pytest.mark.parametrize("task", TASKS)
def test_a_class_is_a_number_that_one_can_have(line, task):
    values = {"detect": 4, "segment": 6, "classify": 0, "obb": 8, "pose": 7}[task]
    text = f"0{' 0.5' * values}\n"
    assert labels.render(labels.parse(text, task), task) == text.replace("0.5", "0.500000")
    with pytest.raises(ValueError, match=r"^line 2: expected 'class"):
        labels.parse(f"{text}{line}{' 0.5' * values}\n", task)
