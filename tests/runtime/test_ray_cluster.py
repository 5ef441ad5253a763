"""Two Ray nodes on this machine do the work of `prepare` and `augment`, and what comes out is the same."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.augment import stage as augment_stage
from pipeline.config.augment import AugmentConfig, OfflineAugmentation
from pipeline.config.compute import ComputeConfig
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import AUGMENTED, PREPARED
from pipeline.prepare import stage
from pipeline.prepare.images import cache, check
from pipeline.runtime import backends, ray_cluster
from pipeline.runtime.ray_cluster import NodeRequirements
from tests import sources
from tests.sources import LOCAL, config

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="two nodes on one machine: 127.0.0.2, /proc")
OFFLINE = {
    "multiplier": 3, "balance": 0.0, "probability": 1.0, "rotate": 30.0, "fliplr": 0.5, "flipud": 0.5,
    "brightness": 0.2, "contrast": 0.2, "blur": 1.0, "noise": 0.1, "scale": 0.2, "crop": 0.3,
    "copy_paste": 0.5, "visible": 0.3, "workers": 0,
}  # fmt: skip
SQUARE = "0 0.3 0.3 0.7 0.3 0.7 0.7 0.3 0.7\n"


@pytest.fixture
def address(tmp_path_factory):
    """Two nodes of one core each; a short name for a folder whose path is too long for sockets."""
    folder = tmp_path_factory.mktemp("ray")
    handle = os.open(folder, os.O_DIRECTORY)
    short = f"/proc/{os.getpid()}/fd/{handle}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", short)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        from ray.cluster_utils import Cluster

        both = Cluster()
        small = {"object_store_memory": 80 << 20, "plasma_directory": str(folder)}
        bare = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
        for host in ("127.0.0.2", "127.0.0.3"):
            both.add_node(num_cpus=1, node_ip_address=host, **small, **bare)
        yield both.address
        both.shutdown()
    os.close(handle)
    left = [
        child for child in psutil.Process().children(recursive=True) if "ray" in " ".join(child.cmdline())
    ]
    assert psutil.wait_procs(left, timeout=10)[1] == []


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(cache, "SETTLED_NS", -(10**18))


@pytest.fixture
def source(tmp_path):
    """Sound images, one that is mended, one that is no image, one with a wrong label."""
    folder = sources.yolo(tmp_path / "source", {f"{n:02d}": SQUARE for n in range(20)})
    with (folder / "images/03.jpg").open("ab") as file:
        file.write(b"trailer")
    (folder / "images/05.jpg").write_bytes(b"no image")
    (folder / "labels/07.txt").write_text(f"{SQUARE}7 0.1 0.1 0.2 0.1 0.2 0.2\n")
    return folder


def on(address: str) -> ComputeConfig:
    return ComputeConfig(backend="ray", address=address)


def made(source: Path, compute: ComputeConfig) -> dict[str, bytes]:
    """Run both stages, and return what they wrote."""
    stage.run(config("yolo", source).model_copy(update={"compute": compute}))
    group = AugmentConfig.model_construct(offline=OfflineAugmentation(**OFFLINE))
    augment_stage.run(Config.model_construct(seed=1, augment=group, compute=compute))
    found = [path for folder in (PREPARED, AUGMENTED) for path in folder.rglob("*")]
    return {str(path): path.read_bytes() for path in sorted(found) if path.is_file()}


def test_two_nodes_do_the_work_of_both_stages_and_make_the_same_bytes_as_threads(
    address, source, monkeypatch
):
    """One test: a cluster takes seconds to start, and tests of one file may run in several processes."""
    there = made(source, on(address))
    assert len([path for path in there if path.startswith("data/augmented/images")]) > 20
    findings = json.loads(there["data/prepared/defects.json"])
    assert {line["file"] for line in findings["files"]} == {f"images/0{n}.jpg" for n in (3, 5, 7)}
    looked = []
    examine = check.examine
    monkeypatch.setattr(
        check, "examine", lambda path, load=None: looked.append(path.name) or examine(path, load)
    )
    assert made(source, LOCAL) == there
    assert sorted(looked) == ["03.jpg", "05.jpg"], "the others were remembered"
    with backends.dealer("ray", address=address) as each:
        _both_are_at_work(each)
        _an_error_is_that_very_error(each)


def _both_are_at_work(each):
    where = list(each(_where, range(40), total=40, what="test"))
    assert {host for host, _, _ in where} == {"127.0.0.2", "127.0.0.3"}
    assert {folder for _, folder, _ in where} == {Path.cwd()}
    assert [number for _, _, number in where] == list(range(40))


def _an_error_is_that_very_error(each):
    todo = ((Path.cwd(), number) for number in range(5000))
    with pytest.raises(UserError, match=r"^17 is no number to work with$"):
        list(each(_odd, todo, total=5000, what="test"))
    assert len(list(Path.cwd().glob("done-*"))) < 200, "what waited was done all the same"


def _where(number: int) -> tuple[str, Path, int]:
    """Say where this is; the first keeps its node busy until another is at work, which may have to start."""
    import ray

    host = ray.util.get_node_ip_address()
    Path(f"at-{host}").touch()
    until = time.monotonic() + 30
    while number == 0 and len(list(Path.cwd().glob("at-*"))) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    return host, Path.cwd(), number


def _odd(todo: tuple[Path, int]) -> None:
    folder, number = todo
    if number == 17:
        raise UserError("17 is no number to work with")
    (folder / f"done-{number}").touch()


@pytest.mark.parametrize("other", ["nothing", "folder", "mark", "absent", "changed", "libraries"])
def test_a_node_that_does_not_share_what_it_must_is_named(tmp_path, other):
    (tmp_path / "a.jpg").write_bytes(b"x")
    seen = tuple(
        (str(tmp_path / name), ray_cluster.identity(str(tmp_path / name))) for name in ("a.jpg", "b.jpg")
    )
    home = NodeRequirements(str(tmp_path), str(tmp_path / "a.jpg"), seen, ray_cluster.libraries())
    if other == "nothing":
        assert ray_cluster.settle(home) is None
        return
    elsewhere = str(tmp_path / "elsewhere")
    changed = {
        "folder": {"folder": elsewhere},
        "mark": {"mark": elsewhere},
        "absent": {"seen": ((elsewhere, seen[0][1]),)},
        "changed": {"seen": ((seen[0][0], seen[0][1]._replace(ctime=1)),)},
        "libraries": {"libraries": ("numpy 1.0", *home.libraries[1:])},
    }[other]
    said = {"changed": "does not see .*a.jpg", "libraries": "has numpy 2.*, unlike this machine"}
    with pytest.raises(
        UserError, match=rf"the Ray node \S+ {said.get(other, 'does not see .*elsewhere')}.*share"
    ):
        ray_cluster.settle(home._replace(**changed))


@pytest.mark.parametrize("address", ["127.0.0.2:1", "127.0.0.2:99999"])
def test_a_cluster_that_is_not_there_is_said_so_at_once(address):
    with (
        pytest.raises(UserError, match=rf"compute.address={address}: no Ray cluster .*compute=local"),
        backends.dealer("ray", address=address),
    ):
        pass


def test_without_ray_it_says_where_to_have_it_from(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="make setup"), backends.dealer("ray", address="auto"):
        pass
