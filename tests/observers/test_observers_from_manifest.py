from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from muscletransfer.errors import DataError, GeometryError, ManifestError
from muscletransfer.observers import observer_study, observer_study_from_manifest

SPACING = (0.9, 0.8)


def disc(radius, size=40):
    y, x = np.mgrid[:size, :size]
    return ((y - 20) ** 2 + (x - 20) ** 2 <= radius**2).astype(np.uint8)


def save(array, path, spacing=SPACING):
    image = sitk.GetImageFromArray(array if array.ndim == 3 else array[None])
    image.SetSpacing((spacing[1], spacing[0], 5.0))
    sitk.WriteImage(image, str(path))


RADII = {"A": 9, "B": 10, "C": 12, "model": 11, "reference": 10}


def hounsfield():
    noise = np.random.default_rng(0).normal(40, 30, (40, 40))
    return np.where(disc(17), noise, -1000).round().astype(np.int16)


def write_cohort(folder, slices=1):
    """Two patients; with several slices, two of each patient's are outlined."""
    tables = {"observers": [], "reference": [], "model": []}
    for patient in ("P1", "P2"):
        save(np.stack([hounsfield()] * slices), folder / f"{patient}.nii.gz")
        chosen = [""] if slices == 1 else [0, 2]
        for who, radius in RADII.items():
            stack = np.stack([disc(radius - k) for k in range(slices)])
            save(stack, folder / f"{patient}_{who}.nii.gz")
            for index in chosen:
                row = f"{patient},{patient}.nii.gz,{patient}_{who}.nii.gz,{index}"
                if who in tables:
                    tables[who].append(row)
                else:
                    tables["observers"].append(f"{row},{who}")
    paths = {}
    for name, rows in tables.items():
        head = "patient_id,image,mask,slice_index" + ",observer" * (name == "observers")
        paths[name] = folder / f"{name}.csv"
        paths[name].write_text("\n".join([head, *rows]) + "\n")
    return paths


