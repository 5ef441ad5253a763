"""Refuse settings of Hydra that run code: callbacks, plugins and log handlers that a file of conf/ names.

Composing a configuration calls nothing. A multirun, however, calls whatever `hydra:` names, and any file of
conf/ may hold that key, an experiment of somebody else too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pipeline.compose.hydra_options import separate_hydra_options
from pipeline.compose.stage import CONF
from pipeline.core.errors import UserError

OWN_CODE: Final = frozenset(
    {
        "hydra_plugins.finetrack_sweeper.FinetrackSweeper",
        "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
        "logging.StreamHandler",
        "logging.FileHandler",
        "ext://sys.stdout",
        "ext://sys.stderr",
    }
)
"""What Hydra's own settings and those of this project name."""
_CODE_KEYS: Final = frozenset({"_target_", "()", "class"})
"""Keys whose value Hydra or `logging.config` calls."""


def require_own_code(words: Sequence[str]) -> None:
    """Require that a multirun of Hydra would call nothing but this project and Hydra itself.

    Args:
        words: The command, as Hydra gets it.

    Raises:
        UserError: Names the first setting that calls something else. Hydra raises its own errors, too.
    """
    for key, value in find_foreign_code(_compose_hydra_settings(words)):
        raise UserError(
            f"the command: hydra.{key}={str(value)[:100]} would run code or write a file: remove it, or do "
            "not use the file of conf/ that sets it"
        )


def find_foreign_code(settings: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each of Hydra's settings that names code which is not `OWN_CODE`, or a file for its log.

    Args:
        settings: What `hydra:` holds, as nested dictionaries and lists.
        key: Its place, for the result.
    """
    if isinstance(settings, dict):
        for name, value in settings.items():
            place = f"{key}.{name}" if key else str(name)
            is_file = name == "filename" and key.startswith("hydra_logging.")
            if is_file or (name in _CODE_KEYS and value not in OWN_CODE):
                yield place, value
            else:
                yield from find_foreign_code(value, place)
    elif isinstance(settings, list):
        for number, value in enumerate(settings):
            yield from find_foreign_code(value, f"{key}[{number}]")
    elif isinstance(settings, str) and settings.startswith("ext://") and settings not in OWN_CODE:
        yield key, settings


def _compose_hydra_settings(words: Sequence[str]) -> Any:
    """Compose what `hydra:` holds, as a multirun would, and apply none of it."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from pipeline.config.yaml_limits import require_small_yaml_files

    require_small_yaml_files(CONF)
    overrides = separate_hydra_options(words).overrides
    with initialize_config_dir(str(CONF.resolve()), version_base=None):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        found = hydra.compose_config("config", overrides, RunMode.MULTIRUN)
    return OmegaConf.to_container(found.hydra, resolve=False)
