"""Every listed encoder builds and gives its pyramid.

A seeded sample runs always. All of them, one by one, take about half an hour on one core and
20 GB of memory; ask for them with the environment variable MUSCLETRANSFER_ALL_ENCODERS=1.
"""

import os
import random

import pytest
import timm
from encoder_contract import build_at_a_size_that_fits, check_pyramid
from packaging.version import Version

from muscletransfer import list_encoders
from muscletransfer.errors import ContractError

NAMES = [name for name in list_encoders() if name.startswith(("timm/", "smp/"))]
SMALL = [name for name in NAMES if any(word in name for word in ("tiny", "nano", "small", "_b0"))]
ALL = os.environ.get("MUSCLETRANSFER_ALL_ENCODERS") == "1"
# A discrete cosine transform of the three colours is built into it.
COLOUR_ONLY = {"timm/csatv2", "timm/csatv2_21m"}
# Each is odd in its own way: no module at stride 2, a border lost, two patch sizes, blocks of 8.
ODD = ["timm/tresnet_m", "timm/pit_ti_224", "timm/crossvit_tiny_240", "timm/eca_halonext26ts"]


@pytest.mark.parametrize("name", NAMES if ALL else ODD + random.Random(0).sample(SMALL, 6))
def test_pyramid(name):
    channels = 3 if name in COLOUR_ONLY else 1
    try:
        encoder = build_at_a_size_that_fits(name, in_channels=channels)
    except ContractError as error:
        # Five families of models got their feature maps with that release.
        if Version(timm.__version__) >= Version("1.0.31") or "no feature maps" not in str(error):
            raise
        pytest.skip(f"needs timm 1.0.31: {error}")
    check_pyramid(encoder.eval(), channels)
