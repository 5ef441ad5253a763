"""Understand file and folder names of masks: what a folder holds, and the name of the image of a mask."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pipeline.source.reading.image_index import normalize_name
from pipeline.source.types import find_split_in_name

NameEvidence = Literal["mask", "annotation", ""]
"""What a name says: masks; annotations, which may be masks; or nothing."""

IMAGE_WORDS: Final = frozenset(
    {"image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "rgb", "sat", "raw"}
    | {"input", "inputs", "leftimg8bit", "jpegimages", "orig", "original", "originals", "data"}
)
_MASK_WORDS: Final = frozenset(
    {"mask", "masks", "seg", "segmentation", "segmentations", "gt", "groundtruth", "matte"}
    | {"labelids", "labeltrainids", "gtfine", "gtcoarse"}
)
_ANNOTATION_WORDS: Final = frozenset(
    {"label", "labels", "lbl", "annot", "annots", "annotation", "annotations", "target", "targets", "ground"}
    | {"truth", "l"}
)
_MASK_FOLDER: Final = re.compile(
    r"_(masks?|segmentations?|segmentation_?class(_?png)?|segmentationmasks|ground_?truths?|gt)_"
)
_ANNOTATION_FOLDER: Final = re.compile(
    r"(annots?|annotations?)_|_(labels?|labell?ed|lbls?|targets?|truth|seg|semantic)_"
)
_PICTURE_FOLDER: Final = re.compile(
    r"_(segmentation_?object(_?png)?|instance_?masks?|panoptic)_|visuali[sz]ations?_|_(viz|overlays?)_"
)
"""Folders of pictures made from annotations: colored overlays, and images that number the objects."""
_PICTURE_STEM: Final = re.compile(
    r"(_instance(train)?ids|_gt(fine|coarse)_color|_viz|_overlay|_visuali[sz]ation)$"
)
_FOLDER_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\x00-\x7f]+")
_MASK_ENDING: Final = re.compile(r"[_-](masks?|seg|segmentation|gt|label)$", re.IGNORECASE)
_STEM_SEPARATOR: Final = re.compile(r"[_\-. ]+")
_OBSERVER: Final = re.compile(
    r"(manual|observer|annotator|expert|rater|reader|grader)[1-9]|[1-9](st|nd|rd|th)[a-z]*"
)
"""The last word of a mask that one of several people drew, as in 21_manual1 and Image_01L_1stHO."""
_GLUED_ENDING: Final = re.compile(r"(?<=[a-z]{2})(annots?|annotations?|masks?|labels?|images?)$")


class ImageName(NamedTuple):
    """The parts of an image's path: its relative folder, its stem, and its suffix in lower case."""

    path: Path
    place: Path
    stem: str
    suffix: str


@lru_cache(maxsize=10_000)
def find_folder_evidence(folder: Path) -> NameEvidence:
    """Say what the folders of a relative path hold, by their names."""
    names = [_join_words(part) for part in folder.parts]
    if any(map(_MASK_FOLDER.search, names)):
        return "mask"
    return "annotation" if any(map(_ANNOTATION_FOLDER.search, names)) else ""


@lru_cache(maxsize=10_000)
def is_picture_folder(folder: Path) -> bool:
    """Check for a folder of pictures that were made from annotations."""
    return any(_PICTURE_FOLDER.search(_join_words(part)) for part in folder.parts)


def build_image_names(files: Iterable[Path], folder: Path) -> list[ImageName]:
    """Split the paths of images into parts; each folder is split once, for speed."""
    places: dict[str, Path] = {}
    found = []
    for path in files:
        parent, name = os.path.split(str(path))
        if (place := places.get(parent)) is None:
            place = places[parent] = Path(parent).relative_to(folder)
        stem, suffix = os.path.splitext(name)  # noqa: PTH122 - faster, for 100,000 images
        found.append(ImageName(path, place, stem, suffix.lower()))
    return found


def is_picture_of_annotations(image: ImageName) -> bool:
    """Check for a picture that was made from annotations, such as an overlay: neither image nor mask."""
    return is_picture_folder(image.place) or bool(_PICTURE_STEM.search(image.stem.lower()))


