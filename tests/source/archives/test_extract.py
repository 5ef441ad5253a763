"""Archives as sources: unpacked once, identified by content. tests/corpus.py has the refused archives."""

import contextlib
import os
import shutil
import subprocess
import sys
import tarfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.core.errors import UserError
from pipeline.core.paths import PREPARED_FOLDER
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare.stage import run_stage
from pipeline.source.archives import extract
from pipeline.source.archives.cache import is_unchanged, write_unpack_record
from pipeline.source.archives.extract import unpack_source
from pipeline.source.recognize_format import read_source
from pipeline.storage.files import hash_file
from pipeline.storage.scratch_folder import create_scratch_folder
from tests import corpus, sources
from tests.disks import mount_small_disk
from tests.sources import prepare_config

SUFFIX_BY_FORMAT = {"zip": "zip", "tar": "tar", "gztar": "tar.gz", "bztar": "tar.bz2", "xztar": "tar.xz"}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folder(tmp_path):
    return sources.write_yolo_source(tmp_path / "images", {f"{number}": corpus.BOX for number in range(6)})


def read_contents(place):
    return {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", SUFFIX_BY_FORMAT)
def test_unpacked_archive_holds_the_packed_files(project, folder, form):
    archive = shutil.make_archive(str(project / "packed"), form, folder)
    assert archive.endswith(SUFFIX_BY_FORMAT[form])
    assert read_contents(unpack_source(project / archive)) == read_contents(folder)


def test_archive_is_prepared_like_its_folder(project, folder):
    archive = shutil.make_archive(str(project / "packed"), "zip", project, "images")
    made = []
    for source in (folder, archive):
        run_stage(prepare_config("auto", source, samples=0))
        made.append(read_manifest(PREPARED_FOLDER))
    assert [item.sha256 for item in made[0].items] == [item.sha256 for item in made[1].items]


def test_archive_is_unpacked_once_and_again_when_it_changes(project, folder):
    packed = project / shutil.make_archive(str(project / "packed"), "tar", folder)
    first = unpack_source(packed)
    stamp = first.stat().st_mtime_ns
    assert unpack_source(shutil.copy(packed, project / "copy.zip")) == first  # the suffix does not matter
    assert first.stat().st_mtime_ns == stamp
    (folder / "images/0.jpg").unlink()
    changed = unpack_source(project / shutil.make_archive(str(project / "packed"), "tar", folder))
    assert changed != first
    assert read_contents(changed) == read_contents(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "data.yaml").write_text("names: [x]\n"),
        lambda folder: (folder / "images/0.jpg").unlink(),
        lambda folder: (folder / "images/more.jpg").write_bytes(b"x"),
        lambda folder: (folder.with_suffix(".json")).write_text("[]"),
    ],
)
@pytest.mark.fault(11, "unpacked archive changed")
def test_changed_folder_is_unpacked_again_with_a_message(project, folder, capsys, change):
    packed = project / shutil.make_archive(str(project / "packed"), "zip", folder)
    change(unpack_source(packed))
    capsys.readouterr()
    assert read_contents(unpack_source(packed)) == read_contents(folder)
    assert "packed.zip was unpacked to it: unpacking it again" in capsys.readouterr().err


IMPORT_UNPACK = (
    "import sys; from pathlib import Path; from pipeline.source.archives.extract import unpack_source; "
)


def unpack_in_other_process(*paths: Path):
    """Unpack archives, each in a process of its own; return the messages."""
    command = [sys.executable, "-c", f"{IMPORT_UNPACK}unpack_source(Path(sys.argv[1]))"]
    env = {**os.environ, "PYTHONPATH": str(Path(extract.__file__).parents[3])}
    runs = [
        subprocess.run([*command, path], capture_output=True, text=True, check=True, env=env)
        for path in paths
    ]
    return [line for run in runs for line in run.stderr.splitlines() if line.startswith("unpack: ")]


def write_zips(project, *names: str):
    for name in names:
        corpus.pack_zip(("a.txt", name.encode()), ("b.txt", os.urandom(9)))(project / name)
    return [project / f"{name}.zip" for name in names]


def list_kept_archives():
    folders = [path for path in create_scratch_folder("sources").iterdir() if path.is_dir()]
    return sorted((path / "a.txt").read_text() for path in folders)


