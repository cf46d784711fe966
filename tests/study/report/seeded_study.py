"""A finished study in seconds: the real plan, jobs and writers; masks are drawn, not trained.

The mask of a run is the reference with a smooth error of its edge, larger with fewer labels and
smaller with a better source; every score is computed from it by the library.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from muscletransfer.data.cache.cases import Case, read_group
from muscletransfer.measures import muscle_measures
from muscletransfer.metrics import dice, distance_to_agreement
from muscletransfer.study.config import config_from_dict
from muscletransfer.study.plan import StudyPlan, make_jobs, plan_study, study_manifest
from muscletransfer.study.plan.jobs import prepare_data
from muscletransfer.study.plan.specs import PretextSpec, RunSpec
from muscletransfer.study.plan.splits import StudySplits
from muscletransfer.study.results import write_masks
from muscletransfer.study.running.opening import open_store
from muscletransfer.study.running.plans import record_plan
from muscletransfer.study.work.cases import case_rows, write_cases
from muscletransfer.transfer import Provenance

#: A name that would be markup, a script and a formula.
HOSTILE = '<img src=x onerror="document.title=1"> & $a_$'

#: How many of the labels scratch needs a source needs.
NEEDS = {"random": 1.0, "frozen random": 2.5, "jigsaw": 0.4}

PHANTOM: dict[str, Any] = {
    "data": {
        "phantom": {"patients": 16, "observers": 3, "size": 96, "other_levels": 0},
        "num_folds": 4,
        "preprocessing": {"size": 64},
    },
    "train_patients": [2, 4, 8, 12],
    "repeats": 2,
    "encoders": [{"name": "timm/resnet10t", "depth": 4}],
    "pretraining": {"steps": 20, "batch_size": 4, "data": {"images": "manifest"}},
    "sources": [
        "random",
        {"name": "frozen random", "freeze": "encoder"},
        {"pretext": {"class_path": "jigsaw", "init_args": {"grid": 2}}},
    ],
    "finetune": {"steps": 40, "batch_size": 2},
    "human_level": {"margin": 0.05},
}


class Seeded:
    """A study folder.

    Args:
        folder: Where it goes.
        plain: The study's file.
        needs: Source to the share of scratch's labels it needs.
        skip: Runs that are not done.
        root: Folder of the file.
    """

    def __init__(
        self,
        folder: Path,
        plain: Mapping[str, Any] = PHANTOM,
        needs: Mapping[str, float] = NEEDS,
        skip: Callable[[RunSpec], bool] = lambda run: False,
        root: Path = Path(),
        name: str = "seeded",
    ) -> None:
        self.folder, self.needs = folder, needs
        self.plan: StudyPlan = plan_study(config_from_dict(dict(plain), root, name))
        prepare_data(self.plan, folder)
        store = open_store(folder)
        record_plan(store, self.plan.record(), make_jobs(self.plan, folder))
        manifest = study_manifest(self.plan.config, folder)
        spec = self.plan.config.data.preprocessing
        self.cases: list[Case] = []
        for number, row in enumerate(manifest.rows):
            case = next(iter(read_group([(number, row)], spec, True, False, 0)))
            assert isinstance(case, Case), case
            self.cases.append(case)
        self.patients = [row.patient_id for row in manifest.rows]
        self.splits = StudySplits(self.plan.config, self.plan.cases)
        for one in self.plan.pretexts:
            self._pretrained(one)
        for run in self.plan.runs:
            if not skip(run) and not (folder / "runs" / run.id).exists():
                self._finished(run)

    def _pretrained(self, spec: PretextSpec) -> None:
        folder = self.folder / "pretexts" / spec.id
        folder.mkdir(parents=True, exist_ok=True)
        result = {"steps": spec.steps, "train_images": 12, "train_patients": 12}
        result["scores"] = {"train_loss": 0.5}
        _write(folder / "spec.json", spec.to_dict())
        _write(folder / "result.json", result)
        _write(folder / "provenance.json", self._origin(spec).to_dict())

    def _origin(self, spec: PretextSpec) -> Provenance:
        data = {"patients": 12, "manifest_hash": spec.images_key}
        return Provenance(spec.task, data=data, seed=spec.seed, sha256="ab" * 32)

    def _finished(self, run: RunSpec) -> None:
        folder = self.folder / "runs" / run.id
        folder.mkdir(parents=True)
        tested = set(self.splits.test(run.fold))
        cases = [i for i, patient in enumerate(self.patients) if patient in tested]
        masks = {i: self._mask(run, i) for i in cases}
        names = list(self.plan.config.data.class_names)
        table = [self._row(i, masks[i], names) for i in cases]
        write_cases(folder / "cases.csv", case_rows(table, self.patients, names))
        write_masks(folder / "masks.npz", {str(i): mask for i, mask in masks.items()})
        parents = {spec.id: self._origin(spec) for spec in self.plan.pretexts}
        parent = None if run.pretext is None else parents[run.pretext]
        _write(folder / "spec.json", run.to_dict())
        provenance = Provenance("segmentation-finetuning", seed=run.seed, parent=parent)
        _write(folder / "provenance.json", provenance.to_dict())
        steps = run.settings["finetune"]["steps"]
        result = {"seconds": 2.0, "steps": steps, "best_step": steps, "val_dice": None}
        result |= {"labels_train": run.n, "labels_validation": 0, "label_slices": run.n}
        result |= {"test_patients": len(tested), "device": "cpu", "versions": provenance.versions}
        _write(folder / "result.json", result)

    def _mask(self, run: RunSpec, case: int) -> np.ndarray:
        """The reference with a smooth error of its edge."""
        reference = self.cases[case].native_mask
        assert reference is not None
        key = [case, run.n, run.repeat, sum(map(ord, run.source + run.transfer))]
        rng = np.random.default_rng(key)
        labels = run.n / self.needs.get(run.source, 1.0)
        pixels = reference.shape[0] / 96 * (0.08 + 6 * labels**-1.2) * rng.uniform(0.7, 1.3)
        noise = ndimage.gaussian_filter(rng.normal(size=reference.shape), 4)
        noise *= pixels / noise.std()
        found = np.zeros(reference.shape, np.uint8)
        for value in (v for v in np.unique(reference) if v not in (0, 255)):
            inside = ndimage.distance_transform_edt(reference == value)
            outside = ndimage.distance_transform_edt(reference != value)
            found[np.where(inside > 0, inside - 0.5, 0.5 - outside) + noise > 0] = value
        return found

    def _row(self, case: int, mask: np.ndarray, names: list[str]) -> dict[str, Any]:
        read = self.cases[case]
        reference, spacing = read.native_mask, read.geometry.spacing
        unit = "px" if spacing is None else "mm"
        row: dict[str, Any] = {"case": case}
        for value, name in enumerate(names, start=1):
            wanted, found = reference == value, mask == value
            if not wanted.any():
                continue
            end = f"_{name}" if len(names) > 1 else ""
            row[f"dice{end}"] = dice(found, wanted)
            row[f"dta_rms_{unit}{end}"] = distance_to_agreement(found, wanted, spacing or (1, 1))
            if spacing is not None and self.plan.config.data.preprocessing.hu_window:
                for prefix, own in (("", found), ("reference_", wanted)):
                    measures = muscle_measures(read.native, own, spacing)
                    for key in ("sma_cm2", "smd_hu"):
                        row[f"{prefix}{key}{end}"] = measures[key]
        assert all(not math.isnan(v) for k, v in row.items() if k.startswith("dice"))
        return row


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=1))
