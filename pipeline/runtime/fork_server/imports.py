"""What each kind of server imports before its first fork."""

from __future__ import annotations

import gc
import importlib
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_LOGGING: Final = (
    "alembic.command",
    "mlflow",
    "mlflow.pyfunc",
    "mlflow.pyfunc.utils.data_validation",
    "mlflow.store.artifact.local_artifact_repo",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.system_metrics.metrics.cpu_monitor",
    "mlflow.system_metrics.metrics.disk_monitor",
    "mlflow.system_metrics.metrics.gpu_monitor",
    "mlflow.system_metrics.metrics.network_monitor",
    "sqlalchemy.dialects.sqlite",
)
MODULES: Final = {
    "data": (
        "hydra",
        "pipeline.augment.stage",
        "pipeline.compose.run_stage",
        "pipeline.compose.stage",
        "pipeline.prepare.stage",
    ),
    "training": (
        "hydra",
        "pipeline.compose.run_stage",
        "pipeline.finetune.stage",
        "pipeline.evaluate.stage",
        "pipeline.yolo.training.trainer",
        "pipeline.yolo.training.task_trainers",
        "torch._dynamo",
        "torchvision",
        "ultralytics.utils.plotting",
        "matplotlib.backends.backend_agg",
        "PIL.JpegImagePlugin",
        "multiprocessing.queues",
        *_LOGGING,
    ),
    "dvc": (
        "asyncio",
        "celery",
        "celery.app.backends",
        "dulwich.porcelain",
        "dvc.api",
        "dvc.cli",
        "dvc.cli.parser",
        "dvc.commands.experiments.run",
        "dvc.repo.experiments.executor.local",
        "dvc.repo.experiments.queue.workspace",
        "dvc.repo.experiments.serialize",
        "dvc.repo.reproduce",
        "dvc.stage.run",
        "dvc.utils.hydra",
        "dvc.utils.serialize",
        "hydra",
        "hydra._internal.config_loader_impl",
        "networkx",
        "pygit2",
        "requests",
        "scmrepo.git",
    ),
}
"""Modules, and what they import when they are first used. A name that a version lacks is left out."""
INITIALIZERS: Final = {"training": ("pipeline.yolo.ultralytics_environment", "set_up_environment")}
"""A function that read variables at import, which each fork calls again with those of its own."""
CACHED_LOOKUPS: Final = {"training": ("mlflow.utils.requirements_utils", "_init_modules_to_packages_map")}
"""A function that fills a cache: which packages have which modules. For all of them it takes 0.8 s."""
EXCLUDED: Final = ("polars",)
"""Modules whose threads do not survive a fork: whatever uses them in one waits forever. Forks import them."""
_HARMLESS_THREADS: Final = ("jemalloc_bg_thd",)
"""Threads that libraries start again in a fork: jemalloc's. Those of OpenBLAS have the process's name."""


def import_modules(kind: str) -> str | None:
    """Import the modules of a kind of server, without garbage collection.

    Returns:
        Why this process cannot fork, or None if it can.
    """
    gc.disable()
    absent = {name: None for name in EXCLUDED if name not in sys.modules}
    sys.modules.update(absent)  # type: ignore[arg-type]
    for name in MODULES[kind]:
        with suppress(ImportError):
            importlib.import_module(name)
    if kind in CACHED_LOOKUPS:
        with suppress(ImportError, AttributeError):  # another version of it finds out in each fork
            getattr(importlib.import_module(CACHED_LOOKUPS[kind][0]), CACHED_LOOKUPS[kind][1])()
    for name in absent:
        del sys.modules[name]
    gc.collect()
    gc.freeze()
    gc.enable()
    return _find_obstacle()


def _find_obstacle() -> str | None:
    import threading

    if threading.active_count() > 1:
        return f"it has threads: {', '.join(thread.name for thread in threading.enumerate())}"
    own = Path("/proc/self/comm").read_text().strip()
    tasks = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
    strange = {name for name in tasks if name not in (own, *_HARMLESS_THREADS)}
    if strange:
        return f"it has threads: {', '.join(sorted(strange))}"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "CUDA is initialized in it"
    return None
