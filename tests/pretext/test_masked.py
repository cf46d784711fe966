"""Hidden is hidden at every layer, and the loss counts hidden patches alone."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning import seed_everything
from pretext_toys import TINY, ToyData, gratings, trainer
from torch import nn

import muscletransfer as mt
from muscletransfer.errors import ImageSizeError, SettingError, UnknownNameError
from muscletransfer.pretext import MaskedImagePretext
from muscletransfer.pretext.corruptions import draw_blocks
from muscletransfer.pretext.patches import masked_patch_loss, normalise_patches, patch_means
from muscletransfer.pretext.sparse import SparseMaps


def some(count=2, channels=1, side=16, patch=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, channels, side, side, generator=generator)
    return images, draw_blocks(images, patch, 0.5, generator)


def brute_convolution(image, kernel, visible):
    """Sum over visible neighbours of visible places, one at a time. (C, H, W), (O, C, 3, 3)."""
    out = np.zeros((len(kernel), *visible.shape))
    for y, x in zip(*np.nonzero(visible), strict=True):
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                v, u = y + dy, x + dx
                if 0 <= v < visible.shape[0] and 0 <= u < visible.shape[1] and visible[v, u]:
                    out[:, y, x] += kernel[:, :, dy + 1, dx + 1] @ image[:, v, u]
    return out


def test_convolution_and_batch_norm_against_single_places():
    torch.manual_seed(0)
    images, hidden = some(channels=2)
    first, second = (nn.Conv2d(2, 2, 3, padding=1, bias=False) for _ in range(2))
    norm = nn.BatchNorm2d(2)
    with SparseMaps(~hidden):
        found = second(torch.relu(norm(first(images * ~hidden))))
    seen = (~hidden[:, 0]).numpy()
    maps = [
        brute_convolution(image, first.weight.detach().numpy(), where)
        for image, where in zip(images.numpy(), seen, strict=True)
    ]
    places = np.concatenate([m[:, where] for m, where in zip(maps, seen, strict=True)], axis=1)
    mean, variance = places.mean(axis=1), places.var(axis=1)
    np.testing.assert_allclose(norm.running_mean, 0.1 * mean, rtol=1e-4, atol=1e-6)
    unbiased = places.var(axis=1, ddof=1)
    np.testing.assert_allclose(norm.running_var, 0.9 + 0.1 * unbiased, rtol=1e-4)
    for index, (one, where) in enumerate(zip(maps, seen, strict=True)):
        scaled = (one - mean[:, None, None]) / np.sqrt(variance + norm.eps)[:, None, None]
        out = brute_convolution(np.maximum(scaled, 0), second.weight.detach().numpy(), where)
        np.testing.assert_allclose(found[index].detach(), out, rtol=1e-3, atol=1e-5)


def test_instance_norm_counts_visible_places():
    visible = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    visible[..., :4] = True
    maps = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * visible
    norm = nn.InstanceNorm2d(3, affine=True)
    nn.init.constant_(norm.bias, 0.7)
    with SparseMaps(visible):
        out = norm(maps)
    assert not out[..., 4:].any()
    torch.testing.assert_close(out[..., :4], norm(maps[..., :4]))
    tracking = nn.InstanceNorm2d(3, track_running_stats=True)
    with SparseMaps(visible), pytest.raises(SettingError, match="running statistics"):
        tracking(maps)
    with SparseMaps(visible):
        assert tracking.eval()(maps)[..., :4].any()


def test_norms_of_attention_are_no_maps():
    visible = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    queries, norm = torch.rand(2, 4, 64, 8), nn.LayerNorm(8)
    with SparseMaps(visible):
        assert torch.equal(norm(queries), norm(queries.flatten(0, 1)).view(queries.shape))
        assert not norm(torch.rand(2, 8, 8, 8)).any()  # a map, channels last


def test_synchronised_norms_of_several_devices_are_refused():
    encoder = nn.SyncBatchNorm.convert_sync_batchnorm(mt.create_encoder(TINY, depth=3))
    task = MaskedImagePretext(encoder, depth=3)
    task.trainer = several = SimpleNamespace(world_size=2)
    with pytest.raises(SettingError, match="SyncBatchNorm on several devices"):
        task.on_fit_start()
    assert several


def test_group_norm_counts_visible_places():
    images, hidden = some(channels=4)
    norm = nn.GroupNorm(2, 4)
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    with SparseMaps(~hidden):
        found = norm(images * ~hidden)
    for image, where, out in zip(images, ~hidden[:, 0], found, strict=True):
        for group in (slice(0, 2), slice(2, 4)):
            places = image[group][:, where]
            scaled = (places - places.mean()) / (places.var(correction=0) + norm.eps).sqrt()
            expected = scaled * norm.weight[group, None] + norm.bias[group, None]
            torch.testing.assert_close(out[group][:, where], expected, rtol=1e-4, atol=1e-5)
        assert not out[:, ~where].any()


@pytest.mark.parametrize(
    "name", ["timm/resnet10t", "timm/convnext_atto", "timm/test_efficientnet", "smp/resnet18"]
)
def test_real_encoders_see_nothing_of_hidden_patches_and_stay_hidden(name):
    torch.manual_seed(0)
    encoder = mt.create_encoder(name)
    images, hidden = some(side=128, patch=32)
    with torch.no_grad(), SparseMaps(~hidden) as maps:
        features = encoder(images * ~hidden)
    for feature in features[1:]:
        if feature.numel():
            visible = maps.at(*feature.shape[2:])
            assert not (feature * ~visible).any()
            assert (feature * visible).any()


def test_what_is_all_visible_is_computed_as_ever():
    torch.manual_seed(0)
    encoder = mt.create_encoder("timm/resnet10t")
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        encoder.train()
        dense = encoder(images)
        with SparseMaps(torch.ones(2, 1, 64, 64, dtype=torch.bool)):
            sparse = encoder(images)
    for one, other in zip(dense, sparse, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("masking", ["sparse", "filled"])
def test_hidden_pixels_reach_neither_prediction_nor_statistics(masking):
    seed_everything(0)
    task = MaskedImagePretext(TINY, depth=3, masking=masking, decoder_kwargs=SMALL)
    images = torch.rand(2, 1, 32, 32)
    (shown, hidden), _ = task.make_targets({"image": images})
    changed = torch.where(hidden, torch.rand(images.shape), images)
    task.generator.manual_seed(0)
    (other, again), _ = task.make_targets({"image": changed})
    assert torch.equal(hidden, again)
    assert torch.equal(shown, other)


SMALL = {"decoder_channels": [16, 8, 8]}


def test_patches_against_loops():
    images = torch.rand(2, 3, 10, 14)
    predicted = torch.rand(2, 3, 10, 14)
    hidden = draw_blocks(images, 4, 0.5, torch.Generator().manual_seed(0))
    normalised, patches, losses = normalise_patches(images, 4), [], []
    for sample in range(2):
        for top in range(0, 10, 4):
            for left in range(0, 14, 4):
                part = (sample, slice(None), slice(top, top + 4), slice(left, left + 4))
                patches.append(images[part].mean((1, 2)))
                spread = (images[part].var((1, 2), correction=0) + 1e-4).sqrt()
                expected = (images[part] - patches[-1][:, None, None]) / spread[:, None, None]
                torch.testing.assert_close(normalised[part], expected, rtol=1e-3, atol=1e-4)
                if hidden[sample, 0, top, left]:
                    losses.append((predicted[part] - images[part]).square().mean())
    means = patch_means(images, 4).permute(0, 2, 3, 1).reshape(-1, 3)
    torch.testing.assert_close(means, torch.stack(patches))
    found = masked_patch_loss(predicted, images, hidden, 4)
    torch.testing.assert_close(found, torch.stack(losses).mean())


def test_visible_patches_get_no_gradient():
    images, hidden = some()
    predicted = torch.rand(images.shape, requires_grad=True)
    masked_patch_loss(predicted, images, hidden, 4).backward()
    assert torch.equal(predicted.grad != 0, hidden)


@pytest.mark.parametrize("masking", ["sparse", "filled"])
def test_it_learns_more_than_the_trivial_answer(masking):
    seed_everything(0)
    settings = {"lr": 1e-2, "warmup_steps": 2, "masking": masking, "decoder_kwargs": SMALL}
    task = MaskedImagePretext(TINY, depth=3, **settings)
    run = trainer(60)
    run.fit(task, datamodule=ToyData(batch_size=8, image=gratings(8, 32)))
    scores = run.validate(task, datamodule=ToyData(image=gratings(8, 32)), verbose=False)[0]
    assert scores["val_loss"] < 0.7 * scores["val_trivial_loss"]


def test_trivial_answer_without_normalising_is_the_visible_mean():
    task = MaskedImagePretext(TINY, depth=3, normalise_target=False, decoder_kwargs=SMALL)
    images = torch.rand(2, 1, 32, 32)
    _, (target, hidden, trivial) = task.make_targets({"image": images})
    assert torch.equal(target, images)
    for image, where, mean in zip(images, hidden, trivial, strict=True):
        torch.testing.assert_close(image[~where].mean(), mean.squeeze())


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"masking": "sparce"}, UnknownNameError, "wanted 'sparse' or 'filled'"),
        ({"mask_ratio": 0.0}, SettingError, "mask_ratio is 0.0"),
        ({"patch_size": 12}, SettingError, "multiple of the encoder's output_stride 8, such as 8"),
        ({"patch_size": 0, "masking": "filled"}, SettingError, "at least 1"),
    ],
)
def test_settings(settings, error, message):
    with pytest.raises(error, match=message):
        MaskedImagePretext(TINY, depth=3, decoder_kwargs=SMALL, **settings)


def test_an_image_of_one_patch():
    task = MaskedImagePretext(TINY, depth=3, patch_size=32, decoder_kwargs=SMALL)
    with pytest.raises(ImageSizeError, match="no more than one block of 32"):
        task.make_targets({"image": torch.rand(1, 1, 32, 32)})
