"""Archives as sources: unpacked once, by contents; the rest of what can be in them is in the corpus."""

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
from pipeline.core.paths import PREPARED
from pipeline.dataset.prepared import read_manifest
from pipeline.prepare import stage
from pipeline.source.archives import cache, extract
from pipeline.source.archives.cache import is_whole
from pipeline.source.formats import registry
from pipeline.storage import files
from tests import corpus, sources
from tests.sources import config

FORMS = {"zip": "zip", "tar": "tar", "gztar": "tar.gz", "bztar": "tar.bz2", "xztar": "tar.xz"}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def folder(tmp_path):
    return sources.yolo(tmp_path / "images", {f"{number}": corpus.BOX for number in range(6)})


def contents(place):
    return {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", FORMS)
def test_an_archive_gives_the_files_that_were_put_in(project, folder, form):
    archive = shutil.make_archive(str(project / "packed"), form, folder)
    assert archive.endswith(FORMS[form])
    assert contents(extract.opened(project / archive)) == contents(folder)


def test_it_is_prepared_like_its_folder(project, folder):
    archive = shutil.make_archive(str(project / "packed"), "zip", project, "images")
    made = []
    for source in (folder, archive):
        stage.run(config("auto", source, samples=0))
        made.append(read_manifest(PREPARED))
    assert [item.sha256 for item in made[0].items] == [item.sha256 for item in made[1].items]


def test_it_is_unpacked_once_and_anew_when_it_changes(project, folder):
    packed = project / shutil.make_archive(str(project / "packed"), "tar", folder)
    first = extract.opened(packed)
    stamp = first.stat().st_mtime_ns
    assert extract.opened(shutil.copy(packed, project / "copy.zip")) == first  # the suffix does not count
    assert first.stat().st_mtime_ns == stamp
    (folder / "images/0.jpg").unlink()
    changed = extract.opened(project / shutil.make_archive(str(project / "packed"), "tar", folder))
    assert changed != first
    assert contents(changed) == contents(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "data.yaml").write_text("names: [x]\n"),
        lambda folder: (folder / "images/0.jpg").unlink(),
        lambda folder: (folder / "images/more.jpg").write_bytes(b"x"),
        lambda folder: (folder.with_suffix(".json")).write_text("[]"),
    ],
)
def test_what_was_changed_is_unpacked_anew_and_says_so(project, folder, capsys, change):
    packed = project / shutil.make_archive(str(project / "packed"), "zip", folder)
    change(extract.opened(packed))
    capsys.readouterr()
    assert contents(extract.opened(packed)) == contents(folder)
    assert "packed.zip was unpacked to it: unpacking anew" in capsys.readouterr().err


def opened_elsewhere(*paths: Path):
    """Unpack archives, each in a process of its own; return what they said."""
    code = "import sys; from pathlib import Path as P; from pipeline.source.archives import extract as a; "
    command = [sys.executable, "-c", f"{code}a.opened(P(sys.argv[1]))"]
    env = {**os.environ, "PYTHONPATH": str(Path(extract.__file__).parents[3])}
    runs = [
        subprocess.run([*command, path], capture_output=True, text=True, check=True, env=env)
        for path in paths
    ]
    return [line for run in runs for line in run.stderr.splitlines() if line.startswith("unpack: ")]


def zips(project, *names: str):
    for name in names:
        corpus.zipped(("a.txt", name.encode()), ("b.txt", os.urandom(9)))(project / name)
    return [project / f"{name}.zip" for name in names]


def kept():
    folders = [path for path in files.scratch("sources").iterdir() if path.is_dir()]
    return sorted((path / "a.txt").read_text() for path in folders)


def test_the_earlier_state_of_an_archive_goes_unless_a_process_uses_it(project):
    [path] = zips(project, "a")
    opened_elsewhere(path)
    zips(project, "a")
    in_use = extract.opened(path)
    assert kept() == ["a"]
    zips(project, "a")
    assert opened_elsewhere(path) == []
    assert contents(in_use)
    zips(project, "a")
    said = opened_elsewhere(path)
    assert said == [f"unpack: removed what was unpacked of {path}: not used lately, or of an earlier state"]
    assert kept() == ["a", "a"]


def test_what_was_changed_stays_while_another_process_reads_it(project):
    [path] = zips(project, "a")
    code = "import sys; from pathlib import Path as P; from pipeline.source.archives import extract as a; "
    code += "print(a.opened(P(sys.argv[1])), flush=True); sys.stdin.read()"
    env = {**os.environ, "PYTHONPATH": str(Path(extract.__file__).parents[3])}
    ends = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, path], env=env, **ends) as reader:
        folder = Path(reader.stdout.readline().strip())
        (folder / "a.txt").write_text("other")
        with pytest.raises(UserError, match=f"{folder} was changed .* another process reads it: wait"):
            extract.opened(path)
        assert (folder / "a.txt").read_text() == "other"
        reader.communicate()
    assert (extract.opened(path) / "a.txt").read_text() == "a"


def test_of_many_archives_the_last_used_stay(project):
    a, b, c, d, e = zips(project, *"abcde")
    assert opened_elsewhere(a, b, c) == []
    [said] = opened_elsewhere(a, d)
    assert f"unpacked of {b}:" in said
    assert kept() == ["a", "c", "d"]
    assert len(opened_elsewhere(e)) == 1
    assert kept() == ["a", "d", "e"]