def test_earlier_version_of_an_archive_is_removed_unless_a_process_uses_it(project):
    [path] = write_zips(project, "a")
    unpack_in_other_process(path)
    write_zips(project, "a")
    in_use = unpack_source(path)
    assert list_kept_archives() == ["a"]
    write_zips(project, "a")
    assert unpack_in_other_process(path) == []
    assert read_contents(in_use)
    write_zips(project, "a")
    said = unpack_in_other_process(path)
    assert said == [f"unpack: removed the unpacked files of {path}: not used lately, or an earlier version"]
    assert list_kept_archives() == ["a", "a"]


def test_changed_folder_is_kept_while_another_process_uses_it(project):
    [path] = write_zips(project, "a")
    code = f"{IMPORT_UNPACK}print(unpack_source(Path(sys.argv[1])), flush=True); sys.stdin.read()"
    env = {**os.environ, "PYTHONPATH": str(Path(extract.__file__).parents[3])}
    ends = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, path], env=env, **ends) as reader:
        folder = Path(reader.stdout.readline().strip())
        (folder / "a.txt").write_text("other")
        with pytest.raises(UserError, match=f"{folder} was changed .* another process reads it: wait"):
            unpack_source(path)
        assert (folder / "a.txt").read_text() == "other"
        reader.communicate()
    assert (unpack_source(path) / "a.txt").read_text() == "a"


def test_only_the_last_used_archives_are_kept(project):
    a, b, c, d, e = write_zips(project, *"abcde")
    assert unpack_in_other_process(a, b, c) == []
    [said] = unpack_in_other_process(a, d)
    assert f"unpacked files of {b}:" in said
    assert list_kept_archives() == ["a", "c", "d"]
    assert len(unpack_in_other_process(e)) == 1
    assert list_kept_archives() == ["a", "d", "e"]


@pytest.mark.fault(13, "SIGKILL while an archive is unpacked")
def test_partial_folder_of_a_killed_process_is_removed(project, folder):
    packed = project / shutil.make_archive(str(project / "packed"), "zip", folder)
    begun = create_scratch_folder("sources") / f".{hash_file(packed)[:32]}.tmp-x1y2_abc"
    (begun / "images").mkdir(parents=True)
    assert read_contents(unpack_source(packed)) == read_contents(folder)
    assert not begun.exists()


@pytest.mark.fault(13, "a full disk")
def test_a_disk_that_small_files_fill_is_named_and_not_the_archive(tmp_path, monkeypatch):
    """Each of them takes a block, so that they need more than the sum of their lengths."""
    for number in range(100):
        (tmp_path / f"many/{number}.txt").parent.mkdir(exist_ok=True)
        (tmp_path / f"many/{number}.txt").write_bytes(b"x")
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "many"))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with mount_small_disk(tmp_path / "disk", kilobytes=200) as disk:
        monkeypatch.chdir(disk)
        with pytest.raises(UserError, match=rf"^the disk is full: {disk}/"):
            unpack_source(packed)
        assert not [path for path in (disk / ".finetrack/sources").iterdir() if path.is_dir()]
        monkeypatch.chdir(tmp_path)


@pytest.mark.fault(13, "several processes unpack one archive")
def test_concurrent_calls_unpack_once(project, folder):
    packed = project / shutil.make_archive(str(project / "packed"), "zip", folder)
    with ThreadPoolExecutor(4) as pool:
        places = set(pool.map(unpack_source, [packed] * 4))
    assert [read_contents(place) for place in places] == [read_contents(folder)]


def test_folder_is_returned_as_it_is(folder):
    assert unpack_source(folder) == folder


