"""sweep.keep=best, by the real DVC."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.report.cleanup import (
    GC_COMMAND,
    CleanupReport,
    describe_cleanup,
    format_bytes,
    measure_unused_cache,
    remove_experiments,
)

SIZES = {"rates-0": 30_000, "rates-1": 50_000, "other-0": 70_000}


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A committed output, and three experiments with outputs of their own."""
    monkeypatch.chdir(tmp_path)
    for name in ("SITE_CACHE_DIR", "GLOBAL_CONFIG_DIR", "SYSTEM_CONFIG_DIR"):
        monkeypatch.setenv(f"DVC_{name}", str(tmp_path / ".home" / name))
    monkeypatch.delenv("DVC_ROOT", raising=False)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests@example.org")
    run("git", "init", "-q")
    Path(".gitignore").write_text("/.home\n")
    code = (
        "from pathlib import Path\n"
        "from dvc.repo import Repo\n"
        "import subprocess\n"
        "repo = Repo.init('.')\n"
        "Path('out').write_bytes(b'a' * 10_000)\n"
        "repo.add('out')\n"
        "subprocess.run('git add -A && git commit -qm start', shell=True, check=True)\n"
        f"for name, size in {SIZES}.items():\n"
        "    Path('out').write_bytes(name.encode() + b'.' * (size - len(name)))\n"
        "    repo.commit(force=True)\n"
        "    repo.experiments.save(name=name)\n"
        "subprocess.run('git checkout -q .', shell=True, check=True)\n"
        "repo.checkout(force=True)\n"
    )
    run(sys.executable, "-c", code)
    return tmp_path


def list_experiments() -> set[str]:
    done = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps"], capture_output=True, text=True
    )
    return {name for name in done.stdout.split() if name in SIZES}


def test_only_other_experiments_of_the_sweep_go_and_the_bytes_that_gc_frees_are_told(project):
    report = remove_experiments(
        ["rates-0", "rates-1", "rates-2"], keep={"rates-1", "rates-best"}, project=project
    )
    assert report == CleanupReport(("rates-0",), SIZES["rates-0"])
    assert list_experiments() == {"rates-1", "other-0"}
    sentence = describe_cleanup(report)
    assert "1 other experiment was removed" in sentence
    assert "`dvc gc --all-commits --all-experiments` would free 30 kB" in sentence
    cached = [path for path in (project / ".dvc/cache/files").rglob("*") if path.is_file()]
    assert len(cached) == 4  # nothing was deleted from the cache
    (largest,) = (path for path in cached if path.stat().st_size == SIZES["rates-0"])
    os.link(largest, project / "linked")
    assert measure_unused_cache(project) == 0  # another link keeps the space in use
    Path(".dvc/config").write_text("[core")
    with pytest.raises(UserError, match="`dvc exp remove` failed: "):
        remove_experiments(["rates-1"], keep=set(), project=project)
    assert measure_unused_cache(project) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (12_300_000, "12 MB"), (3_400_000_000, "3.4 GB")],
)
def test_bytes_are_formatted(count, text):
    assert format_bytes(count) == text


def test_what_dvc_could_not_count_is_not_told():
    assert "would free" not in describe_cleanup(CleanupReport(("rates-0",), None))


@pytest.mark.parametrize("cache", ["../team", ".dvc/team"])
def test_of_a_cache_that_others_may_use_neither_a_figure_nor_the_plain_command_is_told(project, cache):
    folder = project.parent / f"{project.name}-team" if cache == "../team" else project / cache
    (project / ".dvc/cache").rename(folder)
    if cache == ".dvc/team":  # a link decides nothing
        (project / ".dvc/link").symlink_to(folder)
        folder = project / ".dvc/link"
    run(sys.executable, "-m", "dvc", "cache", "dir", "--local", str(folder))
    report = remove_experiments(["rates-0"], keep=set(), project=project)
    sentence = describe_cleanup(report)
    if cache == "../team":
        assert report == CleanupReport(("rates-0",), None, folder)
        assert "--projects PATH" in sentence
        assert f"`{' '.join(GC_COMMAND)}`" not in sentence
    else:
        assert report.freed == SIZES["rates-0"]
