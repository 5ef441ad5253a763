"""The prepared dataset as later stages need it."""

from __future__ import annotations

import pytest

from pipeline.core.errors import UserError
from pipeline.dataset.prepared import require_labeled_objects
from tests.builders import prepared_dataset


@pytest.mark.fault(3, "a split without objects")
@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_split_without_objects_is_refused(tmp_path, split):
    images = {"train": 2, "val": 2, "test": 2}
    require_labeled_objects(prepared_dataset(tmp_path / "all", images=images))
    manifest = prepared_dataset(tmp_path / "some", images=images | {split: 0})
    with pytest.raises(UserError, match=f"^the {split} split of data/prepared has no labelled object"):
        require_labeled_objects(manifest)
    require_labeled_objects(manifest, [other for other in images if other != split])
