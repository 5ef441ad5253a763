"""Choose the network, and transfer the base weights into it.

From weights of another task, tensors with the same name and shape are transferred: usually all but the last
layer. A classification network has no neck, and its backbone lacks one layer of the others: SPPF, which is
before the last layer in YOLO11 and YOLO26, and the last in YOLOv8. Backbones that differ are matched layer by
layer, by kind and order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from torch import nn
from ultralytics.nn.tasks import guess_model_scale, guess_model_task
from ultralytics.utils import ROOT, YAML
from yaml import YAMLError

from pipeline.core.errors import UserError
from pipeline.core.model_names import OFFICIAL_MODEL_NAME
from pipeline.core.tasks import Task
from pipeline.storage.base_weights import find_base_weights
from pipeline.storage.verified_copy import temporary_copy
from pipeline.yolo.job import BaseWeights, TrainingJob
from pipeline.yolo.training.freezing import list_backbone_norms, list_frozen_prefixes


def choose_architecture(base: BaseWeights, source: Any, task: Task) -> dict[str, Any]:
    """Choose the network to build: that of the checkpoint, or a model YAML.

    It is the checkpoint's if that is for this task and finds no classes by words, unless a model YAML of the
    user's or a variant such as yolo26n-p2.yaml is named: a plain name such as yolo26n.yaml is the default of
    conf/model, and may be left from other weights.

    Args:
        base: Names the model YAML.
        source: The base weights; None for random weights.
        task: Of the training.

    Raises:
        UserError: There is no such model YAML, or it is for another task.
    """
    is_fitting = source is not None and not _takes_words(source.yaml)
    if is_fitting and guess_model_task(source.yaml) == task and not _is_chosen(base):
        return dict(source.yaml)
    network = _read_architecture(base)
    if (found := guess_model_task(network)) != task:
        raise UserError(
            f"model.architecture={base.architecture} is a network for {found}, and the task is {task}: "
            "name one whose last layer serves that, such as Ultralytics' own"
        )
    return network


def explain_own_network(base: BaseWeights, network: Mapping[str, Any]) -> str:
    """Explain that the network is that of the base weights; empty where model.architecture is the same.

    Args:
        base: The base weights.
        network: What `choose_architecture` chose.
    """
    with suppress(UserError):  # of a family that has no such task, it is as little used
        if _outline_network(network) == _outline_network(_read_architecture(base)):
            return ""
    return (
        f"the network is the one of {base.path}, not model.architecture={base.architecture}; "
        "to build another one from these weights, name a model YAML by its path"
    )


def name_architecture(base: BaseWeights, network: Mapping[str, Any]) -> str:
    """Return the file name of the model YAML that a network was built from, or else of its weights."""
    return Path(network.get("yaml_file") or base.path or base.architecture).name


def forget_words(source: Any, classes: int) -> Any:
    """Take the last class layer from base weights that find classes by words.

    It maps to embeddings of words. By cls_remap Ultralytics would take its rows for those of classes, and the
    new layer would begin with every class at every place.

    Args:
        source: The base weights.
        classes: Of the training.
    """
    if not _takes_words(source.yaml):
        return source
    source.names, head = {}, source.model[-1]
    for branches in filter(None, (head.cv3, getattr(head, "one2one_cv3", None))):
        for place, branch in enumerate(branches):
            kept = branch[:-1] if isinstance(branch[-1], nn.Conv2d) else branch  # prompt-free ones lack it
            width = [part for part in kept.modules() if isinstance(part, nn.Conv2d)][-1].out_channels
            branches[place] = nn.Sequential(*kept, nn.Conv2d(width, classes + 1, 1))  # fits no new layer
    return source


def align_layers(source: Any, network: Mapping[str, Any]) -> Any:
    """Renumber the layers of base weights to match the backbone of the new network.

    Args:
        source: The base weights. Where the backbones differ, only its backbone is left.
        network: The network that is built.
    """
    source_kinds, target_kinds = _layer_kinds(source.yaml), _layer_kinds(network)
    if source_kinds == target_kinds:
        return source
    layers: list[nn.Module] = [nn.Identity() for _ in target_kinds]
    matcher = SequenceMatcher(None, source_kinds, target_kinds, autojunk=False)
    for old, new, length in matcher.get_matching_blocks():
        layers[new : new + length] = source.model[old : old + length]
    source.model = nn.Sequential(*layers)
    return source


def count_transferred(source: Any, target: Any) -> tuple[int, int]:
    """Count the tensors of `target` that came from `source`, and all tensors of `target`."""
    is_transferred = _is_transferred(source, target)
    return sum(is_transferred.values()), len(is_transferred)


def check_transfer(base: BaseWeights, source: Any, target: Any) -> None:
    """Check that base weights fill at least half of the backbone; else they are of another architecture.

    Weights of any task fill nine tenths or more of a backbone of their own size; YOLO11's fill YOLO26's too.
    Other weights fill a quarter at most.

    Raises:
        UserError: With the counts.
    """
    depth, tensors = len(target.yaml["backbone"]), _is_transferred(source, target)
    backbone = [transferred for name, transferred in tensors.items() if int(name.split(".")[1]) < depth]
    if 2 * sum(backbone) < len(backbone):
        raise UserError(
            f"only {sum(backbone)} of {len(backbone)} tensors in the backbone of model.architecture="
            f"{base.architecture} can come from {base.path}: "
            "set model.architecture to the one of these weights"
        )


def check_kept_layers(
    job: TrainingJob, source: Any, target: Any, freeze: int | Sequence[int | str] | None
) -> None:
    """Check that no layer, and no BatchNorm statistics, that the training keeps are without base weights.

    A backbone of `classify` has no SPPF, for instance, so its weights leave that layer of others random.

    Args:
        job: Of the training.
        source: The base weights.
        target: The network that is built.
        freeze: Ultralytics' `freeze`: how many layers from the first, or which; None freezes none.

    Raises:
        UserError: With the layers.
    """
    blank = [name for name, transferred in _is_transferred(source, target).items() if not transferred]
    prefixes = list_frozen_prefixes(freeze or ())
    norms = {id(norm) for norm in list_backbone_norms(target)} if job.freeze_bn else set()
    in_norms = [name for name in blank if id(target.get_submodule(name.rpartition(".")[0])) in norms]
    frozen = [name for name in blank if any(prefix in name for prefix in prefixes)]
    for key, kept in ((f"freeze={freeze}", frozen), (f"freeze_bn={job.freeze_bn}", in_norms)):
        if kept:
            layers = sorted({int(name.split(".")[1]) for name in kept})
            which = f"layer{'s' * (len(layers) > 1)} {', '.join(map(str, layers))}"
            raise UserError(
                f"finetune.{key} would keep {which} at random values, since {job.base.path} has no weights "
                "for them: let them learn (finetune.freeze can be a list of layers), or take other weights"
            )


def _is_transferred(source: Any, target: Any) -> dict[str, bool]:
    old = source.state_dict()
    return {
        name: name in old and old[name].shape == tensor.shape for name, tensor in target.state_dict().items()
    }


def _is_chosen(base: BaseWeights) -> bool:
    """Tell whether model.architecture is surely the user's choice, and no default of conf/model."""
    return base.architecture_sha256 is not None or not OFFICIAL_MODEL_NAME.fullmatch(base.architecture)


