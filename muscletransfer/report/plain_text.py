"""Names in figures as they stand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["plain_text"]


@contextmanager
def plain_text(font_size: float | None = None) -> Iterator[None]:
    """Draw names as they stand: a dollar sign in one begins no formula.

    Args:
        font_size: In points; ``None`` for that of matplotlib's settings.
    """
    import matplotlib

    size = matplotlib.rcParams["font.size"] if font_size is None else font_size
    with matplotlib.rc_context({"text.parse_math": False, "font.size": size}):
        yield
