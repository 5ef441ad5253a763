"""Write weights that find the classes of the data by words, without training (`finetrack zero-shot`)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from pipeline.config.source_paths import resolve_source_path
from pipeline.core.errors import UserError

if TYPE_CHECKING:
    from pipeline.config.schema import Config

ZERO_SHOT_WEIGHTS: Final = Path("models/zero-shot.pt")
"""Where the weights are written by default."""


def run_command(arguments: Namespace) -> Iterator[str]:
    """Yield the lines to print.

    Args:
        arguments: `weights`, `words`, `output`.

    Raises:
        UserError: The model cannot be asked for the classes of data/prepared, or the file exists.
    """
    from pipeline.comparison.models.zero_shot import write_zero_shot_weights
    from pipeline.compose.stage import plan_config
    from pipeline.storage.files import write_file
    from pipeline.storage.scratch_folder import create_scratch_folder

    output = resolve_source_path(arguments.start, arguments.output) if arguments.output else ZERO_SHOT_WEIGHTS
    if output.exists() or output.suffix != ".pt":
        reason = "exists" if output.exists() else "does not end in .pt"
        raise UserError(f"{output} {reason}: name another file with --output")
    config = _add_arguments(plan_config(()), arguments)
    with TemporaryDirectory(dir=create_scratch_folder("weights"), prefix="zero-shot-") as folder:
        asked = write_zero_shot_weights(config, Path(folder) / output.name)
        write_file(output, (Path(folder) / output.name).read_bytes())
    yield from (f"{name}: {word}" for name, word in asked.words.items())
    yield (
        f"{output} finds these classes without training, as {asked.label} does"
        if asked.is_asked
        else f"{output} finds these classes, which were set in {asked.label} before, perhaps by a training"
    )
    yield "next: `finetrack compare` scores it, predict and export take it, and model.weights trains it"


def _add_arguments(config: Config, arguments: Namespace) -> Config:
    """Return the configuration with what the command line says of zero_shot."""
    words = {**config.zero_shot.prompts, **_parse_words(arguments.words or ())}
    changes: dict[str, object] = {"prompts": words}
    if arguments.weights:
        own = resolve_source_path(arguments.start, arguments.weights)
        changes["weights"] = str(own) if own.exists() else arguments.weights
    return config.model_copy(update={"zero_shot": config.zero_shot.model_copy(update=changes)})


def _parse_words(items: Sequence[str]) -> dict[str, str]:
    """Parse CLASS=WORDS."""
    pairs = [item.partition("=") for item in items]
    wrong = next(
        (item for item, (name, _, word) in zip(items, pairs, strict=True) if not (name and word.strip())),
        None,
    )
    if wrong is not None:
        raise UserError(f"--words {wrong} is not CLASS=WORDS, such as 'RBC=red blood cell'")
    return {name: word.strip() for name, _, word in pairs}