def _outline_network(network: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells two networks of a task apart: their layers, and their scale."""
    scales = network.get("scales") or {}
    usual = [network.get("depth_multiple", 1.0), network.get("width_multiple", 1.0), math.inf]
    scale = scales.get(network.get("scale") or next(iter(scales), None), usual)
    return [row[:3] for row in (*network["backbone"], *network["head"])], list(scale)


def _takes_words(network: Mapping[str, Any]) -> bool:
    """Tell whether the last layer of a network is that of YOLOE or YOLO-World."""
    return str(network["head"][-1][2]).startswith(("YOLOE", "WorldDetect"))


def _layer_kinds(network: Mapping[str, Any]) -> list[str]:
    return [layer[2] for layer in network["backbone"]]


def _read_architecture(base: BaseWeights) -> dict[str, Any]:
    """Read a model YAML: the user's own file, whatever its name is, or one that Ultralytics ships.

    Ultralytics' own reader would take `yolo26.yaml` of the working folder for its own.
    """
    own = find_base_weights(base.architecture, None)
    file = own or _find_shipped_yaml(base.architecture)
    try:
        with temporary_copy(file, sha256=base.architecture_sha256) as copy:
            network = dict(YAML.load(copy))
    except (AttributeError, ValueError, TypeError, YAMLError) as error:
        raise _unreadable_architecture(base.architecture, type(error).__name__) from None
    name = Path(base.architecture).name
    return {**network, "scale": guess_model_scale(name), "yaml_file": name}


def _find_shipped_yaml(name: str) -> Path:
    """Return a model YAML of Ultralytics: one file is for all sizes of a family.

    Raises:
        UserError: There is none of that name.
    """
    names = {name, re.sub(r"(\d+)([nslmx])(.+)?$", r"\1\3", name)}
    shipped = Path(ROOT, "cfg/models").rglob("*.yaml")
    found = next((path for path in shipped if path.name in names), None)
    if found is None:
        raise _unreadable_architecture(name, "there is no such file")
    return found


def _unreadable_architecture(name: str, reason: str) -> UserError:
    return UserError(
        f"model.architecture={name} cannot be read as a model YAML ({reason}): "
        "name one of Ultralytics', such as yolo26n.yaml, or give a path"
    )
