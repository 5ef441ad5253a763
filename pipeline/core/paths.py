"""Where each stage reads and writes, relative to the folder it runs in."""

from pathlib import Path
from typing import Final

PARAMS: Final = Path("params.yaml")
LOCK: Final = Path("compose.lock.json")
EARLIER: Final = Path("splits.lock.json")
"""Where images went in earlier divisions: what the next one goes on from."""

WRITTEN: Final = (PARAMS, LOCK, EARLIER, Path("dvc.lock"), Path("reports"))
"""What a run itself changes among the files that git tracks: none of it makes the code another one."""

DECIDING: Final = (Path("conf"), Path("pipeline"))
"""Where a file that git does not track decides about a run, too."""

PREPARED: Final = Path("data/prepared")
DIVISION: Final = Path("reports/splits.json")
"""Where each image went; small, and kept in git, so that every clone knows what is held out."""
AUGMENTED: Final = Path("data/augmented")
FINETUNED: Final = Path("models/finetuned")

TRAINING_METRICS: Final = Path("reports/training.json")
TRAINING_PLOTS: Final = Path("reports/training")
TEST_METRICS: Final = Path("reports/metrics.json")
EVALUATION: Final = Path("reports/evaluation")
PREVIEW: Final = Path("reports/preview")

SPLITS: Final = ("train", "val", "test")
"""The folders below images/ and labels/ of the prepared dataset."""
