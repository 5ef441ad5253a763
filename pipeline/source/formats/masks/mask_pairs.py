"""Find the masks among the images of a source, and the image of each: by names relative to one another.

A group of images in one folder is taken for masks if its name says so and its pixels do not contradict, or if
its pixels look like masks and the photos of another group have the same names and sizes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.source.formats.masks.mask_content import ImageContent, classify_content
from pipeline.source.formats.masks.mask_names import (
    NameEvidence,
    find_folder_evidence,
    find_mask_ending,
    find_train_ids,
    holds_images_by_name,
    is_picture_of_annotations,
    iterate_mask_keys,
    list_image_keys,
    list_place_words,
)
from pipeline.source.reading.file_tree import format_relative_path, sort_paths
from pipeline.source.reading.image_index import count_common_parts
from pipeline.source.types import find_split_in_name

_MAX_GROUPS: Final = 64
"""With more groups, those whose folders have similar names are decided together."""
_SAMPLES: Final = 3
"""Images of a group that are looked at."""
_MIN_PAIRED: Final = 0.5
"""Share of a group that must have images of the same names, if its folder is not called after masks."""

ImagesByKey = Mapping[str, Sequence[Path]]


class MaskLayout(NamedTuple):
    """Which images of a source are masks.

    Attributes:
        masks: The image of each mask; None if there is none, or if it is not clear which one.
        images: The images that are no masks.
        pictures: Pictures made from annotations, such as overlays: neither images nor masks.
        guessed: Folders that are taken for masks because of their pixels alone.
    """

    masks: Mapping[Path, Path | None]
    images: Sequence[Path]
    pictures: Sequence[Path]
    guessed: tuple[str, ...] = ()


class ImageGroup(NamedTuple):
    """Images of one folder with the same ending and suffix.

    Attributes:
        files: The images.
        evidence: What their names say.
        paired: Share of them for which another group has an image.
        is_sure: The folders are called masks and not images, and others are called images.
    """

    files: Sequence[Path]
    evidence: NameEvidence
    paired: float
    is_sure: bool


def find_mask_layout(files: Sequence[Path], folder: Path) -> MaskLayout:
    """Find the masks among image files, and the image of each."""
    pictures = {path for path in files if is_picture_of_annotations(path, folder)} | find_train_ids(files)
    groups = _group_files([path for path in files if path not in pictures], folder)
    chosen, guessed = _choose_mask_groups(groups, folder)
    others = _find_other_masks(groups, chosen) if chosen else []
    images = sort_paths(path for group in groups if group not in [*chosen, *others] for path in group.files)
    pairs = _pair_masks(chosen, images, folder)
    for group in others:  # masks of other images, or a second kind of masks of the same ones
        more = _pair_masks([group], images, folder)
        found = set(more.values()) - {None}
        if found and len(found & set(pairs.values())) < _MIN_PAIRED * len(found):
            pairs |= more
        else:
            pictures |= set(group.files)
    return MaskLayout(pairs, images, sort_paths(pictures), guessed)


def _pair_masks(
    groups: Sequence[ImageGroup], images: Sequence[Path], folder: Path
) -> dict[Path, Path | None]:
    by_key, lone = _index_images(images), _index_lone_images(images, folder)
    masks = sort_paths(path for group in groups for path in group.files)
    return {mask: _find_image(mask, by_key, folder) or lone.get(mask.parent.parent) for mask in masks}


def _group_files(files: Sequence[Path], folder: Path) -> list[ImageGroup]:
    """Group the images, and count how many of each group another group has an image for."""
    places = {path.parent: path.parent.relative_to(folder) for path in files}
    endings = {path: find_mask_ending(path.stem) for path in files}
    named: dict[tuple[object, str, str], list[Path]] = defaultdict(list)
    for path in files:
        named[path.parent, endings[path], path.suffix.lower()].append(path)
    if len(named) > _MAX_GROUPS:
        named = defaultdict(list)
        for path in files:
            named[find_folder_evidence(places[path.parent]), endings[path], path.suffix.lower()].append(path)
    groups_of_key: dict[str, set[int]] = defaultdict(set)
    for number, members in enumerate(named.values()):
        for path in members:
            for key in list_image_keys(path.stem):
                groups_of_key[_complete_key(key, path)].add(number)
    plain = [path for path in files if not find_folder_evidence(places[path.parent]) and not endings[path]]
    lone = _index_lone_images(plain, folder)
    has_image_folder = any(map(holds_images_by_name, set(places.values())))
    groups = []
    for number, members in enumerate(named.values()):
        ending: NameEvidence = "mask" if endings[members[0]] else ""
        place = places[members[0].parent]
        evidence = find_folder_evidence(place) or ending
        paired = _count_paired(members, number, groups_of_key)
        if evidence == "mask":
            paired = max(paired, sum(path.parent.parent in lone for path in members))
        is_sure = evidence == "mask" and has_image_folder and not holds_images_by_name(place)
        groups.append(ImageGroup(members, evidence, paired / len(members), is_sure))
    return groups


def _count_paired(files: Sequence[Path], own: int, groups_of_key: Mapping[str, set[int]]) -> int:
    """Count the images of a group for which another group has an image."""
    return sum(
        any(
            groups_of_key.get(_complete_key(key, path), set()) - {own} for key in iterate_mask_keys(path.stem)
        )
        for path in files
    )


def _choose_mask_groups(
    groups: Sequence[ImageGroup], folder: Path
) -> tuple[list[ImageGroup], tuple[str, ...]]:
    """Choose the groups of masks: those that names speak for; else those that only their pixels speak for.

    Returns:
        The groups, and the folders that only pixels speak for.
    """
    paired = [group for group in groups if group.paired]
    contents = {id(group): _look_at_samples(group) for group in paired}
    named = [group for group in paired if _is_named_mask(group, contents[id(group)])]
    strong = [group for group in named if group.evidence == "mask"]
    if strong and len(strong) < len(groups):
        return strong, ()
    if named and len(named) < len(groups):
        return named, ()
    photos = [group for group in paired if _get_kind(contents[id(group)]) == "photo"]
    keys = {
        _complete_key(key, path): path
        for group in photos
        for path in group.files
        for key in list_image_keys(path.stem)
    }
    chosen = [group for group in paired if _has_mask_pixels(group, contents[id(group)], keys)]
    places = {format_relative_path(group.files[0].parent, folder) for group in chosen}
    return chosen, tuple(sorted(places))


def _is_named_mask(group: ImageGroup, contents: Mapping[Path, ImageContent]) -> bool:
    """Check that a name speaks for masks, and that the pixels do not contradict."""
    kind = _get_kind(contents)
    if group.evidence == "mask":
        return group.is_sure or kind != "photo"
    return group.evidence == "annotation" and kind == "mask" and group.paired >= _MIN_PAIRED


def _has_mask_pixels(
    group: ImageGroup, contents: Mapping[Path, ImageContent], photos: Mapping[str, Path]
) -> bool:
    """Check that images look like masks of photos that have the same names and sizes."""
    if _get_kind(contents) != "mask":
        return False
    partners = {
        path: next(
            (
                found
                for key in iterate_mask_keys(path.stem)
                if (found := photos.get(_complete_key(key, path)))
            ),
            None,
        )
        for path in group.files
    }
    if sum(partner is not None for partner in partners.values()) < _MIN_PAIRED * len(group.files):
        return False
    return all(
        content.size == classify_content(partner).size
        for path, content in contents.items()
        if (partner := partners[path])
    )


def _look_at_samples(group: ImageGroup) -> dict[Path, ImageContent]:
    step = max(1, len(group.files) // _SAMPLES)
    return {path: classify_content(path) for path in group.files[::step][:_SAMPLES]}


def _get_kind(contents: Mapping[Path, ImageContent]) -> str:
    """Return what most of the samples look like; empty if none can be judged."""
    counts = Counter(content.kind for content in contents.values() if content.kind)
    return counts.most_common(1)[0][0] if counts else ""


def _find_other_masks(groups: Sequence[ImageGroup], chosen: Sequence[ImageGroup]) -> list[ImageGroup]:
    """Find further groups that look like masks, by name or, beside photos, by pixels."""
    others = [group for group in groups if group not in chosen and group.paired]
    kinds = {id(group): _get_kind(_look_at_samples(group)) for group in others}
    has_photos = any(kind == "photo" for kind in kinds.values())
    return [group for group in others if kinds[id(group)] == "mask" and (group.evidence or has_photos)]


def _index_lone_images(images: Iterable[Path], folder: Path) -> dict[Path, Path]:
    """Return the images that have a folder of their own, by this folder: its masks may have any names."""
    inner: dict[Path, list[Path]] = defaultdict(list)
    for path in images:
        for place in {path.parent, path.parent.parent} - {folder, *folder.parents}:
            inner[place].append(path)
    return {place: paths[0] for place, paths in inner.items() if len(paths) == 1}


def _index_images(images: Iterable[Path]) -> ImagesByKey:
    by_key: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        for key in list_image_keys(path.stem):
            by_key[_complete_key(key, path)].append(path)
    return by_key


def _complete_key(key: str, path: Path) -> str:
    """Return a key that holds everywhere; a name without words of its own, `mask`, in its folder alone."""
    return key or f"{path.parent}/"


def _find_image(mask: Path, by_key: ImagesByKey, folder: Path) -> Path | None:
    """Find the image of a mask: of several, the one whose folders are most alike."""
    for key in iterate_mask_keys(mask.stem):
        found = by_key.get(_complete_key(key, mask), ())
        likely = [path for path in found if not _has_other_split(path, mask, folder)]
        if likely:
            return _choose_most_alike(mask, likely, folder)
    return None


def _choose_most_alike(mask: Path, images: Sequence[Path], folder: Path) -> Path | None:
    """Choose the image whose folders are most like those of the mask; None if two are equally like it."""
    if len(images) == 1:
        return images[0]
    scores = [(_compare_places(mask, path, folder), path.stem == mask.stem) for path in images]
    best = [path for path, score in zip(images, scores, strict=True) if score == max(scores)]
    return best[0] if len(best) == 1 else None


def _compare_places(mask: Path, image: Path, folder: Path) -> tuple[bool, int, int, int]:
    own, other = (list_place_words(path.parent.relative_to(folder)) for path in (mask, image))
    tail = count_common_parts(reversed(own), reversed(other))
    return mask.parent == image.parent, tail, count_common_parts(own, other), -abs(len(own) - len(other))


def _has_other_split(image: Path, mask: Path, folder: Path) -> bool:
    one, other = (_find_split(path.parent.relative_to(folder)) for path in (image, mask))
    return bool(one and other and one != other)


def _find_split(place: Path) -> str | None:
    words = list_place_words(place)
    return next((split for word in reversed(words) if (split := find_split_in_name(word))), None)
