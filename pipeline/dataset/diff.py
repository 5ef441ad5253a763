"""Compare two versions of a dataset image by image; images are identified by contents, not by name."""

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
    """The differences between two versions.

    Attributes:
        added: Images that only the new one has.
        removed: Images that only the old one has.
        relabelled: Images whose objects changed.
        moved: Images that changed their split; they may be relabelled too.
        classes: For each split and class the old and the new number of objects.
        remarks: What cannot be compared, or concerns the whole dataset, a sentence each.
    """

    added: tuple[ImageRecord, ...]
    removed: tuple[ImageRecord, ...]
    relabelled: tuple[ImagePair, ...]
    moved: tuple[ImagePair, ...]
    classes: dict[str, dict[str, tuple[int, int]]]
    remarks: tuple[str, ...]

    @property
    def has_changes(self) -> bool:
        """Whether the versions differ."""
        return bool(self.added or self.removed or self.relabelled or self.moved or self.remarks)


def compare_manifests(old: Manifest, new: Manifest) -> DatasetDiff:
    """Pair images by SHA-256, those of equal split and labels first, and list the differences.

    Label files hold class indices. If the indices of classes changed, labels are compared by the class names
    of their objects, which does not show a moved box; a remark says so.
    """
    pairs, removed, added = _pair_images(old.items, new.items)
    same_indices = _same_class_indices(old, new)

    def labels(item: ImageRecord, of: Manifest) -> Any:
        return item.labels_sha256 if same_indices else sorted(list_object_classes(item, of))

    return DatasetDiff(
        added=tuple(added),
        removed=tuple(removed),
        relabelled=tuple(pair for pair in pairs if labels(pair.old, old) != labels(pair.new, new)),
        moved=tuple(pair for pair in pairs if pair.old.split != pair.new.split),
        classes=_compare_class_counts(old, new),
        remarks=tuple(_iterate_remarks(old, new, pairs, same_indices)),
    )


def list_object_classes(item: ImageRecord, of: Manifest) -> list[str]:
    """Return the class name of each object of an image."""
    return [of.names[cls] for cls in item.classes]


def format_diff(diff: DatasetDiff, old: Manifest, new: Manifest, *, show: int = 20) -> list[str]:
    """Format differences as lines of text; long lists are cut after `show` entries."""
    if not diff.has_changes:
        return ["no difference: the same images, labels and splits"]
    lines = [_format_totals(diff), *diff.remarks, *_format_class_counts(diff.classes)]
    relabelled = [f"{_format_image(pair.new)}: {_object_changes(pair, old, new)}" for pair in diff.relabelled]
    for title, texts in (
        ("added", [_format_image(item) for item in diff.added]),
        ("removed", [_format_image(item) for item in diff.removed]),
        ("relabelled", relabelled),
        ("moved", [f"{_format_image(pair.new)}: from {pair.old.split}" for pair in diff.moved]),
    ):
        if texts:
            lines += ["", f"{title}:", *(f"  {text}" for text in texts[:show])]
        if len(texts) > show:
            lines.append(f"  and {len(texts) - show} more (--json lists all)")
    return lines


def diff_to_json(diff: DatasetDiff, old: Manifest, new: Manifest) -> dict[str, Any]:
    """Convert differences to JSON values, with every image listed."""
    return {
        "added": [_image_to_json(item) for item in diff.added],
        "removed": [_image_to_json(item) for item in diff.removed],
        "relabelled": [
            _image_to_json(pair.new) | {"objects": _object_changes(pair, old, new)}
            for pair in diff.relabelled
        ],
        "moved": [
            _image_to_json(pair.new) | {"from": pair.old.split, "to": pair.new.split} for pair in diff.moved
        ],
        "classes": {
            split: {name: {"old": counts[0], "new": counts[1]} for name, counts in found.items()}
            for split, found in diff.classes.items()
        },
        "remarks": list(diff.remarks),
    }


