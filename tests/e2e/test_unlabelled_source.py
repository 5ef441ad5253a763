"""data.unlabelled_source in `dvc repro`: changed pseudo-labels rerun prepare, unchanged ones nothing."""

from __future__ import annotations

import pytest

from tests.pseudo_label_folders import write_pseudo_labels

pytestmark = pytest.mark.slow


@pytest.mark.fault(9, "data.unlabelled_source changes, or is absent")
def test_pseudo_labels_are_an_input_of_prepare(tiny):
    folder = tiny.folder.parent / f"{tiny.folder.name}-more"
    write_pseudo_labels(folder, {"p.jpg": "0 0.5 0.5 0.2 0.4\n"})
    tiny.edit("conf/data/demo.yaml", "unlabelled_source: null", f"unlabelled_source: {folder}")
    tiny.run("dvc repro")
    assert tiny.ran()[0] == "prepare"
    tiny.run("dvc repro")
    assert tiny.ran() == []
    (folder / "labels/p.txt").write_text("1 0.5 0.5 0.2 0.4\n")
    tiny.run("dvc repro")
    assert tiny.ran()[0] == "prepare"
    folder.rename(folder.with_name("moved"))
    assert "its recorded fingerprint stands" in tiny.run("dvc repro")
    assert tiny.ran() == []
