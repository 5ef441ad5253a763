"""The help text of `finetrack sweep`."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Final, get_args

from pydantic.fields import FieldInfo

from pipeline.sweep.settings import SweepSettings

_WIDTH: Final = 110
_INDENT: Final = " " * 22
"""Of the names of prepared spaces."""

_TEXT = """usage: finetrack sweep KEY=VALUES ... [sweep.SETTING=VALUE ...]
       python -m pipeline.sweep -m KEY=VALUES ... [sweep.SETTING=VALUE ...]

Train points of a search space, several at once, and find the best by its metric on val. Each training is a
DVC experiment and an MLflow run below one parent run. The same command, or the same sweep.name, goes on where
it stopped: what is finished is not trained again, and a stopped training continues from its checkpoint.

values of a key, as Hydra spells them:
  KEY=A,B                         these values; GROUP=A,B files of conf/, such as augment=none,light
  KEY=range(1,4)  KEY=glob(*)     Hydra's ranges and patterns
  KEY=interval(1e-4,1e-2)         any value between; tag(log,interval(1e-5,1e-2)) on a logarithmic scale;
                                  int(interval(1,8)) integers
  KEY=VALUE                       one value for all trainings
  +sweep=NAME                     a prepared space, one of:
{spaces}

settings (defaults: conf/hydra/sweeper/finetrack.yaml):
{settings}

options:
  -h, --help         this text
  --version          versions
  --cfg job          print the composed configuration; runs nothing
  --hydra-help       what Hydra can do besides

examples:
  finetrack sweep finetune.lr0=3e-4,1e-3 augment=none,light
  finetrack sweep +sweep=quick data=auto data.source=/data/bottles
  finetrack sweep 'finetune.lr0=tag(log,interval(1e-4,1e-2))' sweep.trials=30 sweep.pruner=median sweep.jobs=2
  finetrack sweep +sweep=finetune sweep.hours=2 sweep.seeds=3
"""


def render_help(conf: Path) -> str:
    """Return the help text, with the prepared spaces and all settings."""
    spaces = ", ".join(sorted(path.stem for path in (conf / "sweep").glob("*.yaml")))
    wrapped = textwrap.fill(spaces, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    rows = [
        (f"sweep.{name}", f"{_describe_setting(field)} ({_format_default(field.default)})")
        for name, field in SweepSettings.model_fields.items()
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name.ljust(width)}  {text}" for name, text in rows]
    return _TEXT.format(spaces=wrapped, settings="\n".join(lines))


def _describe_setting(field: FieldInfo) -> str:
    """Return what a setting is, with the texts that it may have where there are a few."""
    allowed = [each for each in get_args(field.annotation) if isinstance(each, str)]
    listed = f"; one of {', '.join(allowed)}" if allowed else ""
    return f"{field.description}{listed}"


def _format_default(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return "[]" if value == () else str(value)
