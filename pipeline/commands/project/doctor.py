"""Check the machine, the project and its records, and mend what is safe to mend (`finetrack doctor`)."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

from pipeline.core.errors import UserError
from pipeline.core.text import format_count
from pipeline.doctor.apply_repairs import RepairReport, apply_repairs
from pipeline.doctor.check_finding import count_states
from pipeline.doctor.examined_project import ExaminedProject
from pipeline.doctor.format_findings import format_finding, format_json, format_repair, format_summary
from pipeline.doctor.run_checks import run_checks
from pipeline.runtime.output_encoding import needs_ascii_json


def run_command(arguments: Namespace) -> Iterator[str]:
    """Yield a line or more for each finding, and a summary.

    Args:
        arguments: `fix`, `json`.

    Raises:
        UserError: There is a fault.
    """
    project, findings = ExaminedProject(), []
    for finding in run_checks(project):
        findings.append(finding)
        if not arguments.json:
            yield from format_finding(finding)
    report = apply_repairs(findings, ExaminedProject) if arguments.fix else RepairReport([], findings)
    if arguments.json:
        yield format_json(report.findings, report.repairs, ascii_only=needs_ascii_json())
    else:
        yield from _format_report(report, fix=arguments.fix)
    faults = count_states(report.findings)["fault"]
    if faults:
        raise UserError(f"{format_count(faults, 'fault')}: do what the lines above say")


def _format_report(report: RepairReport, *, fix: bool) -> Iterator[str]:
    """Yield what was mended, what these checks find now, and the summary."""
    mended = {repair.check for repair in report.repairs}
    for repair in report.repairs:
        yield from format_repair(repair)
    for finding in report.findings:
        if finding.check in mended:
            yield from format_finding(finding)
    yield format_summary(report.findings, fix=fix)
