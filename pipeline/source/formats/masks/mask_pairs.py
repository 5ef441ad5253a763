"""Find the masks among the images of a source, and the image of each: by names relative to one another.

A group of images in one folder is taken for masks if its name says so and its pixels do not contradict, or if
its pixels look like masks and the photos of another group have the same names and sizes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pipeline.source.formats.masks.mask_groups import (
    MIN_PAIRED,
    ImageGroup,
    choose_mask_groups,
    index_lone_images,
)
from pipeline.source.formats.masks.mask_names import (
    ImageName,
    build_image_names,
    complete_key,
    find_train_ids,
    is_picture_of_annotations,
    iterate_mask_keys,
    list_image_keys,
    list_place_words,
)
from pipeline.source.reading.file_tree import sort_paths
from pipeline.source.reading.image_index import count_common_parts
from pipeline.source.types import find_split_in_name


class MaskLayout(NamedTuple):
    """Which images of a source are masks.

    Attributes:
        masks: The image of each mask; None if there is none, or if it is not clear which one.
        images: The images that are no masks.
        pictures: Pictures made from annotations, such as overlays: neither images nor masks.
        guessed: Folders that are taken for masks because of their pixels alone.
        spare: The image of each further image that looks like a mask, of images that have masks.
    """

    masks: Mapping[Path, Path | None]
    images: Sequence[Path]
    pictures: Sequence[Path]
    guessed: tuple[str, ...] = ()
    spare: Mapping[Path, Path | None] = {}


class PairingIndex(NamedTuple):
    """Images to find those of masks.

    Attributes:
        by_place: By key, and the words of the folder that are not about images.
        by_key: By key.
        lone: Images that have a folder of their own, by this folder.
    """

    by_place: Mapping[tuple[str, tuple[str, ...]], Sequence[ImageName]]
    by_key: Mapping[str, Sequence[ImageName]]
    lone: Mapping[Path, Path]


def find_mask_layout(files: Iterable[Path], folder: Path) -> MaskLayout:
    """Find the masks among image files, and the image of each."""
    named = build_image_names(files, folder)
    pictures = {image.path for image in named if is_picture_of_annotations(image)} | find_train_ids(named)
    groups = choose_mask_groups([image for image in named if image.path not in pictures])
    images = [image for group in groups.images for image in group.files]
    if not groups.masks:
        return MaskLayout({}, [image.path for image in images], [])
    index = _index_images(images)
    pairs = {mask: image for group in groups.masks for mask, image in _pair_masks(group, index).items()}
    spare: dict[Path, Path | None] = {}
    for group in groups.others:  # masks of other images, or a second kind of masks of the same ones
        more = _pair_masks(group, index)
        found = set(more.values()) - {None}
        is_more = found and len(found & set(pairs.values())) < MIN_PAIRED * len(found)
        (pairs if is_more else spare).update(more)
    return MaskLayout(
        {mask: pairs[mask] for mask in sort_paths(pairs)},
        sort_paths(image.path for image in images),
        sort_paths(pictures),
        groups.guessed,
        spare,
    )


def _index_images(images: Sequence[ImageName]) -> PairingIndex:
    by_place: dict[tuple[str, tuple[str, ...]], list[ImageName]] = defaultdict(list)
    by_key: dict[str, list[ImageName]] = defaultdict(list)
    for image in images:
        words = list_place_words(image.place)
        for key in list_image_keys(image.stem):
            complete = complete_key(key, image.place)
            by_key[complete].append(image)
            by_place[complete, words].append(image)
    return PairingIndex(by_place, by_key, index_lone_images(images))


def _pair_masks(group: ImageGroup, index: PairingIndex) -> dict[Path, Path | None]:
    """Find the image of each mask.

    If masks of one folder have images in the folder of the same name, the others have none elsewhere.
    """
    sure = {mask.path: _find_image(mask, index, same_place=True) for mask in group.files}
    paired = {mask.place for mask in group.files if sure[mask.path]}
    return {
        mask.path: sure[mask.path]
        or (None if mask.place in paired else _find_image(mask, index, same_place=False))
        or index.lone.get(mask.place.parent)
        for mask in group.files
    }


def _find_image(mask: ImageName, index: PairingIndex, *, same_place: bool) -> Path | None:
    """Find the image of a mask: of several, the one whose folders are most alike."""
    words = list_place_words(mask.place)
    for key in iterate_mask_keys(mask.stem):
        complete = complete_key(key, mask.place)
        found = index.by_place.get((complete, words), ()) if same_place else index.by_key.get(complete, ())
        if likely := [image for image in found if not _have_other_splits(image.place, mask.place)]:
            return _choose_most_alike(mask, likely)
    return None


def _choose_most_alike(mask: ImageName, images: Sequence[ImageName]) -> Path | None:
    """Choose the image whose folders are most like those of the mask; None if two are equally like it."""
    if len(images) == 1:
        return images[0].path
    scores = [(_compare_places(mask.place, image.place), image.stem == mask.stem) for image in images]
    best = [image for image, score in zip(images, scores, strict=True) if score == max(scores)]
    return best[0].path if len(best) == 1 else None


@lru_cache(maxsize=10_000)
def _compare_places(mask: Path, image: Path) -> tuple[bool, int, int, int]:
    own, other = list_place_words(mask), list_place_words(image)
    tail = count_common_parts(reversed(own), reversed(other))
    return mask == image, tail, count_common_parts(own, other), -abs(len(own) - len(other))


@lru_cache(maxsize=10_000)
def _have_other_splits(image: Path, mask: Path) -> bool:
    one, other = _find_split(image), _find_split(mask)
    return bool(one and other and one != other)


def _find_split(place: Path) -> str | None:
    words = list_place_words(place)
    return next((split for word in reversed(words) if (split := find_split_in_name(word))), None)
