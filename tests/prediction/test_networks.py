import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

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


class Turned(SegmentationFineTuner):
    def forward(self, images):
        return -super().forward(images)


def test_a_checkpoint_of_a_class_that_is_at_hand_predicts_as_that_class(
    checkpoint, models, stored, tmp_path
):
    content = torch.load(checkpoint, weights_only=True)
    content["muscletransfer"]["class_path"] = f"{__name__}.Turned"
    torch.save(content, tmp_path / "turned.ckpt")
    found = Ensemble([tmp_path / "turned.ckpt"], precision="32-true", device="cpu")
    found = found.predict(stored[:1]).probabilities[0]
    wanted = 1 - probabilities_of(models[0], stored[0])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_a_class_that_nobody_imported_stays_so_and_is_told_of(checkpoint, tmp_path, monkeypatch):
    (tmp_path / "not_imported.py").write_text("raise RuntimeError('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    content = torch.load(checkpoint, weights_only=True)
    content["muscletransfer"]["class_path"] = "not_imported.Theirs"
    torch.save(content, tmp_path / "theirs.ckpt")
    with pytest.warns(UserWarning, match=r"written by not_imported\.Theirs"):
        Ensemble([tmp_path / "theirs.ckpt"], device="cpu")


def test_members_must_number_their_classes_alike(models):
    def naming(*names):
        settings = dict(models[0].hparams) | {"num_classes": 3, "class_names": list(names) or None}
        model = SegmentationFineTuner(**settings)
        model._trained_on = models[0].preprocessing
        return model

    with pytest.raises(SettingError, match=r"classes psoas, wall and .* wall, psoas; wanted"):
        Ensemble([naming(), naming("psoas", "wall"), naming("wall", "psoas")])
    both = Ensemble([naming(), naming("psoas", "wall")], device="cpu")
    assert both.class_names == ["psoas", "wall"]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_a_model_of_another_precision_predicts_in_that_of_the_ensemble(models, stored, dtype):
    model = copy.deepcopy(models[0]).to(dtype)
    found = Ensemble([model], precision="32-true", device="cpu").predict(stored)
    wanted = Ensemble([model.to(torch.float32)], precision="32-true", device="cpu").predict(stored)
    assert torch.equal(found.probabilities, wanted.probabilities)
    assert found.distance == wanted.distance


def test_threads_may_share_an_ensemble(checkpoint, stored):
    ensemble = Ensemble([checkpoint], precision="32-true", device="cpu")
    ensemble = pickle.loads(pickle.dumps(copy.deepcopy(ensemble)))
    # Batches of two sizes, so that maps of another thread would not even fit.
    batches = [stored[:1], stored[1:], stored]
    wanted = [ensemble.predict(batch).distance for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: ensemble.predict(batches[n % 3]).distance, range(120)))
    for number, distances in enumerate(found):
        assert distances == pytest.approx(wanted[number % 3], abs=1e-4)


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
