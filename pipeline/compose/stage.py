"""The compose stage: conf/ to params.yaml, and params.yaml to a checked `Config`.

DVC itself composes only in `dvc exp run`. This stage always runs and does it for `dvc repro`, and checks the
configuration before any work starts. Hydra is imported only if conf/ changed, so that a `dvc repro` with
nothing to do stays as fast as DVC itself.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.compose.code_changes import describe_code_changes
from pipeline.compose.input_fingerprints import fingerprint_inputs
from pipeline.compose.interpolations import require_pure_interpolations
from pipeline.compose.lockfile import (
    PARAMS_KEY,
    diff_composed,
    keep_last_params,
    read_lock,
    recall_checked_values,
    remember_checked_values,
    restore_last_params,
    save_differences,
    save_replaced_params,
    write_if_changed,
    write_lock,
)
from pipeline.core.config_diff import diff_configs, format_changes, format_overrides, join_first
from pipeline.core.errors import UserError
from pipeline.core.paths import PARAMS_FILE, SPLITS_LOCK_FILE
from pipeline.prepare.stored_splits import carry_over_splits
from pipeline.storage.code_digests import compute_code_digests
from pipeline.storage.fingerprint import fingerprint_config_folder
from pipeline.storage.finished_trainings import delete_recorded_outputs
from pipeline.storage.git import require_full_history, require_owned_repository
from pipeline.storage.scratch_folder import project_root

if TYPE_CHECKING:
    from pipeline.config.schema import Config

CONF = Path("conf")
ParamValues = dict[str, Any]


class ParamsFile(NamedTuple):
    """A params.yaml: its bytes and its values."""

    raw: bytes
    values: ParamValues


def compose_params() -> list[str]:
    """Update params.yaml and compose.lock.json from conf/ and the inputs.

    Nothing is written before everything is checked. A file whose content stays the same is not touched.

    Returns:
        Notes for the user, a line each.

    Raises:
        UserError: The configuration cannot run, or an input is missing.
    """
    delete_recorded_outputs()
    current = PARAMS_FILE.read_bytes() if PARAMS_FILE.exists() else b""
    try:
        _require_usable_repository()
        return _update_params(current)
    except UserError:
        if _under_dvc_exp():  # DVC has written params.yaml with the overrides, over those of before
            restore_last_params(otherwise=lambda: compose_conf().raw)
        raise


def _require_usable_repository() -> None:
    """Require a repository that records what will be computed, before any of it is."""
    root = project_root()
    require_owned_repository(root)
    if _under_dvc_exp() and Path.cwd().resolve() != root:  # a copy, of --temp, of the queue or of a sweep
        require_full_history(root)


def _update_params(current: bytes) -> list[str]:
    lock, conf = read_lock(), fingerprint_config_folder(CONF)
    known = lock["composed"] if lock.get("conf") == conf and (current or _under_dvc_exp()) else None
    composed = compose_conf() if known is None else ParamsFile(b"", known)
    keep = _under_dvc_exp() or bool(current and not diff_composed(lock, composed.values))
    if keep:
        params = ParamsFile(current, check_params_values(current))
        notes = _describe_overrides(composed.values, params.values)
    else:
        params = composed
        _check_params(params, where="conf/")
        notes = _describe_changes(current, lock, composed.values)
    fingerprints, words = fingerprint_inputs(params.values, lock)
    code = compute_code_digests()
    stored_split = carry_over_splits(
        params.values["data"], fingerprints["source"], lock, code=code["prepare"]
    )
    write_if_changed(PARAMS_FILE, params.raw)
    keep_last_params(params.raw)
    if stored_split.content is not None:
        write_if_changed(SPLITS_LOCK_FILE, stored_split.content)
    written = {PARAMS_KEY: hashlib.sha256(params.raw).hexdigest(), **fingerprints, **stored_split.entries}
    write_lock({"conf": conf, "composed": composed.values, **written, "code": code})
    return notes + words + stored_split.notes + describe_code_changes(code, lock)


def load_config() -> Config:
    """Read params.yaml for a stage.

    Raises:
        UserError: It is absent, is not YAML, or holds a configuration that cannot run.
    """
    from pipeline.config.schema import parse_config

    if not PARAMS_FILE.exists():
        raise UserError("params.yaml is missing: run `dvc repro`, or `python -m pipeline compose`")
    return parse_config(check_params_values(PARAMS_FILE.read_bytes()))


def plan_config(overrides: Sequence[str]) -> Config:
    """Return the configuration of `dvc repro`, or of an experiment with overrides; write nothing.

    Raises:
        UserError: The configuration cannot run.
    """
    from pipeline.config.schema import parse_config

    if overrides:
        return parse_config(compose_conf(overrides).values)
    lock = read_lock()
    if PARAMS_FILE.exists() and lock.get("conf") == fingerprint_config_folder(CONF):
        return load_config()
    composed = compose_conf().values
    keep = PARAMS_FILE.exists() and not diff_composed(lock, composed)
    return load_config() if keep else parse_config(composed)


def _under_dvc_exp() -> bool:
    """Return whether `dvc exp run` is running: it has composed params.yaml already, with its overrides."""
    return "DVC_EXP_NAME" in os.environ


def compose_conf(overrides: Sequence[str] = ()) -> ParamsFile:
    """Compose conf/ as DVC does (dvc.utils.hydra.compose_and_dump), byte for byte."""
    with config_errors_as_sentences("the command" if overrides else "conf/"):
        from omegaconf import OmegaConf

        found = compose_nodes(overrides)
        OmegaConf.resolve(found)
        return ParamsFile(OmegaConf.to_yaml(found).encode(), _to_plain_values(found))


def compose_nodes(overrides: Sequence[str]) -> Any:
    """Compose conf/ to OmegaConf's nodes, with interpolations as they are.

    Raises:
        UserError: A file is missing, would take all memory, or has a value that reads the machine. Hydra
            raises its own errors, too.
    """
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from pipeline.config.yaml_limits import require_small_yaml_files

    if not (CONF / "config.yaml").exists():
        raise UserError("conf/config.yaml is missing: restore it with `git checkout conf`")
    require_small_yaml_files(CONF)
    with initialize_config_dir(str(CONF.resolve()), version_base=None):
        found = compose("config", overrides=list(overrides))
    where = "the command" if overrides else "conf/"
    require_pure_interpolations(OmegaConf.to_container(found, resolve=False), where)
    return found


def check_params_values(raw: bytes) -> ParamValues:
    """Return the values of a params.yaml, checked against the schema (cached).

    Raises:
        UserError: It is not YAML, or holds a configuration that cannot run.
    """
    known = recall_checked_values(raw)
    if known is not None:
        return known
    params = ParamsFile(raw, parse_params(raw))
    _check_params(params, where="params.yaml (conf/ with -S)" if _under_dvc_exp() else "params.yaml")
    return params.values


def _check_params(params: ParamsFile, *, where: str) -> None:
    from pipeline.config.schema import ConfigError, parse_config
    from pipeline.config.tracking_uri import NO_PASSWORD

    try:
        parse_config(params.values)
    except ConfigError as error:
        is_kept = NO_PASSWORD in str(error) and _under_dvc_exp()  # DVC stashes params.yaml before any stage
        advice = "; change this password, since DVC has already written it into an object of .git"
        raise ConfigError(f"{where}: {error}{advice if is_kept else ''}") from None
    remember_checked_values(params.raw, params.values)


def parse_params(raw: bytes) -> ParamValues:
    """Parse a params.yaml by the rules that conf/ is read by: 1e-3 is a number.

    Raises:
        UserError: It is not YAML, or holds no keys.
    """
    from io import StringIO

    from omegaconf import OmegaConf

    from pipeline.config.yaml_limits import require_small_yaml

    require_small_yaml(raw, "params.yaml")
    with config_errors_as_sentences("params.yaml"):
        return _to_plain_values(OmegaConf.load(StringIO(raw.decode())))


def _to_plain_values(found: Any) -> ParamValues:
    from omegaconf import DictConfig, OmegaConf

    if not isinstance(found, DictConfig):
        raise UserError("params.yaml holds no keys: delete it, and the next run composes it from conf/")
    require_pure_interpolations(OmegaConf.to_container(found, resolve=False), "params.yaml")
    return dict(OmegaConf.to_container(found, resolve=True))  # type: ignore[arg-type]


@contextmanager
def config_errors_as_sentences(where: str) -> Iterator[None]:
    """Turn errors of Hydra, OmegaConf and YAML into one sentence."""
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import MarkedYAMLError, YAMLError

    try:
        yield
    except MissingConfigException as error:
        options = f": choose one of {', '.join(error.options)}" if error.options else ""
        raise UserError(f"{where}: there is no {error.missing_cfg_file}{options}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark
        file = str(mark.name).removeprefix(f"{CONF.resolve()}{os.sep}") if mark else ""
        line = f"{'' if file.startswith('<') else file + ', '}line {mark.line + 1}" if mark else "somewhere"
        raise UserError(f"{where}: {line}: {error.problem}") from None
    except (HydraException, OmegaConfBaseException, YAMLError, UnicodeDecodeError) as error:
        lines = (line.strip(" .") for line in str(error).splitlines())
        raise UserError(f"{where}: {'; '.join(line for line in lines if line)}") from None


def _describe_overrides(composed: ParamValues, current_values: ParamValues) -> list[str]:
    found = diff_configs(composed, current_values)
    if not found:
        return []
    return [
        f"params.yaml keeps what conf/ does not say: {_list_briefly(format_overrides(found), 'overrides')}"
    ]


def _list_briefly(texts: Sequence[str], name: str) -> str:
    """List the first differences, as many as fit on a line; a text file in .finetrack/ holds all of them."""
    path = save_differences(name, texts)
    return join_first(texts, str(path.relative_to(project_root())))


def _describe_changes(current: bytes, lock: ParamValues, composed: ParamValues) -> list[str]:
    """Describe what composing again changes, and which values of the old params.yaml are lost."""
    before = lock.get("composed", composed)
    found = diff_configs(before, composed)
    notes = ["conf/ composed into params.yaml"]
    if found:
        notes = [f"conf/ changed: {_list_briefly(format_changes(found), 'changes')}"]
    if not current:
        return notes
    try:
        current_values = parse_params(current)
    except UserError:
        return [*notes, f"the old params.yaml could not be read: a copy is {save_replaced_params(current)}"]
    edited = {item.key for item in diff_configs(before, current_values)}
    dropped = [item for item in diff_configs(composed, current_values) if item.key in edited]
    if dropped:
        copy = save_replaced_params(current)
        listed = _list_briefly(format_overrides(dropped), "dropped")
        notes.append(f"dropped (conf/ was composed anew): {listed}; a copy is {copy}")
    return notes
