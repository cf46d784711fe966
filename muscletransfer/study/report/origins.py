"""Where every weight comes from: the chain of each, as ``muscletransfer inspect`` prints it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from muscletransfer.errors import DataError, WeightsError
from muscletransfer.study.report.cells import Head, count, table, text
from muscletransfer.study.report.material import Material, read_json
from muscletransfer.study.report.page import folded
from muscletransfer.transfer import Provenance, format_provenance

__all__ = ["Origin", "origins", "origins_html"]


@dataclass(frozen=True)
class Origin:
    """Weights that runs started from.

    Args:
        source: Names of the sources that took them.
        name: The pre-training's id, the file or the named weights, or the random seeds.
        kind: ``random``, ``weights`` or ``pretext``.
        facts: What is known of them, in words.
        chain: As ``muscletransfer inspect`` prints it; empty for random weights.
        runs: How many finished runs started from them.
    """

    source: str
    name: str
    kind: str
    facts: str
    chain: str
    runs: int


def origins(material: Material) -> list[Origin]:
    """Every weight that a finished run of the current plan started from.

    Args:
        material: The study.
    """
    groups: dict[tuple[str, str, str], list[tuple[str, dict[str, Any]]]] = {}
    for run, (spec, _) in material.runs.items():
        kind = str(spec.get("source_kind", "random"))
        name = spec.get("pretext") or spec.get("weights") or "random"
        # random weights are the same for all sources, but what is done with them is not
        digest = spec["source"] if kind == "random" else str(spec.get("weights_sha256") or "")
        groups.setdefault((kind, str(name), digest), []).append((run, spec))
    return [_origin(material, *key, runs) for key, runs in groups.items()]


def origins_html(material: Material) -> Iterator[str]:
    """A table of all weights, and the chain of each folded away."""
    found = origins(material)
    rows = [
        [text(one.source), text(one.kind), text(one.name), text(one.facts, prose=True),
         count(one.runs)]
        for one in found
    ]  # fmt: skip
    heads = [Head("Source", "text"), Head("Kind", "text"), Head("Weights", "text"),
             Head("What they are", "text"), Head("Runs")]  # fmt: skip
    yield table("weights", heads, rows) if rows else ""
    chains = [
        folded(f"{one.source}: {one.name}", f"<pre>{escape(one.chain)}</pre>")
        for one in found
        if one.chain
    ]
    if chains:
        yield folded("Chain of each, as muscletransfer inspect prints it", *chains)
    yield from _example(material)


def _example(material: Material) -> Iterator[str]:
    """The whole chain of a fine-tuned model, one for each source."""
    firsts: dict[str, str] = {}
    for run, (spec, _) in material.runs.items():
        firsts.setdefault(str(spec["source"]), run)
    parts = [
        folded(f"{source}: run {run}", f"<pre>{escape(_chain(material, f'runs/{run}'))}</pre>")
        for source, run in firsts.items()
    ]
    if parts:
        yield folded("Chain of a fine-tuned model of each source", *parts)


def _origin(
    material: Material, kind: str, name: str, digest: str, runs: list[tuple[str, dict[str, Any]]]
) -> Origin:
    sources = ", ".join(dict.fromkeys(str(spec["source"]) for _, spec in runs))
    first = runs[0][1]
    if kind == "pretext":
        facts, chain = _pretext(material, name), _chain(material, f"pretexts/{name}")
    elif kind == "weights":
        facts = digest and (f"sha256 {digest}" if len(digest) == 64 else digest)
        chain = _chain(material, f"runs/{runs[0][0]}", parent=True)
    else:
        seeds = len({spec.get("seed") for _, spec in runs})
        facts = (
            f"drawn at random from {seeds} seed(s), one a fold and repeat, the same for all sources"
        )
        frozen = " The encoder is never trained." if first.get("freeze") == "encoder" else ""
        return Origin(sources, name, kind, facts + "." + frozen, "", len(runs))
    return Origin(sources, name, kind, facts, chain, len(runs))


def _pretext(material: Material, name: str) -> str:
    try:
        spec = read_json(material.store, f"pretexts/{name}/spec.json")
        result = read_json(material.store, f"pretexts/{name}/result.json")
    except (OSError, DataError) as error:
        return f"its folder cannot be read ({error})"
    fold = (
        "serves all folds"
        if spec["fold"] is None
        else f"without the test patients of fold {spec['fold']}"
    )
    scores = ", ".join(f"{key} {value:.3g}" for key, value in result.get("scores", {}).items())
    return (
        f"{spec['task']}, {result['steps']} steps, {result['train_images']} images"
        + (f" of {result['train_patients']} patients" if result.get("train_patients") else "")
        + f", {fold}"
        + (f"; at the end {scores}" if scores else "")
    )


def _chain(material: Material, folder: str, parent: bool = False) -> str:
    try:
        record = read_json(material.store, f"{folder}/provenance.json")
        found = Provenance.from_dict(record)
    except (OSError, DataError, WeightsError) as error:
        return f"{folder}/provenance.json cannot be read: {error}"
    shown = found.parent if parent else found
    if shown is None:
        return f"{folder}/provenance.json names no weights that training started from."
    # The study's folder is where it happens to lie, or lay; no part of where weights come from.
    words = format_provenance(shown).replace(f"{material.folder.absolute()}/", "")
    return re.sub(r"\S*/(?=pretexts/[0-9a-f]{16}/)", "", words)
