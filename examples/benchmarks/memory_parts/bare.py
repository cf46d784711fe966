"""A loop of torch and smp on a ready batch: encoder, side, batch, steps; prints peaks as JSON."""

from __future__ import annotations

import sys

import segmentation_models_pytorch as smp
import torch
from peaks import after_imports, peaks


def main(encoder: str, size: int, batch: int, steps: int) -> None:
    """Train, print."""
    imported = after_imports()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    network = smp.Unet(f"tu-{encoder}", encoder_weights=None, in_channels=1, classes=1)
    network = network.to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    overlap = smp.losses.DiceLoss("binary")
    image = torch.rand(batch, 1, size, size, device=device)
    mask = (image > 0.5).float()
    capable = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    mixed = device == "cuda" or any(capable.get(k) for k in ("avx512_bf16", "amx_bf16", "sve_bf16"))
    for _ in range(steps):
        with torch.autocast(device, torch.bfloat16, enabled=mixed):
            logits = network(image)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), mask)
        loss = loss + overlap(logits.float(), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(peaks(imported))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
