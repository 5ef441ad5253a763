"""The table of iterations, and the same as JSON."""

import json

from rich.cells import cell_len

from pipeline.iterations.iteration import Iteration
from pipeline.iterations.table.runs_json import describe_iterations
from pipeline.iterations.table.runs_table import describe_table, format_runs_table


def iteration(label, lr0, *, status="FINISHED", data="d" * 64, aliases=(), **metrics):
    return Iteration(
        label,
        "run",
        label,
        run_id=label.ljust(32, "0"),
        status=status,
        aliases=aliases,
        params={"finetune.lr0": lr0, "seed": 0},
        metrics={f"{name.replace('_', '/', 1)}": value for name, value in metrics.items()},
        data=data,
        facts={"started": 1.8e9, "seconds": 80.0},
    )


TEST = {"test_mAP50-95": 0.6314, "test_mAP50-95_low": 0.58, "test_mAP50-95_high": 0.684}
ROWS = [
    iteration("full-foundation-lr2e-3-e57f44 evaluate-0373c3", 0.002, **{"best_mAP50-95": 0.6}, **TEST),
    iteration("failed", 0.001, status="FAILED"),
    iteration("first", 0.003, aliases=("champion",), **{"best_mAP50-95": 0.5}),
]


def test_a_row_says_what_differs_from_the_row_below_it():
    head, *lines = format_runs_table(ROWS)
    assert head.split() == ["name", "differs", "val", "test", "time", "alias/state"]
    assert lines[0].split()[1:] == ["lr0=0.002", "0.600", "0.631", "(0.58-0.68)", "80", "s"]
    name = " ".join(line.split("  ")[0] for line in lines)
    assert name.replace("- ", "-").startswith("full-foundation-lr2e-3-e57f44 evaluate-0373c3")
    failed, first = (next(line for line in lines if line.startswith(name)) for name in ("failed", "first"))
    assert failed.split() == ["failed", "lr0=0.001", "80", "s", "failed"]
    assert first.split() == ["first", "0.500", "80", "s", "champion"]


def test_the_table_fits_into_80_columns():
    rows = [
        iteration(
            f"傷-{'x' * 50}-{number}",
            number / 7,
            status="RUNNING",
            aliases=("champion", "challenger"),
            data=str(number) * 64,
            **TEST,
        )
        for number in range(3)
    ]
    assert max(map(cell_len, format_runs_table(rows))) <= 80


def test_the_wide_table_has_ids_and_names_on_one_line():
    lines = format_runs_table(ROWS, wide=True, width=200)
    assert len(lines) == 4
    assert "full-fou" in lines[1].split("evaluate-0373c3")[1]


def test_data_is_a_column_only_where_it_differs():
    assert "data" not in format_runs_table(ROWS)[0]
    assert "data" in format_runs_table([*ROWS, iteration("other", 0.1, data="e" * 64)])[0].split()
    assert "all on the data dddddddd" in describe_table(ROWS, total=3)


def test_what_is_left_out_is_told():
    assert any("--limit 0" in line for line in describe_table(ROWS, total=30))
    assert any("--wide" in line for line in describe_table([*ROWS, ROWS[0]], total=4))


def test_equal_rows_say_so_and_many_differences_are_counted():
    many = [Iteration("m", "run", "m", params={f"k{i}": i + j for i in range(9)}) for j in range(2)]
    assert "and 5 more" in " ".join(" ".join(format_runs_table(many)).split())
    assert "nothing" in format_runs_table([ROWS[0], ROWS[0]])[1]


def test_no_iterations_make_a_heading_alone():
    assert len(format_runs_table([])) == 1


def test_json_has_all_values_and_no_nan():
    values = describe_iterations(
        [iteration("a", 0.1, **{"best_mAP50-95": float("nan"), "best_mAP50": 0.5}), *ROWS]
    )
    text = json.dumps(values, allow_nan=False)
    first = json.loads(text)[0]
    assert (first["metrics"], first["differs"], first["state"]) == (
        {"best/mAP50": 0.5},
        ["lr0=0.1"],
        "finished",
    )
    assert first["started"] == "2027-01-15T08:00:00+00:00"
