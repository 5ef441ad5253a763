"""`prepare` and `augment` on two Ray nodes of this machine: the same bytes as in threads; errors of nodes."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from pipeline.augment import stage as augment_stage
from pipeline.config.groups.augment import AugmentConfig, OfflineAugmentation
from pipeline.config.groups.compute import ComputeConfig
from pipeline.config.schema import Config
from pipeline.core.errors import UserError
from pipeline.core.paths import AUGMENTED_FOLDER, PREPARED_FOLDER
from pipeline.prepare import stage as prepare_stage
from pipeline.prepare.images import cache
from pipeline.prepare.images.check import check_image
from pipeline.runtime.backends import open_executor
from pipeline.runtime.progress import Progress
from pipeline.runtime.ray.executor import (
    NodeRequirements,
    list_library_versions,
    read_file_stamp,
    set_up_node,
)
from tests import sources
from tests.ray_nodes import start_ray_nodes
from tests.sources import LOCAL, prepare_config

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="two nodes on one machine: 127.0.0.2, /proc")
OFFLINE = {
    "multiplier": 3, "balance": 0.0, "probability": 1.0, "rotate": 30.0, "fliplr": 0.5, "flipud": 0.5,
    "brightness": 0.2, "contrast": 0.2, "blur": 1.0, "noise": 0.1, "scale": 0.2, "crop": 0.3,
    "copy_paste": 0.5, "visible": 0.3, "workers": 0,
}  # fmt: skip
SQUARE = "0 0.3 0.3 0.7 0.3 0.7 0.7 0.3 0.7\n"


@pytest.fixture
def address(tmp_path_factory):
    with start_ray_nodes(tmp_path_factory.mktemp("ray")) as nodes:
        yield nodes.address


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(cache, "MIN_AGE_NS", -(10**18))


@pytest.fixture
def source(tmp_path):
    """Valid images, a repaired one, a file that is not an image, an image with an invalid label."""
    folder = sources.write_yolo_source(tmp_path / "source", {f"{n:02d}": SQUARE for n in range(20)})
    with (folder / "images/03.jpg").open("ab") as file:
        file.write(b"trailer")
    (folder / "images/05.jpg").write_bytes(b"no image")
    (folder / "labels/07.txt").write_text(f"{SQUARE}7 0.1 0.1 0.2 0.1 0.2 0.2\n")
    return folder


def use_cluster(address: str) -> ComputeConfig:
    return ComputeConfig(backend="ray", address=address)


def run_both_stages(source: Path, compute: ComputeConfig) -> dict[str, bytes]:
    """Run both stages; return the files that they wrote."""
    prepare_stage.run_stage(prepare_config("yolo", source).model_copy(update={"compute": compute}))
    group = AugmentConfig.model_construct(offline=OfflineAugmentation(**OFFLINE))
    augment_stage.run_stage(Config.model_construct(seed=1, augment=group, compute=compute))
    found = [path for folder in (PREPARED_FOLDER, AUGMENTED_FOLDER) for path in folder.rglob("*")]
    return {str(path): path.read_bytes() for path in sorted(found) if path.is_file()}


@pytest.mark.slow
def test_two_nodes_write_the_same_bytes_as_threads(address, source, monkeypatch):
    """One test for all: a cluster takes seconds to start, and each process of pytest would start its own."""
    on_cluster = run_both_stages(source, use_cluster(address))
    assert len([path for path in on_cluster if path.startswith("data/augmented/images")]) > 20
    findings = json.loads(on_cluster["data/prepared/defects.json"])
    assert {line["file"] for line in findings["files"]} == {f"images/0{n}.jpg" for n in (3, 5, 7)}
    checked = []
    monkeypatch.setattr(
        cache, "check_image", lambda path, load=None: checked.append(path.name) or check_image(path, load)
    )
    assert run_both_stages(source, LOCAL) == on_cluster
    assert sorted(checked) == ["03.jpg", "05.jpg"], "the others were cached"
    with open_executor("ray", address=address) as execute:
        _both_nodes_work(execute)
        _an_error_of_the_work_is_raised_here(execute)


def _both_nodes_work(execute):
    where = list(execute(_find_node, range(40), progress=Progress("test", 40)))
    assert {host for host, _, _ in where} == {"127.0.0.2", "127.0.0.3"}
    assert {folder for _, folder, _ in where} == {Path.cwd()}
    assert [number for _, _, number in where] == list(range(40))


def _an_error_of_the_work_is_raised_here(execute):
    items = ((Path.cwd(), number) for number in range(5000))
    with pytest.raises(UserError, match=r"^item 17 is invalid$"):
        list(execute(_fail_at_17, items, progress=Progress("test", 5000)))
    assert len(list(Path.cwd().glob("done-*"))) < 200, "waiting work was not cancelled"


def _find_node(number: int) -> tuple[str, Path, int]:
    """Return the node; the first item keeps its node busy until another node has started to work."""
    import ray

    host = ray.util.get_node_ip_address()
    Path(f"at-{host}").touch()
    deadline = time.monotonic() + 30
    while number == 0 and len(list(Path.cwd().glob("at-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    return host, Path.cwd(), number


def _fail_at_17(item: tuple[Path, int]) -> None:
    folder, number = item
    if number == 17:
        raise UserError("item 17 is invalid")
    (folder / f"done-{number}").touch()


@pytest.mark.parametrize("difference", ["none", "folder", "marker", "absent", "changed", "libraries"])
@pytest.mark.fault(3, "cluster node with other files or packages")
def test_a_node_with_other_files_or_packages_is_refused(tmp_path, difference):
    (tmp_path / "a.jpg").write_bytes(b"x")
    samples = tuple(
        (str(tmp_path / name), read_file_stamp(str(tmp_path / name))) for name in ("a.jpg", "b.jpg")
    )
    required = NodeRequirements(str(tmp_path), str(tmp_path / "a.jpg"), samples, list_library_versions())
    if difference == "none":
        assert set_up_node(required) is None
        return
    elsewhere = str(tmp_path / "elsewhere")
    changes = {
        "folder": {"folder": elsewhere},
        "marker": {"marker": elsewhere},
        "absent": {"samples": ((elsewhere, samples[0][1]),)},
        "changed": {"samples": ((samples[0][0], samples[0][1]._replace(ctime=1)),)},
        "libraries": {"libraries": ("numpy 1.0", *required.libraries[1:])},
    }[difference]
    reasons = {"changed": "does not see .*a.jpg", "libraries": "has numpy 2.*, unlike this machine"}
    reason = reasons.get(difference, "does not see .*elsewhere")
    with pytest.raises(UserError, match=rf"the Ray node \S+ {reason}.*share"):
        set_up_node(required._replace(**changes))


@pytest.mark.parametrize("address", ["127.0.0.2:1", "127.0.0.2:99999"])
def test_a_missing_cluster_is_reported_at_once(address):
    with (
        pytest.raises(UserError, match=rf"compute.address={address}: no Ray cluster .*compute=local"),
        open_executor("ray", address=address),
    ):
        pass


def test_without_ray_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match="make setup"), open_executor("ray", address="auto"):
        pass
