"""YAML that would take all memory or time is refused before it is loaded."""

from __future__ import annotations

import time

import pytest

from pipeline.config.yaml_limits import MAX_DEPTH, measure_yaml, require_small_yaml, require_small_yaml_files
from pipeline.core.errors import UserError
from tests.trainings import CONF


def bomb(levels: int) -> bytes:
    """Return YAML whose last list expands to 10 ** levels values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a: 1", (1, 3)),
        (b"a: &b [1, 2]\nc: *b", (2, 9)),
        (b"a: &b {x: 1}\nc:\n  <<: *b", (2, 11)),
        (bomb(3), (2, 1 + 3 + 11 + 111 + 1111)),
    ],
)
def test_values_are_counted_with_aliases_expanded(content, expected):
    assert measure_yaml(content) == expected


@pytest.mark.fault(1, "YAML that expands to all memory")
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (bomb(40), "holds"),
        (b"a: " + b"[" * 100_000 + b"]" * 100_000, f"has more than {MAX_DEPTH} levels"),
        (b"a: " + b"x" * 5_000_000, "is too long"),
        (b"".join(b"a%d: 1\n" % n for n in range(100_000)), "holds"),
    ],
)
def test_yaml_beyond_a_limit_is_refused_at_once(content, kind):
    start = time.process_time()
    with pytest.raises(UserError, match=f"^conf/a.yaml {kind}"):
        require_small_yaml(content, "conf/a.yaml")
    assert time.process_time() - start < 5


def test_yaml_that_cannot_be_parsed_is_left_to_its_reader():
    require_small_yaml(b"a: [1", "conf/a.yaml")
    require_small_yaml(b"\xff\xfe\x00", "conf/a.yaml")


def test_configuration_of_the_project_is_far_below_the_limits():
    require_small_yaml_files(CONF)
