"""The report of a study: what stands in it, and that every number is that of the statistics."""

import contextlib
import math
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from reading_pages import Tables
from seeded_study import HOSTILE, Seeded
from tiny_cases import ct_cases, study

from muscletransfer.agreement import bland_altman
from muscletransfer.cli import main
from muscletransfer.errors import DataError
from muscletransfer.study.finish import analyse_study
from muscletransfer.study.report import sections, write_study_report
from muscletransfer.study.report.choice import choose
from muscletransfer.study.report.figures import Figures
from muscletransfer.study.report.headline import saving_answer, what_is_missing
from muscletransfer.study.report.history import changes
from muscletransfer.study.report.material import gather
from muscletransfer.study.report.measures import agreement_of_measures
from muscletransfer.study.report.overlays import by_percentile
from muscletransfer.study.report.page import StudyPage
from muscletransfer.study.report.styles import arm_styles
from muscletransfer.study.results import example_table, read_results
from muscletransfer.study.statistics import analyse
from muscletransfer.study.statistics.analysis import TABLES
from muscletransfer.transfer import Provenance, format_provenance


@pytest.fixture(scope="module")
def analysed(good):
    return analyse_study(good.folder)


@pytest.fixture(scope="module")
def tables(good):
    return Tables(good.text).tables


def agrees(cell, value, low=None, high=None):
    """The cell holds these numbers to the last digit."""
    pairs = [("value", value)] + ([] if low is None else [("low", low), ("high", high)])
    for name, wanted in pairs:
        found = cell.get(name, "")
        if isinstance(wanted, float) and math.isnan(wanted):
            assert found == "", (cell, wanted)
        else:
            assert found == wanted, (cell, wanted)


def test_tables_and_figures_are_written_beside_the_page(good):
    assert {"report.html", "summary.csv", "paired.csv", "cases.parquet", "agreement.csv"} <= {
        path.name for path in good.results.iterdir()
    }
    figures = good.results / "figures"
    names = {path.stem for path in figures.glob("*.svg")}
    assert {path.stem for path in figures.glob("*.png")} == names | {"overlays_of_somebody_else"}
    assert {"learning_curves", "dta_rms", "label_saving", "human_level"} <= names
    assert not [name for name in names if "earlier" in name]
    assert ", beside random (broken line)" in good.text
    for name in names:
        ET.parse(figures / f"{name}.svg")
        with Image.open(figures / f"{name}.png") as image:
            image.verify()
        assert f'id="figure-{name}"' in good.text


def test_every_number_of_the_summary(tables, analysed):
    _, analysis = analysed
    for metric, rows in analysis.summary.groupby("metric"):
        shown = tables[f"summary-{metric}"]
        assert len(shown) == len(rows) == len(analysis.arms) * len(analysis.ns)
        for cells, row in zip(shown, rows.to_dict("records"), strict=True):
            assert cells[0]["text"] == row["source"]
            agrees(cells[1], row["n"])
            agrees(cells[2], row["n_patients"])
            agrees(cells[3], row["median"], row["q25"], row["q75"])
            agrees(cells[4], row["worst"])
            agrees(cells[5], row["mean"], row["mean_low"], row["mean_high"])
            assert cells[6]["text"] == f"{row['n_failed']} of {row['n_rows']}"
            if metric == "dice":
                agrees(cells[7], row["sd_between_repeats"])
                assert cells[3]["text"].split()[0] == f"{row['median']:.3f}"


def test_every_number_of_the_paired_tests(tables, analysed):
    _, analysis = analysed
    for metric, rows in analysis.paired.groupby("metric"):
        shown = tables[f"paired-{metric}"]
        assert len(shown) == len(rows)
        for cells, row in zip(shown, rows.to_dict("records"), strict=True):
            agrees(cells[0], row["n"])
            assert [cells[1]["text"], cells[2]["text"]] == [row["first"], row["second"]]
            agrees(cells[4], row["median_difference"], row["median_low"], row["median_high"])
            agrees(cells[5], row["p"])
            agrees(cells[6], row["p_holm"])
            better = row[row["better"]] if row["better"] else "not settled"
            assert cells[7]["text"] == better


