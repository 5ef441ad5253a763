"""Fuzz one target: python -m tests.fuzz.one TARGET KEPT FOLDER [arguments of libFuzzer].

Crashes go to KEPT, one for each place in the code, and fuzzing goes on; FOLDER is for sources, and empty.
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

from tests.fuzz.mutation import parted, spoilt

with atheris.instrument_imports(include=["pipeline"]):
    from tests.fuzz.targets import TARGETS

_LONGEST = 20_000


def main() -> None:
    """Fuzz until libFuzzer's arguments say stop."""
    name, kept, folder, *arguments = sys.argv[1:]
    target = TARGETS[name]
    warnings.simplefilter("error", RuntimeWarning)  # of numpy: a number that is none was reckoned with
    logging.disable()
    os.environ["TQDM_DISABLE"] = "1"

    def once(data: bytes) -> None:
        try:
            target.run(Path(folder), tuple(parted(data)))
        except Exception as error:
            _keep(data, error, Path(kept))

    def mutator(data: bytes, longest: int, seed: int) -> bytes:
        return spoilt(data, Random(seed), lambda part: atheris.Mutate(part, _LONGEST), longest=longest)

    atheris.Setup([sys.argv[0], f"-max_len={_LONGEST}", *arguments], once, custom_mutator=mutator)
    atheris.Fuzz()  # ends the process


def _keep(data: bytes, error: Exception, folder: Path) -> None:
    """Keep the first input for each place in the code where one crashes."""
    frames = traceback.extract_tb(error.__traceback__)
    where = "".join(f"{frame.filename}:{frame.lineno}" for frame in frames[-3:])
    name = f"crash-{hashlib.sha256(f'{type(error)}{where}'.encode()).hexdigest()[:12]}"
    if (folder / name).exists():
        (folder / name).touch()  # it is one of this session, too
    else:
        (folder / name).write_bytes(data)
        (folder / f"{name}.txt").write_text("".join(traceback.format_exception(error)), errors="replace")


if __name__ == "__main__":
    main()
