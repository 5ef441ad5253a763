"""Environment of the tests, set before any of them imports Ultralytics, and Hypothesis profiles.

The property tests of `make test` use the same cases on every machine; `make test-all`, `make properties` and
`make fuzz` draw new ones, and a case that fails there is added to its test as an explicit `@example`.
"""

import logging
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several tests run in parallel
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # the same results everywhere; see test_gpu.py

import pytest
from hypothesis import HealthCheck, settings

import pipeline.yolo  # noqa: F401

# No deadline: other work on the machine must not fail a test.
_SHARED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("fixed", _SHARED, derandomize=True, database=None)
settings.register_profile("random", _SHARED, derandomize=False)  # pytest --hypothesis-profile random
settings.load_profile("fixed")

_KEEP_CASE = "Add the failing case above to the test as @example(...), so that every run includes it."


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Say below a failed property test how to keep its case."""
    report = yield
    if report.failed and item.get_closest_marker("hypothesis"):
        report.sections.append(("Hypothesis: keep this case", _KEEP_CASE))
    return report


LONGEST_FILES = (
    "e2e/test_readme.py",
    "yolo/training/test_train.py",
    "e2e/test_experiments.py",
    "finetune/test_stage.py",
    "yolo/training/resume/test_resume.py",
    "finetune/test_kept_training.py",
    "e2e/test_sweep.py",
    "yolo/training/test_train_tasks.py",
    "tracking/test_outage.py",
    "tracking/test_runs.py",
)
"""Files that take a minute or more. `make test` gives a file to one worker, so these start first."""


def pytest_collection_modifyitems(items):
    """Put the tests of the longest files first."""
    order = {str(Path(__file__).parent / file): place for place, file in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: order.get(str(item.path), len(order)))


@pytest.fixture
def ultralytics_log(caplog, monkeypatch):
    """Capture all messages of Ultralytics' logger, which does not propagate them."""
    monkeypatch.setenv("FINETRACK_LOG", "debug")
    logger = logging.getLogger("ultralytics")
    level = logger.level
    logger.setLevel(logging.INFO)  # a training in an earlier test may have set another one
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)
    logger.setLevel(level)
