"""Cached search for near duplicates: what is compared again, and what a damaged cache costs."""

import json
import random

import numpy as np
import pytest

from pipeline.prepare import cached_duplicate_search, ingest
from pipeline.prepare.cached_duplicate_search import (
    SEARCH_MODULES,
    CachedDuplicateSearch,
    locate_search_cache,
)
from pipeline.prepare.duplicates import search as duplicates_search
from pipeline.prepare.duplicates.search import DuplicatePairs, find_near_duplicates
from pipeline.prepare.images import cache
from pipeline.prepare.images.cache import CHECK_LIBRARIES, CHECK_MODULES
from tests.prepare.duplicates.test_search import draw_thumbnails_with_copies

HASHES = sorted(f"{number:064x}"[::-1] for number in range(1, 41))
THUMBNAILS = draw_thumbnails_with_copies(5, 40)


@pytest.fixture
def block_sizes(monkeypatch):
    """For each search, the number of pairs of thumbnails to compare."""
    sizes: list[int] = []
    plan_blocks = duplicates_search._plan_blocks

    def plan_and_record(vectors, known):
        blocks = plan_blocks(vectors, known)
        sizes.append(sum(len(block.rows) * len(block.columns) for block in blocks))
        return blocks

    monkeypatch.setattr(duplicates_search, "_plan_blocks", plan_and_record)
    return sizes


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cache"


def select_images(rows: list[int]) -> tuple[np.ndarray, list[str]]:
    return THUMBNAILS[rows], [HASHES[row] for row in rows]


def as_lists(pairs: DuplicatePairs) -> list[list[int]]:
    return [column.tolist() for column in pairs]


def test_cached_search_equals_a_full_search_for_any_sequence_of_image_sets(file):
    rng = random.Random(0)
    for _ in range(12):
        thumbnails, hashes = select_images(sorted(rng.sample(range(40), rng.randint(0, 40))))
        found = CachedDuplicateSearch(file).find(thumbnails, hashes)
        assert as_lists(found) == as_lists(find_near_duplicates(thumbnails))


def test_only_new_images_are_compared(file, block_sizes):
    CachedDuplicateSearch(file).find(*select_images(list(range(39))))
    CachedDuplicateSearch(file).find(*select_images(list(range(39))))
    CachedDuplicateSearch(file).find(*select_images(list(range(5, 39))))  # fewer: the cache keeps all
    CachedDuplicateSearch(file).find(*select_images(list(range(40))))
    full, again, fewer, more = block_sizes
    assert again == fewer == 0
    assert 0 < more < 2 * 40 < full


def remove_pairs(text: str) -> str:
    digest, body = text.split("\n")
    return f"{digest}\n{json.dumps(json.loads(body) | {'pairs': []})}"


@pytest.mark.parametrize(
    "damage",
    [
        remove_pairs,
        lambda text: text[:-40],
        lambda _: "",
        lambda text: text.replace("\n", ""),
        lambda _: "\xff",
    ],
)
def test_damaged_or_changed_cache_is_ignored_and_written_again(file, block_sizes, damage):
    pairs = CachedDuplicateSearch(file).find(THUMBNAILS, HASHES)
    content = file.read_text()
    file.write_text(damage(content))
    assert as_lists(CachedDuplicateSearch(file).find(THUMBNAILS, HASHES)) == as_lists(pairs)
    assert block_sizes[1] == block_sizes[0]
    assert file.read_text() == content


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"images": 5, "pairs": []}',
        '{"images": "", "pairs": [[0, 1, 0]]}',
        '{"images": "ab"}',
        "no JSON",
    ],
)
def test_cache_with_a_valid_digest_and_invalid_values_is_ignored(file, block_sizes, text):
    search = CachedDuplicateSearch(file)
    file.write_text(f"{search._digest(text)}\n{text}")
    assert as_lists(search.find(THUMBNAILS, HASHES)) == as_lists(find_near_duplicates(THUMBNAILS))
    assert block_sizes[0] > 0


@pytest.mark.parametrize("changed", ["code", "library"])
def test_change_of_code_or_library_invalidates_the_cache(file, block_sizes, monkeypatch, changed):
    CachedDuplicateSearch(file).find(THUMBNAILS, HASHES)
    if changed == "code":
        monkeypatch.setattr(cached_duplicate_search, "SEARCH_MODULES", (*SEARCH_MODULES, ingest))
    else:
        monkeypatch.setattr(cache, "CHECK_LIBRARIES", (*CHECK_LIBRARIES, "numpy"))
    CachedDuplicateSearch(file).find(THUMBNAILS, HASHES)
    assert block_sizes[0] == block_sizes[1]


def test_search_modules_are_all_modules_that_decide_a_search():
    import grimp

    search = "pipeline.prepare.duplicates.search"
    graph = grimp.build_graph("pipeline", cache_dir=None)
    passive = {  # packages and types
        "pipeline",
        "pipeline.core",
        "pipeline.core.arrays",
        "pipeline.prepare",
        "pipeline.prepare.duplicates",
    }
    listed = {module.__name__ for module in SEARCH_MODULES}
    assert (graph.find_upstream_modules(search) | {search}) - passive <= listed
    assert {module.__name__ for module in CHECK_MODULES} <= listed


def test_search_works_without_a_cache_that_can_be_written(file):
    file.mkdir()
    found = CachedDuplicateSearch(file).find(THUMBNAILS, HASHES)
    assert as_lists(found) == as_lists(find_near_duplicates(THUMBNAILS))


def test_each_source_has_its_own_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert locate_search_cache("/a") == locate_search_cache("/a") != locate_search_cache("/b")
    assert locate_search_cache(None).parent == tmp_path / ".finetrack/compared"
