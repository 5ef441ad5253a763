"""A refusal is one sentence on one line."""

import pytest

from pipeline.core.errors import UserError


@pytest.mark.parametrize(
    ("said", "told"),
    [("mend it", "mend it"), ("a\nb.jpg is no image\n", "a b.jpg is no image"), ("a\u2028b\r\n", "a b")],
)
def test_it_stays_on_one_line(said, told):
    assert str(UserError(said)) == told
