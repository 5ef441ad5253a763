"""Write the best point of a sweep as a file of conf/experiment, so that a command repeats its training."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.compose.stage import CONF, ParamValues, compose_conf, compose_nodes, config_errors_as_sentences
from pipeline.core.config_diff import ABSENT, diff_configs, format_overrides, join_first
from pipeline.core.errors import UserError
from pipeline.runtime.code_state import EXPERIMENTS, SWEEP_MARK
from pipeline.storage.files import write_file
from pipeline.sweep.space.prepared_spaces import PREPARED_SPACES


class BestConfig(NamedTuple):
    """The configuration of a point as a file of conf/experiment.

    Attributes:
        name: The name of the file, without .yaml.
        text: Its contents.
        overrides: Those that repeat the point: `+experiment=NAME`, and what a file cannot hold, such as
            `~tracking.tags.line`.
    """

    name: str
    text: str
    overrides: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that trains the point again."""
        return build_experiment_command(self.overrides)


def build_best_config(name: str, overrides: Sequence[str], *, notes: Sequence[str]) -> BestConfig:
    """Build the file that gives the same configuration as the overrides of a point.

    Args:
        name: The name of the sweep, and of the file.
        overrides: Of the point, as its job got them.
        notes: Lines for its comment, such as score and date.

    Raises:
        UserError: Hydra cannot compose the overrides.
    """
    from omegaconf import OmegaConf

    with config_errors_as_sentences("the best point of the sweep"):
        groups, deleted, values = _split_overrides(overrides)
        chosen, wanted = _compose_raw(groups), _compose_raw([*groups, *values])
        defaults = _build_defaults(groups)
    changed = _select_changes(chosen, wanted)
    body = {**({"defaults": defaults} if defaults else {}), **changed}
    prefix = "" if _list_default_experiments() else "+"
    config = BestConfig(name, "", (f"{prefix}{EXPERIMENTS}={name}", *deleted))
    comment = [f"# {SWEEP_MARK}{name}.", *(f"# {line}" for line in (config.command, *notes))]
    lines = ["# @package _global_", *(" ".join(line.splitlines()) for line in comment)]
    dumped = OmegaConf.to_yaml(OmegaConf.create(body)) if body else "{}\n"  # it quotes texts such as 1e-3
    return config._replace(text="\n".join([*lines, dumped]))


def build_experiment_command(overrides: Sequence[str]) -> str:
    """Return the command that runs an experiment with overrides, for a shell."""
    return shlex.join(["dvc", "exp", "run", *(part for word in overrides for part in ("-S", word))])


def write_best_config(config: BestConfig, *, expected: ParamValues | None = None) -> Path:
    """Write the file to conf/experiment, after composing it there under a temporary name.

    Args:
        config: The file.
        expected: The values of the job that it repeats, as in the params.yaml of its experiment; None to
            compare nothing.

    Returns:
        The path of the file.

    Raises:
        UserError: The file exists and is of something else, or it gives other values than expected.
    """
    path = CONF / EXPERIMENTS / f"{config.name}.yaml"
    require_own_file(path, config.name)
    trial = path.with_name(f"{config.name}-{secrets.token_hex(4)}.yaml")
    write_file(trial, config.text)
    try:
        words = [config.overrides[0].replace(f"={config.name}", f"={trial.stem}"), *config.overrides[1:]]
        composed = compose_conf(words).values
        if expected is not None:
            _require_equal_values(expected, composed, path)
        trial.replace(path)
    finally:
        trial.unlink(missing_ok=True)
    return path


def require_own_file(path: Path, name: str) -> None:
    """Require that a file is absent, or was written by the sweep of this name.

    Raises:
        UserError: It is of something else.
    """
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    if f"# {SWEEP_MARK}{name}." not in lines[:3]:
        raise UserError(
            f"{path} exists and is no file of the sweep {name}: it stays as it is; best.yaml in the sweep's "
            "MLflow run and in its folder has the best configuration"
        )


def _require_equal_values(expected: ParamValues, composed: ParamValues, path: Path) -> None:
    found = diff_configs(expected, composed)
    if found:
        listed = join_first(format_overrides(found), "the experiment's params.yaml")
        raise UserError(
            f"{path} is not written: conf/ now gives other values than the best job had: {listed}; "
            "`dvc exp apply` takes that job"
        )


def _split_overrides(overrides: Sequence[str]) -> tuple[list[str], tuple[str, ...], list[str]]:
    """Split overrides into those of groups of conf/, deleted keys, and values; others are left out."""
    groups: dict[str, str] = {}
    deleted, values = [], []
    for word, override in zip(overrides, _parse_overrides(overrides), strict=True):
        key = override.key_or_group
        is_group = (CONF / key).is_dir()
        if key == PREPARED_SPACES or key.partition(".")[0].partition("/")[0] == "hydra":
            continue
        if word.startswith("~"):
            deleted.append(word)
        elif is_group:
            groups[key] = word  # the last one counts
        else:
            values.append(word)
    return list(groups.values()), tuple(deleted), values


def _parse_overrides(overrides: Sequence[str]) -> list[Any]:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return list(OverridesParser.create().parse_overrides(list(overrides)))


def _compose_raw(overrides: Sequence[str]) -> dict[str, Any]:
    """Compose conf/ with its interpolations as they are written."""
    from omegaconf import OmegaConf

    return dict(OmegaConf.to_container(compose_nodes(overrides), resolve=False))  # type: ignore[arg-type]


def _build_defaults(groups: Sequence[str]) -> list[Any]:
    """Return the defaults list that chooses the files of groups as overrides do."""
    others: list[Any] = []
    experiments = _list_default_experiments()
    for word, override in zip(groups, _parse_overrides(groups), strict=True):
        value = override.value()
        chosen = list(map(str, value)) if isinstance(value, list) else str(value)
        if override.key_or_group == EXPERIMENTS:  # the file is in this group: a name alone is one beside it
            experiments = chosen if isinstance(chosen, list) else [chosen]
        else:
            prefix = "" if word.startswith("+") else "override "
            others.append({f"{prefix}/{override.key_or_group}": chosen})
    return [*experiments, *others]


def _list_default_experiments() -> list[str]:
    """List the files of conf/experiment that conf/config.yaml chooses: the new file takes their place."""
    from omegaconf import OmegaConf

    values: Any = OmegaConf.to_container(OmegaConf.load(CONF / "config.yaml"))
    defaults = values.get("defaults", [])
    found = [item[EXPERIMENTS] for item in defaults if isinstance(item, dict) and EXPERIMENTS in item]
    return [str(name) for item in found for name in (item if isinstance(item, list) else [item])]


def _select_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of nested mappings whose values are not those of the old ones, without deleted keys.

    A file of conf/ with this part turns the old values into the new ones. Keys may contain dots.
    """
    changed: dict[str, Any] = {}
    for name, value in new.items():
        before = old.get(name, ABSENT)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            if part := _select_changes(before, value):
                changed[name] = part
        elif repr(before) != repr(value):
            changed[name] = value
    return changed
