"""What MLflow knows of a commit's machine is added: without it, no difference of figures proves anything."""

from __future__ import annotations

import json

import pytest

from pipeline.iterations.iteration import Iteration
from pipeline.restore.recorded_state import RecordedState, _add_machine, _LoggedFiles
from pipeline.runtime.run_state import STATE_FILE
from pipeline.tracking.store.tracked_runs import TrackingUnavailableError

STATE = RecordedState("first", "0" * 40, "0" * 64)
RUN = Iteration("first", "experiment", "first", run_id="a" * 32)


class LocalFiles(_LoggedFiles):
    """Files of runs in a folder; a server that does not answer where there is none."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def fetch(self, run, path):
        if self.folder is None:
            raise TrackingUnavailableError("away")
        place = self.folder / run / path
        return place if place.exists() else None


@pytest.mark.parametrize("stage", ["evaluate", "finetune"])
def test_machine_and_libraries_are_those_of_the_run(tmp_path, stage):
    place = tmp_path / str(RUN.run_id) / "iteration" / stage
    place.mkdir(parents=True)
    facts = {"commit": "0" * 40, "machine": {"name": "m"}, "versions": {"torch": "2"}}
    (place / STATE_FILE).write_text(json.dumps(facts))
    found = _add_machine(STATE, RUN, LocalFiles(tmp_path))
    assert (found.machine, found.versions) == ({"name": "m"}, {"torch": "2"})


def test_nothing_is_known_without_a_run_or_an_answer(tmp_path):
    without = Iteration("first", "revision", "first")
    for iteration, folder in ((RUN, tmp_path), (RUN, None), (without, tmp_path)):
        assert _add_machine(STATE, iteration, LocalFiles(folder)) == STATE
