"""Fuzz one target: python -m tests.fuzz.one TARGET KEPT FOLDER [arguments of libFuzzer].

The first crash at each place in the code is written to KEPT, and fuzzing continues. FOLDER is an empty
folder for sources.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import traceback
import warnings
from pathlib import Path
from random import Random

import atheris

from tests.fuzz.mutation import corrupt_input, split_parts

with atheris.instrument_imports(include=["pipeline"]):
    from tests.fuzz.targets import TARGETS

_MAX_BYTES = 20_000


def main() -> None:
    """Fuzz until the limits in libFuzzer's arguments."""
    name, kept, folder, *arguments = sys.argv[1:]
    target = TARGETS[name]
    warnings.simplefilter("error", RuntimeWarning)  # from numpy: a computation with NaN or infinity
    logging.disable()
    os.environ["TQDM_DISABLE"] = "1"

    def run_once(data: bytes) -> None:
        try:
            target.run(Path(folder), tuple(split_parts(data)))
        except Exception as error:
            _keep_crash(data, error, Path(kept))

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        return corrupt_input(
            data, Random(seed), lambda part: atheris.Mutate(part, _MAX_BYTES), longest=longest
        )

    atheris.Setup([sys.argv[0], f"-max_len={_MAX_BYTES}", *arguments], run_once, custom_mutator=mutate)
    atheris.Fuzz()  # ends the process


def _keep_crash(data: bytes, error: Exception, folder: Path) -> None:
    """Keep the first input that crashes at a place in the code."""
    frames = traceback.extract_tb(error.__traceback__)
    where = "".join(f"{frame.filename}:{frame.lineno}" for frame in frames[-3:])
    name = f"crash-{hashlib.sha256(f'{type(error)}{where}'.encode()).hexdigest()[:12]}"
    if (folder / name).exists():
        (folder / name).touch()  # it also belongs to this session
    else:
        (folder / name).write_bytes(data)
        (folder / f"{name}.txt").write_text("".join(traceback.format_exception(error)), errors="replace")


if __name__ == "__main__":
    main()
