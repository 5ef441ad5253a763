"""Annotations that state another size than their image has: refuse, scale, or take them as pixels of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

from pipeline.core.annotations import RawObjects
from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.prepare.annotations.convert import scale_to_pixels
from pipeline.prepare.annotations.turn import MIRRORED_AXES, turn_objects
from pipeline.prepare.images.errors import UnusableImageError
from pipeline.source.plausibility.image_sizes import choose_evenly, read_displayed_size, read_orientation
from pipeline.source.types import AnnotatedImage

Size = tuple[int, int]
SizePolicy = Literal["refuse", "trust_annotation", "trust_image"]

_MAX_MEASURED_IMAGES: Final = 60
_MAX_SHARE: Final = 0.2
"""If more of the images have another size, the set was resized as a whole."""
_MIN_IMAGES: Final = 3
_IMAGE_ADVICE: Final = "data.sizes=trust_image if the coordinates are pixels of the images"


def refuse_other_sizes(images: Sequence[AnnotatedImage], policy: SizePolicy) -> None:
    """Stop before the work if more than a fifth of the images have another size than stated, or are turned.

    Args:
        images: The images of a source; a few of them are measured.
        policy: As in data.sizes; only `refuse` stops.

    Raises:
        UserError: They have.
    """
    stated = [image for image in images if image.size and not image.fault and image.load is None]
    if policy != "refuse" or not stated:
        return
    few = choose_evenly(stated, _MAX_MEASURED_IMAGES)
    measured = [(image, real) for image in few if (real := read_displayed_size(image.path))]
    other = [(image, real) for image, real in measured if image.size != real]
    if len(other) < _MIN_IMAGES or len(other) <= _MAX_SHARE * len(measured):
        return
    sizes = Counter((image.size, real) for image, real in other).most_common(1)[0][0]
    example, real = next((image, real) for image, real in other if (image.size, real) == sizes)
    size = example.size or real
    raise UserError(
        f"{len(other)} of {format_count(len(measured), 'image')} that were measured, such as "
        f"{example.source}, do not have the size that their annotation states: {real[0]} x {real[1]}, not "
        f"{size[0]} x {size[1]}; {_advise(example, real)}"
    )


def _advise(image: AnnotatedImage, size: Size) -> str:
    """Return what the values of data.sizes would do to an image of another size than stated."""
    if image.size != size[::-1]:
        return f"set data.sizes=trust_annotation to scale the annotations to the images, or {_IMAGE_ADVICE}"
    if read_orientation(image.path) not in MIRRORED_AXES:
        return f"width and height are exchanged: set {_IMAGE_ADVICE}"
    return (
        "set data.sizes=trust_annotation if they were annotated without their EXIF orientation, or "
        f"{_IMAGE_ADVICE} as they are displayed"
    )


def resolve_stated_size(annotated: AnnotatedImage, size: Size, policy: SizePolicy) -> RawObjects:
    """Return the objects of an image in its pixels.

    Args:
        annotated: The image and its annotation, which may state the size that the image had.
        size: Width and height of the image as it is displayed.
        policy: As in data.sizes.

    Raises:
        UnusableImageError: The sizes differ, and the policy does not say what to do. Annotations of an image
            that seems to be turned are turned with it if its EXIF orientation says how, and never scaled.
    """
    stated = annotated.size or size
    is_turned = stated == size[::-1] != size
    if is_turned and policy == "trust_annotation" and (turned_raw := _turn_as_image(annotated, size)):
        return turned_raw
    if stated != size and (policy == "refuse" or (policy == "trust_annotation" and is_turned)):
        turned = " (turned by an EXIF orientation?)" if is_turned else ""
        reason = (
            f"annotated at {stated[0]} x {stated[1]} pixels, "
            f"but the image is displayed{turned} at {size[0]} x {size[1]}"
        )
        raise UnusableImageError("size-mismatch", reason)
    if annotated.normalized:
        return scale_to_pixels(annotated.raw, size)
    if stated == size or policy == "trust_image":
        return annotated.raw
    return scale_to_pixels(annotated.raw, (size[0] / stated[0], size[1] / stated[1]))


def _turn_as_image(annotated: AnnotatedImage, size: Size) -> RawObjects | None:
    """Return the objects turned as the EXIF orientation turns their image; None if it does not turn it."""
    orientation = 1 if annotated.load else read_orientation(annotated.path)
    if orientation not in MIRRORED_AXES:
        return None
    raw = scale_to_pixels(annotated.raw, size[::-1]) if annotated.normalized else annotated.raw
    return turn_objects(raw, orientation, size)
