"""Jobs of a sweep on two Ray nodes of this machine, one of which dies in the middle of its job."""

from __future__ import annotations

import sys
from queue import Queue

import psutil
import pytest

from pipeline.core.errors import UserError
from pipeline.sweep.job import SweepContext
from pipeline.sweep.launchers.cluster import ClusterLauncher
from pipeline.sweep.launchers.ray import RayCluster, choose_options, count_places
from pipeline.sweep.settings import SweepSettings
from tests.e2e.cluster_sweeps import (
    build_context,
    build_job,
    user_environment,
    wait_at_each_job,
    wait_for_file,
    wait_for_results,
)
from tests.ray_nodes import HOSTS, start_ray_nodes

SERVER = "http://127.0.0.1:5000"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="two nodes on one machine: 127.0.0.2, /proc")
@pytest.mark.fault(14, "a node of a Ray cluster dies in the middle of a job")
def test_a_job_whose_node_dies_runs_again_on_another_node(tiny, tmp_path_factory):
    go_on = tiny.folder / ".finetrack/go-on"
    wait_at_each_job(tiny)
    with start_ray_nodes(tmp_path_factory.mktemp("ray")) as nodes, user_environment(tiny):
        events, context = Queue(), build_context(tiny)
        cluster = RayCluster(
            context, SweepSettings(launcher="ray"), address=nodes.address, tracking_uri=SERVER
        )
        assert cluster.capacity == len(HOSTS)
        launcher = ClusterLauncher(context, events, cluster)
        try:
            for number in range(2):
                launcher.start(build_job(number, "seed=99", f"finetune.lr0=0.0{number + 1}"))
            stages = [
                int(wait_for_file(tiny.folder / f".finetrack/waiting-0.0{number}")) for number in (1, 2)
            ]
            other = nodes.nodes[HOSTS[1]]
            (lost,) = (stage for stage in stages if is_on_node(stage, other))
            nodes.cluster.remove_node(other, allow_graceful=False)
            assert psutil.wait_procs([psutil.Process(lost)], timeout=30)[1] == []
            go_on.touch()
            results = wait_for_results(events, [0, 1])
        finally:
            launcher.close()
    assert [results[number].status for number in (0, 1)] == ["trained", "trained"]
    assert [results[number].attempts for number in (0, 1)] == [1 + (stage == lost) for stage in stages]
    tiny.run(f"dvc exp apply try-{stages.index(lost)}")
    assert f"run-0.0{stages.index(lost) + 1}" in (tiny.folder / "models/finetuned/run.json").read_text()


def is_on_node(process: int, node) -> bool:
    """Return whether a node started a process."""
    above = {parent.pid for parent in psutil.Process(process).parents()}
    return any(info.process.pid in above for kind in node.all_processes.values() for info in kind)


@pytest.mark.parametrize(
    ("stated", "resources", "taken", "places"),
    [
        ({}, {"CPU": 8}, {"num_cpus": 1, "num_gpus": 0}, 8),
        ({}, {"CPU": 32, "GPU": 4}, {"num_cpus": 8, "num_gpus": 1}, 4),
        ({}, {"CPU": 2, "GPU": 4}, {"num_cpus": 1, "num_gpus": 1}, 2),
        ({"num_gpus": 0.5, "num_cpus": 2}, {"CPU": 32, "GPU": 4}, {"num_cpus": 2, "num_gpus": 0.5}, 8),
        (
            {"resources": "edge:2"},
            {"CPU": 8, "edge": 6},
            {"num_cpus": 1, "num_gpus": 0, "resources": {"edge": 2}},
            3,
        ),
    ],
)
def test_a_job_takes_one_gpu_or_one_cpu_unless_it_is_told_otherwise(stated, resources, taken, places):
    options = choose_options(stated, resources)
    assert options == taken
    assert count_places(options, resources) == places


@pytest.mark.parametrize(
    ("stated", "named"), [({"num_cpu": 2}, "sweep.ray.num_cpu "), ({"num_gpus": 1}, "0 GPUs")]
)
def test_what_no_node_has_is_refused(stated, named):
    with pytest.raises(UserError, match=named):
        choose_options(stated, {"CPU": 8})


def test_a_missing_cluster_is_one_sentence(tmp_path):
    context = SweepContext("try", tmp_path, tmp_path, "", {})
    with pytest.raises(UserError, match=r"compute.address=127.0.0.2:1: no Ray .*sweep.launcher=local"):
        RayCluster(context, SweepSettings(), address="127.0.0.2:1", tracking_uri=SERVER)
