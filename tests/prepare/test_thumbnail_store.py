"""Thumbnails in a file: they are stored once and read by row."""

import numpy as np

from pipeline.prepare.duplicates.perceptual_hash import THUMBNAIL_SIDE
from pipeline.prepare.ingest import ingest_drawn_image
from pipeline.prepare.thumbnail_store import ThumbnailStore
from pipeline.source.synthetic.demo import select_demo_dataset


def draw(index):
    return select_demo_dataset("shapes", "detect").draw(index, seed=0, pixels=64)


def test_thumbnails_are_moved_to_the_file_and_read_by_row(tmp_path):
    rng = np.random.default_rng(0)
    shape = THUMBNAIL_SIDE * THUMBNAIL_SIDE
    thumbnails = [rng.integers(0, 255, shape, dtype=np.uint8).tobytes() for _ in range(5)] + [b"", b""]
    drawn = [ingest_drawn_image(n, "detect", draw=draw, staged_file=tmp_path / str(n)) for n in range(7)]
    results = [
        (ingested._replace(appearance=ingested.appearance._replace(thumbnail=thumbnail)), findings)
        for thumbnail, (ingested, findings) in zip(thumbnails, drawn, strict=True)
    ]
    store = ThumbnailStore(tmp_path / "thumbnails")
    stored = store.store_thumbnails([*results, (None, [])])
    rows = [ingested and ingested.thumbnail_row for ingested, _ in stored]
    assert rows == [0, 1, 2, 3, 4, None, None, None]
    assert all(ingested is None or ingested.appearance.thumbnail == b"" for ingested, _ in stored)
    assert len(store) == 5
    assert store[np.array([3, 0, 3])].reshape(3, -1).tolist() == [list(thumbnails[n]) for n in (3, 0, 3)]
    assert store[np.zeros(0, np.int64)].shape == (0, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