def test_every_number_of_labels_saved_and_of_the_human_level(tables, analysed):
    _, analysis = analysed
    rows = analysis.tables()["saving"]
    for cells, row in zip(tables["saving"], rows.to_dict("records"), strict=True):
        assert cells[0]["text"] == row["arm"]
        whole = pd.isna(row["n"])
        assert cells[1]["text"] == ("all" if whole else str(row["n"]))
        if not math.isnan(row["factor"]):
            agrees(cells[4], row["factor"], row["low"], row["high"])
        if not whole:
            agrees(cells[2], row["dice"])
            agrees(cells[3], row["labels_from_scratch"])
    verdicts = analysis.human.verdicts
    for cells, one in zip(tables["human"], verdicts, strict=True):
        agrees(cells[1], one.n)
        agrees(cells[2], one.model_observer)
        agrees(cells[3], one.observer_observer)
        agrees(cells[4], one.difference, one.low, one.high)
    matrix = {row[0]["text"]: row[1:] for row in tables["human-matrix"]}
    for arm, least in analysis.human.smallest_n.items():
        own = matrix[analysis.labels[arm]]
        assert own[-1]["text"] == ("none" if least is None else str(least))
        wanted = {one.n: one.outcome for one in verdicts if one.arm == arm}
        assert [cell["value"] for cell in own[:-1]] == [wanted[n] for n in analysis.ns]


def test_limits_of_agreement_are_those_of_the_patients(tables, analysed):
    results, analysis = analysed
    shown = tables["agreement-sma"]
    assert len(shown) == len(analysis.arms) * len(analysis.ns)
    table = results.table
    for cells in shown:
        source, n = cells[0]["text"], cells[1]["value"]
        own = table[(table.source == source) & (table.n == n) & (table.repeat == 0)]
        found = bland_altman(own.sma_cm2, own.sma_reference_cm2)  # one case a patient
        for cell, name in zip(cells[3:6], ("bias", "lower", "upper"), strict=True):
            low, high = getattr(found, f"{name}_ci")
            got = [cell["value"], cell["low"], cell["high"]]
            np.testing.assert_allclose(got, [getattr(found, name), low, high], rtol=1e-9)


def test_the_answer_is_in_plain_words(good, analysed):
    results, analysis = analysed
    best = max(analysis.saving, key=lambda one: one.headline.value)
    assert best.arm.source == "jigsaw"  # as the masks were drawn
    assert best.headline.low > 1
    assert f"jigsaw saves the most: from scratch it takes {best.headline.value:.3g}" in good.text
    assert "The data are synthetic" in good.text
    fewest = min(n for n in analysis.human.smallest_n.values() if n)
    assert fewest < analysis.ns[-1]
    assert f"{fewest} labelled patients, with jigsaw" in good.text
    choice = choose(analysis, results.table)
    assert choice.arm.source == "jigsaw"
    assert choice.n == fewest


def test_settings_and_chains_are_those_of_the_study(good):
    settings = good.study.plan.config
    assert f"steps = {settings.finetune.steps}, batch_size" in good.text
    assert "2, 4, 8 and 12 labelled patients" in good.text
    assert "10.1002/mp.15533" in good.text
    for spec in good.study.plan.pretexts:
        assert spec.id in good.text
    import json

    folder = good.folder / "pretexts" / good.study.plan.pretexts[0].id
    record = Provenance.from_dict(json.loads((folder / "provenance.json").read_text()))
    assert format_provenance(record) in good.text
    assert str(good.folder) not in good.text
    assert not any(patient in good.text for patient in good.study.patients)


def test_nothing_is_fetched(good, odd):
    for page in (good.text, odd.text):
        found = Tables(page)
        assert found.scripts == 1
        links = [where for tag, _, where in found.addresses if tag == "a"]
        assert all(link.startswith(("https://doi.org/", "#")) for link in links)
        others = [where for tag, _, where in found.addresses if tag != "a"]
        assert all(where.startswith(("data:", "#")) for where in others)
        assert "@import" not in page
        assert "url(http" not in page


def test_names_are_text_and_never_markup(odd):
    assert "<img src=x" not in odd.text
    assert "&lt;img src=x" in odd.text
    assert "<i>disc" not in odd.text
    assert "<b>no</b>" not in odd.text
    assert "ValueError: &lt;b&gt;no" in odd.text
    sources = {row[0]["text"] for row in Tables(odd.text).tables["summary-dice"]}
    assert sources == {"random", HOSTILE, "_under"}


