"""Losses against MONAI and torch, and the ignore index in value and gradient."""

import math

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceCELoss, DiceLoss, FocalLoss, GeneralizedDiceLoss, TverskyLoss
from torch import nn

from muscletransfer.errors import ContractError, UnknownNameError
from muscletransfer.losses import (
    CrossEntropyLoss,
    OneHotLoss,
    SegmentationLoss,
    SoftDiceLoss,
    WeightedSumLoss,
    build_loss,
    list_losses,
)


def draw(num_classes, batch=3, size=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, num_classes, size, size, generator=generator)
    target = torch.randint(0, max(2, num_classes), (batch, size, size), generator=generator)
    return logits.requires_grad_(), target


def one_hot(target, num_classes):
    if num_classes == 1:
        return target.unsqueeze(1).float()
    return F.one_hot(target, num_classes).movedim(-1, 1).float()


@pytest.mark.parametrize("num_classes", [1, 4])
def test_soft_dice_equals_monai(num_classes):
    logits, target = draw(num_classes)
    ours = SoftDiceLoss(num_classes)(logits, target)
    several = num_classes > 1
    monai = DiceLoss(sigmoid=not several, softmax=several, include_background=not several)
    theirs = monai(logits, one_hot(target, num_classes))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("num_classes", [1, 3])
def test_cross_entropy_equals_torch_with_ignored_pixels(num_classes):
    logits, target = draw(num_classes)
    target[:, :5] = 255
    ours = CrossEntropyLoss(num_classes)(logits, target)
    if num_classes == 1:
        valid = target.unsqueeze(1) != 255
        theirs = F.binary_cross_entropy_with_logits(
            logits[valid], target.unsqueeze(1)[valid].float()
        )
    else:
        theirs = F.cross_entropy(logits, target, ignore_index=255)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("num_classes", [1, 3])
@pytest.mark.parametrize("name", ["focal", "tversky", "generalized_dice"])
def test_monai_losses_are_monai(name, num_classes):
    logits, target = draw(num_classes)
    reference = one_hot(target, num_classes)
    activation = {"sigmoid": num_classes == 1, "softmax": num_classes > 1}
    background = num_classes == 1
    theirs = {
        "focal": FocalLoss(use_softmax=num_classes > 1),
        "tversky": TverskyLoss(**activation, include_background=background),
        "generalized_dice": GeneralizedDiceLoss(softmax=num_classes > 1),
    }[name]
    if name == "generalized_dice" and num_classes == 1:  # whose background is a class as well
        logits = torch.cat([1 - logits.sigmoid(), logits.sigmoid()], dim=1)
        reference = torch.cat([1 - reference, reference], dim=1)
        whole = logits.logit()[:, 1:]
    else:
        whole = logits
    theirs = theirs(logits, reference)
    torch.testing.assert_close(build_loss(name, num_classes)(whole, target), theirs)


@pytest.mark.parametrize("num_classes", [1, 2, 4])
@pytest.mark.parametrize("name", ["dice", "tversky", "generalized_dice"])
def test_a_wrong_mask_on_an_empty_image_is_wrong(name, num_classes):
    logits = torch.full((2, num_classes, 8, 8), -6.0)
    logits[:, -1] = 6.0
    empty = torch.zeros(2, 8, 8, dtype=torch.long)
    assert build_loss(name, num_classes)(logits, empty) > 0.9 / max(1, num_classes - 1)


@pytest.mark.parametrize("num_classes", [1, 3])
@pytest.mark.parametrize("name", list_losses())
def test_an_image_that_nobody_annotated_changes_nothing(name, num_classes):
    logits, target = draw(num_classes)
    wanted = build_loss(name, num_classes)(logits[:2], target[:2])
    target[2] = 255
    torch.testing.assert_close(build_loss(name, num_classes)(logits, target), wanted)


