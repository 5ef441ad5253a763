"""The class names of a model as its training had them.

Ultralytics replaces codes of ImageNet by words where it reads names: `YOLO(...).names`, its predictions and
its exporters say `tench` for the class n01440764. Here a class has the name that the data gave it, so that
predictions, files and metrics say the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from ultralytics.utils import ROOT, YAML

_CODE: Final = re.compile(r"n\d{8}")
"""A synset of WordNet, as ImageNet names the folders of its classes."""


def read_class_names(model: Any) -> tuple[str, ...]:
    """Return the class names by index of a checkpoint that Ultralytics loaded, as they are stored."""
    return list_class_names(model.model.names)


def list_class_names(names: Any) -> tuple[str, ...]:
    """Return class names by index.

    Args:
        names: As files have them: a list, or a map from index to name; an index can be text.

    Raises:
        TypeError: They are something else. The characters of a text would become the classes.
        KeyError: There is none, or an index is missing.
        ValueError: An index is no number.
    """
    if not isinstance(names, dict | list | tuple):
        raise TypeError(names)
    pairs = names.items() if isinstance(names, dict) else enumerate(names)
    named = {int(index): str(name) for index, name in pairs}
    return tuple(named[index] for index in range(max(1, len(named))))


def spell_class_names(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Spell class names as others are, where one side has codes of ImageNet and the other Ultralytics' words.

    A name stays as it is if it is among the others, or if its word stands for several classes.

    Args:
        names: Those of a model by index, such as `tench`, which Ultralytics' own exporter writes.
        known: Those of the data, such as n01440764.
    """
    own, others = _translate_codes(names), _translate_codes(known)
    if own == (*names,) and others == (*known,):
        return own
    own_counts, counts, same = Counter(own), Counter(others), {*known}
    spelled = {word: name for word, name in zip(others, known, strict=True) if counts[word] == 1}
    return tuple(
        name if name in same or own_counts[word] > 1 else spelled.get(word, name)
        for name, word in zip(names, own, strict=True)
    )


def _translate_codes(names: Sequence[str]) -> tuple[str, ...]:
    """Replace each code of ImageNet by Ultralytics' word for it; other names stay."""
    if not any(map(_CODE.fullmatch, names)):
        return tuple(names)
    words = _read_words()
    return tuple(words.get(name, name) for name in names)


@cache
def _read_words() -> Mapping[str, str]:
    """Return the words by code, of all 1,000 classes of ImageNet."""
    words: Mapping[str, str] = YAML.load(ROOT / "cfg/datasets/ImageNet.yaml")["map"]
    return words
