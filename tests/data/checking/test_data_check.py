"""A manifest with every trouble there is: each is found, named by line, with the way out."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from muscletransfer.cli import main
from muscletransfer.data import Manifest, ManifestRow, read_image
from muscletransfer.data.checking import Finding, ManifestCheck, check_manifest
from muscletransfer.data.checking.likeness import ALIKE, SAME, find_pairs, fingerprint
from muscletransfer.data.synthetic import make_cohort
from muscletransfer.data.synthetic.slices import phantom_slice
from muscletransfer.errors import ManifestError

REAL = os.environ.get("MUSCLETRANSFER_REAL_DATA", "")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("cohort") / "c"
    return Manifest.read(make_cohort(folder, patients=10, size=192, seed=3, workers=1).manifest)


def changed(row: ManifestRow, **values: object) -> ManifestRow:
    return dataclasses.replace(row, line=0, **values)


def rewritten(path: Path, to: Path, edit: object) -> Path:
    image = sitk.ReadImage(str(path))
    found = sitk.GetImageFromArray(edit(sitk.GetArrayFromImage(image)))  # type: ignore[operator]
    found.CopyInformation(image)
    sitk.WriteImage(found, str(to))
    return to


def check(rows: list[ManifestRow], path: Path, **options: object) -> ManifestCheck:
    Manifest(tuple(rows)).write(path)
    return check_manifest(path, **options)  # type: ignore[arg-type]


def only(found: ManifestCheck, kind: str) -> Finding:
    matching = [f for f in found.findings if f.kind == kind]
    assert len(matching) == 1, found.summary()
    return matching[0]


def test_a_good_manifest_has_no_error(cohort: Manifest) -> None:
    found = check_manifest(cohort.path)
    assert (found.errors, found.pairs, len(found.facts)) == ([], (), 10)
    first = found.facts[0]
    image = sitk.ReadImage(str(cohort.rows[0].image))
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(cohort.rows[0].mask)))
    sx, sy = image.GetSpacing()[:2]
    assert first.area == pytest.approx((mask > 0).sum() * sx * sy / 100)
    assert first.spacing == pytest.approx((sy, sx))
    assert first.field_of_view == pytest.approx((192 * sy, 192 * sx))
    hu = sitk.GetArrayFromImage(image)
    assert (first.low, first.high) == pytest.approx(tuple(np.percentile(hu, (1, 99))), abs=1)
    inside = hu[mask > 0]
    assert first.in_window == pytest.approx(((inside >= -29) & (inside <= 150)).mean())


def test_copies_under_two_patients_are_leaks(cohort: Manifest, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a, b, c = cohort.rows[:3]
    noisy = rewritten(
        a.image, tmp_path / "noisy.nii.gz", lambda v: (v + rng.normal(0, 9, v.shape)).astype("i2")
    )
    exact = rewritten(b.image, tmp_path / "exact.nii.gz", lambda v: v)
    rows = [changed(r, extra={"fold": str(k % 2)}) for k, r in enumerate(cohort.rows)]
    rows.append(changed(a, patient_id="X", image=noisy, extra={"fold": "1"}))
    rows.append(changed(b, patient_id="Y", image=exact, extra={"fold": "1.0"}))
    # A copy under its own patient is no leak.
    own = rewritten(c.image, tmp_path / "own.nii.gz", lambda v: v)
    rows.append(changed(c, image=own, extra={"fold": "0"}))
    found = check(rows, tmp_path / "m.csv")
    assert [(p.first, p.second, p.exact) for p in found.pairs] == [(1, 11, True), (0, 10, False)]
    texts = [f.what for f in found.errors]
    assert texts[0].endswith("'P0002' and 'Y' have a slice with the very same pixels")  # one fold
    assert "'P0001' and 'X' have nearly the same slice" in texts[1]
    assert texts[1].endswith("in the folds 0 and 1")
    assert found.lines(found.errors[0].rows) == "lines 3, 13"
    assert [(f.fold, f.patients, f.rows) for f in found.folds] == [("0", 5, 6), ("1", 7, 7)]


def test_likeness_holds_through_what_copies_go_through() -> None:
    rng = np.random.default_rng(0)
    slices = [phantom_slice(k, size=160).hu.astype(float) for k in range(12)]
    prints = np.stack([fingerprint(s) for s in slices])
    across = prints @ prints.T - 2 * np.eye(len(prints))
    assert across.max() < ALIKE - 0.15

    def least(change: object) -> float:
        moved = [fingerprint(change(s)) for s in slices]  # type: ignore[operator]
        return min(float(p @ m) for p, m in zip(prints, moved, strict=True))

    assert least(lambda s: s + rng.normal(0, 20, s.shape)) > SAME
    assert least(lambda s: ndimage.shift(s, (2.4, -3.3), order=1, cval=-1000)) > SAME
    assert least(lambda s: ndimage.zoom(s, 0.9, order=1)) > SAME
    assert least(lambda s: ndimage.gaussian_filter(s, 0.7)) > SAME
    assert least(lambda s: s[3:-3, 3:-3]) > SAME
    assert not fingerprint(np.full((30, 30), -1000.0)).any()


def test_pairs_equal_a_loop_over_all_pairs() -> None:
    rng = np.random.default_rng(1)
    prints = rng.normal(size=(40, 6)).astype(np.float32)
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    patients = [f"p{k // 2}" for k in range(40)]
    found = find_pairs(prints, patients, [str(k) for k in range(40)], least=0.8)
    wanted = {
        (i, j)
        for i in range(40)
        for j in range(i + 1, 40)
        if patients[i] != patients[j] and float(prints[i] @ prints[j]) >= 0.8
    }
    assert {(p.first, p.second) for p in found} == wanted
    assert [p.likeness for p in found] == sorted((p.likeness for p in found), reverse=True)
    assert len(wanted) > 5


def test_rows_and_files_that_cannot_be_used(cohort: Manifest, tmp_path: Path) -> None:
    rows = [changed(r) for r in cohort.rows]
    rows[1] = changed(rows[1], mask=rows[2].mask)
    rows[2] = changed(
        rows[2],
        mask=rewritten(Path(str(rows[2].mask)), tmp_path / "empty.nii.gz", np.zeros_like),
    )
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(rows[3].image.read_bytes()[:500])
    rows[3] = changed(rows[3], image=cut)
    soft = tmp_path / "soft.nii.gz"
    rewritten(Path(str(rows[4].mask)), soft, lambda v: v.astype("f4") / 2)
    rows[4] = changed(rows[4], mask=soft)
    path = tmp_path / "m.csv"
    Manifest(tuple(rows)).write(path)
    text = path.read_text().replace(str(rows[5].image), str(tmp_path / "gone.nii.gz"))
    path.write_text(text)
    found = check_manifest(path)
    assert len(found.facts) == 5
    told = {f.what.split(":")[0]: f.what for f in found.errors}
    assert "differ in" in told["row 3"]
    assert "has no foreground" in told["row 4"]
    assert "cut short" in told["row 5"]
    assert "interpolated mask" in told["row 6"]
    assert "does not exist" in told["row 7"]


def test_patients_and_repeats(cohort: Manifest, tmp_path: Path) -> None:
    rows = [changed(r) for r in cohort.rows]
    rows.append(changed(rows[0], patient_id="other"))
    rows.append(changed(rows[1]))
    found = check(rows, tmp_path / "m.csv")
    assert only(found, "patients").what == "P0001.nii.gz belongs to 2 patients: 'P0001', 'other'"
    assert only(found, "repeated").rows == (1, 11)
    assert only(found, "likeness").rows == (0, 10)


def test_names_of_two_patients(cohort: Manifest, tmp_path: Path) -> None:
    aliases = {0: "Q1", 1: "P0001 Q2", 2: "Q3", 3: "Q3"}
    rows = [changed(r, extra={"aliases": aliases.get(i, "")}) for i, r in enumerate(cohort.rows)]
    found = [f for f in check(rows, tmp_path / "m.csv").findings if f.kind == "patients"]
    assert [(f.severity, f.rows) for f in found] == [("error", (0, 1)), ("warning", (2, 3))]
    assert "2 patients have the name 'P0001' (patient_id or aliases)" in found[0].what


def test_folds(cohort: Manifest, tmp_path: Path) -> None:
    rows = [changed(r, extra={"split": "train"}) for r in cohort.rows]
    rows[0] = changed(rows[0], extra={"split": "test"})
    second = rewritten(rows[0].image, tmp_path / "second.nii.gz", lambda v: v)
    rows.append(changed(rows[0], image=second, extra={"split": "train"}))
    rows[3] = changed(rows[3], extra={"split": ""})
    found = check(rows, tmp_path / "m.csv")
    texts = [f.what for f in found.findings if f.kind == "folds"]
    assert texts == [
        "patient 'P0001' is in 2 folds of column 'split': test, train",
        "no 'split' given (1 row)",
    ]
    with pytest.raises(ManifestError, match=r"no column 'splt' to take folds from\. Did you mean"):
        check_manifest(tmp_path / "m.csv", fold_column="splt")


def test_one_fold_and_one_slice_however_written(cohort: Manifest, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (40, 40), 3).save(tmp_path / "a.png")
    rows = [ManifestRow("A", tmp_path / "a.png", extra={"fold": "1.0"})]
    rows.append(dataclasses.replace(rows[0], slice_index=0, extra={"fold": "1"}))
    rows += [changed(r, extra={"fold": f}) for r, f in zip(cohort.rows, ("10", "2"), strict=False)]
    found = check(rows, tmp_path / "m.csv")
    assert only(found, "repeated").rows == (0, 1)
    assert [f for f in found.findings if f.kind == "folds"] == []
    assert [(f.fold, f.rows) for f in found.folds] == [("1", 2), ("2", 1), ("10", 1)]


def test_masks_values_and_fields_of_view(cohort: Manifest, tmp_path: Path) -> None:
    rows = [changed(r) for r in cohort.rows]
    mask = Path(str(rows[0].mask))
    rows[0] = changed(
        rows[0], mask=rewritten(mask, tmp_path / "rolled.nii.gz", lambda v: np.roll(v, 80, axis=1))
    )
    rows[1] = changed(
        rows[1],
        mask=rewritten(
            Path(str(rows[1].mask)),
            tmp_path / "small.nii.gz",
            lambda v: v * (np.indices(v.shape)[2] < 75),
        ),
    )
    rows[2] = changed(rows[2], mask=None)
    shifted = rewritten(
        rows[3].image, tmp_path / "shifted.nii.gz", lambda v: np.where(v > -900, v + 400, v)
    )
    rows[3] = changed(rows[3], image=shifted)

    def truncated(values: np.ndarray) -> np.ndarray:
        body = np.argwhere(values[0] > -300)
        top = int(body[:, 0].min())
        return np.roll(values, -top - 12, axis=1)

    rows[4] = changed(
        rows[4],
        image=rewritten(rows[4].image, tmp_path / "cut.nii.gz", truncated),
        mask=None,
    )
    found = check(rows, tmp_path / "m.csv")
    assert only(found, "fit").rows == (0,)
    assert only(found, "field of view").rows == (4,)
    assert [f.rows for f in found.findings if f.kind == "mask"] == [(2, 4), (1,)]
    assert 3 in only(found, "hounsfield").rows
    assert [f.kind for f in found.errors] == ["fit"]


def test_rows_that_name_volumes_are_looked_at_in_the_middle(tmp_path: Path) -> None:
    slices = [phantom_slice(7, size=128).hu for _ in range(5)]
    slices[2] = phantom_slice(8, size=128).hu
    image = sitk.GetImageFromArray(np.stack(slices))
    image.SetSpacing((2.0, 2.0, 5.0))
    sitk.WriteImage(image, str(tmp_path / "volume.nii.gz"))
    found = check([ManifestRow("A", tmp_path / "volume.nii.gz")], tmp_path / "m.csv")
    assert (found.errors, found.facts[0].volume) == ([], 5)
    assert found.facts[0].high == pytest.approx(np.percentile(slices[2], 99), abs=1)
    assert "1 rows name a whole volume (5 slices in all)" in found.summary()
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "volume.nii.gz").read_bytes()[:900])
    rows = [ManifestRow("A", tmp_path / "volume.nii.gz"), ManifestRow("B", tmp_path / "cut.nii.gz")]
    assert [f.kind for f in check(rows, tmp_path / "m.csv").errors] == ["file"]


def test_plain_images_have_no_millimetres(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    rows = []
    for k in range(3):
        texture = ndimage.gaussian_filter(rng.normal(size=(70, 80)), 2)
        Image.fromarray((texture * 200 + 100).clip(0, 255).astype(np.uint8)).save(
            tmp_path / f"{k}.png"
        )
        Image.fromarray(np.pad(np.full((20, 20), 1 + k // 2, np.uint8), 25)[:70, :]).resize(
            (80, 70), 0
        ).save(tmp_path / f"{k}_mask.png")
        rows.append(ManifestRow(f"P{k}", tmp_path / f"{k}.png", tmp_path / f"{k}_mask.png"))
    found = check(rows, tmp_path / "m.csv")
    assert found.errors == []
    assert "no known pixel spacing" in only(found, "spacing").what
    assert read_image(tmp_path / "0.png").shape == found.facts[0].shape


def test_values_without_a_range_are_read_where_they_are_not_hu(tmp_path: Path) -> None:
    """MR in NIfTI is int16, a TIFF may hold fractions; training takes percentiles of both."""
    from PIL import Image

    rng = np.random.default_rng(0)
    rows = []
    for k in range(3):
        texture = ndimage.gaussian_filter(rng.normal(size=(64, 72)), 2)
        values = (texture * 3000 + 800).clip(0).astype(np.int16)
        for name, array in (("mr", values), ("mask", (values > 900).astype(np.uint8))):
            sitk.WriteImage(sitk.GetImageFromArray(array[None]), str(tmp_path / f"{name}{k}.nii"))
        rows.append(ManifestRow(f"P{k}", tmp_path / f"mr{k}.nii", tmp_path / f"mask{k}.nii"))
        Image.fromarray(texture.astype(np.float32)).save(tmp_path / f"{k}.tif")
        rows.append(ManifestRow(f"Q{k}", tmp_path / f"{k}.tif"))
    found = check(rows, tmp_path / "m.csv", is_ct=False)
    assert [f for f in found.errors if f.kind == "file"] == []
    assert len(found.facts) == 6


def test_a_thin_outline_is_no_error(tmp_path: Path) -> None:
    """Eight pixels of 512 are four of the network's 256."""
    rng = np.random.default_rng(0)
    mask = np.zeros((1, 512, 512), np.uint8)
    mask[0, 250:258, 200:260] = 1
    hu = np.where(rng.random(mask.shape) < 0.5, 40, 50).astype(np.int16)
    hu[:, :100] = -1000
    for name, array in (("ct", hu), ("mask", mask)):
        sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"{name}.nii.gz"))
    row = ManifestRow("P", tmp_path / "ct.nii.gz", tmp_path / "mask.nii.gz")
    assert check([row], tmp_path / "m.csv").errors == []


