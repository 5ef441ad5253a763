"""Compose the configurations of the jobs of a sweep, thousands in a second; Hydra composes ten."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.compose.stage import CONF, ParamValues, compose_nodes, config_errors_as_sentences
from pipeline.sweep.space.config_template import ConfigTemplate, NotSimpleError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

_INTERPOLATED_DEFAULT: Final = re.compile(r"^\s*-.*\$\{", re.MULTILINE)
"""An entry of a defaults list whose file depends on another choice."""


class _Word(NamedTuple):
    """An override.

    Attributes:
        key: Of the value or the group.
        value: The value that it sets.
        chooses_file: Whether it names a file of conf/, or is of Hydra itself, which is no part of the result.
        is_plain: Whether it is `key=value`, without a prefix or package.
    """

    key: str
    value: Any
    chooses_file: bool
    is_plain: bool


class JobConfigs:
    """Configurations by overrides: Hydra composes each choice of a file once; values are set in copies."""

    def __init__(self) -> None:
        from hydra.core.override_parser.overrides_parser import OverridesParser

        self._parser = OverridesParser.create()
        self._words: dict[str, _Word] = {}
        self._nodes: dict[tuple[str, ...], Any] = {}
        self._templates: dict[tuple[str, ...], ConfigTemplate] = {}
        self._defaults_interpolate: bool | None = None

    def compose(self, words: Sequence[str]) -> ParamValues:
        """Compose the configuration of a job.

        Args:
            words: Its overrides, of which none sweeps.

        Raises:
            UserError: Hydra cannot compose it.
        """
        with config_errors_as_sentences("the command"):
            parsed = {word: self._parse(word) for word in words}
            values = [word for word in words if parsed[word].is_plain and not parsed[word].chooses_file]
            others = tuple(word for word in words if word not in values)
            if not all(parsed[word].chooses_file for word in others):  # such as ++key: their order may matter
                values, others = [], tuple(words)
            try:
                settings = [(parsed[word].key, parsed[word].value) for word in values]
                return self._find_template(others).fill(settings)
            except NotSimpleError:
                return self._compose_slowly(others, [parsed[word] for word in values])

    def _parse(self, word: str) -> _Word:
        if word not in self._words:
            override: Override = self._parser.parse_override(word)
            element, key = override.get_key_element(), override.key_or_group
            is_plain = word.startswith(f"{element}=") and not {"+", "~", "@"} & set(element)
            chooses_file = key.startswith("hydra.") or (CONF / key).is_dir()
            self._words[word] = _Word(key, override.value(), chooses_file, is_plain)
        return self._words[word]

    def _compose_slowly(self, others: tuple[str, ...], values: Sequence[_Word]) -> ParamValues:
        """Set values that interpolations, or whole groups, hang on, with OmegaConf."""
        from omegaconf import OmegaConf

        nodes = copy.deepcopy(self._compose_nodes(others))
        for word in values:
            OmegaConf.update(nodes, word.key, word.value, merge=True)
        return dict(OmegaConf.to_container(nodes, resolve=True))  # type: ignore[arg-type]

    def _compose_nodes(self, words: tuple[str, ...]) -> Any:
        if words not in self._nodes:
            self._nodes[words] = compose_nodes(words)
        return self._nodes[words]

    def _find_template(self, words: tuple[str, ...]) -> ConfigTemplate:
        """Return the template of a choice of files; that of several groups is joined from those of each."""
        if words not in self._templates:
            groups = [
                word for word in words if self._words[word].is_plain and "/" not in self._words[word].key
            ]
            joined = self._join_groups(words, groups) if len(groups) > 1 else None
            self._templates[words] = joined or self._compose_template(words)
        return self._templates[words]

    def _compose_template(self, words: tuple[str, ...]) -> ConfigTemplate:
        from omegaconf import OmegaConf

        return ConfigTemplate(OmegaConf.to_container(self._compose_nodes(words), resolve=False))

    def _join_groups(self, words: tuple[str, ...], groups: Sequence[str]) -> ConfigTemplate | None:
        """Join the groups' own values, where each choice changes nothing but them; None where one does."""
        if self._interpolates_defaults() or len({self._words[word].key for word in groups}) < len(groups):
            return None
        rest = tuple(word for word in words if word not in groups)
        template = self._find_template(rest)
        for word in groups:
            key = self._words[word].key
            single = self._find_template((*rest, word))
            if not single.differs_only_in(key, self._find_template(rest)):
                return None
            template = template.replace_group(key, single)
        return template

    def _interpolates_defaults(self) -> bool:
        if self._defaults_interpolate is None:
            texts = (path.read_text("utf-8") for path in CONF.rglob("*.yaml"))
            self._defaults_interpolate = any(map(_INTERPOLATED_DEFAULT.search, texts))
        return self._defaults_interpolate
