"""Commands about iterations: train, list, compare, promote, restore. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.commands.command_line.arguments import JSON_RESULT, OVERRIDES, RUN, Command

ITERATION_COMMANDS: Final[Mapping[str, Command]] = {
    "sweep": Command(
        "train once per combination of values (Hydra multirun, DVC experiments)",
        "The same as `python -m pipeline.sweep -m`; `finetrack sweep --help` has more.",
        "finetrack sweep finetune.lr0=3e-4,1e-3 augment=none,light",
        (OVERRIDES,),
    ),
    "join": Command(
        "train on this machine for a training that another machine has started (finetune.nodes)",
        "The machines must have the same commit, params.yaml, images and weights; the first one checks it,\n"
        "logs the run and writes the results. Nothing is written here. docs/how-to/several-gpus.md has more.",
        "finetrack join gpu-1:29500",
        (("address", {"metavar": "HOST:PORT", "help": "FINETRACK_FIRST_MACHINE of the first machine"}),),
    ),
    "learning-curve": Command(
        "forecast what more labelled images would bring",
        "Trains on nested parts of the train images, 1/8, 1/4, 1/2 and all, three times each, at equal\n"
        "length, and scores each training on test. It is a sweep: overrides and settings are those of\n"
        "`finetrack sweep`, and the same command goes on where it stopped. Logged to MLflow with a page.",
        "finetrack learning-curve\nfinetrack learning-curve data.fraction=0.25,0.5,1.0 sweep.seeds=2\n"
        "finetrack learning-curve data=auto data.source=/path/to/dataset sweep.jobs=2 --json",
        (OVERRIDES, JSON_RESULT),
    ),
    "runs": Command(
        "list the iterations: what differs, data, val and test metrics, alias, state",
        "The newest first; each row says what differs from the row below it. Reads MLflow, and marks what\n"
        "only DVC has. KEY=VALUE shows those of a configuration; the last words of a key are enough.",
        "finetrack runs\nfinetrack runs --sort test --limit 5\nfinetrack runs lr0=0.001 --state finished\n"
        "finetrack runs --sweep lr0-1a2b3c --json",
        (
            (
                "filters",
                {"metavar": "KEY=VALUE", "nargs": "*", "help": "a value of the configuration, as lr0=0.001"},
            ),
            (
                "--state",
                {
                    "metavar": "NAME",
                    "help": "finished, failed, killed, pruned, running, dvc; or several: a,b",
                },
            ),
            (
                "--data",
                {"metavar": "NAME", "help": "the digest of the images, or its beginning; or their name"},
            ),
            ("--sweep", {"metavar": "NAME", "help": "the trainings of this sweep"}),
            (
                "--sort",
                {"default": "started", "metavar": "BY", "help": "started, val, test, seconds or name"},
            ),
            ("--limit", {"type": int, "default": 20, "metavar": "N", "help": "rows at most (20); 0: all"}),
            ("--wide", {"action": "store_true", "help": "more columns, as wide as the terminal"}),
            ("--json", {"action": "store_true", "help": "print JSON, with all parameters and metrics"}),
        ),
    ),
    "compare": Command(
        "compare models on the same test images: every figure with its interval, one verdict",
        "The others are compared with the first one. A model is a run, an alias such as champion, a DVC\n"
        "experiment, a git revision, workspace, a file of weights, or zero-shot: that of zero_shot.weights,\n"
        "asked for the classes. Runs that differ in their seed alone are one model. Stored predictions are\n"
        "used; a file predicts on data/prepared, and with --on all predict on the test images of that\n"
        "revision. Logged to MLflow with a page.",
        "finetrack compare champion workspace\nfinetrack compare lr-a lr-b best.onnx --html compare.html\n"
        "finetrack compare old-run new-run --on workspace\nfinetrack compare zero-shot workspace",
        (
            ("models", {"metavar": "MODEL", "nargs": "+", "help": "two or more; the first is the reference"}),
            ("--on", {"metavar": "REV", "help": "predict on the test images of this revision, or workspace"}),
            ("--html", {"metavar": "FILE", "help": "write the page here, too"}),
            ("--json", {"action": "store_true", "help": "print JSON, with all classes and slices"}),
            ("--separate", {"action": "store_true", "help": "do not pool runs that differ in the seed"}),
            (
                "--resamples",
                {
                    "type": int,
                    "metavar": "N",
                    "help": "of the test images; 2000 by default, or evaluate.bootstrap if that is more",
                },
            ),
            ("--unlogged", {"action": "store_true", "help": "do not log the comparison to MLflow"}),
        ),
    ),
    "register": Command(
        "register the model of a run as the challenger of the champion",
        "Makes a version of registry.name in MLflow's model registry. The training must have finished and\n"
        "been evaluated. `evaluate.register=true` does it after each evaluation.",
        "finetrack register 1a2b3c4d\nfinetrack register workspace",
        (RUN,),
    ),
    "promote": Command(
        "make a model the champion if it is shown to be no worse",
        "Compares it with the present champion on the same test images, by the limits of conf/registry, and\n"
        "checks that its data has no leak and its code a commit. The decision is recorded in MLflow, also\n"
        "a refusal, which ends with exit code 1. A run that is named is registered first; the challenger\n"
        "stays the one that `register` chose.",
        "finetrack promote      # the challenger\nfinetrack promote 1a2b3c4d --export onnx\n"
        'finetrack promote parts/7 --force "the camera changed"',
        (
            ("run", {"metavar": "RUN", "nargs": "?", "help": "a run or version; the challenger by default"}),
            ("--force", {"metavar": "WHY", "help": "promote whatever the gate says; the reason is recorded"}),
            ("--export", {"metavar": "FORMAT", "help": "the exported file must pass too, such as onnx"}),
            JSON_RESULT,
        ),
    ),
    "rollback": Command(
        "make the champion before the present one the champion again",
        "Nothing is judged; the rollback is recorded in MLflow. Again, it goes back one more.",
        'finetrack rollback\nfinetrack rollback --reason "misses scratches at night"',
        (("--reason", {"metavar": "WHY", "help": "why, for the record"}),),
    ),
    "restore": Command(
        "restore an iteration in a new folder, and prove that it is the one",
        "Code with the changes beside its commit, configuration, data, weights: from git, DVC and MLflow.\n"
        "Then compares digests, evaluates again and asks DVC whether anything is left to do. What cannot be\n"
        "had is named before the folder appears. It shares DVC's cache and MLflow's store with the project.",
        "finetrack restore champion ../champion\nfinetrack restore 3f2a91 ~/restored --rerun",
        (
            ("run", {"metavar": "RUN", "help": "a run, alias, experiment or revision: see finetrack runs"}),
            ("folder", {"metavar": "DIR", "help": "a folder that does not exist, or an empty one"}),
            (
                "--rerun",
                {"action": "store_true", "help": "train again, too, and say how far it is from the record"},
            ),
        ),
    ),
}