def test_a_misspelt_mask_column_is_told(cohort: Manifest, tmp_path: Path) -> None:
    rows = [changed(r, mask=None, extra={"outline": str(r.mask)}) for r in cohort.rows[:2]]
    with pytest.raises(ManifestError, match=r"no column 'outlien' \(did you mean 'outline'"):
        check(rows, tmp_path / "m.csv", mask_column="outlien")
    found = check(rows, tmp_path / "m.csv", mask_column="outline")
    assert [f.area > 0 for f in found.facts] == [True, True]
    none = check([changed(r, mask=None) for r in cohort.rows[:2]], tmp_path / "n.csv")
    assert none.errors == []


def test_the_command_prints_writes_and_tells_by_its_status(
    cohort: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "report.html"
    assert main(["data", "check", str(cohort.path), "-o", str(page), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "10 rows of 10 patients; errors: 0" in out
    html = page.read_text()
    assert html.count("data:image/png;base64,") == 2
    assert "http" not in html.replace("http-equiv", "")
    rows = [changed(r) for r in cohort.rows]
    rows[1] = changed(rows[1], image=rows[0].image, mask=rows[0].mask)
    Manifest(tuple(rows)).write(tmp_path / "bad.csv")
    bad = tmp_path / "bad.html"
    assert main(["data", "check", str(tmp_path / "bad.csv"), "-o", str(bad), "--quiet"]) == 2
    told = capsys.readouterr()
    assert "belongs to 2 patients" in told.out
    assert "errors: 2; wanted none before training" in told.err
    text = bad.read_text()
    assert text.index("Problems") < text.index("What the data is") < text.index("Overlays")
    assert main(["data", "check", str(tmp_path / "nowhere.csv")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_prepared_data_set_shows_its_terms(tmp_path: Path) -> None:
    from muscletransfer.data.archives.miniatures import write_miniature

    root = write_miniature("saros", tmp_path / "saros", patients=2, size=96)
    out = str(tmp_path / "out")
    assert main(["data", "prepare", "saros", str(root), "-o", out, "--quiet"]) == 0
    page = tmp_path / "page.html"
    assert main(["data", "check", f"{out}/manifest.csv", "-o", str(page), "--quiet"]) == 0
    assert "10.25737/SZ96-ZG60" in page.read_text()


@pytest.mark.skipif(not REAL, reason="MUSCLETRANSFER_REAL_DATA names no folder of real images")
def test_real_patients_are_told_apart(tmp_path: Path) -> None:
    manifest = Path(REAL) / "mr_cardiac_acdc/manifest.csv"
    if not manifest.exists():
        pytest.skip("MUSCLETRANSFER_REAL_DATA has no mr_cardiac_acdc")
    primary = Manifest.read(manifest).where(role="primary")
    primary.write(tmp_path / "m.csv")
    found = check_manifest(tmp_path / "m.csv", is_ct=False)
    assert len(found.facts) == 79
    assert (found.pairs, found.errors) == ((), [])
