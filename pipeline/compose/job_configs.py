"""Compose the configurations of the jobs of a sweep, of which Hydra would compose ten in a second."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.compose.stage import CONF, ParamValues, compose_nodes, config_errors_as_sentences

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


class JobConfigs:
    """Configurations by overrides: Hydra composes each choice of files once, and values are set in copies."""

    def __init__(self) -> None:
        from hydra.core.override_parser.overrides_parser import OverridesParser

        self._parser = OverridesParser.create()
        self._composed: dict[tuple[str, ...], Any] = {}
        self._parsed: dict[str, Override] = {}

    def compose(self, words: Sequence[str]) -> ParamValues:
        """Compose the configuration of a job.

        Args:
            words: Its overrides, of which none sweeps.

        Raises:
            UserError: Hydra cannot compose it.
        """
        from omegaconf import OmegaConf

        with config_errors_as_sentences("the command"):
            values = [word for word in words if self._sets_value(word)]
            others = tuple(word for word in words if word not in values)
            if not all(self._chooses_file(word) for word in others):  # such as ++key: their order may matter
                values, others = [], tuple(words)
            if others not in self._composed:
                self._composed[others] = compose_nodes(others)
            nodes = copy.deepcopy(self._composed[others])
            for word in values:
                override = self._parse(word)
                OmegaConf.update(nodes, override.key_or_group, override.value(), merge=True)
            return dict(OmegaConf.to_container(nodes, resolve=True))  # type: ignore[arg-type]

    def _parse(self, word: str) -> Override:
        if word not in self._parsed:
            self._parsed[word] = self._parser.parse_override(word)
        return self._parsed[word]

    def _sets_value(self, word: str) -> bool:
        """Check for an override `key=value`, without a prefix or package."""
        key = self._parse(word).get_key_element()
        return word.startswith(f"{key}=") and not {"+", "~", "@"} & set(key) and not self._chooses_file(word)

    def _chooses_file(self, word: str) -> bool:
        """Check for an override of a group of conf/, or of Hydra itself, which is no part of the result."""
        key = self._parse(word).key_or_group
        return key.startswith("hydra.") or (CONF / key).is_dir()