def test_what_a_killed_process_began_is_cleared_away(project, folder):
    packed = project / shutil.make_archive(str(project / "packed"), "zip", folder)
    begun = files.scratch("sources") / f".{files.sha256(packed)[:32]}.x1y2"
    (begun / "images").mkdir(parents=True)
    assert contents(extract.opened(packed)) == contents(folder)
    assert not begun.exists()


def test_two_at_once_unpack_it_once(project, folder):
    packed = project / shutil.make_archive(str(project / "packed"), "zip", folder)
    with ThreadPoolExecutor(4) as pool:
        places = set(pool.map(extract.opened, [packed] * 4))
    assert [contents(place) for place in places] == [contents(folder)]


def test_a_folder_stays_where_it_is(folder):
    assert extract.opened(folder) == folder


@pytest.mark.parametrize(
    ("most", "harmless", "sentence"),
    [(12, 1 << 30, "more than 12 files"), (1000, 100, "decompression bomb")],
)
@pytest.mark.usefixtures("folder")
def test_what_is_too_much_leaves_nothing_behind(project, monkeypatch, most, harmless, sentence):
    packed = project / shutil.make_archive(str(project / "packed"), "zip", project / "images")
    for limit, value in (("MOST", most), ("HARMLESS", harmless), ("RATIO", 0.1)):
        monkeypatch.setattr(extract, limit, value)
    with pytest.raises(UserError, match=sentence):
        extract.opened(packed)
    assert [path.suffix for path in files.scratch("sources").iterdir()] == [".lock"]


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_folders_count_too(project, monkeypatch, suffix):
    monkeypatch.setattr(extract, "MOST", 50)
    folders = [f"{number}/" for number in range(60)]
    if suffix == ".zip":
        packed = corpus.zipped(*((name, b"") for name in folders))(project / "source")
    else:
        kind = {"type": tarfile.DIRTYPE}
        packed = corpus.taped(*((name, kind) for name in folders), suffix=suffix)(project / "source")
    with pytest.raises(UserError, match="more than 50 files and folders"):
        extract.opened(packed)


def test_the_headers_of_a_tar_are_not_kept(project):
    members = [(f"{number}/", {"type": tarfile.DIRTYPE}) for number in range(4000)]
    packed = corpus.taped(*members, suffix=".tar.gz")(project / "source")
    tracemalloc.start()
    extract.opened(packed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_500_000


@pytest.fixture
def private(tmp_path):
    return sources.yolo(tmp_path / "private", {"secret": corpus.BOX})


@pytest.mark.parametrize(
    ("says", "lines"),
    [({"train": "{private}/images"}, None), ({"train": "list.txt"}, "{private}/images/secret.jpg")],
)
def test_an_archive_names_no_folder_outside_it(project, private, says, lines):
    folder = project / "set"
    folder.mkdir()
    text = "".join(f"{key}: {value.format(private=private)}\n" for key, value in says.items())
    (folder / "data.yaml").write_text(f"{text}names: [a]\n")
    if lines:
        (folder / "list.txt").write_text(lines.format(private=private))
    assert [image.path.stem for image in registry.read("yolo", folder).images] == ["secret"]
    packed = project / shutil.make_archive(str(project / "packed"), "zip", folder)
    with pytest.raises(UserError, match=r"names .*private.* outside the archive: unpack it yourself"):
        registry.read("yolo", extract.opened(packed))


def test_the_path_of_an_archive_s_data_yaml_is_its_own_folder(project, private, folder):
    (folder / "data.yaml").write_text(f"path: {private}\ntrain: images\nnames: [a]\n")
    packed = project / shutil.make_archive(str(project / "packed"), "zip", folder)
    found = registry.read("yolo", extract.opened(packed))
    assert sorted(image.path.stem for image in found.images) == list("012345")


changes = st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=5)), min_size=1, max_size=4)
MEMBERS = ("a/x.jpg", b"x" * 600), ("a/x.txt", b"0 0.5 0.5 0.1 0.1\n"), ("b.txt", b"z" * 700)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from([".zip", ".tar", ".tar.gz"]), changes)
def test_whatever_the_bytes_it_is_unpacked_or_refused(project, suffix, changes):
    make = corpus.zipped(*MEMBERS) if suffix == ".zip" else corpus.taped(*MEMBERS, suffix=suffix)
    path = make(project / "source")
    data = bytearray(path.read_bytes())
    for place, new in changes:
        data[place : place + len(new) or None] = new
    path.write_bytes(data)
    with contextlib.suppress(UserError):
        assert extract.opened(path).is_relative_to(project / ".finetrack/sources")
    path.unlink()
    assert [file.name for file in project.iterdir()] == [".finetrack"]


def test_what_a_file_manager_leaves_in_an_unpacked_folder_is_no_change(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("a")
    cache.note(tmp_path / "source", tmp_path / "source.zip")
    (tmp_path / "source" / ".DS_Store").write_text("view")
    (tmp_path / "source" / "Thumbs.db").write_text("view")
    assert is_whole(tmp_path / "source")
    (tmp_path / "source" / "b.txt").write_text("b")
    assert not is_whole(tmp_path / "source")
