"""``"hf-hub:org/name"``: an exported encoder in a repository of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from muscletransfer.errors import WeightsError
from muscletransfer.transfer.fetching import fetching

__all__ = ["HUB_FILE", "fetch_artifact_file"]

HUB_FILE = "encoder.safetensors"


def fetch_artifact_file(repository: str) -> Path:
    """Return the local copy of a repository's exported encoder, from the cache if it is there.

    Args:
        repository: ``"org/name"`` or ``"org/name@revision"`` (a branch, tag or commit).

    Returns:
        The file ``encoder.safetensors`` in the hub's cache folder.

    Raises:
        WeightsError: If the name is not of that form, or the file cannot be had.

    Example:
        >>> fetch_artifact_file("just-a-name")
        Traceback (most recent call last):
        muscletransfer.errors.WeightsError: 'hf-hub:just-a-name' ... wanted 'hf-hub:org/name'...
    """
    from huggingface_hub import constants, hf_hub_download

    name, _, revision = repository.partition("@")
    if name.count("/") != 1 or not all(name.split("/")):
        raise WeightsError(
            f"'hf-hub:{repository}' names no repository; wanted 'hf-hub:org/name' or "
            f"'hf-hub:org/name@revision' with a file {HUB_FILE} in it, as save_encoder writes it."
        )
    cache = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    address = f"{constants.ENDPOINT}/{name} (file {HUB_FILE})"
    with fetching(f"the encoder in {name}", address, str(cache)):
        return Path(hf_hub_download(name, HUB_FILE, revision=revision or None))
