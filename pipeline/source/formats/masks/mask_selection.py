"""Choose among kinds of masks of the same images: by their content and their names, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.source.formats.masks.mask_kinds import (
    KindPair,
    MaskKind,
    find_rivals,
    group_kinds,
    split_ordinal,
)
from pipeline.source.formats.masks.mask_names import find_mask_ending
from pipeline.source.formats.masks.mask_samples import show_field_of_view, show_same_objects
from pipeline.source.reading.file_tree import format_relative_path

_LISTED: Final = 4
_VIEW_WORDS: Final = frozenset({"fov", "fovs", "view", "field", "valid"})
"""Words in the names of folders of fields of view."""


class KindChoice(NamedTuple):
    """The masks to read of a source in which images have several.

    Attributes:
        kept: The image of each mask.
        left_out: The masks that a remark says to be left out.
        remarks: What was left out, and why.
        rivals: Kinds in different folders that have masks of the same images: classes, or unclear.
    """

    kept: Mapping[Path, Path | None]
    left_out: frozenset[Path] = frozenset()
    remarks: tuple[str, ...] = ()
    rivals: tuple[KindPair, ...] = ()


def choose_mask_kinds(
    chosen: Mapping[Path, Path | None], spare: Mapping[Path, Path | None], folder: Path
) -> KindChoice:
    """Choose among kinds of masks of the same images.

    Args:
        chosen: The image of each mask that its name speaks for.
        spare: The same of further images that look like masks.
        folder: The source folder.

    Raises:
        UserError: It is not clear which kind is meant.
    """
    kinds = [*group_kinds(chosen, folder, is_chosen=True), *group_kinds(spare, folder, is_chosen=False)]
    competing = {id(kind) for pair in find_rivals(kinds) for kind in pair}
    kinds = _mark_views(kinds, competing)
    left, remarks = _leave_out_kinds(kinds, folder) if competing else (kinds, ())
    rivals = find_rivals(left) if competing else []
    unclear = [
        (one, other)
        for one, other in rivals
        if one.place == other.place or not (one.is_chosen and other.is_chosen)
    ]
    if unclear:
        raise UserError(describe_rivals(unclear, folder))
    stay = {id(kind) for kind in left}
    out = {mask for kind in kinds if id(kind) not in stay for mask in kind.files}
    kept = {mask: image for mask, image in chosen.items() if mask not in out}
    used = {image for image in kept.values() if image}
    for kind in left:
        if not kind.is_chosen and used.isdisjoint(kind.masks):
            kept |= {mask: spare[mask] for mask in kind.files}
    return KindChoice(kept, frozenset(out), (*remarks, *_describe_view(left, folder)), tuple(rivals))


def describe_rivals(rivals: Sequence[KindPair], folder: Path) -> str:
    """Name the kinds of masks of the same images, and say what to do."""
    one, other = rivals[0]
    image = min(image for image in one.masks if image in other.masks)
    is_ending = one.place == other.place
    listed = [kind for pair in rivals for kind in pair if image in kind.masks]
    kinds = [
        *{id(kind): kind for kind in listed if (kind.place == one.place) == is_ending or kind is one}.values()
    ]
    files = _join([format_relative_path(kind.masks[image], folder) for kind in kinds])
    start = f"images have {len(kinds)} kinds of masks: {format_relative_path(image, folder)} has {files}"
    if is_ending:
        names = _join([_quote_ending(kind) for kind in kinds])
        return (
            f"{start}: keep one of the kinds {names} in data.source, or, if the kinds are classes, move each "
            "into a folder with the name of the class, such as masks/crack/"
        )
    places = _join([_list_places(kind.files, folder) for kind in kinds])
    return f"{start}: keep one of {places} in data.source, the one to learn from"


def _join(names: Sequence[str]) -> str:
    """Join the first names with `and`."""
    more = [f"{len(names) - _LISTED} more"] if len(names) > _LISTED else []
    *most, last = [*names[:_LISTED], *more]
    return f"{', '.join(most)} and {last}"


def _quote_ending(kind: MaskKind) -> str:
    ending = "_".join(kind.ending)
    return f"'_{ending}'" if ending else "without ending"


def _list_places(files: Iterable[Path], folder: Path) -> str:
    """List the first folders of some files."""
    places = sorted({format_relative_path(path.parent, folder) + "/" for path in files})
    more = f" and {len(places) - _LISTED} more" if len(places) > _LISTED else ""
    return ", ".join(places[:_LISTED]) + more


def _describe_kind(kind: MaskKind, other: MaskKind, folder: Path) -> str:
    """Name a kind by its folders; in the same folders as another, by its ending."""
    if kind.place != other.place:
        return f"in {_list_places(kind.files, folder)}"
    return f"with the ending {_quote_ending(kind)}" if kind.ending else "without ending"


def _mark_views(kinds: Sequence[MaskKind], competing: Collection[int]) -> list[MaskKind]:
    """Mark the kinds that show a field of view, among those that compete, or if there is only one."""
    return [
        kind._replace(is_view=show_field_of_view(kind.files))
        if id(kind) in competing or len(kinds) == 1
        else kind
        for kind in kinds
    ]


def _describe_view(left: Sequence[MaskKind], folder: Path) -> Iterator[str]:
    """Tell of masks that may show the field of view, if there are no others."""
    for kind in left:
        if kind.is_view and kind.is_chosen:
            places = _list_places(kind.files, folder)
            yield (
                f"the masks in {places} are nearly the same in every image: if they show the field of view, "
                "they are no annotation"
            )


def _leave_out_kinds(kinds: Sequence[MaskKind], folder: Path) -> tuple[list[MaskKind], tuple[str, ...]]:
    """Leave out the kinds that are surely not meant, and say so in remarks."""
    out: set[int] = set()
    remarks = []
    for find_lesser, reason in _REASONS:
        for one, other in find_rivals([kind for kind in kinds if id(kind) not in out]):
            if not out.isdisjoint({id(one), id(other)}):
                continue
            if lesser := find_lesser(one, other) or find_lesser(other, one):
                out.add(id(lesser))
                remarks.append(_describe_left_out(lesser, other if lesser is one else one, reason, folder))
    return [kind for kind in kinds if id(kind) not in out], tuple(remarks)


def _describe_left_out(lesser: MaskKind, better: MaskKind, reason: str, folder: Path) -> str:
    count = format_count(len(lesser.files), "mask")
    names = _describe_kind(lesser, better, folder), _describe_kind(better, lesser, folder)
    return f"{count} {names[0]} left out: {reason}; those {names[1]} are used"


def _find_field_of_view(one: MaskKind, other: MaskKind) -> MaskKind | None:
    """Return the first kind if it shows the field of view; two folders side by side may be classes."""
    is_class = one.place[:-1] == other.place[:-1] != () and one.is_chosen and other.is_chosen
    if is_class and _VIEW_WORDS.isdisjoint(one.place):
        return None
    return one if one.is_view and not other.is_view else None


def _find_second_observer(one: MaskKind, other: MaskKind) -> MaskKind | None:
    first, second = split_ordinal(one), split_ordinal(other)
    return other if first[0] == second[0] and 0 < first[1] < second[1] else None


def _find_copy(one: MaskKind, other: MaskKind) -> MaskKind | None:
    """Return the second kind if it shows what the first one does, and is not the better one by its name."""
    if _rank_by_name(other) > _rank_by_name(one):
        return None
    images = [image for image in one.masks if image in other.masks]
    same = show_same_objects([one.masks[image] for image in images], [other.masks[image] for image in images])
    return other if same else None


def _rank_by_name(kind: MaskKind) -> tuple[bool, bool, int]:
    return (
        kind.is_chosen,
        bool(find_mask_ending("_".join(kind.ending))),
        -len(kind.ending) - len(kind.place),
    )


def _find_unnamed(one: MaskKind, other: MaskKind) -> MaskKind | None:
    is_unnamed = one.is_chosen and one.is_named and not other.is_chosen and not other.is_named
    return other if is_unnamed and one.place != other.place else None


_REASONS: Final[Sequence[tuple[Callable[[MaskKind, MaskKind], MaskKind | None], str]]] = (
    (_find_field_of_view, "they are nearly the same in every image, a field of view and no objects"),
    (_find_second_observer, "they are a second annotation of the same images"),
    (_find_copy, "they show the same objects"),
    (_find_unnamed, "their names do not speak for masks"),
)
"""Why a kind is not meant where another has masks of the same images."""
