"""Turn a fork of a server into the process that its client asked for, and run the command in it."""

from __future__ import annotations

import atexit
import ctypes
import importlib
import os
import random
import runpy
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from pipeline.runtime.fork_server.imports import INITIALIZERS
from pipeline.runtime.fork_server.messages import ADDRESS_VARIABLE
from pipeline.runtime.fork_server.process_state import THREADS_VARIABLE, adopt_process
from pipeline.runtime.fork_server.serve import ForkRequest

_PR_SET_PDEATHSIG: Final = 1


def run_request(request: ForkRequest, kind: str, *, imported: Mapping[str, str]) -> NoReturn:
    """Run the module of a request as `python -m` would, and end the process.

    Args:
        request: Of the client.
        kind: Of this server.
        imported: Variables that the imports have set; those that the client sets itself stay.
    """
    code = 1
    try:
        _end_with_parent(request.parent)
        _connect_files(request.files)
        state, module = request.message["process"], request.message["module"]
        cores = len(os.sched_getaffinity(0))
        adopt_process(state)
        os.environ.clear()
        os.environ.update(state["environment"])
        _set_threads(cores)
        _renew_random_numbers()
        if kind in INITIALIZERS:
            getattr(importlib.import_module(INITIALIZERS[kind][0]), INITIALIZERS[kind][1])()
        if module == "pipeline":
            os.environ.update({name: imported[name] for name in imported.keys() - os.environ.keys()})
            del os.environ[ADDRESS_VARIABLE]  # it is in a fork already
        code = _run_module(module, request.message["arguments"])
    except BaseException:
        traceback.print_exc()
    _end_process(code)


def _end_with_parent(parent: int) -> None:
    """Let the system kill this process when the server ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _connect_files(files: list[int]) -> None:
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
        os.close(file)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=stream is sys.stderr or stream.isatty())  # type: ignore[union-attr]
    if len(files) > 3:  # tells the client which signals have arrived here
        os.set_blocking(files[3], False)
        signal.set_wakeup_fd(files[3], warn_on_full_buffer=False)
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))


def _renew_random_numbers() -> None:
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def _set_threads(server_cores: int) -> None:
    """Give numerical libraries as many threads as at their import: by OMP_NUM_THREADS and the CPUs.

    Args:
        server_cores: The CPUs that the server may use.
    """
    cores, asked = len(os.sched_getaffinity(0)), os.environ.get(THREADS_VARIABLE, "")
    if cores == server_cores and not asked.isdecimal():
        return
    environment = dict(os.environ)
    with suppress(ImportError):
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

        for name in os.environ.keys() - environment.keys():
            del os.environ[name]  # KMP_DUPLICATE_LIB_OK, which the stages of a fork of dvc would have
        for pool in ThreadpoolController().lib_controllers:
            if asked.isdecimal() and "OPENBLAS_NUM_THREADS" not in os.environ:
                pool.set_num_threads(min(int(asked), cores) if pool.user_api == "blas" else int(asked))
            elif pool.num_threads == server_cores:
                pool.set_num_threads(cores)
    torch = sys.modules.get("torch")
    if torch is not None and asked.isdecimal():
        torch.set_num_threads(int(asked))
    elif torch is not None and torch.get_num_threads() == server_cores:
        torch.set_num_threads(cores)


def _run_module(module: str, arguments: list[str]) -> int:
    """Run a module as `__main__`; return its exit status, or end as Python does after a signal."""
    sys.argv = [module, *arguments]
    sys.path[0] = str(Path.cwd())
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        sys.stderr.write(f"{stop.code}\n")
        return 1
    except KeyboardInterrupt:
        sys.excepthook(*sys.exc_info())
        return -signal.SIGINT
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _end_process(code: int) -> NoReturn:
    """End as Python does, but without freeing its objects one by one, which takes tenths of a second."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # as Python ends if it cannot write its output
            code = code or 120
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)
