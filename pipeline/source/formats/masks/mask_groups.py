"""Group the images of a source, and choose the groups that are masks: by their names and by their pixels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.source.formats.masks.mask_content import ImageContent, classify_content
from pipeline.source.formats.masks.mask_names import (
    ImageName,
    NameEvidence,
    complete_key,
    find_added_endings,
    find_folder_evidence,
    find_mask_ending,
    holds_images_by_name,
    iterate_mask_keys,
    list_image_keys,
)

MIN_PAIRED: Final = 0.5
"""Share of a group that must have images of the same names, if its folder is not called after masks."""
_MAX_GROUPS: Final = 64
"""With more groups, those whose folders have similar names are decided together."""
_SAMPLES: Final = 3
"""Images of a group that are looked at."""


class ImageGroup(NamedTuple):
    """Images of one folder with the same ending and suffix.

    Attributes:
        files: The images.
        evidence: What their names say.
        paired: Share of them for which another group has an image.
        is_sure: The folders are called masks and not images, and others are called images.
    """

    files: Sequence[ImageName]
    evidence: NameEvidence
    paired: float
    is_sure: bool


class MaskGroups(NamedTuple):
    """The groups of a source.

    Attributes:
        masks: Those of masks.
        others: Further ones that look like masks.
        images: All others.
        guessed: Folders of masks that only pixels speak for.
    """

    masks: Sequence[ImageGroup]
    others: Sequence[ImageGroup]
    images: Sequence[ImageGroup]
    guessed: tuple[str, ...]


def choose_mask_groups(files: Sequence[ImageName]) -> MaskGroups:
    """Group images, and choose the groups of masks: those that names speak for; else those that pixels do."""
    groups = _group_files(files)
    paired = [group for group in groups if group.paired]
    contents = {id(group): _look_at_samples(group) for group in paired}
    named = [group for group in paired if _is_named_mask(group, contents[id(group)])]
    strong = [group for group in named if group.evidence == "mask"]
    chosen = next((some for some in (strong, named) if some and len(some) < len(groups)), [])
    guessed: tuple[str, ...] = ()
    if not chosen:
        chosen = _choose_by_pixels(paired, contents, groups)
        guessed = tuple(sorted({str(group.files[0].place) for group in chosen}))
    others = _choose_others(chosen, groups, contents) if chosen else []
    left = {id(group) for group in [*chosen, *others]}
    return MaskGroups(chosen, others, [group for group in groups if id(group) not in left], guessed)


def index_lone_images(images: Iterable[ImageName]) -> dict[Path, Path]:
    """Return the images that have a folder of their own, by this folder: its masks may have any names."""
    inner: dict[Path, list[Path]] = defaultdict(list)
    in_place: dict[Path, list[Path]] = defaultdict(list)
    for image in images:
        in_place[image.place].append(image.path)
    for place, paths in in_place.items():
        for outer in {place, place.parent} - {Path()}:
            inner[outer] += paths[:2]
    return {place: paths[0] for place, paths in inner.items() if len(paths) == 1}


def _group_files(files: Sequence[ImageName]) -> list[ImageGroup]:
    """Group the images, and count how many of each group another group has an image for."""
    members = list(_group_by_name(files).values())
    if len(members) < 2:
        return [ImageGroup(files, "", 0, is_sure=False)] if files else []
    groups_of_key: dict[str, set[int]] = defaultdict(set)
    for number, some in enumerate(members):
        for image in some:
            for key in list_image_keys(image.stem):
                groups_of_key[complete_key(key, image.place)].add(number)
    lone = index_lone_images(
        image for image in files if not find_folder_evidence(image.place) and not find_mask_ending(image.stem)
    )
    has_image_folder = any(map(holds_images_by_name, {image.place for image in files}))
    groups = []
    for number, some in enumerate(members):
        place = some[0].place
        ending: NameEvidence = "mask" if find_mask_ending(some[0].stem) else ""
        evidence = find_folder_evidence(place) or ending
        paired = _count_paired(some, number, groups_of_key)
        if evidence == "mask":
            paired = max(paired, sum(image.place.parent in lone for image in some))
        is_sure = evidence == "mask" and has_image_folder and not holds_images_by_name(place)
        groups.append(ImageGroup(some, evidence, paired / len(some), is_sure))
    return groups


def _group_by_name(files: Sequence[ImageName]) -> dict[tuple[object, str, str], list[ImageName]]:
    named: dict[tuple[object, str, str], list[ImageName]] = defaultdict(list)
    added = find_added_endings({image.stem for image in files})
    for image in files:
        ending = find_mask_ending(image.stem) or added.get(image.stem, "")
        named[image.place, ending, image.suffix].append(image)
    if len(named) <= _MAX_GROUPS:
        return named
    merged: dict[tuple[object, str, str], list[ImageName]] = defaultdict(list)
    for (_, ending, suffix), some in named.items():
        merged[find_folder_evidence(some[0].place), ending, suffix] += some
    return merged


def _count_paired(files: Sequence[ImageName], own: int, groups_of_key: Mapping[str, set[int]]) -> int:
    """Count the images of a group for which another group has an image."""
    count = 0
    for image in files:
        for key in iterate_mask_keys(image.stem):
            found = groups_of_key.get(complete_key(key, image.place))
            if found and (len(found) > 1 or own not in found):
                count += 1
                break
    return count


def _is_named_mask(group: ImageGroup, contents: Mapping[ImageName, ImageContent]) -> bool:
    """Check that a name speaks for masks, and that the pixels do not contradict."""
    kind = _get_kind(contents)
    if group.evidence == "mask":
        return group.is_sure or kind != "photo"
    return group.evidence == "annotation" and kind == "mask" and group.paired >= MIN_PAIRED


def _choose_by_pixels(
    paired: Sequence[ImageGroup],
    contents: Mapping[int, Mapping[ImageName, ImageContent]],
    groups: Sequence[ImageGroup],
) -> list[ImageGroup]:
    """Choose the groups that look like masks of photos that have the same names and sizes."""
    likely = [group for group in paired if _get_kind(contents[id(group)]) == "mask"]
    looked = {id(group): contents.get(id(group)) or _look_at_samples(group) for group in groups if likely}
    photos = [group for group in groups if likely and _get_kind(looked[id(group)]) == "photo"]
    photo_of_key = {
        complete_key(key, image.place): image.path
        for group in photos
        for image in group.files
        for key in list_image_keys(image.stem)
    }
    return [group for group in likely if photos and _fits_photos(group, contents[id(group)], photo_of_key)]


def _fits_photos(
    group: ImageGroup, contents: Mapping[ImageName, ImageContent], photo_of_key: Mapping[str, Path]
) -> bool:
    partners: dict[ImageName, Path] = {}
    for image in group.files:
        keys = (complete_key(key, image.place) for key in iterate_mask_keys(image.stem))
        if partner := next((photo_of_key[key] for key in keys if key in photo_of_key), None):
            partners[image] = partner
    return len(partners) >= MIN_PAIRED * len(group.files) and all(
        content.size == classify_content(partners[image]).size
        for image, content in contents.items()
        if image in partners
    )


def _choose_others(
    chosen: Sequence[ImageGroup],
    groups: Sequence[ImageGroup],
    contents: Mapping[int, Mapping[ImageName, ImageContent]],
) -> list[ImageGroup]:
    """Choose further groups that look like masks, by name or, beside photos, by pixels."""
    taken = {id(group) for group in chosen}
    likely = [group for group in groups if group.paired and id(group) not in taken]
    masks = [group for group in likely if _get_kind(contents[id(group)]) == "mask"]
    if not masks:
        return []
    looked = (
        contents.get(id(group)) or _look_at_samples(group) for group in groups if id(group) not in taken
    )
    has_photos = any(_get_kind(found) == "photo" for found in looked)
    return [group for group in masks if group.evidence or has_photos]


def _look_at_samples(group: ImageGroup) -> dict[ImageName, ImageContent]:
    step = max(1, len(group.files) // _SAMPLES)
    return {image: classify_content(image.path) for image in group.files[::step][:_SAMPLES]}


def _get_kind(contents: Mapping[ImageName, ImageContent]) -> str:
    """Return what most of the samples look like; empty if none can be judged."""
    counts = Counter(content.kind for content in contents.values() if content.kind)
    return counts.most_common(1)[0][0] if counts else ""
