"""Repeat a small iteration hundreds of times in a clone of this project, and see what grows.

    python benchmarks/soak.py [--iterations 200] [--folder .finetrack/soak] [--at 10,50,100,200]

Each iteration is a `dvc exp run` with other values: a training of one epoch on tiny drawn images, with its
evaluation; every tenth one prepares other images, too. A server of the champion and the fork servers of a
sweep live all the time; the champion is replaced every 20 iterations. Measured are the memory and open files
of these processes, the sizes of folders, left-over files, and how long MLflow's database takes.

What an iteration keeps (its experiment, run, weights) grows with their number: there the growth per iteration
is compared. Everything else must not grow by more than 20%. The same command goes on where it was stopped:
processes are new then, and compared since that start.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.runtime.fork_server.messages import ADDRESS_VARIABLE, SERVER_KINDS  # noqa: E402
from pipeline.runtime.fork_server.processes import ForkServer, start_fork_server  # noqa: E402

MAX_GROWTH: Final = 0.2
"""Largest growth from the first measurement to the last."""
KEPT: Final = (
    "cache of DVC", "site cache of DVC", "temporary files of DVC", "files of runs", "database", "git",
    "fetched weights",
)  # fmt: skip
"""Folders in which every iteration keeps something: their growth per iteration is compared."""
FOLDERS: Final[Mapping[str, str]] = {
    "cache of DVC": ".dvc/cache",
    "temporary files of DVC": ".dvc/tmp",
    "files of runs": "mlruns",
    "database": "mlflow.db",
    "git": ".git",
    "site cache of DVC": ".finetrack/dvc",
    "locks": ".finetrack/locks",
    "checked configurations": ".finetrack/composed",
    "fetched weights": ".finetrack/iterations",
    "finished trainings": ".finetrack/checkpoints",
    "messages to MLflow": ".finetrack/outbox",
    "temporary files": ".finetrack/tmp",
}
SLACK: Final[Mapping[str, float]] = {"MB": 8.0, "files": 32.0, "ms": 5.0}
"""Growth that is not counted: small numbers vary, and caches fill up to their limits."""
NEW_IMAGES_EVERY, NEW_CHAMPION_EVERY = 10, 20
REQUESTS: Final = 40
"""To the server before each measurement."""


class Figure(NamedTuple):
    """One measured value.

    Attributes:
        iteration: After how many iterations.
        session: Number of the start of this program.
        name: What was measured.
        unit: MB, files or ms.
        value: The value.
    """

    iteration: int
    session: int
    name: str
    unit: str
    value: float


class Soak:
    """A clone of the project, its long-living processes, and what was measured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.project = self.folder / "project"
        self.record = self.folder / "figures.csv"
        self.figures = list(read_figures(self.record))
        self.session = 1 + max((figure.session for figure in self.figures), default=0)
        self.done = int(self._read("done") or 0)
        self.servers: ForkServer | None = None
        self.serve: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """As `make` sets it; nothing is written outside of the clone."""
        scratch = self.project / ".finetrack"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "FINETRACK_"))}
        return kept | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "TMPDIR": str(scratch / "tmp"),
            "DVC_SITE_CACHE_DIR": str(scratch / "dvc/site"),
            "DVC_GLOBAL_CONFIG_DIR": str(scratch / "dvc/global"),
            "DVC_SYSTEM_CONFIG_DIR": str(scratch / "dvc/system"),
            "YOLO_CONFIG_DIR": str(scratch / "ultralytics"),
            "MPLCONFIGDIR": str(scratch / "matplotlib"),
            "FINETRACK_ROOT": str(self.project),
            **{f"GIT_{role}_NAME": "soak" for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": "soak@example.org" for role in ("AUTHOR", "COMMITTER")},
            ADDRESS_VARIABLE: self.servers.address if self.servers else "",
        }

    def make_clone(self) -> None:
        """Clone the project as it is committed, unless that was done before."""
        if (self.project / ".git").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, self.project], check=True)
        (self.project / ".finetrack/tmp").mkdir(parents=True)

    def run(self, *words: str) -> str:
        """Run a command in the clone; return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def iterate(self) -> float:
        """Run the next iteration; return its seconds."""
        begin, number = time.monotonic(), self.done
        values = {
            "+experiment": "smoke",
            "seed": number // NEW_IMAGES_EVERY,
            "finetune.epochs": 1,
            "finetune.lr0": f"{1e-3 + number * 1e-6:.6f}",
            "registry.name": "soak",
        }
        words = [word for key, value in values.items() for word in ("--set-param", f"{key}={value}")]
        self.run("pipeline.runtime.fork_server.run", "dvc", "exp", "run", "--name", f"soak-{number}", *words)
        self.done += 1
        if number % NEW_CHAMPION_EVERY == 0:
            self.run("pipeline", "register", "workspace")
            self.run("pipeline", "promote", "--force", "soak")
        self._write("done", str(self.done))
        return time.monotonic() - begin

    def measure(self) -> None:
        """Measure everything, and keep the figures."""
        self._ask_server()
        rows = [
            *self._measure_processes(),
            *((name, "MB", measure_megabytes(self.project / place)) for name, place in FOLDERS.items()),
            *((name, "files", count_files(self.project / place)) for name, place in FOLDERS.items()),
            ("processes in the clone", "files", count_processes(self.project)),
            *self._measure_database(),
        ]
        new = [Figure(self.done, self.session, *row) for row in rows]
        self.figures += new
        with self.record.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(new)

    def _measure_processes(self) -> Iterator[tuple[str, str, float]]:
        assert self.servers is not None
        assert self.serve is not None
        named = zip(("server", *SERVER_KINDS), [self.serve.pid, *self.servers.list_pids()], strict=False)
        for kind, pid in named:
            name = kind if kind == "server" else f"fork server of {kind}"
            process = psutil.Process(pid)
            yield f"memory of the {name}", "MB", process.memory_info().rss / 1e6
            yield f"open files of the {name}", "files", process.num_fds()
            yield f"threads of the {name}", "files", process.num_threads()

    def _measure_database(self) -> Iterator[tuple[str, str, float]]:
        """Time what an iteration writes, in a copy of the database, and `finetrack runs`."""
        copy = self.folder / "copy.db"
        shutil.copy(self.project / "mlflow.db", copy)
        answer = self.run_code(LATENCY.replace("DATABASE", str(copy)))
        copy.unlink()
        for name, value in json.loads(answer.splitlines()[-1]).items():
            yield name, "ms", value
        times = []
        for _ in range(3):
            begin = time.monotonic()
            self.run("pipeline", "runs")
            times.append(time.monotonic() - begin)
        yield "`finetrack runs`", "ms", min(times) * 1e3

    def run_code(self, code: str) -> str:
        """Run Python code in the clone."""
        words = [sys.executable, "-c", code]
        done = subprocess.run(
            words, cwd=self.project, env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def _ask_server(self) -> None:
        rng = np.random.default_rng(0)
        for _ in range(REQUESTS):
            image = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            data = cv2.imencode(".png", image)[1].tobytes()
            request = urllib.request.Request(f"{self.url}predict", data, {"Content-Type": "image/png"})
            urllib.request.urlopen(request, timeout=60).close()

    @contextmanager
    def living_processes(self) -> Iterator[None]:
        """Start the fork servers, and after the first iteration the server; end them after the block."""
        environment = self.environment
        self.servers = start_fork_server(
            self.folder / "fork_server", code=self.project, environment=environment
        )
        try:
            if not self.done:
                self.iterate()
            self._start_server()
            yield
        finally:
            self.servers.close()
            if self.serve:
                self.serve.terminate()
                self.serve.wait(60)

    def _start_server(self) -> None:
        log = self.folder / "serve.log"
        words = [sys.executable, "-m", "pipeline", "serve", "--model", "soak@champion", "--port", "0"]
        with log.open("wb") as output:
            self.serve = subprocess.Popen(
                words, cwd=self.project, env=self.environment, stdout=output, stderr=output
            )
        for _ in range(600):
            if match := re.search(r"answers at (\S+/)", log.read_text()):
                self.url = match[1]
                return
            if self.serve.poll() is not None:
                break
            time.sleep(0.2)
        raise SystemExit(f"the server does not start:\n{log.read_text()}")

    def _read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)


LATENCY: Final = """
import json, time
from mlflow import MlflowClient
from mlflow.entities import Metric
client = MlflowClient("sqlite:///DATABASE")
experiment = client.create_experiment("latency of the soak")
smoke = client.get_experiment_by_name("smoke").experiment_id
def seconds(work, repeats=25):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times) * 1e3  # others may use the machine, too
def write():
    run = client.create_run(experiment).info.run_id
    now = int(time.time() * 1e3)
    client.log_batch(run, [Metric(f"m{n}", n, now, 0) for n in range(50)])
    client.set_terminated(run)
