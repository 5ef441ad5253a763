"""Prepared search spaces, the files of conf/sweep: their names are for Hydra, and no part of a job."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from pipeline.compose.stage import CONF
from pipeline.config.schema import PREPARED_SWEEP_KEY
from pipeline.core.errors import UserError

PREPARED_SPACES: Final = "sweep"
"""The group of conf/ whose files hold prepared search spaces."""
_NAME: Final = re.compile(rf"\+{{1,2}}{PREPARED_SPACES}=(?P<quote>[\"']?)(?P<name>[\w.-]+)(?P=quote)")


def drop_prepared_spaces(words: Sequence[str]) -> list[str]:
    """Drop the words that name a prepared space: a job gets the values that its sweep chose from it.

    One of your own without the key `prepared_sweep` stays, since it may set further values.

    Args:
        words: Overrides.

    Raises:
        UserError: A space with this key sets values that would reach no job.
    """
    return [word for word in words if not _names_prepared_space(word)]


def _names_prepared_space(word: str) -> bool:
    found = _NAME.fullmatch(word)
    if found is None:
        return False
    return _is_prepared_space((CONF / PREPARED_SPACES / f"{found['name']}.yaml").resolve())


@cache
def _is_prepared_space(path: Path) -> bool:
    """Check whether a file of conf/sweep has the key; it then holds nothing but settings of Hydra."""
    import yaml

    if not path.is_file():
        return False
    keys = yaml.safe_load(path.read_text("utf-8")) or {}
    others = sorted(map(str, keys.keys() - {"hydra", PREPARED_SWEEP_KEY}))
    if PREPARED_SWEEP_KEY in keys and others:
        raise UserError(
            f"conf/{PREPARED_SPACES}/{path.name} sets {', '.join(others)}, and its jobs would not get that: "
            f"write the values below hydra.sweeper.params, or remove {PREPARED_SWEEP_KEY}"
        )
    return PREPARED_SWEEP_KEY in keys
