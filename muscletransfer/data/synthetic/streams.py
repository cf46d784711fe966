"""Streams of random numbers: what is the patient's at every level, and what is a level's own."""

from __future__ import annotations

import numpy as np

from muscletransfer.data.synthetic.levels import OTHER_LEVELS, Level

__all__ = ["random_streams"]

# Places in the key; a place is never given to another concern, or all phantoms would change.
_PATIENT = {"who": 0, "hu": 1, "frame": 2, "scan": 6}
_LEVEL = {"own_frame": 2, "pose": 3, "shapes": 4, "texture": 5, "noise": 6, "trouble": 7}


def random_streams(
    sequence: np.random.SeedSequence, level: Level
) -> dict[str, np.random.Generator]:
    """Open the streams of one slice.

    Every concern has a stream of its own, keyed and not spawned: a change in one does not disturb
    the others, and calling twice with one sequence gives the same slice. The streams of another
    level than L3 share nothing with those of L3 but the patient, the girth and the scanner.

    Args:
        sequence: Seed of the patient.
        level: Vertebral level.

    Returns:
        By concern. At L3 ``own_frame`` goes on where ``frame`` is, and ``noise`` where ``scan`` is.

    Example:
        >>> seed = np.random.SeedSequence(0)
        >>> l3, l4 = random_streams(seed, "L3"), random_streams(seed, "L4")
        >>> bool(l3["who"].random() == l4["who"].random())
        True
        >>> bool(l3["shapes"].random() == l4["shapes"].random())
        False
    """

    def stream(*key: int) -> np.random.Generator:
        keyed = (*sequence.spawn_key, *key)
        return np.random.default_rng(np.random.SeedSequence(sequence.entropy, spawn_key=keyed))

    streams = {name: stream(place) for name, place in _PATIENT.items()}
    if level == "L3":
        streams |= {"own_frame": streams["frame"], "noise": streams["scan"]}
        return {name: stream(place) for name, place in _LEVEL.items()} | streams
    own = 1 + OTHER_LEVELS.index(level)
    return streams | {name: stream(place, own) for name, place in _LEVEL.items()}
