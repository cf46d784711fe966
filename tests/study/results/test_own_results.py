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


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (own().drop(columns=["dice", "n"]), r"the column\(s\) n, dice.*It has source, patient"),
        (own(dta_rms=2.0), "a distance has no unit"),
        (own(dice=1.2), "a Dice is not between 0 and 1"),
        (pd.concat([own(), own()]), "a case and class is there twice"),
    ],
    ids=["columns", "unit", "dice", "twice"],
)
def test_what_is_missing_is_told(table, told):
    with pytest.raises(DataError, match=told):
        complete_table(table)
