"""Parts as a user writes them in a module of their own; tests name them by path."""

import torch
from lightning.pytorch import Callback
from torch import nn

import muscletransfer as mt
from muscletransfer.losses import SegmentationLoss
from muscletransfer.pretext import ClassificationHead


class OwnLoss(SegmentationLoss):
    """Cross-entropy that counts the foreground more."""

    def __init__(self, num_classes=1, ignore_index=255, foreground=2.0):
        super().__init__(num_classes, ignore_index)
        self.foreground = foreground

    def compute(self, logits, target, valid):
        weight = 1 + (self.foreground - 1) * target
        value = nn.functional.binary_cross_entropy_with_logits(
            logits, target, weight, reduction="none"
        )
        return (value * valid).sum() / valid.sum().clamp(min=1)


class OwnDecoder(nn.Module):
    """The deepest feature and the one before it, summed at the resolution of the latter."""

    def __init__(self, encoder, width=8):
        super().__init__()
        deep, before = encoder.out_channels[-1], encoder.out_channels[-2]
        self.deep, self.before = nn.Conv2d(deep, width, 1), nn.Conv2d(before, width, 1)
        self.out_channels, self.stride = width, encoder.output_stride // 2

    def forward(self, features):
        before = self.before(features[-2])
        return before + nn.functional.interpolate(self.deep(features[-1]), before.shape[-2:])


class OwnOptimizer(torch.optim.SGD):
    """SGD under another name."""

    def __init__(self, params, lr=1e-3, momentum=0.5, weight_decay=0.0):
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)


class OwnSchedule(torch.optim.lr_scheduler.LRScheduler):
    """Halves the rate every time."""

    def get_lr(self):
        return [base * 0.5**self.last_epoch for base in self.base_lrs]


class OwnAugmentation:
    """Mirrors half of the images, drawing from the generator; dims them with torch's own state."""

    def __init__(self, dim=0.0):
        self.dim = dim

    def __call__(self, image, mask, generator):
        chosen = torch.rand(len(image), generator=generator, device=image.device) < 0.5
        image = torch.where(chosen[:, None, None, None], image.flip(-1), image)
        if mask is not None:
            mask = torch.where(chosen[:, None, None], mask.flip(-1), mask)
        return image * (1 - self.dim * torch.rand(())), mask


def own_transform(sample):
    """A transform of single samples: turned by 180 degrees."""
    return {key: value.flip(-1, -2) for key, value in sample.items()}


def volume_error(prediction, reference, spacing, scale=1.0):
    """Relative error of the area, signed."""
    assert spacing is None or len(spacing) == 2
    drawn = (reference == 1).sum()
    return scale * float(((prediction == 1) & (reference != 255)).sum() - drawn) / float(drawn)


class Notes(Callback):
    """Counts training batches."""

    def __init__(self, start=0):
        self.count = start

    def on_train_batch_end(self, *args):
        self.count += 1


class OwnTask(mt.PretextTask):
    """Tells upside down from upright, with a loss and a metric of its own."""

    def __init__(self, encoder="timm/resnet18", in_channels=1, depth=5, lr=1e-3, smoothing=0.1):
        super().__init__(encoder, in_channels, depth, lr=lr)
        self.smoothing = smoothing
        self.head = ClassificationHead(self.encoder.out_channels[-1], 2)

    def make_targets(self, batch):
        image = batch["image"]
        turned = torch.randint(2, (len(image),), generator=self.generator, device=image.device)
        return torch.where(turned.bool()[:, None, None, None], image.flip(2), image), turned

    def compute_loss(self, outputs, targets):
        return nn.functional.cross_entropy(outputs, targets, label_smoothing=self.smoothing)

    def add_metrics(self, outputs, targets):
        return {"right": (outputs.argmax(1) == targets).float().mean()}
