"""The whole analysis: what is in it, what it says of its limits, and its files."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_table import NS, Truth, arm, make_table, miss

from muscletransfer.errors import DataError
from muscletransfer.study.results import Arm, empty_table
from muscletransfer.study.statistics import StudyAnalysis, analyse
from muscletransfer.study.statistics.metrics import METRICS


@pytest.fixture(scope="module")
def analysis() -> StudyAnalysis:
    return analyse(make_table(patients=12, seed=1), selection_labels=4, resamples=500, seed=3)


def test_everything_is_there(analysis: StudyAnalysis) -> None:
    assert analysis.arms == (arm("random"), arm("classification"), arm("jigsaw"))
    assert analysis.labels[arm("jigsaw")] == "jigsaw"
    assert (analysis.ns, analysis.n_patients, analysis.repeats) == (NS, 12, (0, 1))
    assert analysis.n_runs == 3 * len(NS) * 2 * 4
    assert (analysis.dta_unit, analysis.reference, analysis.human) == ("mm", "random", None)
    assert [curve.arm for curve in analysis.curves] == list(analysis.arms)
    assert [saving.arm.source for saving in analysis.saving] == ["classification", "jigsaw"]
    assert len(analysis.summary) == len(METRICS) * 3 * len(NS)
    assert len(analysis.paired) == len(METRICS) * 3 * len(NS)
    assert len(analysis.patients) == 12 * 3 * len(NS)
    assert analysis.notes == ()


def test_the_known_truth_is_found(analysis: StudyAnalysis) -> None:
    jigsaw = analysis.saving[1]
    assert jigsaw.headline.low < 3 < jigsaw.headline.high
    assert jigsaw.headline.low > 1
    same = analysis.saving[0].headline
    assert same.low < 1 < same.high
    dice = analysis.paired[analysis.paired["metric"] == "dice"]
    against = dice[dice["second"] == "random"]
    gains = against[against["first"] == "jigsaw"].set_index("n")["mean_difference"]
    truth = Truth()
    for n in NS:
        assert gains[n] == pytest.approx(
            truth.dice("jigsaw", n) - truth.dice("random", n), abs=0.01
        )
    assert set(against.loc[against["first"] == "jigsaw", "better"]) == {"first"}
    assert set(against.loc[against["first"] == "classification", "better"]) == {""}


def test_the_same_table_gives_the_same_analysis(analysis: StudyAnalysis) -> None:
    shuffled = make_table(patients=12, seed=1).sample(frac=1, random_state=9)
    again = analyse(shuffled, selection_labels=4, resamples=500, seed=3)
    for name, table in analysis.tables().items():
        pd.testing.assert_frame_equal(again.tables()[name], table, rtol=1e-9, obj=name)


def test_the_csv_as_pandas_reads_it_gives_the_same_analysis(tmp_path: Path) -> None:
    table = make_table(patients=8, seed=2)
    numbers = {name: str(i) for i, name in enumerate(sorted(set(table["case"])))}
    table = table.assign(case=table["case"].map(numbers))
    table["patient"] = [str(100 + int(name)) for name in table["case"]]
    wanted = analyse(table, resamples=100)
    table.assign(n=table["n"].astype(float)).to_csv(tmp_path / "cases.csv", index=False)
    read = pd.read_csv(tmp_path / "cases.csv")
    assert pd.api.types.is_integer_dtype(read["case"])
    assert pd.api.types.is_float_dtype(read["n"])
    found = analyse(read, resamples=100)
    for name, one in wanted.tables().items():
        pd.testing.assert_frame_equal(found.tables()[name], one, rtol=1e-9, obj=name)
    with pytest.raises(DataError, match=r"'case' .* float64 .*read_results"):
        analyse(read.assign(case=read["case"] + 0.5))


def test_the_tables_as_files(analysis: StudyAnalysis, tmp_path: Path) -> None:
    files = analysis.write(tmp_path)
    assert [path.stem for path in files] == [
        *("summary", "paired", "curves", "curve_bands", "saving", "patients")
    ]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    for name in ("summary", "patients", "curve_bands"):
        read = pd.read_csv(tmp_path / f"{name}.csv", keep_default_na=False, na_values=[""])
        pd.testing.assert_frame_equal(
            read, analysis.tables()[name], check_dtype=False, rtol=1e-12, obj=name
        )
    saving = pd.read_csv(tmp_path / "saving.csv")
    heads = saving[saving["n"].isna()]
    assert heads["arm"].tolist() == ["classification", "jigsaw"]
    assert heads["factor"].tolist() == pytest.approx([s.headline.value for s in analysis.saving])
    assert len(saving) == 2 * (1 + len(NS))
    assert {"factor_with_selection", "bound_with_selection"} <= set(saving)
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert set(curves["kind"]) == {"power_law"}


def test_notes_of_an_unfinished_study_with_failures() -> None:
    table = make_table(patients=10, ns=(5, 10, 25, 50), repeats=1)
    table = miss(table, (table["case"] == "P004") & (table["source"] == "jigsaw"))
    table = table[~((table["source"] == "random") & (table["n"] == 25) & (table["fold"] == 3))]
    other = table[table["source"] != "random"].assign(decoder="fpn")
    other["run_id"] += "f"
    notes = " | ".join(analyse(pd.concat([table, other]), resamples=200).notes)
    assert (
        "fewer than 4 runs at 1 arm(s) and n: random, timm/resnet18, unet, none, n = 25: 3" in notes
    )
    assert "8 of 198 results are missed masks" in notes
    assert "one repeat: what another draw" in notes
    assert "no runs from scratch (source 'random') with timm/resnet18 and fpn" in notes


def test_an_arm_that_has_hardly_begun_has_no_curve() -> None:
    table = make_table(patients=12, ns=(5, 10, 25, 50), repeats=1)
    begun = table[(table["source"] != "jigsaw") | (table["fold"] == 0)]
    found = analyse(begun, resamples=200)
    assert [curve.arm.source for curve in found.curves] == ["random", "classification"]
    assert [saving.arm.source for saving in found.saving] == ["classification"]
    assert "jigsaw: no curve, since no n has enough patients" in found.notes
    begun = "no label saving, since 80% of the patients were tested at no n of"
    assert f"jigsaw: {begun} jigsaw yet" in found.notes
    ended = analyse(table[(table["source"] != "random") | (table["fold"] == 0)], resamples=200)
    assert f"jigsaw: {begun} random yet" in ended.notes
    for i, (source, n) in enumerate(product(("random", "jigsaw"), (5, 10, 25))):
        at = (table["source"] == source) & (table["n"] == n)
        table = table[~(at & table["patient"].isin([f"P{2 * i:03d}", f"P{2 * i + 1:03d}"]))]
    apart = analyse(table, resamples=200)
    assert "jigsaw: no label saving, since it shares no patient with scratch" in apart.notes
    assert [saving.arm.source for saving in apart.saving] == ["classification"]


def test_distances_in_two_units_are_not_mixed() -> None:
    table = make_table(patients=8, ns=(5,), repeats=2)
    table.loc[table["case"] == "P001", "dta_unit"] = "px"
    found = analyse(table, resamples=200)
    assert found.dta_unit == ""
    assert any("distances are in mm and in px" in note for note in found.notes)
    assert "dta_rms" not in set(found.summary["metric"])
    assert analyse(table.assign(dta_unit="px"), resamples=200).dta_unit == "px"


def test_few_patients_one_arm_and_one_n() -> None:
    few = analyse(make_table(patients=4, ns=(5,), repeats=1, folds=2), resamples=200)
    assert any("4 patients are too few for an interval" in note for note in few.notes)
    assert (few.summary["mean_low"] == -np.inf).all()
    assert {curve.kind for curve in few.curves} == {"point"}
    for head in (saving.headline for saving in few.saving):
        assert head.bound in ("at_least", "at_most")  # at one n it is better or worse, no more
        assert (head.value, head.low, head.high, head.few_patients) == (1, 0, np.inf, True)
    assert (few.paired["median_low"] == -np.inf).all()
    table = make_table(patients=6)
    alone = analyse(table[table["source"] == "jigsaw"], resamples=200)
    assert alone.paired.empty
    assert alone.saving == ()
    assert alone.tables()["saving"].empty
    assert len(alone.curves) == 1


def test_a_source_of_another_name_may_be_the_reference() -> None:
    table = make_table(patients=8, ns=(5, 10, 25, 50))
    table["source"] = table["source"].replace("random", "from nothing")
    found = analyse(table, reference="from nothing", resamples=200)
    assert found.arms[0].source == "from nothing"
    assert {saving.reference.source for saving in found.saving} == {"from nothing"}


def test_each_encoder_has_its_own_reference() -> None:
    one = make_table(patients=8, ns=(5, 10, 25, 50), repeats=1)
    two = one.assign(encoder="timm/resnet50", run_id=one["run_id"] + "b")
    found = analyse(pd.concat([one, two]), resamples=200)
    assert len(found.saving) == 4
    for saving in found.saving:
        assert saving.reference == Arm("random", saving.arm.encoder, "unet", "none")


def test_what_is_no_table() -> None:
    with pytest.raises(DataError, match="no rows"):
        analyse(empty_table())
    with pytest.raises(DataError, match="lacks the column"):
        analyse(pd.DataFrame({"dice": [0.5]}))


def test_a_study_of_mostly_missed_masks_is_still_described() -> None:
    table = make_table(patients=9, ns=(5, 10, 25, 50), repeats=1)
    table = miss(table, (table["n"] == 5) | (table["case"] == "P000"))
    found = analyse(table, resamples=300)
    distance = found.summary[(found.summary["metric"] == "dta_rms") & (found.summary["n"] == 5)]
    assert (distance["median"] == np.inf).all()
    at_five = found.paired[found.paired["n"] == 5]
    assert (at_five["p"] == 1).all()  # all missed alike
    assert (at_five["median_difference"] == 0).all()
    assert all(
        np.isfinite(curve.band[["dice", "low", "high"]]).all(axis=None) for curve in found.curves
    )
