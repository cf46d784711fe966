"""Which pixels losses and scores of the pretext tasks are of."""

import pytest
import torch
from pretext_toys import TINY

from muscletransfer.pretext import MaskedImagePretext, ReconstructionPretext
from muscletransfer.pretext.corruptions import draw_blocks
from muscletransfer.pretext.similarity import psnr, ssim_map
from muscletransfer.pretext.views import draw_view

SMALL = {"decoder_channels": [16, 8, 8]}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("loss", ["l1", "l2", "ssim"])
@pytest.mark.parametrize("loss_on", ["all", "corrupted"])
def test_the_loss_counts_the_pixels_that_were_asked_for(loss_on, loss, channels):
    task = ReconstructionPretext(
        TINY, channels, depth=3, corruption="mask", patch_size=8, loss=loss, loss_on=loss_on
    )
    images = torch.rand(2, channels, 32, 32, generator=generator())
    _, (target, where) = task.make_targets({"image": images})
    outputs = (images + 0.2 * torch.rand(images.shape, generator=generator(1))).requires_grad_()
    pixel = {
        "l1": (outputs - images).abs(),
        "l2": (outputs - images).square(),
        "ssim": 1 - ssim_map(outputs, images, 1.0),
    }[loss]
    hidden = where.expand_as(pixel)
    wanted = pixel.mean() if loss_on == "all" else pixel[hidden].mean()
    found = task.compute_loss(outputs, (target, where))
    torch.testing.assert_close(found, wanted)
    if loss != "ssim":  # whose window reaches over the edge of a block
        (grad,) = torch.autograd.grad(found, outputs)
        assert torch.equal(grad != 0, hidden if loss_on == "corrupted" else hidden | True)


@pytest.mark.parametrize("corruption", ["noise", "mask", "swap"])
def test_the_score_of_the_input_is_that_of_the_corrupted_image(corruption):
    task = ReconstructionPretext(TINY, depth=3, corruption=corruption, patch_size=8)
    task.stage = "val"
    images = torch.rand(3, 1, 32, 32, generator=generator())
    corrupted, targets = task.make_targets({"image": images})
    scores = task.add_metrics(images, targets)
    torch.testing.assert_close(scores["psnr_input"], psnr(corrupted, images, 1.0).mean())
    assert scores["psnr"] == 100


def test_the_number_of_hidden_blocks_is_rounded():
    image = torch.zeros(1, 1, 12, 12)
    counts = [int(draw_blocks(image, 4, r, generator()).sum()) // 16 for r in (0.3, 0.4, 0.72)]
    assert counts == [3, 4, 6]  # 2.7, 3.6 and 6.48 of 9


def test_the_trivial_answer_to_normalised_patches_is_their_mean():
    task = MaskedImagePretext(TINY, depth=3, decoder_kwargs=SMALL)
    images = 5 + torch.rand(2, 1, 32, 32, generator=generator())
    _, targets = task.make_targets({"image": images})
    trivial = task.add_metrics(torch.zeros(1), targets)["trivial_loss"]
    assert trivial.item() == pytest.approx(1.0, abs=0.01)  # patches have variance 1


def test_the_decoder_sees_mask_tokens_where_patches_were_hidden():
    task = MaskedImagePretext(TINY, depth=3, decoder_kwargs=SMALL)
    seen = []
    task.decoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    (shown, hidden), _ = task.make_targets({"image": torch.rand(2, 1, 32, 32)})
    task((shown, hidden)).square().mean().backward()
    widths = list(task.encoder.out_channels[1:])
    for feature, token in zip(seen[0][1:], task.mask_tokens.split(widths), strict=True):
        step = 32 // feature.shape[-1]
        covered = hidden[:, :, ::step, ::step].expand_as(feature)
        wanted = token.view(1, -1, 1, 1).expand_as(feature)
        assert torch.equal(feature[covered], wanted[covered])
    assert (task.mask_tokens.grad != 0).any()


def test_a_mirrored_view_keeps_proportions_and_angles():
    theta = draw_view(
        torch.zeros(400, 1, 48, 80), rotation=30, flip=True, window=None, generator=generator()
    )
    to_pixels = torch.diag(torch.tensor([80 / 2, 48 / 2]))
    linear = to_pixels @ theta[:, :, :2] @ to_pixels.inverse()
    product = linear @ linear.transpose(1, 2)
    torch.testing.assert_close(product, torch.eye(2).expand_as(product), atol=1e-5, rtol=0)
    flipped = torch.det(linear) < 0
    assert 150 < int(flipped.sum()) < 250
    angle = torch.atan2(linear[:, 1, 0] * torch.where(flipped, -1, 1), linear[:, 1, 1])
    assert abs(angle[flipped].mean()) < 0.06  # the mirror says nothing of the turn
    assert abs(angle[~flipped].mean()) < 0.06
