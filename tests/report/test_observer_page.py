"""``muscletransfer observers`` on phantom files: tables, figures, page and verdict."""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from muscletransfer.cli import main
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.observers import human_level, observer_study, observer_study_from_manifest
from muscletransfer.report.observer_page import write_observer_study


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    """Six phantom patients; four observers, and a fifth who plays the model."""
    root = tmp_path_factory.mktemp("phantom") / "c"
    cohort = make_cohort(root, patients=6, size=96, observers=5, seed=3)
    rows = list(csv.DictReader((root / "observers.csv").open()))
    parts = {
        "observers": [row for row in rows if row["observer"] != "O03"],
        "model": [
            {k: v for k, v in row.items() if k != "observer"}
            for row in rows
            if row["observer"] == "O03"
        ],
    }
    paths = {"reference": cohort.manifest}
    for name, part in parts.items():
        paths[name] = root / f"{name}_part.csv"
        pd.DataFrame(part).to_csv(paths[name], index=False)
    return paths


@pytest.fixture(scope="module")
def written(files, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "study"
    command = ["observers", str(files["observers"]), "--reference", str(files["reference"])]
    command += ["--model", str(files["model"]), "--margin", "0.02", "--margin", "dta_rms_mm=0.5"]
    assert main([*command, "-o", str(folder)]) == 0
    return folder


def test_tables_are_those_of_the_study(files, written):
    study = observer_study_from_manifest(files["observers"], files["reference"], files["model"])
    for name in ("pairwise", "leave_one_out", "against_reference", "measures"):
        table, wanted = pd.read_csv(written / f"{name}.csv"), getattr(study, name)
        assert table.columns.tolist() == wanted.columns.tolist()
        assert table.select_dtypes("number").to_numpy() == pytest.approx(
            wanted.select_dtypes("number").to_numpy(), nan_ok=True
        )
    found = human_level(study, 0.02)
    row = pd.read_csv(written / "human_level.csv").iloc[0]
    assert (row.metric, row.margin, row.outcome) == ("dice", 0.02, found.outcome)
    assert (row.difference_low, row.difference_high) == pytest.approx(found.difference.ci)
    assert row.sentence == str(found)
    assert set(pd.read_csv(written / "human_level_cases.csv").metric) == {"dice", "dta_rms_mm"}


def test_the_page_begins_with_the_verdict_and_holds_every_figure(written):
    page = (written / "report.html").read_text()
    row = pd.read_csv(written / "human_level.csv").iloc[0]
    assert f'<p class="note">{row.sentence}</p>' in page
    figures = sorted((written / "figures").iterdir())
    assert page.count("<img ") == len(figures) == 9
    assert 'src="http' not in page
    for text in (
        "margin of 0.02",
        "Without any one of the observers",
        "Nothing here is a diagnosis",
    ):
        assert text in page


@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs Debian's chromium")
def test_a_browser_finds_the_pictures(written):
    script = "<script>onload=()=>{document.title=[...document.images].map(i=>i.naturalWidth>200)}"
    copy = written / "copy.html"
    copy.write_text((written / "report.html").read_text().replace("</body>", script + "</script>"))
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", copy.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    copy.unlink()
    assert f"<title>{','.join(['true'] * 9)}</title>" in done.stdout


def test_observers_alone_have_a_page_without_a_verdict(files, tmp_path, capsys):
    assert main(["observers", str(files["observers"]), "-o", str(tmp_path), "--no-hu"]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "as good as a human" not in page
    assert "mean of the other observers" in (tmp_path / "agreement.csv").read_text()
    assert not (tmp_path / "human_level.csv").exists()
    assert "sma_cm2" not in pd.read_csv(tmp_path / "measures.csv")
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")


def test_no_verdict_of_an_earlier_study_stays(files, written, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(written, folder)
    (folder / "figures" / "bland_altman.png").touch()  # somebody else's
    assert main(["observers", str(files["observers"]), "-o", str(folder), "--no-hu"]) == 0
    fresh = tmp_path / "fresh"
    assert main(["observers", str(files["observers"]), "-o", str(fresh), "--no-hu"]) == 0
    names = [
        {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        for root in (folder, fresh)
    ]
    assert names[0] - names[1] == {"figures/bland_altman.png"}
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("human_level.csv", "report.html"):
        (foreign / name).write_text("of somebody else")
    assert main(["observers", str(files["observers"]), "-o", str(foreign), "--no-hu"]) == 0
    assert (foreign / "human_level.csv").read_text() == "of somebody else"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model"], "choose, before looking"),
        (["--margin", "0.02"], "nothing to test"),
        (["--model", "--margin", "small"], "how much worse"),
        (["--model", "--margin", "0.1", "--margin", "dice=0.2"], "given twice"),
        (["--model", "--margin", "dce=0.2"], "Did you mean 'dice'"),
    ],
)
def test_settings_that_cannot_be_are_named_before_anything_is_written(
    files, tmp_path, arguments, message, capsys
):
    with_model = [
        part
        for text in arguments
        for part in ([text, str(files["model"])] if text == "--model" else [text])
    ]
    output = tmp_path / "out"
    assert main(["observers", str(files["observers"]), *with_model, "-o", str(output)]) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_one_observer_and_two_cases_leave_reasons_and_not_holes(files, tmp_path):
    """Cases of one or two observers: no consensus, no limits, and the page says so."""
    rows = pd.read_csv(files["observers"])
    first, second = rows.patient_id.unique()[:2]
    few = rows[
        ((rows.patient_id == first) & rows.observer.isin(["O01", "O02"]))
        | ((rows.patient_id == second) & (rows.observer == "O01"))
    ]
    path = files["observers"].parent / "few.csv"
    few.to_csv(path, index=False)
    assert main(["observers", str(path), "-o", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "no leave-one-out comparison" in page
    table = pd.read_csv(tmp_path / "agreement.csv")
    assert set(table["note"]) == {"1 case(s); wanted 3 at least"}


def test_an_empty_mask_and_staple_on_the_command_line(files, tmp_path, capsys):
    rows = pd.read_csv(files["observers"])
    root = files["observers"].parent
    image = sitk.ReadImage(str(root / rows.loc[0, "mask"]))
    sitk.WriteImage(image * 0, str(root / "empty.nii.gz"))
    rows.loc[0, "mask"] = "empty.nii.gz"
    path = root / "with_empty.csv"
    rows.to_csv(path, index=False)
    command = ["observers", str(path), "-o", str(tmp_path / "o"), "--consensus", "staple"]
    assert main(command) == 2
    assert "empty='missing'" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
    assert main([*command, "--empty", "missing"]) == 0
    assert "left out" in capsys.readouterr().out
    assert main([*command, "--empty", "failure"]) == 0
    pairs = pd.read_csv(tmp_path / "o" / "pairwise.csv")
    assert (pairs["dta_rms_mm"] == float("inf")).sum() == 3
    assert "consensus by staple" in (tmp_path / "o" / "report.html").read_text()


def test_dollar_signs_in_names_of_observers_begin_no_formula(tmp_path):
    masks = {
        f"c{i}": {name: np.tri(9, k=i + k) for k, name in enumerate(("A$_$", "B", "C"))}
        for i in range(4)
    }
    study = observer_study(masks, dict.fromkeys(masks, (1.0, 1.0)))
    assert "A$_$" in write_observer_study(study, tmp_path).read_text(encoding="utf-8")