def test_arguments_reach_the_monai_loss():
    logits, target = draw(1)
    ours = build_loss("tversky", loss_kwargs={"alpha": 0.2, "beta": 0.8})(logits, target)
    theirs = TverskyLoss(sigmoid=True, alpha=0.2, beta=0.8)(logits, one_hot(target, 1))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize("name", [*list_losses(), "monai.losses.DiceCELoss"])
def test_ignored_pixels_change_neither_value_nor_gradient(name, num_classes):
    loss = build_loss(name, num_classes)
    logits, target = draw(num_classes)
    target[:, 3:7, 2:9] = 255
    value = loss(logits, target)
    value.backward()
    ignored = (target == 255).unsqueeze(1).expand_as(logits)
    assert (logits.grad[ignored] == 0).all()
    assert (logits.grad[~ignored] != 0).float().mean() > 0.99

    poisoned = logits.detach().clone()
    poisoned[ignored] = torch.tensor([float("inf"), float("nan"), 1e4])[
        torch.arange(int(ignored.sum())) % 3
    ]
    poisoned.requires_grad_()
    again = loss(poisoned, target)
    again.backward()
    assert torch.equal(value, again)
    assert torch.equal(poisoned.grad, logits.grad)


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize("name", list_losses())
def test_ignoring_pixels_equals_cropping_them_away(name, num_classes):
    loss = build_loss(name, num_classes)
    logits, target = draw(num_classes)
    cropped = loss(logits[:, :, 4:], target[:, 4:])
    target[:, :4] = 255
    torch.testing.assert_close(loss(logits, target), cropped)


@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize("name", list_losses())
def test_a_batch_without_any_label_is_finite_and_without_gradient(name, num_classes):
    logits, target = draw(num_classes)
    value = build_loss(name, num_classes)(logits, torch.full_like(target, 255))
    value.backward()
    assert math.isfinite(value.item())
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", ["dice", "bce_dice", "tversky", "generalized_dice"])
def test_the_gradient_is_not_rounded_away(name):
    # The trap: a Dice on round(sigmoid(x)) is piecewise constant and never moves a weight.
    logits, target = draw(1)
    build_loss(name)(logits, target).backward()
    foreground = target.unsqueeze(1) == 1
    assert (logits.grad[foreground] < 0).all()
    step = 1e-3
    moved = logits.detach().clone()
    moved[0, 0, 3, 3] += step
    loss = build_loss(name)
    slope = (loss(moved.double(), target) - loss(logits.detach().double(), target)) / step
    torch.testing.assert_close(slope, logits.grad[0, 0, 3, 3], rtol=0.05, atol=2e-5)


@pytest.mark.parametrize("num_classes", [1, 3])
@pytest.mark.parametrize("name", list_losses())
def test_descent_finds_the_target(name, num_classes):
    logits, target = draw(num_classes, batch=2, size=8)
    logits = logits.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.3)
    loss = build_loss(name, num_classes)
    for _ in range(150):
        optimizer.zero_grad()
        loss(logits, target).backward()
        optimizer.step()
    found = (logits[:, 0] > 0).long() if num_classes == 1 else logits.argmax(1)
    assert (found == target).float().mean() > 0.99


def test_half_precision_logits_are_scored_in_float32():
    logits, target = draw(1)
    value = build_loss("bce_dice")(logits.bfloat16(), target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, build_loss("bce_dice")(logits, target), rtol=1e-2, atol=1e-2)


def test_modules_and_class_paths():
    logits, target = draw(1)
    theirs = DiceCELoss(sigmoid=True)(logits, one_hot(target, 1))
    torch.testing.assert_close(build_loss("monai.losses.DiceCELoss")(logits, target), theirs)
    torch.testing.assert_close(build_loss(DiceCELoss(sigmoid=True))(logits, target), theirs)
    logits, target = draw(3)
    weighted = nn.CrossEntropyLoss(weight=torch.tensor([0.1, 1.0, 2.0]))
    ours = build_loss(weighted, 3)(logits, target)
    expected = F.cross_entropy(logits, one_hot(target, 3), weight=weighted.weight)
    torch.testing.assert_close(ours, expected)
    theirs = DiceCELoss(softmax=True)(logits, one_hot(target, 3))
    torch.testing.assert_close(build_loss("monai.losses.DiceCELoss", 3)(logits, target), theirs)


