"""``muscletransfer inspect``: where a weight file comes from."""

from __future__ import annotations

import json

__all__ = ["print_provenance"]


def print_provenance(path: str, *, as_json: bool = False) -> None:
    """Print the provenance chain of a checkpoint or exported encoder.

    Args:
        path: A ``.ckpt`` or ``.safetensors`` file written by this library.
        as_json: Print the chain as one JSON object instead of text.

    Raises:
        WeightsError: If the file is missing, damaged or not one of ours.
    """
    from muscletransfer.transfer import format_provenance, inspect_file

    provenance = inspect_file(path)
    if as_json:
        print(json.dumps(provenance.to_dict(), indent=2))
    else:
        print(format_provenance(provenance))
