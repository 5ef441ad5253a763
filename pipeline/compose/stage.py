"""conf/ -> params.yaml -> Config: the one door to Hydra and OmegaConf.

DVC composes in `dvc exp run` only; this stage, which always runs, does it for `dvc repro`, and checks the
outcome before any work starts. Hydra is imported only where conf/ changed, so that a `dvc repro` with
nothing to do stays as fast as DVC itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.compose import code_digests, input_fingerprints, lockfile
from pipeline.compose.lockfile import note_last, put_back, read_lock, set_aside, write_lock
from pipeline.core.config_diff import assignments, changes, differences
from pipeline.core.errors import UserError
from pipeline.core.paths import EARLIER, PARAMS
from pipeline.prepare.split_history import carry_on
from pipeline.storage.fingerprint import of_conf

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from pipeline.config.schema import Config

CONF = Path("conf")
ParamValues = dict[str, Any]


class ParamsFile(NamedTuple):
    """A params.yaml: its bytes, and the values they stand for."""

    raw: bytes
    values: ParamValues


def run() -> list[str]:
    """Bring params.yaml and compose.lock.json up to date with conf/ and the inputs.

    Nothing is written before everything is checked, and nothing that says the same as before.

    Returns:
        What a user should know, a line each.

    Raises:
        Refused: A configuration that cannot run, or inputs that are not there.
    """
    current = PARAMS.read_bytes() if PARAMS.exists() else b""
    try:
        return _update(current)
    except UserError:
        if _under_dvc_exp():  # DVC has written params.yaml with the overrides, over those of before
            put_back(otherwise=lambda: _compose().raw)
        raise


def _update(current: bytes) -> list[str]:
    lock, conf = read_lock(), of_conf(CONF)
    stands = lock.get("conf") == conf
    keep = _under_dvc_exp() or bool(stands and current)
    ours = ParamsFile(b"", lock["composed"]) if stands and keep else _compose()
    if keep:
        params = ParamsFile(current, _checked(current))
        notes = _kept(ours.values, params.values)
    else:
        params = ours
        _check(params, where="conf/")
        notes = _replaced(current, lock, ours.values)
    facts, words = input_fingerprints.describe(params.values, lock)
    carried = carry_on(params.values["data"], facts["source"], lock)
    code = code_digests.digests()
    lockfile.write(PARAMS, params.raw)
    note_last(params.raw)
    if carried.content is not None:
        lockfile.write(EARLIER, carried.content)
    write_lock({"conf": conf, "composed": ours.values, **facts, **carried.entries, "code": code})
    return notes + words + carried.notes + code_digests.changed(code, lock)


def load() -> Config:
    """Read params.yaml for a stage.

    Raises:
        Refused: It is absent, no YAML, or no configuration that can run.
    """
    from pipeline.config.schema import parse

    if not PARAMS.exists():
        raise UserError("params.yaml is missing: run `dvc repro`, or `python -m pipeline compose`")
    return parse(_checked(PARAMS.read_bytes()))


def planned(overrides: Sequence[str]) -> Config:
    """Return what `dvc repro` would run with, or an experiment with overrides; params.yaml stays.

    Raises:
        Refused: A configuration that cannot run.
    """
    from pipeline.config.schema import parse

    if overrides:
        return parse(_compose(overrides).values)
    stands = PARAMS.exists() and read_lock().get("conf") == of_conf(CONF)
    return load() if stands else parse(_compose().values)


def _under_dvc_exp() -> bool:
    """Tell whether `dvc exp run` is at work: it has composed params.yaml already, with its overrides."""
    return "DVC_EXP_NAME" in os.environ


def preview(overrides: Sequence[str]) -> ParamValues:
    """Compose conf/ with overrides of which those that sweep count by their first value; writes nothing.

    The other files of a group are composed too, each beside the first of all else: a typo is told before
    the first job, not after it.

    Raises:
        Refused: Hydra cannot compose this.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    with _in_one_sentence("the command"), initialize_config_dir(str(CONF.resolve()), version_base=None):
        loader = GlobalHydra.instance().config_loader()  # glob(*) asks it for the names in a group
        parsed = OverridesParser.create(loader).parse_overrides(list(overrides))
        if not any(word.key_or_group == "hydra/sweeper" for word in parsed):
            _refuse_intervals(parsed)
        found = [_words(word) for word in parsed if not word.is_interval_sweep()]
    first = [words[0] for words in found]
    for place, words in enumerate(found):
        for word in words[1:]:
            _compose([*first[:place], word, *first[place + 1 :]])
    return _compose(first).values


