"""Give a clone the settings of DVC that the project has."""

from __future__ import annotations

from pathlib import Path


def share_dvc_settings(project: Path, clone: Path) -> None:
    """Give a clone the project's cache, and the settings that are not in git, by its .dvc/config.local.

    Relative paths of caches and remotes name the same folders as in the project.

    Args:
        project: The folder with .dvc.
        clone: The same folder in the clone.
    """
    from configobj import ConfigObj  # type: ignore[import-untyped]  # of DVC, without types
    from dvc.config import Config, _pack_named, merge
    from dvc.config_schema import RelPath

    source = Config(str(project / ".dvc"), validate=False)
    shared = source.read("repo")
    merge(shared, source.read("local"))
    default = RelPath(project / ".dvc/cache")  # so that the clone finds it after a move of both
    shared["cache"].setdefault("dir", source["cache"].get("dir") or default)
    file = clone / ".dvc/config.local"
    packed = _pack_named(Config._save_paths(shared, str(file)))
    with file.open("wb") as settings:  # not by DVC, which writes ASCII alone
        ConfigObj(packed, encoding="utf-8").write(settings)
