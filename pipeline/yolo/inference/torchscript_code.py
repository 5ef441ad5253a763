"""Refuse TorchScript files whose code opens files: TorchScript is a language, and runs when it is loaded.

Of the operators that torch and torchvision register, few touch anything but tensors. A model that Ultralytics
exported calls none of these.

What is checked must be what torch runs. Torch reads zips by its own code, which finds another directory in a
file than Python does if the file was made so, and finds its members by names of any case. So torch is given a
zip that Python wrote, with the members that were checked. A name in the code may be put together from parts,
so the text decides only what may be loaded, which runs `__setstate__` alone; then the operators are read from
the loaded program.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error

FILE_OPERATORS: Final = frozenset(
    {"from_file", "save", "read_file", "write_file", "rpc_async", "rpc_sync", "rpc_remote"}
)
"""Operators of torch and torchvision that use files or a network; no exported YOLO holds such a word."""
LOADING_METHOD: Final = "__setstate__"
"""What torch runs while it loads a file; no exported YOLO has it."""
CALLS: Final = frozenset({"prim::CallMethod", "prim::CallFunction", "prim::PythonOp"})
"""Left in a program where it decides only at run time what is called."""
TENSOR_NAMESPACES: Final = frozenset({"aten", "prim", "torchvision", "quantized"})
"""Namespaces of operators for tensors; others, such as `image`, have operators for files and networks."""
_MAX_CODE_BYTES: Final = 64_000_000
"""Of all code in a file; that of the largest YOLO has less than one."""
_WORD: Final = re.compile(r"\b\w+\b")
_NAMESPACE: Final = re.compile(r"\b(?:ops|torch\s*\.\s*(classes))\s*\.\s*(\w+)")


def is_torchscript(path: Path) -> bool:
    """Tell by its name whether Ultralytics may load a file as TorchScript; it looks anywhere in the name."""
    return ".torchscript" in path.name.lower()


def require_tensor_code(copy: Path, *, name: str) -> None:
    """Require that the code of a TorchScript file calls no operator that touches files or a network.

    Args:
        copy: A private copy of the file, a zip. It is written anew with what was checked.
        name: The name of the file in messages.

    Raises:
        UserError: Names the first operator that does; or the file cannot be read, or has several members of
            one name.
    """
    checked = copy.with_name(f"{copy.name}-checked")
    try:
        with zipfile.ZipFile(copy) as archive, zipfile.ZipFile(checked, "w") as target:
            _require_members(archive, name, most=2 * copy.stat().st_size + _MAX_CODE_BYTES)
            for member in archive.infolist():
                content = archive.read(member)
                _require_tensor_operators(member.filename, content, name)
                target.writestr(member.filename, content)
        checked.replace(copy)
        _require_tensor_program(copy, name)
    except UserError:
        raise
    except Exception as error:  # zipfile, zlib and torch raise several kinds
        if describe_machine_error(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name} is no TorchScript file, or is damaged ({reason}): export it again") from None


def _require_members(archive: zipfile.ZipFile, name: str, *, most: int) -> None:
    """Refuse doubles, and what unpacks to more than `most` bytes: tensors are not compressed."""
    members = archive.infolist()
    if len({member.filename.casefold() for member in members}) < len(members):
        raise UserError(f"{name} has several members of one name, as no exported YOLO has: do not use it")
    code = sum(member.file_size for member in members if _is_code(member.filename))
    if code > _MAX_CODE_BYTES or sum(member.file_size for member in members) > most:
        raise UserError(f"{name} holds more code than any exported YOLO: do not use it")


def _require_tensor_operators(member: str, content: bytes, name: str) -> None:
    if _is_code(member):
        for operator in find_file_calls(content.decode("utf-8", "replace")):
            raise _refuse(name, operator)
    elif member.endswith(".pkl") and b"torch.classes" in content:
        raise _refuse(name, "torch.classes")


def _require_tensor_program(path: Path, name: str) -> None:
    """Load a file whose text was checked, and read the operators of all its methods."""
    loader: Any = torch.jit  # it has no types
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        program = loader.load(path, map_location="cpu")
    for module in program.modules():
        if module._c._get_forward_hooks() or module._c._get_forward_pre_hooks():
            raise _refuse(name, "hooks")
        for method in module._c._method_names():
            for kind in iterate_operators(module._c._get_method(method).inlined_graph):
                space, _, operator = kind.partition("::")
                if space not in TENSOR_NAMESPACES or operator in FILE_OPERATORS or kind in CALLS:
                    raise _refuse(name, kind)


def iterate_operators(graph: Any) -> Iterator[str]:
    """Yield the operators of a graph of TorchScript, those of its branches, loops and subgraphs, too."""
    for node in graph.nodes():
        yield node.kind()
        for block in node.blocks():
            yield from iterate_operators(block)
        for attribute in node.attributeNames():
            kind = node.kindOf(attribute)
            if kind in {"g", "gs"}:
                found = getattr(node, kind)(attribute)
                for subgraph in found if kind == "gs" else [found]:
                    yield from iterate_operators(subgraph)


def _refuse(name: str, what: str) -> UserError:
    return UserError(
        f"{name} calls {what}, which may open files or connections, as no exported YOLO does: "
        "do not use a file that you do not trust"
    )


def find_file_calls(code: str) -> Iterator[str]:
    """Yield the operators in TorchScript's code that use files or a network, and what runs at loading."""
    yield from sorted({*FILE_OPERATORS, LOADING_METHOD}.intersection(_WORD.findall(code)))
    for kind, name in _NAMESPACE.findall(code):
        if kind or name not in TENSOR_NAMESPACES:
            yield f"{kind or 'ops'}.{name}"


def _is_code(member: str) -> bool:
    """Tell whether torch may read a member as code: it finds members by names of any case."""
    lowered = member.lower()
    return "/code/" in lowered and lowered.endswith(".py")