def test_own_subclass_by_module_and_by_path():
    class Shifted(SegmentationLoss):
        def compute(self, logits, target, valid):
            return (logits - target).abs().mean()

    own = Shifted(1)
    assert build_loss(own) is own
    by_path = build_loss("muscletransfer.losses.SoftDiceLoss", 3, loss_kwargs={"smooth": 1.0})
    assert isinstance(by_path, SoftDiceLoss)
    assert (by_path.num_classes, by_path.smooth) == (3, 1.0)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("bce_dise", "'bce_dice'"), ("monai.losses.DiceLos", "Known: bce"), ("no.such.Loss", "Known")],
)
def test_unknown_names_say_what_is_known(name, hint):
    with pytest.raises(UnknownNameError, match=hint):
        build_loss(name)


def test_bad_arguments_are_named():
    with pytest.raises(ContractError, match=r"gama.*It takes: gamma, alpha"):
        build_loss("focal", loss_kwargs={"gama": 2})
    with pytest.raises(ContractError, match="is not the class of"):
        build_loss("math.sqrt")
    with pytest.raises(ContractError, match="wanted a name"):
        build_loss(3)
    with pytest.raises(ContractError, match="pass them to its constructor"):
        build_loss(nn.BCEWithLogitsLoss(), loss_kwargs={"weight": 1})
    with pytest.raises(ContractError, match="num_classes=1 and the model has num_classes=3"):
        build_loss(SoftDiceLoss(1), 3)
    with pytest.raises(ValueError, match="num_classes is 0"):
        build_loss("dice", 0)
    with pytest.raises(ValueError, match="0 losses"):
        WeightedSumLoss([])
    with pytest.raises(ValueError, match=r"\(2, 1, 4, 4\).*wanted \(B, 3, H, W\)"):
        build_loss("ce", 3)(torch.zeros(2, 1, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long))
    with pytest.raises(ValueError, match="reduction to 'mean'"):
        OneHotLoss(nn.BCEWithLogitsLoss(reduction="none"))(*draw(1))


@pytest.mark.parametrize("name", ["bce_dice", "ce_dice"])
def test_the_weight_of_dice_counts(name):
    classes = 1 if name == "bce_dice" else 3
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 8, 8, generator=generator)
    target = torch.randint(0, max(2, classes), (2, 8, 8), generator=generator)
    found = build_loss(name, classes, loss_kwargs={"dice_weight": 3.0})(logits, target)
    parts = CrossEntropyLoss(classes)(logits, target), SoftDiceLoss(classes)(logits, target)
    torch.testing.assert_close(found, parts[0] + 3 * parts[1])


def test_ignored_pixels_are_sure_background_to_a_foreign_loss():
    """Whatever a loss does with them, it sees class 0 predicted with confidence."""
    seen = []

    class Foreign(nn.Module):
        def forward(self, logits, target):
            seen.append((logits, target))
            return logits.mean()

    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, :2] = 255
    build_loss(Foreign(), 3)(torch.randn(1, 3, 4, 4), target)
    logits, one_hot = seen[0]
    assert (logits[0, :, :2].argmax(0) == 0).all()
    assert (logits[0, :, :2].softmax(0)[0] > 0.999).all()
    assert (one_hot[0, 0, :2] == 1).all()
    build_loss(Foreign(), 1)(torch.randn(1, 1, 4, 4), target)
    assert (seen[1][0][0, 0, :2].sigmoid() < 1e-6).all()


def test_a_foreign_loss_that_fails_is_told_what_it_got():
    class Indices(nn.Module):
        def forward(self, logits, target):
            return F.cross_entropy(logits, target, ignore_index=255)

    logits, target = draw(3)
    with pytest.raises(ContractError, match=r"one-hot target \(3, 3, 12, 12\), both torch.float32"):
        build_loss(Indices(), 3)(logits, target)