print(json.dumps({
    "write a run": seconds(write),
    "list the 10 newest runs": seconds(lambda: client.search_runs([smoke], max_results=10)),
}))
"""


def measure_megabytes(path: Path) -> float:
    """Return the size of a file or folder, in MB."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def count_files(path: Path) -> int:
    """Return the number of files at or below a path."""
    return int(path.is_file()) or sum(file.is_file() for file in path.rglob("*"))


def count_processes(folder: Path) -> int:
    """Return the number of processes that work in a folder."""
    found = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            found += Path(process.cwd()).is_relative_to(folder)
    return found


def read_figures(path: Path) -> Iterator[Figure]:
    """Yield the figures of earlier calls."""
    if path.exists():
        for row in csv.reader(path.read_text("utf-8").splitlines()):
            yield Figure(int(row[0]), int(row[1]), row[2], row[3], float(row[4]))


def judge_growth(figures: list[Figure]) -> list[tuple[Figure, Figure, float, bool]]:
    """Compare the first figure of each kind with the last: both, the growth, and whether it is too much.

    Figures of processes are compared since the last start. The growth of a folder that keeps something of
    each iteration is that of its growth per iteration, in the second half of the soak against the first.
    """
    rows = []
    for name, unit in dict.fromkeys((figure.name, figure.unit) for figure in figures):
        own = [figure for figure in figures if (figure.name, figure.unit) == (name, unit)]
        if " of the " in name:
            own = [figure for figure in own if figure.session == own[-1].session]
        first, last = own[0], own[-1]
        if name in KEPT:
            growth = compare_halves(own)
            grown = growth > MAX_GROWTH
        else:
            growth = last.value / first.value - 1 if first.value else 0.0
            grown = last.value > first.value * (1 + MAX_GROWTH) + SLACK[unit]
        rows.append((first, last, growth, grown))
    return rows


