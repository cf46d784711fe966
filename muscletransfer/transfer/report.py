"""What a load did: the report that every load returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from muscletransfer.transfer.provenance import Provenance

__all__ = ["Shape", "TransferReport", "describe_keys"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class TransferReport:
    """The outcome of `load_encoder` or `load_decoder`.

    .. versionadded:: 0.1

    Args:
        source: What the weights are called; ``"random"`` when nothing was loaded.
        loaded: Keys whose tensors were copied in.
        missing: Keys of the model that the weights lack; they kept their values.
        unexpected: Keys of the weights that the model lacks; they were left out.
        mismatched: Keys of another shape in the two: (shape in the weights, shape in the model);
            they kept their values.
        stem: What was done to the first convolution: ``"unchanged"`` or ``"adapted 3->1 (...)"``.
        notes: What is worth knowing and no error.
        provenance: The record of the weights, parent of the run that starts here.

    Example:
        >>> report = TransferReport(source="imagenet", loaded=("conv1.weight",))
        >>> print(report.summary())
        imagenet: 1 tensor loaded, stem unchanged
    """

    source: str
    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: Mapping[str, tuple[Shape, Shape]] = field(default_factory=dict)
    stem: str = "unchanged"
    notes: tuple[str, ...] = ()
    provenance: Provenance | None = None

    @property
    def complete(self) -> bool:
        """Whether weights and model had exactly the same keys and shapes."""
        return not (self.missing or self.unexpected or self.mismatched)

    def summary(self) -> str:
        """Return the report as a few lines for people."""
        count = f"{len(self.loaded)} tensor{'' if len(self.loaded) == 1 else 's'} loaded"
        lines = [f"{self.source}: {count}, stem {self.stem}"]
        lines += describe_keys(self.missing, self.unexpected, self.mismatched)
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def describe_keys(
    missing: tuple[str, ...],
    unexpected: tuple[str, ...],
    mismatched: Mapping[str, tuple[Shape, Shape]],
    most: int = 8,
) -> list[str]:
    """Return up to three lines that list keys, at most ``most`` of a kind."""
    shapes = tuple(
        f"{key} ({source} in the weights, {target} in the model)"
        for key, (source, target) in mismatched.items()
    )
    lines = []
    for title, keys in (
        ("missing in the weights", missing),
        ("unexpected in the weights", unexpected),
        ("of another shape", shapes),
    ):
        if keys:
            rest = f", and {len(keys) - most} more" if len(keys) > most else ""
            lines.append(f"  {title} ({len(keys)}): {', '.join(keys[:most])}{rest}")
    return lines
