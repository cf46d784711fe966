"""A few images of each collection, so that a probe need not preprocess all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.rows import slice_key
from muscletransfer.data.sources.opening import PHOTOGRAPHS, open_source

__all__ = ["few_images"]


def few_images(
    sources: Sequence[Mapping[str, Any]], options: Mapping[str, Any], folder: Path, most: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Write small manifests in place of the collections; evenly spaced images stand for all.

    Args:
        sources: As in the payload of a pre-training.
        options: Options of the images.
        folder: Where the manifests go.
        most: Images of each collection at most, besides the first one of each class.

    Returns:
        Sources and options for the same images, layouts apart.
    """
    small = []
    for number, source in enumerate(sources):
        column = options["mask_column"]
        read = open_source(
            source["path"],
            source["kind"],
            label_column=options["label_column"],
            mask_column=source.get("mask_column") or column,
            where=options["where"] or None,
            slices=options["slices"],
        )
        rows = read.manifest.rows
        # a picture may stand in two classes, which no manifest may say
        once = sorted({slice_key(row): i for i, row in reversed([*enumerate(rows)])}.values())
        count = min(most, len(once))
        chosen = {once[i * len(once) // count] for i in range(count)}
        # each class is there, since a task counts them
        first: dict[int, int] = {}
        for i in once if read.labels else ():
            first.setdefault(read.labels[i], i)  # type: ignore[index]
        chosen |= set(first.values())
        kept = [
            replace(
                rows[i],
                label=read.classes[read.labels[i]] if read.labels else None,
                slice_index=rows[i].slice_index,
                mask=None if source.get("drop_masks") else rows[i].mask,
            )
            for i in sorted(chosen)
        ]
        path = folder / f"few_{number}.csv"
        Manifest(tuple(kept), path).write(path)
        small.append({"path": str(path), "kind": PHOTOGRAPHS if read.is_natural else "manifest"})
    plain = {"mask_column": "mask", "label_column": "label", "where": {}, "slices": "listed"}
    return small, {**options, **plain}
