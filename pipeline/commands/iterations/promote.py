"""Make a registered model the champion if the gate lets it (`finetrack promote`)."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Iterable, Iterator

from pipeline.compose.stage import plan_config
from pipeline.core.errors import UserError
from pipeline.registry.decision_record import describe_decision
from pipeline.registry.gate import collect_numbers
from pipeline.registry.promote import Promotion, promote_model
from pipeline.runtime.output_encoding import needs_ascii_json


def run_command(arguments: Namespace) -> Iterable[str]:
    """Yield the lines to print.

    Args:
        arguments: `run`, `force`, `export`, `json`.

    Raises:
        UserError: The gate refuses, or the model cannot be judged.
    """
    if arguments.force is not None and not arguments.force.strip():
        raise UserError('--force needs a reason, which is recorded: --force "the camera changed"')
    if arguments.export:
        _use_export_environment(arguments)
    result = promote_model(
        arguments.run, plan_config(()), force=(arguments.force or "").strip(), export=arguments.export or ""
    )
    yield from [_format_json(result)] if arguments.json else _format_lines(result)
    if result.decision.outcome == "refused":
        raise UserError(
            f"{result.contest.name}/{result.contest.challenger} is not promoted: see the checks that failed; "
            'the champion stays (--force "why" promotes all the same)'
        )


def _use_export_environment(arguments: Namespace) -> None:
    """Run this command in the environment for exporters, in place of this process, if it is needed."""
    from pipeline.export.packages import find_python
    from pipeline.export.variants import plan_variants

    python = find_python(plan_variants(arguments.export, "fp32", "outside"))
    if python is None:
        return
    words = [arguments.run] if arguments.run else []
    words += ["--export", arguments.export, *(["--force", arguments.force] if arguments.force else [])]
    words += ["--json"] if arguments.json else []
    os.execv(python, [str(python), "-m", "pipeline", "promote", *words])


def _format_lines(result: Promotion) -> Iterator[str]:
    yield from result.notes
    for check in result.decision.checks:
        yield f"{'passed' if check.passed else 'FAILED'}  {check.name:8}{check.sentence}"
    if result.decision.comparison:
        yield result.decision.comparison.sentence
    if result.decision.outcome != "refused":
        yield describe_decision(result.contest, result.decision)


def _format_json(result: Promotion) -> str:
    decision = result.decision
    facts = {
        **result.contest._asdict(),
        "outcome": decision.outcome,
        "forced": decision.forced or None,
        **collect_numbers(decision),
        "reasons": {check.name: check.sentence for check in decision.checks},
        "notes": result.notes,
    }
    return json.dumps(facts, indent=2, ensure_ascii=needs_ascii_json(), allow_nan=False)
