"""Caches as timm, segmentation-models-pytorch and torchvision keep them, in a temporary folder."""

import hashlib
import json
from pathlib import Path
from urllib.error import URLError

import pytest
import safetensors.torch
from huggingface_hub import constants


class HubCache:
    """The folder ``$HF_HOME/hub`` with repositories as huggingface_hub stores them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, repository: str, files: dict[str, bytes], commit: str = "a" * 40) -> None:
        folder = self.root / f"models--{repository.replace('/', '--')}"
        (folder / "blobs").mkdir(parents=True, exist_ok=True)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
        snapshot = folder / "snapshots" / commit
        snapshot.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
            blob.write_bytes(content)
            (snapshot / name).symlink_to(Path("../../blobs") / blob.name)

    def add_model(self, repository: str, state, commit: str = "a" * 40, config=None) -> None:
        tensors = {key: value.contiguous().clone() for key, value in state.items()}
        content = safetensors.torch.save(tensors, metadata={"format": "pt"})
        files = {"model.safetensors": content}
        if config is not None:
            files["config.json"] = json.dumps(config).encode()
        self.add(repository, files, commit)


@pytest.fixture
def hub_cache(tmp_path, monkeypatch) -> HubCache:
    """An empty hub cache; the network is off, as with HF_HUB_OFFLINE=1."""
    root = tmp_path / "huggingface" / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(root))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return HubCache(root)


@pytest.fixture
def torch_home(tmp_path, monkeypatch) -> Path:
    """An empty folder for torch.hub's checkpoints; nothing can be downloaded."""

    def refuse(*args, **kwargs):
        raise URLError("Network is unreachable")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder
