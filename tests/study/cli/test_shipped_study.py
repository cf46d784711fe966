"""The small shipped study, smaller still: every source in it, from the file to the tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from in_process import Here

from muscletransfer.study import config_from_dict, read_config, run_study, write_study_results

CONFIG = Path(__file__).parents[3] / "examples" / "configs" / "study_small.yaml"


@pytest.mark.slow
def test_the_small_study_in_a_smaller_form(tmp_path: Path) -> None:
    given = read_config(CONFIG).given
    tiny = {"patients": 6, "observers": 2, "size": 64, "other_levels": 1}
    given["data"] |= {"phantom": tiny, "num_folds": 2, "preprocessing": {"size": 32}}
    given["pretraining"] |= {"steps": 2, "batch_size": 2}
    given["finetune"] |= {"steps": 2, "batch_size": 2}
    given["train_patients"] = [2, 3]
    given["encoders"] = [{"name": "timm/resnet10t", "depth": 3}]
    given["decoders"] = [{"name": "unet", "kwargs": {"decoder_channels": [16, 8, 8]}}]
    given["sources"][-1]["data"] = {"images": {"phantom": {**tiny, "seed": 1, "observers": 0}}}
    config = config_from_dict(given)

    outcome = run_study(config, tmp_path / "study", Here(), progress=False)
    assert outcome.complete, outcome.failed
    assert len(outcome.ran) == (2 + 2 + 1) + 6 * 2 * 2
    names = {path.name for path in write_study_results(tmp_path / "study")}
    assert {"cases.parquet", "summary.csv", "paired.csv", "saving.csv", "human.csv"} <= names

    table = pd.read_parquet(tmp_path / "study" / "results" / "cases.parquet")
    arms = table.groupby(["source", "transfer", "freeze", "n"])["patient"].agg(["count", "nunique"])
    assert len(arms) == 6 * 2
    assert (arms == 6).all(axis=None)  # each patient is tested once in each arm at each n
    human = pd.read_csv(tmp_path / "study" / "results" / "human.csv")
    assert len(human) == 6 * 2
    assert set(human["outcome"]) <= {"as_good", "worse", "cannot_tell"}
