"""Corpus of broken inputs: each gets its expected verdict, and all other images are used."""

import json
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.stage import run_stage
from tests import corpus
from tests.corpus import Case
from tests.sources import prepare_config, write_picture

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # from Pillow

POSE = {"kpt_shape": [3, 3], "flip_idx": [1, 0, 2]}
SETS = {
    "detect": (corpus.IMAGES + corpus.LABELS, {}),
    "segment": (corpus.POLYGONS, {"label": corpus.OUTLINE}),
    "obb": (corpus.ROTATED, {"label": corpus.OUTLINE, "sound": 30}),
    "pose": (corpus.POSES, {"label": corpus.POINTS, **POSE}),
}
CASES = [
    pytest.param(task, case, id=f"{task}: {case.name}") for task, (cases, _) in SETS.items() for case in cases
]


def source_name(case: Case) -> str:
    file = case.file if case.file.startswith("labels/") else f"images/{case.file}"
    return file.encode(errors="surrogateescape").decode(errors="backslashreplace")


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """Prepare each source once; return the folders in which that was done."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for task, (cases, options) in SETS.items():
            project = tmp_path_factory.mktemp(task)
            patch.chdir(project)
            corpus.write_yolo_source(project / "source", cases, **options)
            run_stage(prepare_config("yolo", project / "source", task=task, samples=0))
            found[task] = project
    return found


@pytest.fixture(scope="module")
def reports(projects):
    """Return what defects.json says, and which files are used."""
    found = {}
    for task, project in projects.items():
        prepared = project / PREPARED_FOLDER
        used = {record.source for record in read_manifest(prepared).items}
        found[task] = json.loads((prepared / "defects.json").read_text()), used
    return found


@pytest.mark.parametrize(("task", "case"), CASES)
def test_broken_input_gets_its_verdict(reports, task, case):
    report, used = reports[task]
    file = source_name(case)
    found = sorted((entry["verdict"], entry["kind"]) for entry in report["files"] if entry["file"] == file)
    assert found == case.findings
    assert (file in used) == all(verdict != "quarantined" for verdict, _ in case.findings)


@pytest.mark.parametrize("task", SETS)
def test_counts_add_up_and_valid_images_are_used(reports, task):
    report, used = reports[task]
    cases, options = SETS[task]
    sound = options.get("sound", 6)
    assert report["in"] == len(cases) + sound == report["used"] + report["quarantined"]
    assert report["used"] == len(used)
    assert {f"images/sound_{number}.jpg" for number in range(sound)} <= used


@pytest.mark.parametrize("task", SETS)
def test_ultralytics_accepts_the_prepared_files_unchanged(projects, task):
    from ultralytics.data.utils import verify_image_label

    prepared = projects[task] / PREPARED_FOLDER
    manifest = read_manifest(prepared)
    points, dims = (manifest.keypoints.count, manifest.keypoints.dims) if manifest.keypoints else (0, 0)
    for record in manifest.items:
        files = str(prepared / "images" / record.file), str(prepared / "labels" / record.label_file)
        found = verify_image_label((*files, "", task == "pose", len(manifest.names), points, dims, False))
        _, lines, shape, *_, corrupt, message = found
        assert (corrupt, message) == (0, "")
        assert (shape, len(lines)) == ((record.height, record.width), len(record.classes))
    assert read_manifest(prepared) == manifest  # it mends in place


def test_quarantine_policy_excludes_every_image_with_a_finding(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases = corpus.IMAGES + corpus.LABELS
    corpus.write_yolo_source(tmp_path / "source", cases)
    run_stage(prepare_config("yolo", tmp_path / "source", on_defect="quarantine", samples=0))
    report = json.loads((PREPARED_FOLDER / "defects.json").read_text())
    sound = {source_name(case) for case in cases if not case.findings}
    used = {record.source for record in read_manifest(PREPARED_FOLDER).items}
    assert used == sound | {f"images/sound_{number}.jpg" for number in range(6)}
    assert {entry["verdict"] for entry in report["files"]} == {"quarantined"}
    assert report["in"] == report["used"] + report["quarantined"] == len(cases) + 6


def test_coco_file_with_many_errors_gets_its_verdicts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_stage(prepare_config("coco", corpus.write_coco_source(tmp_path / "source"), samples=0))
    report = json.loads((PREPARED_FOLDER / "defects.json").read_text())
    found = {}
    for entry in report["files"]:
        found.setdefault(Path(entry["file"]).name, []).append((entry["verdict"], entry["kind"]))
    expected = {
        Path(name).name: corpus.parse_findings(said) for name, (_, _, said) in corpus.COCO_ROWS.items()
    }
    expected |= {
        "unlisted.jpg": [("quarantined", "unlisted-image")],
        "instances.json": [("dropped-object", "stray-annotation")],
    }
    assert found == expected
    assert report["in"] == report["used"] + report["quarantined"] == 6 + len(corpus.COCO_ROWS) + 1


def test_typo_in_a_class_number_is_dropped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = corpus.write_yolo_source(tmp_path / "source", ())
    (source / "data.yaml").unlink()
    (source / "labels/sound_0.txt").write_text("999999 0.5 0.5 0.1 0.1\n" + corpus.BOX)
    run_stage(prepare_config("yolo", source, samples=0))
    assert len(read_manifest(PREPARED_FOLDER).names) == 2000
    [entry] = json.loads((PREPARED_FOLDER / "defects.json").read_text())["files"]
    assert (entry["file"], entry["kind"]) == ("images/sound_0.jpg", "class-out-of-range")


def test_folder_links_are_followed_once_and_noted_if_they_leave_the_source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, elsewhere = corpus.write_yolo_source(tmp_path / "source", ()), tmp_path / "elsewhere"
    write_picture(elsewhere / "away.jpg")
    (source / "images/more").symlink_to(elsewhere)
    (source / "images/loop").symlink_to(source / "images")
    (source / "labels/more").mkdir()
    (source / "labels/more/away.txt").write_text(corpus.BOX)
    run_stage(prepare_config("yolo", source, samples=0))
    report = json.loads((PREPARED_FOLDER / "defects.json").read_text())
    assert report["used"] == 7
    [entry] = report["files"]
    assert (entry["file"], entry["kind"]) == ("images/more/away.jpg", "linked-file")
    assert str(elsewhere) in entry["reason"]


def test_refuse_policy_stops_at_the_first_finding(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    corpus.write_yolo_source(tmp_path / "source", corpus.POLYGONS, label=corpus.OUTLINE)
    with pytest.raises(
        UserError, match=r"^11 files of .*with defects, the first is images/all.jpg: .*; correct them"
    ):
        run_stage(prepare_config("yolo", tmp_path / "source", task="segment", on_defect="refuse"))
    assert not PREPARED_FOLDER.exists()


def mark_refused(name):
    """Mark a source that is made to do harm, or is damaged, as a fault."""
    sentence = corpus.REFUSED_SOURCES[name][1]
    if sentence in {corpus.LEADS_OUT, corpus.LINKS}:
        fault = 1, "archive that names files outside"
    elif sentence == corpus.BOMB or "fills the memory" in name:
        fault = 1, "archive that would fill the disk"
    elif "laughs" in name or "itself" in name:
        fault = 1, "YAML that expands to all memory"
    elif name.startswith("data.yaml") and ("code" in name or "script" in name):
        fault = 1, "data.yaml with code to run or an address to fetch"
    elif "cut" in sentence:
        fault = 11, "archive damaged"
    else:
        return name
    return pytest.param(name, marks=pytest.mark.fault(*fault))


@pytest.mark.parametrize("name", [mark_refused(name) for name in corpus.REFUSED_SOURCES])
def test_unusable_source_is_refused_in_one_sentence(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    make, sentence = corpus.REFUSED_SOURCES[name]
    source = make(tmp_path / "source")
    with pytest.raises(UserError, match=sentence) as refused:
        run_stage(prepare_config("auto", source, samples=0))
    assert "\n" not in str(refused.value)
    left = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert left <= {"source", "source.zip", "source.tar", "source.tar.gz", "data", ".finetrack"}
    assert not any(path.is_file() for path in Path("data").rglob("*"))
