"""Which plans belong together, what is not done, and what failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from muscletransfer.study.report.cells import Cell, Head, count, table, text
from muscletransfer.study.report.material import Material
from muscletransfer.study.report.page import folded, paragraph

__all__ = ["changes", "failures_html", "plans_html"]

_SHOWN = 200


def plans_html(material: Material) -> Iterator[str]:
    """Every plan that was started; only the runs of the current one are in the figures."""
    current = set(material.current.ids("run"))
    shown = set(material.results.runs["run_id"])
    older = material.plans[1:]
    if not older:
        yield paragraph("The study was started with one file only; all runs belong together.")
    else:
        yield paragraph(
            f"The file was edited between starts: {len(material.plans)} plans. Only the runs of "
            "the current one are in the figures, tables and tests of this page; runs that an "
            "earlier plan shares with it were not run again."
        )
    rows = []
    for plan in material.plans:
        own = set(plan.ids("run"))
        differences = changes(plan.config["config"], material.settings)
        rows.append(
            [
                text(plan.plan_id),
                text(plan.starts[0][:19].replace("T", " ")),
                text(plan.starts[-1][:19].replace("T", " ")),
                count(len(plan.starts)),
                count(len(own)),
                count(len(own & material.finished)),
                count(len(own & shown)),
                text("the current plan" if plan is material.current else
                     "; ".join(differences) or "the same settings, other data", prose=True),
            ]
        )  # fmt: skip
    heads = [Head("Plan", "text"), Head("First start (UTC)", "text"), Head("Last start", "text"),
             Head("Starts"), Head("Runs"), Head("Finished"), Head("In this report"),
             Head("What is different in the current plan", "text")]  # fmt: skip
    yield table("plans", heads, rows)
    others = sorted(material.finished - current)
    if others:
        yield folded(
            f"{len(others)} finished run(s) that are not in this report",
            paragraph("They belong to earlier plans, and stay."),
            _ids(others),
        )


def failures_html(material: Material) -> Iterator[str]:
    """What failed, what waits for it, what is damaged, and what is not done."""
    status, results = material.status, material.results
    rows = [
        [text("failed"), text(run), text(message, prose=True), text(f"failed/{run}/traceback.txt")]
        for run, message in status.failed.items()
    ]
    rows += [
        [text("waits"), text(run), text(f"for {cause}, which failed", prose=True), Cell("")]
        for run, cause in status.skipped.items()
    ]
    rows += [
        [text("damaged"), text(run), text(message, prose=True), text(f"runs/{run}")]
        for run, message in results.left_out.items()
    ]
    if not rows and not status.open and not status.running:
        yield paragraph("Nothing failed, nothing is missing.")
        return
    heads = [Head("What", "text"), Head("Run", "text"), Head("Why", "text"), Head("File", "text")]
    if rows:
        yield table("failures", heads, rows[:_SHOWN])
    if len(rows) > _SHOWN:
        yield paragraph(f"{len(rows) - _SHOWN} more are not listed.")
    left = [*status.open, *status.running]
    if left:
        yield paragraph(
            f"{len(left)} job(s) of the current plan are not done ({len(status.running)} of them "
            "under way or left by a driver that ended)."
        )
    if status.failed:
        yield paragraph(
            f"To run again what failed: muscletransfer study retry {material.folder.name}"
        )


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Settings that differ, as ``name: before -> after``.

    Example:
        >>> changes({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2})
        ['a.b: 1 \u2192 3']
    """
    old, new = _flat(before), _flat(after)
    return [
        f"{name}: {old.get(name, 'not there')} \u2192 {new.get(name, 'not there')}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        items = [
            (str(item.get("name", i)) if isinstance(item, dict) else str(i), item)
            for i, item in enumerate(value)
        ]
    else:
        return {name: value}
    found: dict[str, Any] = {}
    for key, item in items:
        found |= _flat(item, f"{name}.{key}" if name else key)
    return found


def _ids(ids: list[str]) -> str:
    shown = ", ".join(ids[:_SHOWN]) + (
        f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    )
    return f'<p class="soft">{escape(shown)}</p>'
