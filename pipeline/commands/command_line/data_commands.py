"""Commands about images and labels. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pipeline.commands.command_line.arguments import FORMAT, JSON, OVERRIDES, Command

DATA_COMMANDS: Final[Mapping[str, Command]] = {
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
}
