import torch
from torch import nn

from muscletransfer.finetune.model import build_segmentation_model
from muscletransfer.prediction.fuse import fold_norms


class Forked(nn.Module):
    """The convolution feeds its norm, and something else as well."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + y


def with_statistics(network):
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    return network.eval()


def test_folding_keeps_the_numbers_and_leaves_no_norm():
    torch.manual_seed(0)
    network = with_statistics(build_segmentation_model("timm/resnet18"))
    image = torch.randn(2, 1, 64, 64)
    folded = fold_norms(network, image[:1])
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    with torch.no_grad():
        before, after = network(image), folded(image)
    assert (before - after).abs().max() < 1e-4 * before.abs().max()
    assert any(isinstance(part, nn.BatchNorm2d) for part in network.modules())


def test_a_convolution_that_feeds_something_else_is_left_alone():
    torch.manual_seed(0)
    network = with_statistics(Forked())
    assert fold_norms(network, torch.randn(1, 1, 8, 8)) is network


def test_a_convolution_used_twice_is_left_alone():
    torch.manual_seed(0)
    shared = nn.Conv2d(2, 2, 3, padding=1)
    parts = [shared, nn.BatchNorm2d(2), shared, nn.BatchNorm2d(2)]
    network = with_statistics(nn.Sequential(*parts))
    folded = fold_norms(network, torch.randn(1, 2, 8, 8))
    assert [type(part) for part in folded] == [type(part) for part in parts]
