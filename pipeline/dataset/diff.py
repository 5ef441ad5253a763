"""How two versions of a dataset differ, image by image, told apart by contents and not by names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.core.paths import SPLITS
from pipeline.dataset.manifest import ImageRecord, Manifest


class ImagePair(NamedTuple):
    """One image that both versions have."""

    old: ImageRecord
    new: ImageRecord


class DatasetDiff(NamedTuple):
    """What lies between two versions.

    Attributes:
        added: Images that only the new one has.
        removed: Images that only the old one has.
        relabelled: Images whose objects changed.
        moved: Images that changed their split; they may be relabelled too.
        classes: For each split and class how many objects there were and are.
        remarks: What cannot be told, or concerns the whole, a sentence each.
    """

    added: tuple[ImageRecord, ...]
    removed: tuple[ImageRecord, ...]
    relabelled: tuple[ImagePair, ...]
    moved: tuple[ImagePair, ...]
    classes: dict[str, dict[str, tuple[int, int]]]
    remarks: tuple[str, ...]

    @property
    def differ(self) -> bool:
        """Whether there is a difference at all."""
        return bool(self.added or self.removed or self.relabelled or self.moved or self.remarks)


def compare(old: Manifest, new: Manifest) -> DatasetDiff:
    """Pair images by SHA-256, equal ones by split and labels first, and say what became of each.

    A label file holds class indices: where the classes themselves changed places, labels are compared by the
    names of their classes, and a box that was moved goes unseen; a remark says so.
    """
    pairs, removed, added = _paired(old.items, new.items)
    comparable = _comparable(old, new)

    def labels(item: ImageRecord, of: Manifest) -> Any:
        return item.labels_sha256 if comparable else sorted(names_of(item, of))

    return DatasetDiff(
        added=tuple(added),
        removed=tuple(removed),
        relabelled=tuple(pair for pair in pairs if labels(pair.old, old) != labels(pair.new, new)),
        moved=tuple(pair for pair in pairs if pair.old.split != pair.new.split),
        classes=_classes(old, new),
        remarks=tuple(_remarks(old, new, comparable)),
    )


def _paired(
    old: Sequence[ImageRecord], new: Sequence[ImageRecord]
) -> tuple[list[ImagePair], list[ImageRecord], list[ImageRecord]]:
    """Pair images of equal contents, of several the most alike; return pairs, what was removed, and added."""
    left: dict[str, list[ImageRecord]] = defaultdict(list)
    for item in old:
        left[item.sha256].append(item)
    pairs, waiting = [], list(new)
    for alike in (_all_the_same, _same_split, _same_contents):
        unmatched = []
        for item in waiting:
            found = next((other for other in left[item.sha256] if alike(other, item)), None)
            if found is None:
                unmatched.append(item)
            else:
                left[item.sha256].remove(found)
                pairs.append(ImagePair(found, item))
        waiting = unmatched
    pairs.sort(key=lambda pair: pair.new.file)
    removed = sorted((item for items in left.values() for item in items), key=lambda item: item.file)
    return pairs, removed, waiting


def _all_the_same(one: ImageRecord, other: ImageRecord) -> bool:
    return one.split == other.split and one.labels_sha256 == other.labels_sha256


def _same_split(one: ImageRecord, other: ImageRecord) -> bool:
    return one.split == other.split


def _same_contents(_one: ImageRecord, _other: ImageRecord) -> bool:
    return True


def _comparable(old: Manifest, new: Manifest) -> bool:
    """Tell whether an index means the same class in both: a class may have been added at the end."""
    shared = min(len(old.names), len(new.names))
    return old.task == new.task and old.names[:shared] == new.names[:shared]


def _remarks(old: Manifest, new: Manifest, comparable: bool) -> Iterator[str]:
    if old.task != new.task:
        yield f"the task changed from {old.task} to {new.task}"
    came = [name for name in new.names if name not in old.names]
    went = [name for name in old.names if name not in new.names]
    if came:
        yield f"new classes: {', '.join(came)}"
    if went:
        yield f"classes that are gone: {', '.join(went)}"
    if not comparable:
        yield (
            "task or order of classes changed, so that labels are compared by the classes of their objects "
            "alone: a box that was moved is not seen"
        )


def _classes(old: Manifest, new: Manifest) -> dict[str, dict[str, tuple[int, int]]]:
    names = dict.fromkeys((*new.names, *old.names))
    found = {split: (old.counts(split), new.counts(split)) for split in SPLITS}
    return {
        split: {name: (before.get(name, 0), after.get(name, 0)) for name in names}
        for split, (before, after) in found.items()
    }


def names_of(item: ImageRecord, of: Manifest) -> list[str]:
    """Return the class of each object of an image, by name."""
    return [of.names[cls] for cls in item.classes]


def tell(changes: DatasetDiff, old: Manifest, new: Manifest, *, show: int = 20) -> list[str]:
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


def as_json(changes: DatasetDiff, old: Manifest, new: Manifest) -> dict[str, Any]:
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


def _objects(pair: ImagePair, old: Manifest, new: Manifest) -> str:
    """Say how an image's objects changed, as far as a manifest knows."""
    before, after = Counter(names_of(pair.old, old)), Counter(names_of(pair.new, new))
    names = sorted({*before, *after})
    changed = [f"{name} {before[name]} -> {after[name]}" for name in names if before[name] != after[name]]
    return ", ".join(changed) or "the same classes, other places"


def _spread(items: Sequence[ImageRecord]) -> str:
    counts = Counter(item.split for item in items)
    return f" ({', '.join(f'{split} {counts[split]}' for split in SPLITS if counts[split])})" if items else ""


def _shown(item: ImageRecord) -> str:
    return item.file if item.file.endswith(f"/{item.source}") else f"{item.file} ({item.source})"


def _place(item: ImageRecord) -> dict[str, Any]:
    return {"file": item.file, "source": item.source, "sha256": item.sha256}
