"""The argument parser of every command. Standard library only, since `compose` starts with it."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from pipeline.core.annotation_formats import ANNOTATION_FORMATS
from pipeline.runtime.versions import PROGRAM, describe_version

Argument = tuple[str, Mapping[str, Any]]
"""The name or flag of an argument, and the keywords of `ArgumentParser.add_argument`."""


class Command(NamedTuple):
    """One command.

    Attributes:
        summary: What it does, in one line.
        details: What a user should know besides; a sentence or more.
        example: Commands that a user can type, a line each.
        arguments: Its arguments in order.
    """

    summary: str
    details: str
    example: str
    arguments: Sequence[Argument] = ()


JSON: Final[Argument] = ("--json", {"action": "store_true", "help": "print JSON, with every finding"})
FORMAT: Final[Argument] = (
    "--format",
    {
        "default": "auto",
        "metavar": "NAME",
        "help": f"as data.format, if it is not recognized: {', '.join(ANNOTATION_FORMATS)}",
    },
)
RUN: Final[Argument] = (
    "run",
    {"metavar": "RUN", "help": "a run's id or name, an alias, an experiment, a revision, or workspace"},
)
JSON_RESULT: Final[Argument] = ("--json", {"action": "store_true", "help": "print JSON"})
OVERRIDES: Final[Argument] = (
    "overrides",
    {"nargs": "*", "metavar": "OVERRIDE", "help": "a Hydra override, such as augment=strong"},
)
BY_DVC: Final = "DVC runs it as a stage of dvc.yaml when its inputs changed; it reads params.yaml."

COMMANDS: Final[Mapping[str, Command]] = {  # pipeline/commands/NAME.py defines run_command(arguments)
    "inspect": Command(
        "show what a folder or an archive of labelled images holds",
        "Prints format, task, classes, counts, defects and warnings, whether prepare would stop, and the\n"
        "command that runs the pipeline on it. Several are read as one source. The dataset is only read; an\n"
        "archive is unpacked into .finetrack/. After the path, overrides say how to read it, as\n"
        "`dvc exp run -S` takes them.",
        "finetrack inspect ~/datasets/bottles\nfinetrack inspect export.zip --format coco --json\n"
        "finetrack inspect batch_1 batch_2\nfinetrack inspect ~/datasets/bottles data.labels=pixels",
        (
            (
                "path",
                {
                    "metavar": "PATH",
                    "nargs": "+",
                    "help": "a folder, or a zip or tar of one; or an override such as data.labels=pixels",
                },
            ),
            JSON,
            FORMAT,
        ),
    ),
    "use": Command(
        "use a folder or an archive of labelled images for all runs",
        "Checks it as inspect does, and refuses what prepare would refuse. Then sets `data: auto` and\n"
        "data.source in conf/, and says what it changed. `dvc repro` runs the pipeline on it.\n"
        "Overrides of data after the path are set, too; the next use takes them back.",
        "finetrack use ~/datasets/bottles\nfinetrack use batch_1 batch_2 data.labels=pixels\n"
        "finetrack use demo      # the drawn images again\nfinetrack use --undo",
        (
            ("path", {"metavar": "PATH", "nargs": "*", "help": "a folder, a zip or tar of one, or demo"}),
            FORMAT,
            ("--undo", {"action": "store_true", "help": "restore what the last `use` changed in conf/"}),
        ),
    ),
    "preview": Command(
        "draw contact sheets of what augmentation does",
        "Writes pictures to reports/preview/. It needs data/prepared: run `dvc repro prepare` first.",
        "finetrack preview\nfinetrack preview augment=strong augment.offline.rotate=20",
        (OVERRIDES,),
    ),
    "data-diff": Command(
        "compare two versions of the prepared dataset",
        "Lists images that were added, removed, relabelled or moved to another split.",
        "finetrack data-diff HEAD workspace\nfinetrack data-diff v1 v2 --json",
        (
            ("old", {"metavar": "REV_A", "help": "a git revision, or workspace"}),
            ("new", {"metavar": "REV_B", "help": "a git revision, or workspace"}),
            JSON,
        ),
    ),
    "compare": Command(
        "compare models on the same test images: every figure with its interval, one verdict",
        "The others are compared with the first one. A model is a run, an alias such as champion, a DVC\n"
        "experiment, a git revision, workspace, or a file of weights. Runs that differ in their seed alone\n"
        "are one model. Stored predictions are used; a file predicts on data/prepared, and with --on all\n"
        "predict on the test images of that revision. Logged to MLflow with a page.",
        "finetrack compare champion workspace\nfinetrack compare lr-a lr-b best.onnx --html compare.html\n"
        "finetrack compare old-run new-run --on workspace",
        (
            ("models", {"metavar": "MODEL", "nargs": "+", "help": "two or more; the first is the reference"}),
            ("--on", {"metavar": "REV", "help": "predict on the test images of this revision, or workspace"}),
            ("--html", {"metavar": "FILE", "help": "write the page here, too"}),
            ("--json", {"action": "store_true", "help": "print JSON, with all classes and slices"}),
            ("--separate", {"action": "store_true", "help": "do not pool runs that differ in the seed"}),
            (
                "--resamples",
                {"default": 2000, "type": int, "metavar": "N", "help": "of the test images; 2000"},
            ),
            ("--unlogged", {"action": "store_true", "help": "do not log the comparison to MLflow"}),
        ),
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
    "sweep": Command(
        "train once per combination of values (Hydra multirun, DVC experiments)",
        "The same as `python -m pipeline.sweep -m`; `finetrack sweep --help` has more.",
        "finetrack sweep finetune.lr0=3e-4,1e-3 augment=none,light",
        (OVERRIDES,),
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
        "a refusal, which ends with exit code 1.",
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
    "send": Command(
        "send to MLflow what a tracking server missed",
        "Each stage does this too, when it starts and when it ends.",
        "finetrack send",
    ),
    "serve": Command(
        "answer HTTP requests with a model's predictions; a page at / shows them",
        "POST /predict takes image files (as they are, or a form) and JSON with base64; GET /health,\n"
        "/metrics. Follows the alias: when champion moves, the new model answers, and no request is lost.\n"
        "Threshold and imgsz are those chosen on val, unless set here. Ctrl-C or SIGTERM: requests that run\n"
        "are answered. It listens on this machine only, unless --host says otherwise.",
        "finetrack serve\nfinetrack serve --model 3f2a91c0 --port 8080\n"
        "curl -H 'Content-Type: image/jpeg' --data-binary @part.jpg http://127.0.0.1:8000/predict\n"
        "curl -F images=@a.jpg -F images=@b.jpg http://127.0.0.1:8000/predict",
        (
            (
                "--model",
                {
                    "default": "champion",
                    "metavar": "NAME",
                    "help": "as in compare: champion, a run, workspace, a file",
                },
            ),
            (
                "--host",
                {"default": "127.0.0.1", "help": "where to listen; 0.0.0.0: on all networks (no password!)"},
            ),
            ("--port", {"type": int, "default": 8000, "help": "0: any free one"}),
            (
                "--allow-host",
                {
                    "action": "append",
                    "default": [],
                    "metavar": "NAME",
                    "help": "a further name of this server in the Host header; may be repeated",
                },
            ),
            ("--conf", {"type": float, "help": "the lowest score that is answered"}),
            ("--iou", {"type": float, "help": "of the non-maximum suppression"}),
            ("--max-det", {"type": int, "metavar": "N", "help": "detections per image at most"}),
            ("--imgsz", {"type": int, "metavar": "PIXELS", "help": "the network's input"}),
            ("--tile", {"type": int, "metavar": "PIXELS", "help": "predict on large images in tiles"}),
            ("--overlap", {"type": float, "metavar": "SHARE", "help": "of two tiles side by side (0.2)"}),
            ("--device", {"help": "cpu, or the number of a GPU"}),
            (
                "--threads",
                {"type": int, "metavar": "N", "help": "CPU threads of the model; free cores by default"},
            ),
            (
                "--batch",
                {"type": int, "default": 8, "metavar": "N", "help": "images of one shape at once (8)"},
            ),
            (
                "--poll",
                {
                    "type": float,
                    "default": 5.0,
                    "metavar": "S",
                    "help": "seconds between looks at the alias; 0: none",
                },
            ),
            ("--max-mb", {"type": float, "default": 32.0, "metavar": "MB", "help": "of a request (32)"}),
            (
                "--max-megapixels",
                {
                    "type": float,
                    "default": 50.0,
                    "metavar": "MP",
                    "help": "of an image, before it is decoded (50)",
                },
            ),
            ("--max-images", {"type": int, "default": 16, "metavar": "N", "help": "in one request (16)"}),
        ),
    ),
    "export": Command(
        "export a model to ONNX, OpenVINO, TorchScript ..., and measure the exported file",
        "The exported file predicts on the test images of data/prepared, beside the checkpoint: main metric\n"
        "with paired difference, boxes that are the same, size, time per image. One that falls by more than\n"
        "export.tolerance is refused. Lists with commas export every combination. The figures are logged to\n"
        "the run, and the files that are kept.",
        "finetrack export champion --format onnx\n"
        "finetrack export 3f2a91c0 --format onnx,openvino --precision fp32,int8\n"
        "finetrack export models/finetuned/best.pt --format onnx --nms outside,graph,free",
        (
            ("run", {"metavar": "RUN", "help": "as in compare: champion, a run, workspace, a file (.pt)"}),
            ("--format", {"required": True, "metavar": "NAME", "help": "onnx, openvino, torchscript ..."}),
            ("--precision", {"default": "fp32", "metavar": "NAME", "help": "fp32, fp16 or int8"}),
            (
                "--nms",
                {
                    "default": "outside",
                    "metavar": "NAME",
                    "help": "outside the file, in its graph, or free: the NMS-free head of YOLO26",
                },
            ),
            ("--output", {"default": "models/exported", "metavar": "DIR", "help": "default models/exported"}),
            ("--dynamic", {"action": "store_true", "help": "take images of any size and number"}),
            ("--device", {"metavar": "NAME", "help": "cpu, or the number of a GPU"}),
            (
                "--unmeasured",
                {"action": "store_true", "help": "keep a file that cannot run on this machine, unmeasured"},
            ),
        ),
    ),
    "predict": Command(
        "predict on images and videos: pictures, COCO JSON, YOLO text, CSV",
        "A source is a folder (with its subfolders), an image, a video, or a zip or tar of them. The model\n"
        "is the champion, or models/finetuned if there is none; the threshold is the one chosen on val.\n"
        "After a kill, the same command goes on where it ended. Files that cannot be read are listed at the\n"
        "end, and the exit code is 1 then.",
        "finetrack predict ~/photos\nfinetrack predict video.mp4 --model 3f2a91c0 --output found\n"
        "finetrack predict aerial/ --tile 640 --overlap 0.2 --formats coco,csv",
        (
            (
                "source",
                {"nargs": "+", "metavar": "SOURCE", "help": "a folder, an image, a video, an archive"},
            ),
            ("--model", {"metavar": "NAME", "help": "as in compare: champion, a run, workspace, a file"}),
            ("--output", {"metavar": "DIR", "help": "predictions/NAME of the source by default"}),
            (
                "--formats",
                {
                    "default": "pictures,coco,yolo,csv",
                    "metavar": "LIST",
                    "help": "any of pictures, coco, yolo and csv, with commas; all by default",
                },
            ),
            ("--conf", {"type": float, "help": "the lowest score that counts"}),
            ("--iou", {"type": float, "help": "of the non-maximum suppression"}),
            ("--max-det", {"type": int, "metavar": "N", "help": "detections per image at most"}),
            ("--imgsz", {"type": int, "metavar": "PIXELS", "help": "the network's input"}),
            (
                "--tile",
                {
                    "type": int,
                    "metavar": "PIXELS",
                    "help": "predict on overlapping tiles of larger images; 0: on whole images; as in "
                    "evaluate.tile by default",
                },
            ),
            (
                "--overlap",
                {
                    "type": float,
                    "metavar": "SHARE",
                    "help": "of two tiles, 0.2 by default: as large as objects",
                },
            ),
            ("--batch", {"type": int, "metavar": "N", "help": "images at a time"}),
            ("--device", {"help": "cpu, or the number of a GPU"}),
            ("--threads", {"type": int, "metavar": "N", "help": "CPU threads of the model"}),
        ),
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


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keep line breaks, and put each command's summary beside its name."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=18, width=100)
        self._action_max_length = 16  # argparse counts names of commands without their indent


class CommandParser(argparse.ArgumentParser):
    """An argument parser that suggests the nearest command for a mistyped one."""

    def error(self, message: str) -> NoReturn:
        """Print the error and how to get help; exit with 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _PrintVersion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        sys.stdout.write(f"{describe_version()}\n")
        parser.exit()


