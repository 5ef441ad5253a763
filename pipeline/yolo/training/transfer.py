"""Which network is built, and what of the base weights goes into it.

Weights of another task give what has the same place and shape: all but the last layer, as a rule. A
classification has no neck, and its backbone leaves out a layer of the others: SPPF, before the last in YOLO11
and YOLO26, the last in YOLOv8. Backbones that differ are matched layer by layer, by kind and order.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any

from torch import nn
from ultralytics.nn.tasks import guess_model_task, yaml_model_load

from pipeline.core.errors import UserError
from pipeline.core.tasks import Task
from pipeline.storage import base_weights
from pipeline.yolo.job import BaseWeights


def architecture(base: str, source: Any, task: Task) -> dict[str, Any]:
    """Return the network to build: the checkpoint's own where it is of this task, else `base`.

    Args:
        base: A model YAML, for random weights and for those of another task.
        source: The base weights; None for random ones.
        task: Of the training.

    Raises:
        Refused: There is no such model YAML, or it is for another task.
    """
    if source is not None and guess_model_task(source.yaml) == task:
        return dict(source.yaml)
    network = _read(base)
    if (found := guess_model_task(network)) != task:
        raise UserError(
            f"model.architecture={base} is a network for {found}, and the task is {task}: "
            "name one whose last layer serves that, such as Ultralytics' own"
        )
    return network


def aligned(source: Any, network: Mapping[str, Any]) -> Any:
    """Renumber the layers of base weights after the backbone of the network that they go into.

    Args:
        source: The base weights; where backbones differ it is cut down to its backbone.
        network: What is built.
    """
    ours, theirs = _kinds(source.yaml), _kinds(network)
    if ours == theirs:
        return source
    layers: list[nn.Module] = [nn.Identity() for _ in theirs]
    for old, new, length in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks():
        layers[new : new + length] = source.model[old : old + length]
    source.model = nn.Sequential(*layers)
    return source


def transferred(source: Any, target: Any) -> tuple[int, int]:
    """Count the tensors that `target` has taken over from `source`, and all of them."""
    taken = _taken(source, target)
    return sum(taken.values()), len(taken)


def refuse_misfit(base: BaseWeights, source: Any, target: Any) -> None:
    """Refuse weights that fill less than half of the backbone: what they have learnt is not what is built.

    Weights of any task fill a backbone of their own size to nine tenths or more, in YOLO26 for YOLO11's too;
    others fill a quarter at most.

    Raises:
        Refused: With the counts.
    """
    deep = len(target.yaml["backbone"])
    taken = [same for name, same in _taken(source, target).items() if int(name.split(".")[1]) < deep]
    if 2 * sum(taken) < len(taken):
        raise UserError(
            f"only {sum(taken)} of {len(taken)} tensors in the backbone of model.architecture="
            f"{base.architecture} can come from {base.path}: "
            "set model.architecture to the one of these weights"
        )


def _taken(source: Any, target: Any) -> dict[str, bool]:
    old = source.state_dict()
    return {
        name: name in old and old[name].shape == tensor.shape for name, tensor in target.state_dict().items()
    }


def _kinds(network: Mapping[str, Any]) -> list[str]:
    return [layer[2] for layer in network["backbone"]]


def _read(base: str) -> dict[str, Any]:
    try:
        return dict(yaml_model_load(str(base_weights.locate(base, None) or base)))
    except (FileNotFoundError, ValueError) as error:
        raise UserError(
            f"model.architecture={base} is no model YAML that can be read ({type(error).__name__}): "
            "name one of Ultralytics', such as yolo26n.yaml, or give a path"
        ) from None
