"""Results of other programs, completed to the table of a study."""

import io

import numpy as np
import pandas as pd
import pandas.testing
import pytest
from synthetic_table import make_table

from muscletransfer.errors import DataError
from muscletransfer.study.results import COLUMNS, complete_table
from muscletransfer.study.statistics import analyse


def own(**more):
    rows = pd.DataFrame(
        [
            {"source": source, "n": n, "patient": p, "dice": start + n / 100 + p / 50}
            for source, start in (("random", 0.5), ("mine", 0.6))
            for n in (5, 10)
            for p in range(8)
        ]
    )
    return rows.assign(**more)


def test_four_columns_of_a_csv_are_enough_for_the_statistics():
    read = pd.read_csv(io.StringIO(own().to_csv(index=False)))
    analysis = analyse(complete_table(read), resamples=200)
    medians = analysis.summary.query("metric == 'dice'").set_index(["source", "n"])["median"]
    wanted = own().groupby(["source", "n"])["dice"].median()
    pandas.testing.assert_series_equal(medians.sort_index(), wanted.sort_index(), check_names=False)
    assert [str(s.arm) for s in analysis.saving] == ["mine, own, own, encoder"]
    assert analysis.n_runs == 4


def test_a_whole_table_is_left_as_it_is():
    whole = make_table(patients=4, ns=(5,))
    pandas.testing.assert_frame_equal(complete_table(whole)[list(whole.columns)], whole)


def test_columns_of_ones_own_stay_and_the_table_given_is_not_changed():
    table = own(scanner="S")
    before = table.copy()
    found = complete_table(table, reference="mine")
    pandas.testing.assert_frame_equal(table, before)
    assert list(found.columns) == [*COLUMNS, "scanner"]
    assert set(found.loc[found["source"] == "mine", "transfer"]) == {"none"}
    assert set(found.loc[found["source"] == "random", "transfer"]) == {"encoder"}


def test_an_infinite_distance_is_a_missed_mask():
    table = own(dta_rms=2.0, dta_unit="mm")
    table.loc[3, ["dice", "dta_rms"]] = [0.0, np.inf]
    assert complete_table(table)["failed"].to_numpy().nonzero()[0].tolist() == [3]


def missed(distance):
    """Two missed masks among others that have a distance."""
    table = own(dta_rms=2.0, dta_unit="mm")
    table.loc[[3, 12], "dice"] = 0.0
    table.loc[[3, 12], "dta_rms"] = distance
    return table


def test_missed_masks_may_be_marked_with_0_and_1():
    table = missed(np.inf)
    marked = complete_table(table.assign(failed=np.isinf(table["dta_rms"]).astype(int)))
    pandas.testing.assert_frame_equal(marked, complete_table(table), check_like=True)
    rows = analyse(marked, resamples=200).summary.query("metric == 'dta_rms' and n == 5")
    assert rows.set_index("source")["n_failed"]["random"] == 1
    # Two that are not empty, whose distance nobody knows.
    touching = complete_table(missed(np.nan).assign(failed=0))
    assert not touching["failed"].any()
    assert complete_table(own(dice=0.0))["dta_rms"].isna().all()  # no distances at all


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (own().drop(columns=["dice", "n"]), r"the column\(s\) n, dice.*It has source, patient"),
        (own(dta_rms=2.0), "a distance has no unit"),
        (own(dice=1.2), "a Dice is not between 0 and 1"),
        (pd.concat([own(), own()]), r"is there twice: source 'random'.*Give `case` for several sl"),
        (pd.concat([own(case="C", repeat=0)] * 2), "Give `class_name` for several structures."),
        (own().astype({"n": float}).replace({"n": {5: np.nan}}), "'n' of the table is empty in 16"),
        (own(dice=[None, *[0.5] * 31]), r"'dice' of the table is empty in 1 row.*index 0"),
        (own().assign(n=own()["n"] + 0.5), "'n' of the table holds float64.*correct the column"),
        (missed(np.nan), r"2 missed mask\(s\) .*patient '3'.*Write inf in dta_rms"),
        (missed(np.nan).assign(failed=[0] * 3 + [1] + [0] * 28), "1 missed mask"),
    ],
    ids=["columns", "unit", "dice", "twice", "row", "n", "no dice", "part", "missed", "failed"],
)
def test_what_is_missing_is_told(table, told):
    with pytest.raises(DataError, match=told):
        complete_table(table)
