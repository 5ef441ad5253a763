"""Names of the tags of a run that the pipeline reads again."""

from __future__ import annotations

from typing import Final

STAGE_TAG_PREFIX: Final = "finetrack.stage."
"""Begins the tag with the state of a stage: running, finished, failed or killed."""
PROCESS_TAG: Final = "finetrack.process"
OUTBOX_TAG: Final = "finetrack.journal"
"""Tags that name the process and the outbox of a running stage; removed at its end."""
REASON_TAG: Final = "finetrack.reason"
"""Tag with the reason why the run failed or was stopped; removed when it finishes later."""
PRUNED_TAG: Final = "finetrack.pruned"
"""Tag with the epoch after which a sweep ended the training; removed when the training goes on later."""
KIND_TAG: Final = "finetrack.kind"
"""Tag of a run that is no training: what it is, such as `compare`."""
KEY_TAG: Final = "finetrack.key"
"""Tag with the key of the training; in a child run that of the evaluation."""
TRAINING_TAG: Final = "finetrack.training"
"""Tag with the id of the training, which is kept beside its checkpoints: trainings of other clones on a
shared store may have the same key, and none has the same id."""
EVALUATION_TAG: Final = "finetrack.evaluation"
"""Tag with the key of the evaluation whose results the run has."""
EVALUATE_PREFIX: Final = "evaluate."
"""Begins the parameters of an evaluation; a tag of the same name has a value that came later."""
DEFAULTS_TAG: Final = "finetrack.predict"
"""Tag with the settings of a prediction that the evaluation chose, as JSON; the model's defaults."""
PARENT_TAG: Final = "mlflow.parentRunId"
DATA_TAG: Final = "finetrack.data.digest"
"""Tag with the digest of the prepared dataset that was trained on."""
TEST_DATA_TAG: Final = "finetrack.evaluate.data"
"""Tag with the digest of the prepared dataset whose test images were evaluated on."""
SEEN_TAG: Final = "finetrack.evaluate.seen"
"""Tag with how many of these test images were trained on, or `unknown`; absent where there are none."""
BASE_SEEN_TAG: Final = "finetrack.base.seen"
"""Tag with how many test images of its own dataset the base weights of a training were trained on: `3`,
`3 or more` or `unknown`; absent where they are official, or learnt from no images but those of its train and
val."""
WEIGHTS_TAG: Final = "finetrack.weights.sha256"
"""Tag with the SHA-256 of the fine-tuned weights."""
EXPERIMENT_TAG: Final = "finetrack.dvc.exp"
"""Tag with the name of the DVC experiment that the run is part of."""

_OWN_TAGS: Final = (
    "mlflow.",
    "finetrack.stage.",
    "finetrack.process",
    "finetrack.journal",
    "finetrack.reason",
    "finetrack.pruned",
    "finetrack.key",
    "finetrack.training",
    "finetrack.evaluat",
    EVALUATE_PREFIX,
    "finetrack.predict",
    "finetrack.threshold",
    "finetrack.gate",
    "finetrack.git.",
    "finetrack.dvc.",
)


def is_inherited(name: str) -> bool:
    """Check whether the run of a further evaluation has this tag of its training, too."""
    return not name.startswith(_OWN_TAGS)