def edit(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def test_files_give_what_arrays_give(tmp_path):
    paths = write_cohort(tmp_path)
    found = observer_study_from_manifest(paths["observers"], paths["reference"], paths["model"])
    cases = ("P1", "P2")
    expected = observer_study(
        {case: {who: disc(RADII[who]) for who in "ABC"} for case in cases},
        dict.fromkeys(cases, SPACING),
        dict.fromkeys(cases, disc(RADII["reference"])),
        dict.fromkeys(cases, disc(RADII["model"])),
        dict.fromkeys(cases, hounsfield()),
    )
    for table in ("pairwise", "leave_one_out", "against_reference", "measures"):
        mine, wanted = getattr(found, table), getattr(expected, table)
        assert list(mine.columns) == list(wanted.columns)
        assert len(mine) == len(wanted) > 0
        for column in mine:
            if mine[column].dtype.kind == "f":
                assert mine[column].to_numpy() == pytest.approx(wanted[column].to_numpy(), rel=1e-6)
            else:
                assert mine[column].tolist() == wanted[column].tolist()
    assert found.cases == cases
    assert found.model_cases == cases


def test_slices_of_a_volume_are_cases_of_their_own(tmp_path):
    paths = write_cohort(tmp_path, slices=3)
    study = observer_study_from_manifest(paths["observers"], paths["reference"])
    assert study.cases == ("P1_slice000", "P1_slice002", "P2_slice000", "P2_slice002")
    areas = study.measures.query("observer == 'A'").set_index("case").sma_outline_cm2
    for case, radius in (("P1_slice000", 9), ("P1_slice002", 7)):
        assert areas[case] == pytest.approx(disc(radius).sum() * 0.72 / 100, rel=1e-6)
    edit(paths["observers"], ",0,", ",,")
    with pytest.raises(ManifestError, match="3 slices"):
        observer_study_from_manifest(paths["observers"])


def test_one_class_of_several(tmp_path):
    paths = write_cohort(tmp_path)
    save(disc(9) * 2 + disc(5), tmp_path / "P1_A.nii.gz")  # 3 inside, 2 around
    with pytest.raises(DataError, match=r"row 2.*\[0, 2, 3\].*label="):
        observer_study_from_manifest(paths["observers"])
    for who in "ABC":
        for patient in ("P1", "P2"):
            save(disc(RADII[who]) * 2 + disc(5), tmp_path / f"{patient}_{who}.nii.gz")
    study = observer_study_from_manifest(paths["observers"], label=2)
    area = study.measures.query("observer == 'A' and case == 'P1'").sma_outline_cm2.item()
    assert area == pytest.approx((disc(9) & ~disc(5) & 1).sum() * 0.72 / 100, rel=1e-6)


def test_other_modalities_go_without_hounsfield_units(tmp_path):
    paths = write_cohort(tmp_path)
    for patient in ("P1", "P2"):
        save(hounsfield() + 2000, tmp_path / f"{patient}.nii.gz")
    with pytest.raises(DataError, match="HU"):
        observer_study_from_manifest(paths["observers"])
    study = observer_study_from_manifest(paths["observers"], with_hu=False)
    assert "sma_cm2" not in study.measures


def test_bad_files_are_named(tmp_path):
    paths = write_cohort(tmp_path)
    text = paths["observers"].read_text()
    for old, new, error, message in (
        (",A\n", ",\n", ManifestError, "row 2: no observer"),
        (",observer", ",reader", ManifestError, "column 'observer'"),
        (",B\n", ",A\n", ManifestError, "row 3: observer 'A' already.*row 2"),
    ):
        paths["observers"].write_text(text.replace(old, new, 1))
        with pytest.raises(error, match=message):
            observer_study_from_manifest(paths["observers"])
    paths["observers"].write_text(text)
    save(disc(9), tmp_path / "P1_A.nii.gz", spacing=(1.0, 1.0))
    with pytest.raises(GeometryError, match="P1_A"):
        observer_study_from_manifest(paths["observers"])
    save(hounsfield(), tmp_path / "other.nii.gz")
    (tmp_path / "other.csv").write_text("patient_id,image,mask\nP9,other.nii.gz,P1_A.nii.gz\n")
    with pytest.raises(ManifestError, match="shares no image"):
        observer_study_from_manifest(paths["observers"], reference=tmp_path / "other.csv")


@pytest.mark.parametrize("label", [None, 1])
def test_where_nobody_looked_no_mask_counts(tmp_path, label):
    """Half of the reference is 255: it says nothing of what the observers drew there."""
    masks = {"A": disc(9), "B": np.roll(disc(9), 1, axis=0), "reference": disc(9)}
    masks["reference"][:, 20:] = 255
    save(hounsfield(), tmp_path / "ct.nii.gz")
    for who, mask in masks.items():
        save(mask, tmp_path / f"{who}.nii.gz")
    head = "patient_id,image,mask"
    rows = [f"P1,ct.nii.gz,{who}.nii.gz,{who}" for who in "AB"]
    (tmp_path / "o.csv").write_text("\n".join([f"{head},observer", *rows]))
    (tmp_path / "r.csv").write_text(f"{head}\nP1,ct.nii.gz,reference.nii.gz\n")
    study = observer_study_from_manifest(tmp_path / "o.csv", tmp_path / "r.csv", label=label)
    table = study.against_reference.set_index("observer")
    assert table.loc["A", ["dice", "dta_rms_mm", "sma_outline_difference_percent"]].tolist() == [
        1, 0, 0,
    ]  # fmt: skip
    left, moved = disc(9)[:, :20] > 0, np.roll(disc(9), 1, axis=0)[:, :20] > 0
    wanted = 2 * (left & moved).sum() / (left.sum() + moved.sum())
    assert table.loc["B", "dice"] == pytest.approx(wanted)


def write_with_255(folder, where):
    """A and B draw discs; C draws a smaller one and leaves 255 ``where``."""
    masks = {"A": disc(9), "B": disc(10), "C": np.where(where, 255, disc(8)).astype(np.uint8)}
    save(hounsfield(), folder / "ct.nii.gz")
    for who, mask in masks.items():
        save(mask, folder / f"{who}.nii.gz")
    rows = [f"P1,ct.nii.gz,{who}.nii.gz,{who}" for who in masks]
    (folder / "o.csv").write_text("\n".join(["patient_id,image,mask,observer", *rows]))
    return folder / "o.csv"


def test_a_note_says_who_did_not_look_where_all_areas_are_cut(tmp_path):
    right = np.broadcast_to(np.arange(40) >= 20, (40, 40))
    study = observer_study_from_manifest(write_with_255(tmp_path, right))
    assert study.notes[0] == (
        "case 'P1': 50 % of the slice is 255 (in the mask of 'C') and counts in no mask; areas are "
        "of the rest"
    )
    area = study.measures.set_index("observer").loc["A", "sma_outline_cm2"]
    assert area == pytest.approx(disc(9)[:, :20].sum() * 0.72 / 100, rel=1e-6)


@pytest.mark.parametrize("empty", ["error", "failure", "missing"])
@pytest.mark.parametrize("rest", ["nothing", "a frame"])
def test_an_observer_whose_255_leave_nothing_is_named(empty, rest, tmp_path):
    where = np.ones((40, 40), bool)
    where[0] = rest == "nothing"
    with pytest.raises(DataError, match=r"'P1'.*mask of 'C'.*nothing is left of the mask of 'A'"):
        observer_study_from_manifest(write_with_255(tmp_path, where), empty=empty)


def write_masks(folder, *cases):
    """A manifest of the observers' masks and one of a model's, for each case by name."""
    tables = {"o": ["patient_id,image,mask,observer"], "m": ["patient_id,image,mask"]}
    save(hounsfield(), folder / "ct.nii.gz")
    for number, masks in enumerate(cases):
        (folder / f"ct{number}.nii.gz").write_bytes((folder / "ct.nii.gz").read_bytes())
        for who, mask in masks.items():
            save(mask.astype(np.uint8), folder / f"{who}{number}.nii.gz")
            row = f"P{number},ct{number}.nii.gz,{who}{number}.nii.gz"
            tables["m" if who == "model" else "o"].append(row + f",{who}" * (who != "model"))
    for name, rows in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(rows))
    return folder / "o.csv", folder / "m.csv" if len(tables["m"]) > 1 else None


