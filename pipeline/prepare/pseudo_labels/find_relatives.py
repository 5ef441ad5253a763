"""Find pseudo-labelled images that belong together with images of val or test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.config.groups.data import DataConfig
from pipeline.config.source_paths import list_source_paths
from pipeline.prepare.cached_duplicate_search import CachedDuplicateSearch, locate_search_cache
from pipeline.prepare.ingest import IngestedImage
from pipeline.prepare.ingest_source import IngestedSource
from pipeline.prepare.splits.groups import ImageLink
from pipeline.prepare.splits.held_out_relatives import find_held_out_relatives, link_by_group_name
from pipeline.prepare.splits.partition import SplitImage, SplitRules, link_duplicates
from pipeline.prepare.thumbnail_store import ThumbnailStore


class RelatedImages(NamedTuple):
    """Pseudo-labelled images that belong together with labelled ones.

    Attributes:
        held_out: Those in a group with an image of val or test, by their names in the record.
        grouped: How many are in a group of data.group_by with any labelled image.
    """

    held_out: list[str]
    grouped: int


def find_related_images(
    data: DataConfig,
    pseudo: Mapping[str, IngestedImage],
    labelled: IngestedSource,
    *,
    splits: Mapping[str, str],
    thumbnails: ThumbnailStore,
) -> RelatedImages:
    """Find the pseudo-labelled images that are in a group with an image of val or test.

    Args:
        data: Decides as for labelled images: near_duplicates, group_by.
        pseudo: The pseudo-labelled images by their names in the record.
        labelled: The labelled images.
        splits: The split of each labelled image that is used.
        thumbnails: Of all these images.

    Raises:
        UserError: So many images look alike that a comparison would take hours.
    """
    used = [image for image in labelled.images if image.source in splits]
    links = _link_copies(data, [*used, *pseudo.values()], thumbnails)
    named = _link_groups(data.group_by, used, pseudo, labelled) if data.group_by is not None else []
    sources = [image.source for image in pseudo.values()]
    held_out = find_held_out_relatives(sources, splits, links + named)
    grouped = {link.first for link in named}.intersection(sources)
    return RelatedImages(
        [name for name, image in pseudo.items() if image.source in held_out], grouped=len(grouped)
    )


def _link_copies(
    data: DataConfig, images: list[IngestedImage], thumbnails: ThumbnailStore
) -> list[ImageLink]:
    values = data.model_dump()
    rules = SplitRules(**{key: values[key] for key in SplitRules._fields})
    compared = [
        SplitImage(image.source, image.sha256, None, frozenset(), thumbnail=image.thumbnail_row)
        for image in images
    ]
    cache = locate_search_cache([*list_source_paths(data.source), str(data.unlabelled_source)])
    return link_duplicates(compared, rules, thumbnails, CachedDuplicateSearch(cache).find)


def _link_groups(
    group_by: str,
    used: list[IngestedImage],
    pseudo: Mapping[str, IngestedImage],
    labelled: IngestedSource,
) -> list[ImageLink]:
    several = len(labelled.roots) > 1
    columns = {annotated.source: annotated.columns for annotated in labelled.annotated.images}
    paths = {image.source: image.source.partition("/")[2] if several else image.source for image in used}
    return link_by_group_name(
        group_by,
        {source: (path, columns.get(source, {})) for source, path in paths.items()},
        {image.source: name for name, image in pseudo.items()},
    )