def find_train_ids(images: Iterable[ImageName]) -> set[Path]:
    """Find the masks of Cityscapes that number the classes for training, if others have their ids."""
    endings = {image.path: image.stem.lower().rpartition("_")[2] for image in images if "_" in image.stem}
    if "labelids" not in endings.values():
        return set()
    return {path for path, ending in endings.items() if ending == "labeltrainids"}


@lru_cache(maxsize=10_000)
def holds_images_by_name(folder: Path) -> bool:
    """Check that a folder of a relative path is called after images, such as `images` or `train_imgs`."""
    return any(not IMAGE_WORDS.isdisjoint(_join_words(part).split("_")) for part in folder.parts)


def find_mask_ending(stem: str) -> str:
    """Return the words in a stem that only a mask has, such as `mask` of `x_mask_1`; empty without any."""
    words = _split_stem(stem)
    return "_".join(word for word in words if word in _MASK_WORDS | {"label", "labels", "l"})


def find_added_endings(stems: Collection[str]) -> dict[str, str]:
    """Return the last word of the stems that are another stem and one more word: `anno` of `x_anno`.

    A number is no ending, for images are numbered; that of an observer is.
    """
    keys = {key for stem in stems for key in list_image_keys(stem)}
    return {
        stem: words[-1]
        for stem in stems
        if len(words := _split_stem(stem)) > 1
        and (words[-1].isalpha() or _OBSERVER.fullmatch(words[-1]))
        and not find_split_in_name(words[-1])
        and "_".join(words[:-1]) in keys
    }


def trim_mask_ending(stem: str) -> str:
    """Return the likely stem of the image of a mask; a stem that is only an ending stays as it is."""
    return _MASK_ENDING.sub("", stem) or stem


def list_image_keys(stem: str) -> set[str]:
    """Return the keys under which an image is found: its name, with and without words such as `image`.

    A split at its end counts as such a word: `21_training` has the mask `21_manual1`.
    """
    words = _split_stem(stem)
    own = [word for word in words if word not in IMAGE_WORDS]
    keys = {"_".join(words), "_".join(own)}
    return keys | {"_".join(own[:-1])} if len(own) > 1 and find_split_in_name(own[-1]) else keys


def iterate_mask_keys(stem: str) -> Iterator[str]:
    """Yield possible keys of the image of a mask, the most likely first: `x` for `x_mask` and `x_mask_2`."""
    words = _split_stem(stem)
    roles = _MASK_WORDS | _ANNOTATION_WORDS
    yield "_".join(words)
    yield "_".join(word for word in words if word not in roles)
    yield "_".join(word for word in words if word not in roles | IMAGE_WORDS)
    if len(words) > 2 and words[-1].isdecimal() and words[-2] in roles:
        yield "_".join(words[:-2])
    if len(words) > 1 and (words[-1].isalpha() or _OBSERVER.fullmatch(words[-1])):
        yield "_".join(words[:-1])
        yield "_".join(word for word in words[:-1] if word not in roles)


@lru_cache(maxsize=10_000)
def list_place_words(folder: Path) -> tuple[str, ...]:
    """Return the parts of a relative folder without words such as `images` and `masks`.

    The folders of an image and of its mask have the same ones: `train` for train/images and trainannot.
    """
    roles = IMAGE_WORDS | _MASK_WORDS | _ANNOTATION_WORDS | {"png", "class"}
    parts = []
    for part in folder.parts:
        words = [_GLUED_ENDING.sub("", word) for word in _join_words(part).strip("_").split("_")]
        kept = [find_split_in_name(word) or word for word in words if word not in roles]
        parts.append("_".join(kept))
    return tuple(part for part in parts if part)


@lru_cache(maxsize=10_000)
def _join_words(name: str) -> str:
    return "_" + "_".join(word.lower() for word in _FOLDER_WORD.findall(name)) + "_"


@lru_cache(maxsize=100_000)
def _split_stem(stem: str) -> tuple[str, ...]:
    return tuple(word for word in _STEM_SEPARATOR.split(normalize_name(stem)) if word)


def complete_key(key: str, place: Path) -> str:
    """Return a key that holds everywhere; a name without words of its own, `mask`, in its folder alone."""
    return key or f"{place}/"