def test_pixels_and_two_structures(odd):
    assert "distances are in pixels" in odd.text
    assert "RMS distance-to-agreement (px)" in odd.text
    assert "Without HU and millimetres" in odd.text
    assert "agreement-sma" not in Tables(odd.text).tables
    assert not (odd.results / "agreement.csv").exists()
    assert "there are no observers" in odd.text
    assert "an arrow where a quartile is.<" in odd.text  # and no word of a band of theirs
    table = read_results(odd.results)
    rows = Tables(odd.text).tables["structures"]
    assert {row[0]["text"] for row in rows} == {"<i>disc</i>", "box"}
    for row in rows:
        own = table[table.class_name == row[0]["text"]]
        own = own[(own.source == row[1]["text"]) & (own.n == row[2]["value"])]
        assert row[4]["value"] == pytest.approx(own.groupby("patient")["dice"].mean().median())


def test_a_slice_that_is_gone_is_named_and_the_others_are_shown(odd):
    assert "No picture:" in odd.text
    assert "0_primary.png" in odd.text
    assert odd.text.count("data:image/jpeg;base64,") >= 5


def test_only_the_current_plan_is_in_the_figures(odd):
    tables = Tables(odd.text).tables
    assert {row[1]["value"] for row in tables["summary-dice"]} == {2, 4}
    assert "given up" not in {row[0]["text"] for row in tables["summary-dice"]}
    plans = tables["plans"]
    assert len(plans) == 2
    assert plans[0][-1]["text"] == "the current plan"
    assert "train_patients: [2, 3, 4] \u2192 [2, 4]" in plans[1][-1]["text"]
    current = {run.id for run in odd.study.plan.runs}
    others = {p.name for p in (odd.folder / "runs").iterdir()} - current
    assert others
    assert all(run in odd.text for run in others)
    shared = plans[0][6]["value"]
    assert shared == plans[0][5]["value"] == len({p.name for p in (odd.folder / "runs").iterdir()}
                                                 & current)  # fmt: skip


def test_what_is_missing_is_said(odd):
    assert "The study is not finished: 10 of 12 runs" in odd.text
    tables = Tables(odd.text).tables
    assert tables["failures"][0][0]["text"] == "failed"
    assert "1 job(s) of the current plan are not done" in odd.text


def test_a_page_without_pictures_of_cases(good, tmp_path):
    target = tmp_path / "shared"
    command = ["study", "report", str(good.folder), "-o", str(target), "--no-pictures"]
    assert main(command) == 0
    text = (target / "report.html").read_text(encoding="utf-8")
    assert good.text.count("data:image/") > 0 == text.count("data:image/")
    assert "Pictures" not in text
    names = {path.stem for path in (target / "figures").glob("*.svg")}
    kept = {path.stem for path in (good.results / "figures").glob("*.svg")}
    assert names == {name for name in kept if not name.startswith("overlays_")} < kept


@pytest.mark.parametrize("page", ["moved", "never written"])
def test_pictures_of_a_report_without_its_page_are_removed_and_no_others(
    page, good, tmp_path, monkeypatch
):
    target = tmp_path / "shared"
    (target / "figures").mkdir(parents=True)
    (target / "figures" / "overlays_mine.png").write_bytes(b"somebody else's")
    with monkeypatch.context() as patch:
        if page == "never written":
            patch.setattr(StudyPage, "render", lambda self: 1 / 0)
        with contextlib.suppress(ZeroDivisionError):
            write_study_report(good.folder, target)
    (target / "report.html").unlink(missing_ok=True)
    assert len(list((target / "figures").glob("overlays_*.png"))) > 1
    write_study_report(good.folder, target, pictures=False)
    left = [path.name for path in (target / "figures").glob("overlays_*")]
    assert left == ["overlays_mine.png"]


def test_a_study_without_a_finished_run(tmp_path):
    plain = study(ct_cases(tmp_path / "cases", 8), finetune={"steps": 40})
    Seeded(tmp_path / "new", plain, skip=lambda run: True)
    target = tmp_path / "elsewhere"
    target.mkdir()
    for name in (*TABLES, "agreement", "structures", "mine"):  # of an earlier plan
        (target / f"{name}.csv").touch()
    (target / "report.html").touch()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "human.csv").touch()  # of somebody else: no analysis has written here
    page = write_study_report(tmp_path / "new", target).read_text()
    assert {path.name for path in target.glob("*.csv")} == {"cases.csv", "runs.csv", "mine.csv"}
    write_study_report(tmp_path / "new", foreign)
    assert (foreign / "human.csv").is_file()
    assert "No run is finished yet" in page
    assert "steps = 40" in page
    assert not (tmp_path / "new" / "results").exists()