def compare_halves(own: list[Figure]) -> float:
    """Return by how much more a folder grew per iteration in the second half than in the first."""
    if len(own) < 3:
        return 0.0
    middle = min(
        own[1:-1], key=lambda figure: abs(figure.iteration - (own[0].iteration + own[-1].iteration) / 2)
    )

    def slope(first: Figure, second: Figure) -> float:
        return (second.value - first.value) / max(1, second.iteration - first.iteration)

    early, late = slope(own[0], middle), slope(middle, own[-1])
    return late / early - 1 if early > 0 else 0.0


def print_table(figures: list[Figure]) -> bool:
    """Print a Markdown table; return whether nothing grew by too much."""
    rows = judge_growth(figures)
    print("| what | unit | first | last | growth | |\n|---|---|---|---|---|---|")
    for first, last, growth, grown in rows:
        kept = "per iteration " if first.name in KEPT else ""
        print(
            f"| {first.name} | {first.unit} | {first.value:.1f} ({first.iteration}) | {last.value:.1f} "
            f"({last.iteration}) | {kept}{growth:+.0%} | {'GROWS' if grown else 'ok'} |"
        )
    return not any(grown for *_, grown in rows)


def main() -> int:
    """Iterate, measure at the points that were asked for, and print the table."""
    asked = _parse_arguments()
    soak = Soak(asked.folder)
    soak.make_clone()
    points = sorted({point for point in asked.at if point <= asked.iterations} | {asked.iterations})
    seconds = []
    with soak.living_processes():
        while soak.done < asked.iterations:
            seconds.append(soak.iterate())
            print(f"{soak.done}: {seconds[-1]:.1f} s", flush=True)
            if soak.done in points:
                soak.measure()
    if seconds:
        print(f"\n{statistics.median(seconds):.1f} s an iteration\n")
    return 0 if print_table(soak.figures) else 1


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=ROOT / ".finetrack/soak")
    parser.add_argument(
        "--at", type=lambda text: [int(part) for part in text.split(",")], default=[10, 50, 100, 150, 200]
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
