"""Commands that DVC runs, and small ones. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.commands.command_line.arguments import BY_DVC, Command

STAGE_COMMANDS: Final[Mapping[str, Command]] = {
    "send": Command(
        "send to MLflow what a tracking server missed",
        "Each stage does this too, when it starts and when it ends.",
        "finetrack send",
    ),
    "compose": Command(
        "compose conf/ into params.yaml; take the fingerprints of data and code",
        "DVC runs it first at every `dvc repro`. Nothing is written before everything is checked.",
        "dvc repro compose",
    ),
    "prepare": Command(
        "check, deduplicate and split the source images into data/prepared", BY_DVC, "dvc repro prepare"
    ),
    "augment": Command("write augmented train images into data/augmented", BY_DVC, "dvc repro augment"),
    "finetune": Command(
        "train the base weights on the prepared images; log an MLflow run", BY_DVC, "dvc repro finetune"
    ),
    "evaluate": Command("measure the fine-tuned weights on the test split", BY_DVC, "dvc repro evaluate"),
    "completion": Command(
        "print a completion script for bash or zsh",
        "Put it where your shell looks for completions.",
        "finetrack completion bash > ~/.local/share/bash-completion/completions/finetrack\n"
        "finetrack completion zsh > ~/.zfunc/_finetrack    # with fpath+=~/.zfunc in ~/.zshrc",
        (("shell", {"choices": ("bash", "zsh"), "help": "the shell"}),),
    ),
}