def _refuse_intervals(parsed: Sequence[Override]) -> None:
    for word in parsed:
        if word.is_interval_sweep():
            key = word.key_or_group
            raise UserError(
                f"the command: {word.input_line} names no values, and Hydra's own sweeper chooses none: "
                f"write {key}=A,B,C or {key}=range(FIRST,END,STEP)"
            )


def _words(override: Override) -> list[str]:
    """Write an override that sweeps as one for each file of the group that it names, any other as one."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    words = [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
    if not words:
        raise UserError(f"the command: {override.input_line} fits nothing in {CONF}/{override.key_or_group}")
    return words if (CONF / override.key_or_group).is_dir() else words[:1]


def _compose(overrides: Sequence[str] = ()) -> ParamsFile:
    """Compose conf/ just as DVC does it (dvc.utils.hydra.compose_and_dump), byte for byte."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    if not (CONF / "config.yaml").exists():
        raise UserError("conf/config.yaml is missing: restore it with `git checkout conf`")

    with _in_one_sentence("the command" if overrides else "conf/"):
        with initialize_config_dir(str(CONF.resolve()), version_base=None):
            found = compose("config", overrides=list(overrides))
        OmegaConf.resolve(found)
        return ParamsFile(OmegaConf.to_yaml(found).encode(), _plain(found))


def _checked(raw: bytes) -> ParamValues:
    """Return the values of a params.yaml, checked against the schema unless that was done before."""
    known = lockfile.recall(raw)
    if known is not None:
        return known
    params = ParamsFile(raw, _values(raw))
    _check(params, where="params.yaml (conf/ with -S)" if _under_dvc_exp() else "params.yaml")
    return params.values


def _check(params: ParamsFile, *, where: str) -> None:
    from pipeline.config.schema import ConfigError, parse

    try:
        parse(params.values)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    lockfile.remember(params.raw, params.values)


def _values(raw: bytes) -> ParamValues:
    """Read YAML by the same rules as conf/ is read: 1e-3 is a number."""
    from io import StringIO

    from omegaconf import OmegaConf

    with _in_one_sentence("params.yaml"):
        return _plain(OmegaConf.load(StringIO(raw.decode())))


def _plain(found: Any) -> ParamValues:
    from omegaconf import DictConfig, OmegaConf

    if not isinstance(found, DictConfig):
        raise UserError("params.yaml holds no keys: delete it, and the next run composes it from conf/")
    return dict(OmegaConf.to_container(found, resolve=True))  # type: ignore[arg-type]


@contextmanager
def _in_one_sentence(where: str) -> Iterator[None]:
    """Turn what Hydra, OmegaConf and YAML raise into one sentence."""
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


def _kept(ours: ParamValues, theirs: ParamValues) -> list[str]:
    found = differences(ours, theirs)
    return [f"params.yaml keeps what conf/ does not say: {assignments(found)}"] if found else []


def _replaced(current: bytes, lock: ParamValues, ours: ParamValues) -> list[str]:
    """Say what composing anew changes, and which values of the old params.yaml go by it."""
    before = lock.get("composed", ours)
    found = differences(before, ours)
    notes = [f"conf/ changed: {changes(found)}"] if found else ["conf/ composed into params.yaml"]
    if not current:
        return notes
    try:
        theirs = _values(current)
    except UserError:
        return [*notes, f"the old params.yaml could not be read: a copy is {set_aside(current)}"]
    edited = {item.key for item in differences(before, theirs)}
    dropped = [item for item in differences(ours, theirs) if item.key in edited]
    if dropped:
        copy = set_aside(current)
        notes.append(f"dropped (conf/ was composed anew): {assignments(dropped)}; a copy is {copy}")
    return notes
