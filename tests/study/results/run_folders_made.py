"""Run folders as the work of a study writes them, from a tidy table."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from muscletransfer.study.results import CASE_COLUMNS, RUN_COLUMNS
from muscletransfer.study.work.cases import write_cases


def write_run(folder: Path, rows: pd.DataFrame, **result: Any) -> Path:
    """Write the folder of one run."""
    first = rows.iloc[0]
    run = folder / "runs" / str(first["run_id"])
    run.mkdir(parents=True)
    spec = {name: first[name] for name in RUN_COLUMNS if name != "run_id"}
    spec |= {name: int(spec[name]) for name in ("n", "fold", "repeat")}
    spec |= {"id": str(first["run_id"]), "seed": 7, "num_folds": 4, "settings": {"lr": 1e-3}}
    (run / "spec.json").write_text(json.dumps(spec))
    facts = {"seconds": 1.5, "steps": 200, "best_step": 150, "val_dice": 0.8, "device": "cpu"}
    facts |= {"labels_train": int(first["n"]), "labels_validation": 5, "torch": "2"}
    facts["test_patients"] = int(rows["patient"].nunique())
    (run / "result.json").write_text(json.dumps(facts | result))
    cases = rows[list(CASE_COLUMNS)].astype(object).where(rows[list(CASE_COLUMNS)].notna(), "")
    write_cases(run / "cases.csv", iter(cases.to_dict("records")))
    return run


def write_study(folder: Path, table: pd.DataFrame) -> list[str]:
    """Write the folders of all runs of a table; return their ids."""
    for _, rows in table.groupby("run_id", sort=False):
        write_run(folder, rows)
    return list(dict.fromkeys(table["run_id"]))
