"""Commands that DVC runs, and small ones. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.commands.command_line.arguments import BY_DVC, JSON_RESULT, Command

PROJECT_COMMANDS: Final[Mapping[str, Command]] = {
    "doctor": Command(
        "check the machine, the project and its records, and say what to do",
        "Each line is ok, a warning or a fault. Nothing is changed. --fix mends what is safe: locks that\n"
        "nobody holds, temporary files of killed processes, messages not sent, runs of ended processes.\n"
        "Ends with 1 if there is a fault.",
        "finetrack doctor\nfinetrack doctor --fix\nfinetrack doctor --json",
        (
            ("--fix", {"action": "store_true", "help": "mend what is safe, and say what was done"}),
            JSON_RESULT,
        ),
    ),
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
