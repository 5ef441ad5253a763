"""Refuse TorchScript files whose code opens files: TorchScript is a language, and runs when it is loaded.

Of the operators that torch and torchvision register, few touch anything but tensors. A model that Ultralytics
exported calls none of these.

What is checked must be what torch runs. Torch reads zips by its own code, which finds another directory in a
file than Python does if the file was made so, and finds its members by names of any case. So torch is given a
zip that Python wrote, with the members that were checked.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError
from pipeline.core.machine_errors import describe_machine_error

FILE_OPERATORS: Final = frozenset(
    {"from_file", "save", "read_file", "write_file", "rpc_async", "rpc_sync", "rpc_remote"}
)
"""Operators of torch and torchvision that use files or a network; no exported YOLO holds such a word."""
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
    except UserError:
        raise
    except Exception as error:  # zipfile and zlib raise several kinds
        if describe_machine_error(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name} is no TorchScript file, or is damaged ({reason}): export it again") from None
    checked.replace(copy)


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
            raise UserError(
                f"{name} calls {operator}, which opens files or connections, as no exported YOLO does: "
                "do not use a file that you do not trust"
            )


def find_file_calls(code: str) -> Iterator[str]:
    """Yield the operators in TorchScript's code that use files or a network, wherever their names stand."""
    yield from sorted(FILE_OPERATORS.intersection(_WORD.findall(code)))
    for kind, name in _NAMESPACE.findall(code):
        if kind or name not in TENSOR_NAMESPACES:
            yield f"{kind or 'ops'}.{name}"


def _is_code(member: str) -> bool:
    """Tell whether torch may read a member as code: it finds members by names of any case."""
    lowered = member.lower()
    return "/code/" in lowered and lowered.endswith(".py")