@pytest.mark.parametrize("label", [None, 1])
@pytest.mark.parametrize("who", ["model", "B", "everybody"])
def test_a_structure_that_is_written_as_255_is_refused(who, label, tmp_path):
    """Else all that it covers would count in nobody's mask, and the verdict be another."""
    masks = {"A": disc(9), "B": disc(8), "model": disc(7)}
    coded = {
        name: mask * (255 if who in (name, "everybody") else 1) for name, mask in masks.items()
    }
    observers, model = write_masks(tmp_path, coded)
    named = "A" if who == "everybody" else who
    wanted = rf"'P0': the mask of '{named}' \(.*{named}0.nii.gz\) holds 0 and 255.*Write 1 instead"
    with pytest.raises(DataError, match=wanted):
        observer_study_from_manifest(observers, model=model, empty="missing", label=label)


def test_an_empty_mask_may_have_a_frame_that_nobody_looked_at(tmp_path):
    frame = np.zeros((40, 40), np.uint8)
    frame[:5] = 255
    observers, model = write_masks(tmp_path, {"A": disc(9), "B": disc(8), "model": frame})
    study = observer_study_from_manifest(observers, model=model)
    assert study.band("dice", "pairwise").model == 0
    assert "(in the mask of 'model')" in study.notes[0]


def test_one_note_says_of_all_cases_who_did_not_look(tmp_path):
    cases = []
    for number in range(5):
        masks = {"A": disc(9), "B": disc(8)}
        masks["AB"[number % 2]][: 2 + 2 * number] = 255
        cases.append(masks)
    study = observer_study_from_manifest(write_masks(tmp_path, *cases)[0])
    assert [note for note in study.notes if "255" in note] == [
        "5 cases ('P0', 'P1', 'P2', ...): 5 to 25 % of the slice is 255 (in masks of 'A', 'B') and "
        "counts in no mask; areas are of the rest"
    ]
