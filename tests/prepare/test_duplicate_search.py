"""What the search for near copies remembers, and when it must not."""

import json
import random

import numpy as np
import pytest

from pipeline.prepare import duplicate_search, ingest
from pipeline.prepare.duplicate_search import CODE as duplicate_search_CODE
from pipeline.prepare.duplicate_search import CachedDuplicateSearch
from pipeline.prepare.duplicates import search as duplicates_search
from pipeline.prepare.duplicates.search import DuplicatePairs
from pipeline.prepare.images import cache
from pipeline.prepare.images.cache import CODE, LIBRARIES
from tests.prepare.duplicates.test_search import crowd

HASHES = sorted(f"{number:064x}"[::-1] for number in range(1, 41))
LOOKS = crowd(5, 40)


@pytest.fixture
def blocks(monkeypatch):
    """How many pairs of rows and columns were laid out to be compared."""
    found: list[int] = []
    lay_out = duplicates_search._blocks

    def noting(vectors, known):
        made = lay_out(vectors, known)
        found.append(sum(len(block.rows) * len(block.columns) for block in made))
        return made

    monkeypatch.setattr(duplicates_search, "_blocks", noting)
    return found


def chosen(rows: list[int]) -> tuple[np.ndarray, list[str]]:
    return LOOKS[rows], [HASHES[row] for row in rows]


def pairs(found: DuplicatePairs) -> list[list[int]]:
    return [column.tolist() for column in found]


def test_any_sequence_of_sets_of_images_gives_what_a_full_search_gives(tmp_path):
    rng = random.Random(0)
    for _ in range(12):
        looks, hashes = chosen(sorted(rng.sample(range(40), rng.randint(0, 40))))
        assert pairs(CachedDuplicateSearch(tmp_path / "kept").find(looks, hashes)) == pairs(
            duplicates_search.find(looks)
        )


def test_only_what_is_new_is_compared(tmp_path, blocks):
    CachedDuplicateSearch(tmp_path / "kept").find(*chosen(list(range(39))))
    CachedDuplicateSearch(tmp_path / "kept").find(*chosen(list(range(39))))
    CachedDuplicateSearch(tmp_path / "kept").find(
        *chosen(list(range(5, 39)))
    )  # fewer: nothing is new, nothing forgotten
    CachedDuplicateSearch(tmp_path / "kept").find(*chosen(list(range(40))))
    full, again, fewer, more = blocks
    assert again == fewer == 0
    assert 0 < more < 2 * 40 < full


def changed(text: str) -> str:
    digest, body = text.split("\n")
    kept = json.loads(body)
    kept["pairs"] = []
    return f"{digest}\n{json.dumps(kept)}"


@pytest.mark.parametrize(
    "damage",
    [changed, lambda text: text[:-40], lambda _: "", lambda text: text.replace("\n", ""), lambda _: "\xff"],
)
def test_what_was_damaged_or_changed_counts_for_nothing(tmp_path, blocks, damage):
    kept = tmp_path / "kept"
    whole = CachedDuplicateSearch(kept).find(LOOKS, HASHES)
    sound = kept.read_text()
    kept.write_text(damage(sound))
    assert pairs(CachedDuplicateSearch(kept).find(LOOKS, HASHES)) == pairs(whole)
    assert blocks[1] == blocks[0]
    assert kept.read_text() == sound


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
def test_what_fits_its_digest_must_make_sense_all_the_same(tmp_path, blocks, text):
    search = CachedDuplicateSearch(tmp_path / "kept")
    (tmp_path / "kept").write_text(f"{search._digest(text)}\n{text}")
    assert pairs(search.find(LOOKS, HASHES)) == pairs(duplicates_search.find(LOOKS))
    assert blocks[0] > 0


@pytest.mark.parametrize("touch", ["code", "library"])
def test_other_code_or_libraries_compare_anew(tmp_path, blocks, monkeypatch, touch):
    CachedDuplicateSearch(tmp_path / "kept").find(LOOKS, HASHES)
    if touch == "code":
        monkeypatch.setattr(duplicate_search, "CODE", (*duplicate_search_CODE, ingest))
    else:
        monkeypatch.setattr(cache, "LIBRARIES", (*LIBRARIES, "tqdm"))
    CachedDuplicateSearch(tmp_path / "kept").find(LOOKS, HASHES)
    assert blocks[0] == blocks[1]


def test_the_code_that_compares_is_all_that_counts():
    import grimp

    graph = grimp.build_graph("pipeline", cache_dir=None)
    needed = graph.find_upstream_modules("pipeline.prepare.duplicates.search") | {
        "pipeline.prepare.duplicates.search"
    }
    own = {module.__name__ for module in duplicate_search_CODE}
    assert (
        needed
        - {
            "pipeline",
            "pipeline.core",
            "pipeline.core.arrays",
            "pipeline.prepare",
            "pipeline.prepare.duplicates",
        }
        <= own
    )
    assert {module.__name__ for module in CODE} <= own


def test_a_file_that_cannot_be_written_costs_time_only(tmp_path):
    (tmp_path / "kept").mkdir()
    assert pairs(CachedDuplicateSearch(tmp_path / "kept").find(LOOKS, HASHES)) == pairs(
        duplicates_search.find(LOOKS)
    )


def test_sources_have_files_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert duplicate_search.place("/a") == duplicate_search.place("/a") != duplicate_search.place("/b")
    assert duplicate_search.place(None).parent == tmp_path / ".finetrack/compared"
