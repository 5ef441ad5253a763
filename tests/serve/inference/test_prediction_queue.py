"""Jobs are taken in their order, those of one shape together, by the thread that serves."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from pipeline.serve.inference.prediction_queue import PredictionJob, PredictionQueue

SMALL, LARGE = np.zeros((4, 4, 3), np.uint8), np.zeros((8, 4, 3), np.uint8)


def fill(*jobs: list):
    queue = PredictionQueue()
    queue.hand_over("me")
    made = [PredictionJob(images) for images in jobs]
    for job in made:
        queue.put(job)
    return queue, made


def take(queue, most=4, who="me"):
    return queue.take(who, most=most, is_over=lambda: False)


def test_jobs_of_one_shape_share_a_batch_and_the_first_is_always_in_it():
    queue, jobs = fill([LARGE], [SMALL], [LARGE], [SMALL, SMALL], [LARGE])
    assert take(queue) == [jobs[0], jobs[2], jobs[4]]
    assert take(queue) == [jobs[1], jobs[3]]


def test_a_batch_has_no_more_images_than_allowed_unless_one_job_has():
    queue, jobs = fill([SMALL] * 5, [SMALL] * 3, [SMALL] * 2, [SMALL])
    assert take(queue) == [jobs[0]]
    assert take(queue) == [jobs[1], jobs[3]]
    assert take(queue) == [jobs[2]]


def test_a_job_of_several_shapes_is_alone():
    queue, jobs = fill([SMALL, LARGE], [SMALL])
    assert [take(queue), take(queue)] == [[jobs[0]], [jobs[1]]]


def test_jobs_of_clients_that_are_gone_are_left_out():
    queue, jobs = fill([SMALL], [SMALL], [LARGE])
    jobs[0].future.cancel()
    jobs[1].future.cancel()
    assert take(queue) == [jobs[2]]


def test_only_the_thread_that_serves_gets_jobs():
    queue, jobs = fill()
    taken, over = [], threading.Event()
    old = threading.Thread(target=lambda: taken.append(queue.take("me", most=4, is_over=over.is_set)))
    old.start()
    assert queue.hand_over("new") == "me"
    queue.put(PredictionJob([SMALL]))
    assert len(take(queue, who="new")) == 1
    over.set()
    queue.wake()
    old.join(5)
    assert taken == [[]]
    assert jobs == []


def test_a_closed_queue_fails_what_waits_and_accepts_no_more():
    queue, jobs = fill([SMALL], [SMALL])
    jobs[0].future.cancel()
    queue.close(RuntimeError("over"))
    with pytest.raises(RuntimeError, match="over"):
        jobs[1].future.result(0)
    with pytest.raises(RuntimeError):
        queue.put(PredictionJob([SMALL]))
    assert take(queue) == []
