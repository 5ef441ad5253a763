"""Sources on a disk that nobody can write to: every format is read, and commands that read them work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline.__main__ import main
from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.stage import run_stage
from pipeline.source.recognize_format import read_source
from tests import sources
from tests.disks import mount_small_disk, read_only_disk
from tests.fuzz.targets import TARGETS
from tests.predict.conftest import build_request, write_images
from tests.sources import prepare_config

FORMATS = sorted(set(TARGETS) - {"folders", "lines", "archives", "images"})
LABEL = "0 0.5 0.5 0.2 0.4\n"


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A disk with a source in every format, an archive, and images to predict on; it is read-only by now."""
    with mount_small_disk(tmp_path_factory.mktemp("read") / "only", kilobytes=40_000) as disk:
        for form in FORMATS:
            (disk / form).mkdir()
            assert TARGETS[form].run(disk / form, TARGETS[form].seeds()[0])
        names = [f"{number}" for number in range(6)]
        folder = sources.write_yolo_source(disk / "set", dict.fromkeys(names, LABEL))
        (folder / "images/1.jpg").write_bytes((folder / "images/0.jpg").read_bytes()[:500])
        shutil.make_archive(str(disk / "packed"), "zip", folder)
        for name in ("cat", "dog"):
            for number in range(5):
                sources.write_picture(disk / f"classes/{name}/{name}{number}.jpg")
        listed = {f"{name}.jpg": [{}] for name in names}
        sources.write_coco_file(disk / "own/a.json", listed, categories={1: "a"})
        for name in listed:
            sources.write_picture(disk / f"own/{name}")
        write_images(disk / "pictures", count=3)
        with read_only_disk(disk):
            with pytest.raises(OSError, match="Read-only"):
                (disk / "new").touch()
            yield disk


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.fault(9, "a source that cannot be written to")
def test_every_format_is_read_from_a_read_only_disk(disk, form):
    assert read_source(form, disk / form).images


@pytest.mark.parametrize("name", ["set", "packed.zip", "classes", "own"])
@pytest.mark.fault(9, "a source that cannot be written to")
def test_a_read_only_source_is_prepared(disk, name):
    run_stage(prepare_config("auto", disk / name, samples=0))
    manifest = read_manifest(PREPARED_FOLDER)
    report = json.loads((PREPARED_FOLDER / "defects.json").read_text())
    assert report["in"] == len(manifest.items) + report["quarantined"] > 0
    (PREPARED_FOLDER / "manifest.json").write_text("written")  # what is copied is not read-only


@pytest.mark.fault(9, "a source that cannot be written to")
def test_commands_read_from_a_read_only_disk(disk, capsys):
    assert main(["inspect", str(disk / "set"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["used"] == 5


@pytest.mark.fault(9, "a source that cannot be written to")
def test_predictions_on_read_only_images_are_written_elsewhere_or_refused(disk, project):
    from pipeline.predict.run import run_prediction

    assert list(run_prediction(build_request([disk / "pictures"], project / "out")))
    assert json.loads((project / "out/predictions.json").read_text())["images"]
    with pytest.raises((UserError, OSError)):
        list(run_prediction(build_request([disk / "pictures"], disk / "pictures/out")))


@pytest.mark.fault(9, "a project that cannot be written to")
def test_a_read_only_project_is_one_sentence(disk, monkeypatch, capsys):
    monkeypatch.chdir(disk)
    assert main(["inspect", str(disk / "set")]) == 0  # it keeps nothing
    capsys.readouterr()
    for command in (["inspect", str(disk / "packed.zip")], ["compose"], ["prepare"]):
        assert main(command) == 1
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) == 1, said
    assert not Path(".finetrack").exists()
