"""Similarity and overlap against independent implementations."""

import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from muscletransfer.errors import ImageSizeError
from muscletransfer.pretext.overlap import MeanOverlap
from muscletransfer.pretext.similarity import psnr, ssim_map


@pytest.mark.parametrize("data_range", [1.0, 4.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_equals_torchmetrics(channels, data_range):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, channels, 32, 40, generator=generator) * data_range
    y = (x + 0.1 * torch.randn(x.shape, generator=generator)).clamp(0, data_range)
    ours = ssim_map(x, y, data_range)
    # torchmetrics crops the border off its mean; its map is compared where both have one.
    _, theirs = structural_similarity_index_measure(
        x, y, data_range=data_range, reduction="none", return_full_image=True
    )
    torch.testing.assert_close(ours[..., 5:-5, 5:-5], theirs[..., 5:-5, 5:-5], atol=1e-5, rtol=0)


def test_ssim_is_computed_in_float32_under_autocast():
    x = torch.rand(1, 1, 32, 32)
    y = x + 0.01 * torch.rand_like(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ssim_map(x, y, 1.0), ssim_map(x, y, 1.0))
        inside = ssim_map(x, y, 1.0)
    assert torch.equal(inside, ssim_map(x, y, 1.0))


def test_ssim_can_be_minimised():
    x = torch.rand(1, 1, 24, 24)
    y = torch.rand(1, 1, 24, 24, requires_grad=True)
    optimiser = torch.optim.Adam([y], lr=0.05)
    start = ssim_map(y, x, 1.0).mean().item()
    for _ in range(60):
        optimiser.zero_grad()
        (1 - ssim_map(y, x, 1.0).mean()).backward()
        optimiser.step()
    assert ssim_map(y, x, 1.0).mean().item() > max(0.9, start + 0.5)


def test_ssim_of_tiny_images_is_refused():
    with pytest.raises(ImageSizeError, match="5 x 5"):
        ssim_map(torch.rand(1, 1, 5, 5), torch.rand(1, 1, 5, 5), 1.0)


def test_psnr_equals_torchmetrics_an_image_at_a_time():
    x, y = torch.rand(3, 2, 8, 8), torch.rand(3, 2, 8, 8)
    wanted = [peak_signal_noise_ratio(a, b, data_range=2.0) for a, b in zip(x, y, strict=True)]
    torch.testing.assert_close(psnr(x, y, 2.0), torch.stack(wanted))
    assert psnr(x, x, 1.0).tolist() == [100.0] * 3


def brute_overlap(preds, target, classes, score, ignore, skip_background):
    values = []
    for k in range(1 if skip_background else 0, classes):
        p = [a == k for a, t in zip(preds, target, strict=True) if t != ignore]
        t = [b == k for b in target if b != ignore]
        both = sum(a and b for a, b in zip(p, t, strict=True))
        union = sum(a or b for a, b in zip(p, t, strict=True))
        if union:
            values.append(both / union if score == "iou" else 2 * both / (sum(p) + sum(t)))
    return sum(values) / len(values)


@pytest.mark.parametrize("score", ["dice", "iou"])
@pytest.mark.parametrize("background", [True, False])
def test_overlap_by_brute_force_however_batched(score, background):
    generator = torch.Generator().manual_seed(0)
    preds = torch.randint(4, (6, 10, 10), generator=generator)
    target = torch.randint(4, (6, 10, 10), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.2] = 255
    # class 4 of five is nowhere and must not count as 0
    wanted = brute_overlap(
        preds.flatten().tolist(), target.flatten().tolist(), 5, score, 255, background
    )
    for sizes in ([6], [1, 5], [2, 2, 2]):
        metric = MeanOverlap(5, score, background=background)
        for p, t in zip(preds.split(sizes), target.split(sizes), strict=True):
            metric.update(p, t)
        assert metric.compute().item() == pytest.approx(wanted, abs=1e-6)


def test_iou_equals_torchmetrics():
    preds, target = torch.randint(3, (2, 500), generator=torch.Generator().manual_seed(1))
    ours = MeanOverlap(3, "iou", background=False)
    ours.update(preds, target)
    torch.testing.assert_close(ours.compute(), MulticlassJaccardIndex(3)(preds, target))