def test_nothing_was_started(tmp_path):
    with pytest.raises(DataError, match="holds no study"):
        write_study_report(tmp_path)


def test_cases_by_percentile():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"case": np.repeat([str(i) for i in range(21)], 2), "run_id": "r", "dice": rng.random(42)}
    ).assign(dta_rms=1.0, dta_unit="mm")
    rows.loc[3, "dta_rms"] = np.inf
    means = rows.groupby("case")["dice"].mean().sort_values()
    found = by_percentile(rows)
    assert [name for name, _ in found] == [
        "worst", "10th percentile", "median", "90th percentile", "best"
    ]  # fmt: skip
    wanted = [means.index[at] for at in (0, 2, 10, 18, 20)]
    assert [row["case"] for _, row in found] == wanted
    for _, row in found:
        assert math.isinf(row["dta_rms"]) == (row["case"] == "1")
    assert [name for name, _ in by_percentile(rows[:2])] == ["worst"]  # a case is shown once
    for cases in (3, 4, 5):
        few = by_percentile(rows[: 2 * cases])
        assert [name for name, _ in few if "percentile" not in name] == ["worst", "median", "best"]


def test_an_unfinished_study_whose_repeats_differ_has_a_page_all_the_same():
    """Jigsaw has repeat 1 of two patients and 2 of three, scratch has 0: nothing to show beside."""
    table = example_table(ns=[10], patients=6)
    table["sma_reference_cm2"] = 100.0 + np.arange(len(table))
    table["sma_cm2"] = table["sma_reference_cm2"] + table["dice"]
    scratch = table[table["source"] == "random"]
    jigsaw = table[(table["source"] == "jigsaw") & (table["patient"] < "P5")]
    jigsaw = jigsaw.assign(repeat=np.where(jigsaw["patient"] < "P2", 1, 2), dice=0.999)
    table = pd.concat([scratch, jigsaw], ignore_index=True)
    analysis = analyse(table, resamples=100)
    choice = choose(analysis, table)
    assert (choice.arm.source, choice.repeat, choice.scratch) == ("jigsaw", 1, None)
    limits = agreement_of_measures(table, analysis.labels)
    assert set(limits["repeat"]) == {0, 2}
    page = StudyPage("A study", "under way")
    figures = Figures(analysis, arm_styles(analysis.arms, analysis.labels, "random"))
    sections.agreement(page, figures, table, limits, choice)
    assert by_percentile(table[table["repeat"] == 7]) == []


def test_what_the_plan_notes_limits_the_results(good):
    material = gather(good.folder)
    noted = {**material.current.config, "notes": ["given: w.ckpt learned from 5 patients"]}
    plans = [replace(material.current, config=noted), *material.plans[1:]]
    said = what_is_missing(replace(material, plans=plans))
    assert set(said) - set(what_is_missing(material)) == {"given: w.ckpt learned from 5 patients."}


def test_changes_between_plans():
    before = {"a": {"b": 1, "c": [1, 2]}, "sources": [{"name": "x", "lr": 1}]}
    after = {"a": {"b": 2, "c": [1, 2]}, "sources": [{"name": "x", "lr": 1}, {"name": "y"}]}
    assert changes(before, after) == ["a.b: 1 \u2192 2", "sources.y.name: not there \u2192 y"]


def test_the_answer_says_where_no_outline_is_of_use():
    starts = {"random": 0.2, "jigsaw": 0.4}
    poor = saving_answer(analyse(example_table(ns=[5, 10, 15], start=starts), resamples=200))
    assert "jigsaw" in poor.lead
    assert "Yet neither arm reaches a useful Dice" in poor.lead
    assert poor.tone == ""
    starts = {"random": 0.5, "jigsaw": 0.7}
    good = saving_answer(analyse(example_table(ns=[5, 10, 15], start=starts), resamples=200))
    assert "useful Dice" not in good.lead
    assert good.tone == "good"
