import copy

import numpy as np
import pytest
import torch
from trained import phantom, probabilities_of

from muscletransfer import SegmentationFineTuner, read_ct
from muscletransfer.data import PreprocessingSpec
from muscletransfer.errors import ContractError, DataError, SettingError, WeightsError
from muscletransfer.finetune.layout import layout_features
from muscletransfer.prediction import Ensemble


@pytest.fixture(scope="module")
def models(checkpoint, second):
    return [SegmentationFineTuner.load_from_checkpoint(path) for path in (checkpoint, second)]


@pytest.fixture(scope="module")
def stored(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    spec = models[0].preprocessing
    found = []
    for number in range(3):
        image = read_ct(phantom(folder / f"{number}.nii.gz", number))
        found.append(spec.apply(image.hu[0], image.slice_spacing)[0])
    return found


def test_an_ensemble_is_the_mean_of_its_members_probabilities(checkpoint, second, models, stored):
    found = Ensemble([checkpoint, second], precision="32-true", device="cpu").predict(stored)
    for item, one in enumerate(stored):
        by_hand = (probabilities_of(models[0], one) + probabilities_of(models[1], one)) / 2
        torch.testing.assert_close(found.probabilities[item], by_hand, atol=1e-5, rtol=0)


def test_agreement_is_the_mean_dice_between_members(checkpoint, second, models, stored):
    members = [checkpoint, second, checkpoint]
    found = Ensemble(members, precision="32-true", device="cpu").predict(stored)
    for item, one in enumerate(stored):
        a, b = (probabilities_of(model, one)[0].numpy() > 0.5 for model in models)
        between = 2 * (a & b).sum() / (a.sum() + b.sum())
        assert found.agreement[item] == pytest.approx((between + 1 + between) / 3, abs=1e-4)


def test_tta_is_the_mean_with_the_mirror_image_turned_back(checkpoint, models, stored):
    ensemble = Ensemble([checkpoint], tta=True, precision="32-true", device="cpu")
    assert ensemble.voices == 2
    found = ensemble.predict(stored)
    for item, one in enumerate(stored):
        straight = probabilities_of(models[0], one)
        mirrored = probabilities_of(models[0], np.ascontiguousarray(one[:, ::-1])).flip(-1)
        mean = (straight + mirrored) / 2
        torch.testing.assert_close(found.probabilities[item], mean, atol=1e-5, rtol=0)
        a, b = straight[0].numpy() > 0.5, mirrored[0].numpy() > 0.5
        dice = 2 * (a & b).sum() / (a.sum() + b.sum())
        assert found.agreement[item] == pytest.approx(dice, abs=1e-4)


def test_one_member_has_no_agreement(checkpoint, stored):
    assert Ensemble([checkpoint], device="cpu").predict(stored).agreement == [None] * 3


def test_the_fast_precision_gives_the_same_masks(checkpoint, stored):
    exact = Ensemble([checkpoint], precision="32-true", device="cpu").predict(stored)
    fast = Ensemble([checkpoint], precision="bf16-mixed", device="cpu").predict(stored)
    a, b = exact.probabilities > 0.5, fast.probabilities > 0.5
    assert a.any()
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.99


def test_feature_distance_is_that_of_the_encoders_maps(checkpoint, models, stored):
    found = Ensemble([checkpoint], precision="32-true", device="cpu").predict(stored)
    features = models[0].training_profile().features
    with torch.no_grad():
        for item, one in enumerate(stored):
            image = models[0].preprocessing.to_float(torch.from_numpy(one)[None])
            maps = models[0].eval().model.encoder(image)
            wanted = features.distance(layout_features(image, maps))
            assert found.distance[item] == pytest.approx(float(wanted), abs=1e-2)


def test_a_given_model_stays_as_it_was(models, stored):
    model = copy.deepcopy(models[0]).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    Ensemble([model], precision="bf16-mixed", device="cpu").predict(stored)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_members_must_fit_each_other(models):
    other = copy.deepcopy(models[0])
    other._trained_on = PreprocessingSpec(size=96)
    with pytest.raises(SettingError, match="size=64 and 96"):
        Ensemble([models[0], other])
    several = SegmentationFineTuner(**(dict(models[0].hparams) | {"num_classes": 3}))
    several._trained_on = models[0].preprocessing
    with pytest.raises(SettingError, match=r"1 classes and .* 3;"):
        Ensemble([models[0], several])


def test_what_is_no_member_is_refused(tmp_path):
    with pytest.raises(SettingError, match="no checkpoint"):
        Ensemble([])
    with pytest.raises(ContractError, match="Linear"):
        Ensemble([torch.nn.Linear(1, 1)])
    with pytest.raises(WeightsError, match="No such file"):
        Ensemble([tmp_path / "none.ckpt"])
    with pytest.raises(DataError, match="how its images were prepared"):
        Ensemble([SegmentationFineTuner()])
    with pytest.raises(SettingError, match="precision is '16'"):
        Ensemble([_prepared()], precision="16")


def _prepared():
    model = SegmentationFineTuner()
    model._trained_on = PreprocessingSpec(size=64)
    return model