def _pair_images(
    old: Sequence[ImageRecord], new: Sequence[ImageRecord]
) -> tuple[list[ImagePair], list[ImageRecord], list[ImageRecord]]:
    """Pair images of equal contents, the most similar first; return the pairs, removed and added images."""
    unpaired: dict[str, list[ImageRecord]] = defaultdict(list)
    for item in old:
        unpaired[item.sha256].append(item)
    pairs, waiting = [], list(new)
    for is_similar in (_same_split_and_labels, _same_split, _same_contents):
        unmatched = []
        for item in waiting:
            found = next((other for other in unpaired[item.sha256] if is_similar(other, item)), None)
            if found is None:
                unmatched.append(item)
            else:
                unpaired[item.sha256].remove(found)
                pairs.append(ImagePair(found, item))
        waiting = unmatched
    pairs.sort(key=lambda pair: pair.new.file)
    removed = sorted((item for items in unpaired.values() for item in items), key=lambda item: item.file)
    return pairs, removed, waiting


def _same_split_and_labels(one: ImageRecord, other: ImageRecord) -> bool:
    return one.split == other.split and one.labels_sha256 == other.labels_sha256


def _same_split(one: ImageRecord, other: ImageRecord) -> bool:
    return one.split == other.split


def _same_contents(_one: ImageRecord, _other: ImageRecord) -> bool:
    return True


def _same_class_indices(old: Manifest, new: Manifest) -> bool:
    """Check whether an index means the same class in both; classes may have been added at the end."""
    shared = min(len(old.names), len(new.names))
    return old.task == new.task and old.names[:shared] == new.names[:shared]


def _iterate_remarks(
    old: Manifest, new: Manifest, pairs: Sequence[ImagePair], same_indices: bool
) -> Iterator[str]:
    if old.task != new.task:
        yield f"the task changed from {old.task} to {new.task}"
    added = [name for name in new.names if name not in old.names]
    removed = [name for name in old.names if name not in new.names]
    if added:
        yield f"new classes: {', '.join(added)}"
    if removed:
        yield f"classes that are gone: {', '.join(removed)}"
    if old.keypoints != new.keypoints:
        yield "the key points changed: their names, their mirror images (flip_idx) or their visibility"
    changed = sum(pair.old.pseudo != pair.new.pseudo for pair in pairs)
    if changed:
        yield f"images whose labels a model made on one side only: {changed}"
    if not same_indices:
        yield (
            "task or order of classes changed, so that labels are compared by the classes of their objects "
            "alone: a box that was moved is not seen"
        )


def _compare_class_counts(old: Manifest, new: Manifest) -> dict[str, dict[str, tuple[int, int]]]:
    names = dict.fromkeys((*new.names, *old.names))
    found = {split: (old.count_objects(split), new.count_objects(split)) for split in SPLITS}
    return {
        split: {name: (before.get(name, 0), after.get(name, 0)) for name in names}
        for split, (before, after) in found.items()
    }


def _format_totals(diff: DatasetDiff) -> str:
    return (
        f"{len(diff.added)} added{_format_split_counts(diff.added)}, "
        f"{len(diff.removed)} removed{_format_split_counts(diff.removed)}, "
        f"{len(diff.relabelled)} relabelled, {len(diff.moved)} moved"
    )


def _format_split_counts(items: Sequence[ImageRecord]) -> str:
    counts = Counter(item.split for item in items)
    return f" ({', '.join(f'{split} {counts[split]}' for split in SPLITS if counts[split])})" if items else ""


def _format_class_counts(classes: Mapping[str, Mapping[str, tuple[int, int]]]) -> Iterator[str]:
    """Yield a line for each split whose number of objects changed."""
    for split, counts in classes.items():
        changed = ((name, old, new) for name, (old, new) in counts.items() if old != new)
        text = ", ".join(f"{name} {old} -> {new} ({new - old:+d})" for name, old, new in changed)
        if text:
            yield f"objects in {split}: {text}"


def _object_changes(pair: ImagePair, old: Manifest, new: Manifest) -> str:
    """Describe how the objects of an image changed, as far as a manifest shows it."""
    before = Counter(list_object_classes(pair.old, old))
    after = Counter(list_object_classes(pair.new, new))
    names = sorted({*before, *after})
    changed = [f"{name} {before[name]} -> {after[name]}" for name in names if before[name] != after[name]]
    return ", ".join(changed) or "the same classes, other places"


def _format_image(item: ImageRecord) -> str:
    return item.file if item.file.endswith(f"/{item.source}") else f"{item.file} ({item.source})"


def _image_to_json(item: ImageRecord) -> dict[str, Any]:
    return {"file": item.file, "source": item.source, "sha256": item.sha256}
