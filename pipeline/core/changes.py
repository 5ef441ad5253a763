"""What lies between two versions of a dataset, in words and as what JSON can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.core.layout import SPLITS
from pipeline.core.manifest import Item, Manifest
from pipeline.core.versions import Changes, Pair, names_of


def tell(changes: Changes, old: Manifest, new: Manifest, *, show: int = 20) -> list[str]:
    """Write changes as lines for a person; of long lists the first `show`, with the number of the others."""
    if not changes.differ:
        return ["no difference: the same images, labels and splits"]
    lines = [
        f"{len(changes.added)} added{_spread(changes.added)}, {len(changes.removed)} removed"
        f"{_spread(changes.removed)}, {len(changes.relabelled)} relabelled, {len(changes.moved)} moved",
        *changes.remarks,
        *(f"objects in {split}: {_counted(changes.classes[split])}" for split in _changed(changes.classes)),
    ]
    for title, texts in (
        ("added", [_shown(item) for item in changes.added]),
        ("removed", [_shown(item) for item in changes.removed]),
        ("relabelled", [f"{_shown(pair.new)}: {_objects(pair, old, new)}" for pair in changes.relabelled]),
        ("moved", [f"{_shown(pair.new)}: from {pair.old.split}" for pair in changes.moved]),
    ):
        if texts:
            lines += ["", f"{title}:", *(f"  {text}" for text in texts[:show])]
        if len(texts) > show:
            lines.append(f"  and {len(texts) - show} more (--json lists all)")
    return lines


def as_json(changes: Changes, old: Manifest, new: Manifest) -> dict[str, Any]:
    """Return changes as what JSON can hold, every image listed."""
    return {
        "added": [_place(item) for item in changes.added],
        "removed": [_place(item) for item in changes.removed],
        "relabelled": [
            _place(pair.new) | {"objects": _objects(pair, old, new)} for pair in changes.relabelled
        ],
        "moved": [
            _place(pair.new) | {"from": pair.old.split, "to": pair.new.split} for pair in changes.moved
        ],
        "classes": {
            split: {name: {"old": counts[0], "new": counts[1]} for name, counts in found.items()}
            for split, found in changes.classes.items()
        },
        "remarks": list(changes.remarks),
    }


def _changed(classes: Mapping[str, Mapping[str, tuple[int, int]]]) -> list[str]:
    return [split for split, found in classes.items() if any(old != new for old, new in found.values())]


def _counted(classes: Mapping[str, tuple[int, int]]) -> str:
    changed = ((name, old, new) for name, (old, new) in classes.items() if old != new)
    return ", ".join(f"{name} {old} -> {new} ({new - old:+d})" for name, old, new in changed)


def _objects(pair: Pair, old: Manifest, new: Manifest) -> str:
    """Say how an image's objects changed, as far as a manifest knows."""
    before, after = Counter(names_of(pair.old, old)), Counter(names_of(pair.new, new))
    names = sorted({*before, *after})
    changed = [f"{name} {before[name]} -> {after[name]}" for name in names if before[name] != after[name]]
    return ", ".join(changed) or "the same classes, other places"


def _spread(items: Sequence[Item]) -> str:
    counts = Counter(item.split for item in items)
    return f" ({', '.join(f'{split} {counts[split]}' for split in SPLITS if counts[split])})" if items else ""


def _shown(item: Item) -> str:
    return item.file if item.file.endswith(f"/{item.source}") else f"{item.file} ({item.source})"


def _place(item: Item) -> dict[str, Any]:
    return {"file": item.file, "source": item.source, "sha256": item.sha256}
