"""A source with some of its classes, or its classes under other names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pipeline.core import classes
from pipeline.core.classes import Choice
from pipeline.core.counting import counted
from pipeline.core.refusal import Refused
from pipeline.edges.datasets.source import Source


def choose(
    source: Source, *, keep: Sequence[str] | None, drop: Sequence[str], rename: Mapping[str, str]
) -> Source:
    """Keep, drop, merge and rename the classes of a source, and say what became of its objects.

    An image whose objects are all left out is a background. Where the image itself has the class (classify),
    it is left out with it.

    Args:
        source: As it was read.
        keep: The classes that are used; all where None.
        drop: Those that are not.
        rename: New names by names of the source.

    Raises:
        Refused: A name that is none of the source's, a contradiction, or no class, or no object, is left.
    """
    choice = classes.choose(source.names, keep=keep, drop=drop, rename=rename)
    if choice.becomes == tuple(range(len(choice.names))):
        return source._replace(names=choice.names)
    counts = Counter(cls for image in source.images for cls in image.raw.classes.tolist())
    _refuse_emptiness(source.names, choice, counts)
    images = tuple(image._replace(raw=classes.apply(choice, image.raw)) for image in source.images)
    bare = [
        bool(len(was.raw.marks)) and not len(now.raw.marks)
        for was, now in zip(source.images, images, strict=True)
    ]
    remarks = [*source.remarks, *_left_out(source, choice, counts), *_merged(source.names, choice)]
    if source.task == "classify":
        images = tuple(image for image, empty in zip(images, bare, strict=True) if not empty)
    elif any(bare):
        remarks.append(
            f"data.classes leaves {counted(sum(bare), 'image')} without objects: used as backgrounds"
        )
    return source._replace(names=choice.names, images=images, remarks=tuple(remarks))


def _refuse_emptiness(names: Sequence[str], choice: Choice, counts: Mapping[int, int]) -> None:
    used = [index for index, new in enumerate(choice.becomes) if new is not None]
    there = ", ".join(f"{name} {counts[index]}" for index, name in enumerate(names) if counts.get(index))
    if there and not any(counts.get(index) for index in used):
        left = ", ".join(names[index] for index in used)
        raise Refused(f"data.classes leaves no object, there is none of {left}: keep one or more of {there}")


def _left_out(source: Source, choice: Choice, counts: Mapping[int, int]) -> Iterable[str]:
    gone = [index for index, new in enumerate(choice.becomes) if new is None]
    if gone:
        what = "images" if source.task == "classify" else "objects"
        listed = ", ".join(f"{source.names[index]} {counts[index]}" for index in gone if counts.get(index))
        yield f"data.classes leaves out {counted(len(gone), 'class')}, in {what}: {listed or 'none'}"


def _merged(names: Sequence[str], choice: Choice) -> Iterable[str]:
    for index, name in enumerate(choice.names):
        one = [old for old, new in zip(names, choice.becomes, strict=True) if new == index]
        if len(one) > 1:
            yield f"data.classes makes one class of {' and '.join(one)}: {name}"
