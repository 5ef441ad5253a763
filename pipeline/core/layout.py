"""Where each stage reads and writes, relative to the folder it runs in."""

from pathlib import Path
from typing import Final

PARAMS: Final = Path("params.yaml")
LOCK: Final = Path("compose.lock.json")

WRITTEN: Final = (PARAMS, LOCK, Path("dvc.lock"), Path("reports"))
"""What a run itself changes among the files that git tracks: none of it makes the code another one."""

PREPARED: Final = Path("data/prepared")
AUGMENTED: Final = Path("data/augmented")
FINETUNED: Final = Path("models/finetuned")

TRAINING_METRICS: Final = Path("reports/training.json")
TRAINING_PLOTS: Final = Path("reports/training")
TEST_METRICS: Final = Path("reports/metrics.json")
EVALUATION: Final = Path("reports/evaluation")

SPLITS: Final = ("train", "val", "test")
"""The folders below images/ and labels/ of the prepared dataset."""