def build_parser() -> CommandParser:
    """Build the parser of all commands."""
    parser = CommandParser(
        PROGRAM,
        formatter_class=HelpFormatter,
        description="Fine-tune Ultralytics YOLO on your own images; every iteration is tracked.",
        epilog="Rerun what changed with `dvc repro`; compare runs with `make ui`.\n"
        f"`{PROGRAM}` and `python -m pipeline` are the same. `{PROGRAM} COMMAND --help` says more.",
    )
    add_version(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=CommandParser)
    for name, command in COMMANDS.items():
        _add_command(commands.add_parser, name, command)
    return parser


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add `--version`."""
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print versions and exit")


def suggest_command(name: str, known: Iterable[str] = COMMANDS) -> str:
    """Return a sentence about a command that does not exist, with the nearest ones."""
    near = difflib.get_close_matches(name, known, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(known)}"
    return f"there is no command {name!r}: {hint}"


def _add_command(add: Callable[..., argparse.ArgumentParser], name: str, command: Command) -> None:
    examples = "\n".join(f"  {line}" for line in command.example.splitlines())
    parser = add(
        name,
        help=command.summary,
        formatter_class=HelpFormatter,
        description=f"{command.summary[0].upper()}{command.summary[1:]}.\n\n{command.details}",
        epilog=f"examples:\n{examples}",
    )
    for flag, keywords in command.arguments:
        parser.add_argument(flag, **keywords)
