"""Count batches and optimizer steps, so that a resumed training makes its next step at the right batch.

Where `batch` is smaller than `nbs`, Ultralytics adds up the gradients of several batches before a step. The
batch of the last step is a local variable of its training loop, which starts at -1 in each session. The
gradients that wait for the next step are lost too: `state` saves them.
"""

from __future__ import annotations


class OptimizerSteps:
    """The batch of the last optimizer step, and how many batches make a step.

    Batches are counted over all epochs, from 0. Ultralytics steps at the first batch with
    `batch - last_step >= accumulate`, where its own last step is -1 at the start of a session.

    Attributes:
        accumulate: Batches per step, as Ultralytics sets it.
        last_step: The batch of the last step; -1 before the first one.
        delay: Batches that Ultralytics has to wait longer for the first step of a resumed session.
    """

    def __init__(self) -> None:
        self.accumulate = 1
        self.last_step = -1
        self.delay = 0
        self._batch = -1

    def begin_epoch(self, first_batch: int) -> None:
        """Set the number of the next batch."""
        self._batch = first_batch - 1

    def count_batch(self) -> None:
        """Count a batch that is about to be trained on."""
        self._batch += 1

    def record_step(self) -> None:
        """Record a step at this batch."""
        self.last_step, self.delay = self._batch, 0

    def begin_session(self) -> None:
        """Delay the first step of a resumed training until it is due. Call it when `accumulate` was read."""
        self.delay = self.last_step + 1

    def restart(self) -> None:
        """Forget the last step: the epoch starts again with a smaller batch size."""
        self.last_step, self.delay = -1, 0
