"""Refuse TorchScript files whose code opens files: TorchScript is a language, and runs when it is loaded.

Of the operators that torch and torchvision register, few touch anything but tensors. A model that Ultralytics
exported calls none of these.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pipeline.core.errors import UserError

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


def require_tensor_code(path: Path, *, name: str) -> None:
    """Require that the code of a TorchScript file calls no operator that touches files or a network.

    Args:
        path: The file, a zip.
        name: The name of the file in messages.

    Raises:
        UserError: Names the first operator that does; or the code cannot be read. What Python's reader of
            zips refuses, such as a header of another name, that of torch may accept.
    """
    for operator in _iterate_calls(path, name):
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


def _iterate_calls(path: Path, name: str) -> Iterator[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if _is_code(member.filename)]
            if sum(member.file_size for member in members) > _MAX_CODE_BYTES:
                raise UserError(f"{name} holds more code than any exported YOLO: do not use it")
            for member in members:
                yield from find_file_calls(archive.read(member).decode("utf-8", "replace"))
    except UserError:
        raise
    except Exception as error:  # zipfile and zlib raise several kinds
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{name} is no TorchScript file, or is damaged ({reason}): export it again") from None


def _is_code(name: str) -> bool:
    return "/code/" in name and name.endswith(".py")