@pytest.mark.parametrize(
    ("most", "harmless", "sentence"),
    [(12, 1 << 30, "more than 12 files"), (1000, 100, "decompression bomb")],
)
@pytest.mark.usefixtures("folder")
@pytest.mark.fault(1, "archive that would fill the disk")
def test_archive_over_a_limit_is_refused_and_leaves_no_files(project, monkeypatch, most, harmless, sentence):
    packed = project / shutil.make_archive(str(project / "packed"), "zip", project / "images")
    for limit, value in (
        ("MAX_MEMBERS", most),
        ("ALWAYS_ALLOWED_BYTES", harmless),
        ("MAX_COMPRESSION_RATIO", 0.1),
    ):
        monkeypatch.setattr(extract, limit, value)
    with pytest.raises(UserError, match=sentence):
        unpack_source(packed)
    assert [path.suffix for path in create_scratch_folder("sources").iterdir()] == [".lock"]


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_folders_count_as_members(project, monkeypatch, suffix):
    monkeypatch.setattr(extract, "MAX_MEMBERS", 50)
    folders = [f"{number}/" for number in range(60)]
    if suffix == ".zip":
        packed = corpus.pack_zip(*((name, b"") for name in folders))(project / "source")
    else:
        kind = {"type": tarfile.DIRTYPE}
        packed = corpus.pack_tar(*((name, kind) for name in folders), suffix=suffix)(project / "source")
    with pytest.raises(UserError, match="more than 50 files and folders"):
        unpack_source(packed)


def test_tar_headers_are_not_kept_in_memory(project):
    members = [(f"{number}/", {"type": tarfile.DIRTYPE}) for number in range(4000)]
    packed = corpus.pack_tar(*members, suffix=".tar.gz")(project / "source")
    tracemalloc.start()
    unpack_source(packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_500_000


@pytest.fixture
def private(tmp_path):
    return sources.write_yolo_source(tmp_path / "private", {"secret": corpus.BOX})


@pytest.mark.parametrize(
    ("says", "lines"),
    [({"train": "{private}/images"}, None), ({"train": "list.txt"}, "{private}/images/secret.jpg")],
)
@pytest.mark.fault(1, "archive that names files outside")
def test_archive_that_names_a_folder_outside_is_refused(project, private, says, lines):
    folder = project / "set"
    folder.mkdir()
    text = "".join(f"{key}: {value.format(private=private)}\n" for key, value in says.items())
    (folder / "data.yaml").write_text(f"{text}names: [a]\n")
    if lines:
        (folder / "list.txt").write_text(lines.format(private=private))
    assert [image.path.stem for image in read_source("yolo", folder).images] == ["secret"]
    packed = project / shutil.make_archive(str(project / "packed"), "zip", folder)
    with pytest.raises(UserError, match=r"names .*private.*, which is outside the archive"):
        read_source("yolo", unpack_source(packed))


@pytest.mark.fault(1, "data.yaml of an archive names folders outside")
def test_data_yaml_path_in_an_archive_is_its_own_folder(project, private, folder):
    (folder / "data.yaml").write_text(f"path: {private}\ntrain: images\nnames: [a]\n")
    packed = project / shutil.make_archive(str(project / "packed"), "zip", folder)
    found = read_source("yolo", unpack_source(packed))
    assert sorted(image.path.stem for image in found.images) == list("012345")


changes = st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=5)), min_size=1, max_size=4)
MEMBERS = ("a/x.jpg", b"x" * 600), ("a/x.txt", b"0 0.5 0.5 0.1 0.1\n"), ("b.txt", b"z" * 700)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from([".zip", ".tar", ".tar.gz"]), changes)
@pytest.mark.fault(11, "archive damaged")
def test_corrupted_archive_is_unpacked_or_refused(project, suffix, changes):
    make = corpus.pack_zip(*MEMBERS) if suffix == ".zip" else corpus.pack_tar(*MEMBERS, suffix=suffix)
    path = make(project / "source")
    data = bytearray(path.read_bytes())
    for place, new in changes:
        data[place : place + len(new) or None] = new
    path.write_bytes(data)
    with contextlib.suppress(UserError):
        assert unpack_source(path).is_relative_to(project / ".finetrack/sources")
    path.unlink()
    assert [file.name for file in project.iterdir()] == [".finetrack"]


def test_file_manager_files_do_not_count_as_a_change(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("a")
    write_unpack_record(tmp_path / "source", tmp_path / "source.zip")
    (tmp_path / "source" / ".DS_Store").write_text("view")
    (tmp_path / "source" / "Thumbs.db").write_text("view")
    assert is_unchanged(tmp_path / "source")
    (tmp_path / "source" / "b.txt").write_text("b")
    assert not is_unchanged(tmp_path / "source")
