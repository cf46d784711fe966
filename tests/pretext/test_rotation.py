"""Turns are those of torch.rot90, and drawn evenly."""

import pytest
import torch
from pretext_toys import TINY

from muscletransfer.errors import SettingError
from muscletransfer.pretext import RotationPretext
from muscletransfer.pretext.rotation import quarter_turns, square_centre


def test_turns_are_those_of_torch():
    images = torch.rand(8, 3, 6, 6)
    turns = torch.tensor([0, 1, 2, 3, 3, 2, 1, 0])
    expected = torch.stack(
        [torch.rot90(i, int(k), (1, 2)) for i, k in zip(images, turns, strict=True)]
    )
    assert torch.equal(quarter_turns(images, turns), expected)


def test_the_middle_of_an_image_that_is_not_square():
    image = torch.rand(2, 1, 4, 8)
    assert torch.equal(square_centre(image), image[..., 2:6])
    assert torch.equal(square_centre(image.transpose(2, 3)), image.transpose(2, 3)[:, :, 2:6])


def test_each_turn_is_as_likely_and_half_are_mirrored():
    task = RotationPretext(TINY, depth=3)
    image = torch.arange(16.0).view(1, 1, 4, 4).repeat(4000, 1, 1, 1)
    turned, turns = task.make_targets({"image": image})
    assert torch.bincount(turns).min() > 900
    back = quarter_turns(turned, (4 - turns) % 4)
    plain = (back == image).flatten(1).all(1)
    mirrored = (back == image.flip(-1)).flatten(1).all(1)
    assert bool((plain ^ mirrored).all())
    assert 0.45 < mirrored.float().mean() < 0.55


def test_switching_the_mirror_off_changes_no_turn():
    image = torch.rand(32, 1, 8, 8)
    found = [
        RotationPretext(TINY, depth=3, flip=f).make_targets({"image": image})[1] for f in (0, 1)
    ]
    assert torch.equal(*found)


def test_all_turns_shows_each_image_in_each():
    task = RotationPretext(TINY, depth=3, all_turns=True, flip=False)
    image = torch.rand(3, 1, 8, 8)
    turned, turns = task.make_targets({"image": image})
    assert torch.equal(turned[turns == 0], image)
    assert torch.equal(turned[turns == 1], torch.rot90(image, 1, (2, 3)))


def test_settings():
    with pytest.raises(SettingError, match="dropout is 1"):
        RotationPretext(TINY, depth=3, dropout=1)
