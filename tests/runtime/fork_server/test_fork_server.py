"""Commands in forks of servers: what they do, and what is left of them when somebody is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.runtime.fork_server import messages, processes
from pipeline.runtime.fork_server.messages import MessageConnection, connect_to_server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are not safe elsewhere")

STAGE = '''"""A stage that says what its process has, or does what the variable WHAT says."""
import atexit, json, os, signal, sys, threading, time, random
sys.path.insert(0, "")
def main():
    what = os.environ.get("FINETRACK_WHAT", "")
    print("to stdout", flush=True); print("to stderr", file=sys.stderr)
    if what == "wait":
        def stop(number, frame):
            with open("signals", "a") as file:
                file.write(f"{number} ")
            time.sleep(0.8)
            sys.exit(9)
        signal.signal(signal.SIGTERM, stop)
        open("pid", "w").write(str(os.getpid()))
        time.sleep(60)
    if what == "die":
        os.kill(os.getpid(), signal.SIGABRT)
    if what == "raise":
        raise ValueError("wrong")
    if what == "say":
        sys.exit("a sentence")
    atexit.register(lambda: open("atexit", "w").write("ran"))
    threading.Thread(target=lambda: (time.sleep(0.2), open("thread", "w").write("ran"))).start()
    umask = os.umask(0)
    facts = {"argv": sys.argv[1:], "cwd": os.getcwd(), "own": os.environ.get("FINETRACK_RUN_NAME"),
             "omp": os.environ.get("OMP_NUM_THREADS"), "umask": umask, 
             "cpus": sorted(os.sched_getaffinity(0)),
             "group": os.getpgid(0), "forked": "json.tool" in sys.modules, "random": random.random(),
             "main": sys.modules["__main__"].__spec__.name, "files": sorted(os.listdir("/proc/self/fd"))[:-1],
             "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
             "sighup": signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, "nice": os.nice(0)}
    json.dump(facts, open("facts.json", "w"))
    sys.exit(7)
main()
'''


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """A checkout whose stage `compose` is the one above, and which imports little else."""
    folder = tmp_path_factory.mktemp("code")
    package = folder / "pipeline"
    for name in ("core", "runtime", "storage"):
        source = Path(processes.__file__).parents[2] / name
        (package / name).mkdir(parents=True)
        for path in source.rglob("*.py"):
            target = package / name / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    (package / "__init__.py").write_text("")
    (package / "stage.py").write_text(STAGE)
    (package / "__main__.py").write_text(
        "import os, sys\n"
        "from pipeline.runtime.fork_server.client import run_in_fork\n"
        "if os.environ.get('FINETRACK_FORK_SERVER'):\n"
        "    status = run_in_fork('pipeline', sys.argv[1:])\n"
        "    if status is not None:\n"
        "        sys.exit(status)\n"
        "import pipeline.stage\n"
    )
    imports = package / "runtime/fork_server/imports.py"
    text = imports.read_text()
    assert '"pipeline.augment.stage",' in text
    imports.write_text(text.replace('"pipeline.augment.stage",', '"json.tool",'))
    return folder


@pytest.fixture(scope="module")
def server(code, tmp_path_factory):
    """The servers of that checkout, in a folder whose path is too long for a socket."""
    folder = tmp_path_factory.mktemp("x" * 100) / "server"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "SERVER_KINDS", ("data",))
        started = processes.start_fork_server(folder, code=code, environment=list_variables())
    yield started
    started.close()


def list_variables():
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


def start(server, code, place, what="", *, options=None, **variables):
    """Start the stage as DVC does, in a checkout below `place` with the same code."""
    if not (place / "pipeline").exists():
        (place / "pipeline").symlink_to(code / "pipeline")
    own = {"FINETRACK_FORK_SERVER": server.address, "FINETRACK_WHAT": what}
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "compose"],
        cwd=place,
        env=list_variables() | own | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        **(options or {}),
    )


def finish(child):
    child.communicate(timeout=20)
    return child.returncode


def facts(place):
    return json.loads((place / "facts.json").read_text())


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def runs(pid):
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def start_waiting(server, code, place):
    child = start(server, code, place, "wait")
    wait_until(lambda: (place / "pid").exists() and (place / "pid").read_text())
    return child, int((place / "pid").read_text())


def test_a_stage_in_a_fork_has_the_process_state_of_its_client(server, code, tmp_path):
    cpu = min(os.sched_getaffinity(0))
    options = {"umask": 0o077, "preexec_fn": lambda: (os.sched_setaffinity(0, {cpu}), os.nice(1))}
    child = start(server, code, tmp_path, FINETRACK_RUN_NAME="lr0=0.1", OMP_NUM_THREADS="3", options=options)
    stdout, stderr = child.communicate()
    found = facts(tmp_path)
    assert (child.returncode, stdout, stderr) == (7, "to stdout\n", "to stderr\n")
    assert found["forked"]
    assert (found["argv"], found["cwd"], found["main"]) == (["compose"], str(tmp_path), "pipeline.__main__")
    assert (found["own"], found["omp"], found["umask"]) == ("lr0=0.1", "3", 0o077)
    assert (found["cpus"], found["group"], found["nice"]) == ([cpu], child.pid, min(os.nice(0) + 1, 19))
    # `make test &` in a script: the whole group ignores Ctrl-C
    assert found["sigint"] is (signal.getsignal(signal.SIGINT) is signal.default_int_handler)
    assert found["sighup"] is (signal.getsignal(signal.SIGHUP) is signal.SIG_IGN)  # as under nohup
    assert (tmp_path / "atexit").exists()
    assert (tmp_path / "thread").exists()


def test_forks_have_different_random_numbers_and_no_files_of_the_server(server, code, tmp_path):
    found = []
    for name in "ab":
        (tmp_path / name).mkdir()
        start(server, code, tmp_path / name).communicate()
        found.append(facts(tmp_path / name))
    assert found[0]["random"] != found[1]["random"]
    assert len(found[1]["files"]) <= 5  # 0 to 2, the pipe for signals, and the folder that is listed


@pytest.mark.parametrize(
    "ends",
    [("die", -signal.SIGABRT, ""), ("raise", 1, "ValueError: wrong"), ("say", 1, "a sentence")],
    ids=lambda ends: ends[0],
)
def test_a_fork_ends_as_its_stage_does(server, code, tmp_path, ends):
    what, status, error = ends
    child = start(server, code, tmp_path, what)
    _, stderr = child.communicate()
    assert child.returncode == status
    assert error in stderr


@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["client alone", "group"])
def test_a_signal_reaches_a_fork_once(server, code, tmp_path, send):
    child, pid = start_waiting(server, code, tmp_path)
    send(child.pid, signal.SIGTERM)
    assert finish(child) == 9
    assert (tmp_path / "signals").read_text() == f"{int(signal.SIGTERM)} "
    assert not runs(pid)


@pytest.mark.fault(8, "the client of a fork server is killed")
def test_a_fork_ends_with_its_client(server, code, tmp_path):
    child, pid = start_waiting(server, code, tmp_path)
    child.kill()
    finish(child)
    wait_until(lambda: not runs(pid))


@pytest.mark.parametrize(
    "change",
    [{"LANG": "C"}, {"FINETRACK_ROOT": "/elsewhere"}, {"FINETRACK_LOG": "debug"}, {"DVC_ROOT": "/elsewhere"}],
    ids=str,
)
def test_other_variables_that_imports_read_give_a_process_of_its_own(server, code, tmp_path, change):
    child = start(server, code, tmp_path, **change)
    assert finish(child) == 7
    assert not facts(tmp_path)["forked"]


def test_other_code_gives_a_process_of_its_own(server, code, tmp_path):
    child = subprocess.run(["cp", "-r", str(code / "pipeline"), str(tmp_path)], check=True)
    stage = tmp_path / "pipeline/stage.py"
    stage.write_text(stage.read_text() + "\n")
    child = start(server, code, tmp_path)
    assert finish(child) == 7
    assert not facts(tmp_path)["forked"]


def test_nonsense_does_not_end_a_server(server):
    for sent in (b"nonsense\n", b"[]\n", b'{"module": 1}\n', b""):
        connection = connect_to_server(Path(server.address), "data")
        assert connection is not None
        connection._connection.sendall(sent)
        connection.close()
    connection = connect_to_server(Path(server.address), "data")
    assert isinstance(connection, MessageConnection)
    connection.close()


def test_without_a_server_a_stage_runs_at_once(server, code, tmp_path):
    child = start(server, code, tmp_path, FINETRACK_FORK_SERVER=str(tmp_path / "gone"))
    assert finish(child) == 7
    assert not facts(tmp_path)["forked"]
    assert messages.connect_to_server(tmp_path, "data") is None


OWNER = """
import os, sys, time
from pathlib import Path
from pipeline.runtime.fork_server import processes
processes.SERVER_KINDS = ("data",)
server = processes.start_fork_server(Path("server"), code=Path.cwd(), environment=dict(os.environ))
print(server.address, server._servers[0].pid, flush=True)
time.sleep(100)
"""


@pytest.mark.fault(8, "a sweep or its fork server is killed")
@pytest.mark.parametrize("victim", ["owner", "server"])
def test_nothing_stays_after_the_sweep_or_a_server_is_killed(code, tmp_path, victim):
    (tmp_path / "pipeline").symlink_to(code / "pipeline")
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=tmp_path,
        env=list_variables(),
        stdout=subprocess.PIPE,
        text=True,
    )
    address, process = owner.stdout.readline().split()
    server = processes.ForkServer(Path(address), [])
    server.__dict__["_servers"] = [None]  # of another process
    child, pid = start_waiting(server, code, tmp_path)
    os.kill(owner.pid if victim == "owner" else int(process), signal.SIGKILL)
    assert finish(child) == -signal.SIGKILL
    wait_until(lambda: not runs(pid) and not runs(int(process)))
    owner.kill()
    owner.communicate()
