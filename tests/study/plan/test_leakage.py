"""No source task sees the images its models are tested on, by whatever name they come."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_cases import ct_cases, grey_cases, photographs, study

from muscletransfer.errors import ManifestError, SettingError
from muscletransfer.study.config import config_from_dict
from muscletransfer.study.plan import make_jobs, plan_study
from muscletransfer.study.plan.models import check_pretexts
from muscletransfer.study.plan.splits import StudySplits


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leakage")
    ct_cases(folder / "study", 12)
    return folder


def planned(place: Path, images: Any, **options: Any) -> Any:
    source = {"pretext": "jigsaw", "data": {"images": images, **options}}
    plain = study(place / "study" / "cases.csv", sources=[source])
    plain["data"]["num_folds"] = 3
    return plan_study(config_from_dict(plain))


def left_out(plan: Any) -> dict[int | None, tuple[str, ...]]:
    return {spec.fold: plan.images[spec.id][1] for spec in plan.pretexts}


def who_tests(plan: Any) -> dict[int, tuple[str, ...]]:
    splits = StudySplits(plan.config, plan.cases)
    return {fold: splits.test(fold) for fold in range(3)}


def test_the_studys_own_images_need_one_pre_training_a_fold(place: Path) -> None:
    plan = planned(place, "manifest")
    assert left_out(plan) == who_tests(plan)
    fold_of = {spec.id: spec.fold for spec in plan.pretexts}
    assert all(fold_of[run.pretext] == run.fold for run in plan.runs)
    # and the worker is told whom to leave out
    jobs = {job.id: job for job in make_jobs(plan, place / "out")}
    for spec in plan.pretexts:
        assert jobs[spec.id].payload["where"]["excluded"] == list(who_tests(plan)[spec.fold])


def test_validation_patients_can_be_left_out_too(place: Path) -> None:
    source = {"pretext": "jigsaw", "data": {"images": "manifest", "exclude_validation": True}}
    plain = study(
        place / "study" / "cases.csv",
        sources=[source],
        selection={"rule": "best", "validation_patients": 2},
    )
    plan = plan_study(config_from_dict(plain))
    splits = StudySplits(plan.config, plan.cases)
    for fold, out in left_out(plan).items():
        assert set(out) == {*splits.test(fold), *splits.validation(fold)}


def test_other_people_and_photographs_need_one_for_all_folds(place: Path) -> None:
    others = ct_cases(place / "others", 5, first=100, prefix="X")
    pictures = photographs(place / "pictures")
    for images in (str(others), str(pictures), [str(others), str(pictures)]):
        plan = planned(place, images)
        assert left_out(plan) == {None: ()}
        assert {run.pretext for run in plan.runs} == {plan.pretexts[0].id}


def test_the_same_images_under_other_ids_are_held_apart(place: Path) -> None:
    renamed = ct_cases(place / "renamed", 12, prefix="hospital-B-")
    plan = planned(place, str(renamed))
    wanted = {
        fold: tuple(p.replace("P", "hospital-B-") for p in tests)
        for fold, tests in who_tests(plan).items()
    }
    assert left_out(plan) == wanted
    assert any("under another id" in note for note in plan.notes)


def test_the_same_ids_are_the_same_people_unless_said_otherwise(place: Path) -> None:
    coinciding = ct_cases(place / "coinciding", 12, first=200)
    with open(coinciding) as file:  # P00 to P11, but of other content
        text = file.read()
    for number in range(12):
        text = text.replace(f"P{200 + number}", f"P{number:02d}")
    coinciding.write_text(text)
    assert left_out(planned(place, str(coinciding))) == who_tests(planned(place, "manifest"))
    assert left_out(planned(place, str(coinciding), other_people=True)) == {None: ()}
    # what other_people says of ids does not outweigh what the files hold
    same = ct_cases(place / "same", 12)
    assert left_out(planned(place, str(same), other_people=True)) == who_tests(
        planned(place, "manifest")
    )


def test_the_same_people_under_another_of_their_ids_are_held_apart(place: Path) -> None:
    """As two indexes with one key call a patient who has several ids."""
    others = ct_cases(place / "aliases", 12, first=400, prefix="Q")
    head, *rows = others.read_text().splitlines()
    rows = [f"{row},P{number:02d} R{number:02d}" for number, row in enumerate(rows)]
    others.write_text("\n".join([f"{head},aliases", *rows]) + "\n")
    wanted = {
        fold: tuple(f"Q{400 + int(p[1:])}" for p in tests)
        for fold, tests in who_tests(planned(place, "manifest")).items()
    }
    assert left_out(planned(place, str(others))) == wanted
    assert left_out(planned(place, str(others), other_people=True)) == {None: ()}


def test_names_are_followed_over_the_rows_of_a_source(place: Path) -> None:
    others = ct_cases(place / "chained", 4, first=500, prefix="Q")
    head, *rows = others.read_text().splitlines()
    named = ["P00 R", "R S", "S", ""]
    rows = [f"{row},{names}" for row, names in zip(rows, named, strict=True)]
    others.write_text("\n".join([f"{head},aliases", *rows]) + "\n")
    plan = planned(place, str(others))
    (fold,) = (k for k, tests in who_tests(plan).items() if "P00" in tests)
    assert left_out(plan) == {None: (), fold: ("Q500", "Q501", "Q502")}


def test_the_plan_leaves_out_whom_the_worker_would(place: Path) -> None:
    """Two patients of one id, as an index keeps them apart, share an alias."""
    cases = ct_cases(place / "one_id", 6)
    head, *rows = cases.read_text().splitlines()
    rows = [f"{row},{'R' if row[:3] in ('P01', 'P05') else ''}" for row in rows]
    cases.write_text("\n".join([f"{head},aliases", *rows]) + "\n")
    plain = study(cases, sources=[{"pretext": "jigsaw", "data": {"images": "manifest"}}])
    plan = plan_study(config_from_dict({**plain, "train_patients": [2]}))
    tests = {fold: set(patients) for fold, patients in enumerate(plan.cases.folds)}
    both = {"P01", "P05"}
    assert {fold: set(out) for fold, out in left_out(plan).items()} == {
        fold: out | both if out & both else out for fold, out in tests.items()
    }
    assert any(len(out & both) == 1 for out in tests.values())


def test_a_patient_under_two_names_is_refused(place: Path) -> None:
    cases = ct_cases(place / "joined", 6)
    head, *rows = cases.read_text().splitlines()
    rows = [f"{row},{'P02' if row.startswith('P05') else ''}" for row in rows]
    cases.write_text("\n".join([f"{head},aliases", *rows]) + "\n")
    plain = study(cases, train_patients=[2])
    with pytest.raises(ManifestError, match=r"'P05' is also called 'P02'.*in training and test"):
        plan_study(config_from_dict(plain))


def test_folds_that_leave_out_the_same_people_share_a_pre_training(place: Path) -> None:
    whole = planned(place, "manifest")
    one = who_tests(whole)[1][0]
    few = ct_cases(place / "few", 3, first=300, prefix="X")
    rows = few.read_text().splitlines()
    study_folder = place / "study"
    number = int(one[1:])
    rows.append(f"{one},{study_folder / f'{number}.nii.gz'},")
    few.write_text("\n".join(rows) + "\n")
    plan = planned(place, str(few))
    assert left_out(plan) == {None: (), 1: (one,)}
    used = {run.fold: run.pretext for run in plan.runs}
    assert used[0] == used[2] != used[1]


def test_a_folder_with_images_of_the_study_is_refused(place: Path, tmp_path: Path) -> None:
    manifest = grey_cases(tmp_path / "grey")
    pictures = photographs(tmp_path / "pictures")
    shutil.copy(tmp_path / "grey" / "3_primary.png", pictures / "holiday.png")
    plain = study(manifest, sources=[{"pretext": "jigsaw", "data": {"images": str(pictures)}}])
    plain["data"] |= {
        "where": {"role": "primary"},
        "class_names": ["a", "b"],
        "preprocessing": {"size": 32, "hu_window": None},
    }
    with pytest.raises(SettingError, match=r"1 images that are cases of this study, 'holiday.png'"):
        plan_study(config_from_dict(plain))


def test_further_slices_of_test_patients_are_left_out_as_well(tmp_path: Path) -> None:
    manifest = grey_cases(tmp_path / "grey", 6)
    source = {"pretext": "jigsaw", "data": {"images": "manifest", "where": {"role": "further"}}}
    plain = study(manifest, sources=[source])
    plain["train_patients"] = [2]
    plain["data"] |= {
        "where": {"role": "primary"},
        "class_names": ["a", "b"],
        "preprocessing": {"size": 32, "hu_window": None},
    }
    plan = plan_study(config_from_dict(plain))
    splits = StudySplits(plan.config, plan.cases)
    assert left_out(plan) == {fold: splits.test(fold) for fold in range(2)}


def test_outlines_of_the_study_never_reach_a_source_task(place: Path) -> None:
    plan = planned(place, "manifest")
    other = place / "with_outlines.csv"
    with (place / "study" / "cases.csv").open() as file, other.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["patient_id", "image", "mask"])
        for row in csv.DictReader(file):
            folder = place / "study"
            writer.writerow([f"Z{row['patient_id']}", folder / row["image"], folder / row["mask"]])
    for found in (plan, planned(place, str(other))):
        sources = found.images[found.pretexts[0].id][0].sources
        assert [source["drop_masks"] for source in sources] == [True]
        assert any("source task gets none" in note for note in found.notes)


@pytest.mark.parametrize(("seed", "folds"), [(0, [0, 1]), (1, [None])])
def test_phantoms_of_one_seed_are_the_same_people(seed: int, folds: list[int | None]) -> None:
    other = {"phantom": {"patients": 30, "seed": seed, "size": 64}}
    plain = {
        "data": {"phantom": {"patients": 12, "seed": 0, "size": 64}, "num_folds": 2},
        "train_patients": [2],
        "sources": [{"pretext": "jigsaw", "data": {"images": other}}],
    }
    plan = plan_study(config_from_dict(plain))
    assert [spec.fold for spec in plan.pretexts] == folds


def test_levels_of_a_phantom_want_a_phantom(place: Path) -> None:
    with pytest.raises(SettingError, match="wants a study on a phantom"):
        planned(place, "other_levels")


def test_a_picture_of_another_size_is_another_picture(tmp_path: Path) -> None:
    """Content is compared by file: a copy that was scaled is not found, which the page says."""
    manifest = grey_cases(tmp_path / "grey", 6)
    pictures = photographs(tmp_path / "pictures")
    with Image.open(tmp_path / "grey" / "3_primary.png") as image:
        image.resize((20, 20)).save(pictures / "scaled.png")
    plain = study(manifest, sources=[{"pretext": "jigsaw", "data": {"images": str(pictures)}}])
    plain["train_patients"] = [2]
    plain["data"] |= {"class_names": ["a", "b"], "preprocessing": {"size": 32, "hu_window": None}}
    assert left_out(plan_study(config_from_dict(plain))) == {None: ()}


def test_outlines_of_the_study_in_a_folder_are_refused(tmp_path: Path) -> None:
    """Its images may be other files than those of the study: the outlines tell."""
    manifest = grey_cases(tmp_path / "grey", 6)
    photographs(tmp_path / "pairs" / "images", 3)
    (tmp_path / "pairs" / "masks").mkdir()
    for number in range(3):
        mask = tmp_path / "grey" / f"{number}_primary_m.png"
        shutil.copy(mask, tmp_path / "pairs" / "masks" / f"{number}.png")
    source = {"name": "pairs", "pretext": "jigsaw"}
    plain = study(manifest, train_patients=[2])
    plain["data"] |= {"class_names": ["a", "b"], "preprocessing": {"size": 32, "hu_window": None}}
    plain["sources"] = [{**source, "data": {"images": str(tmp_path / "pairs")}}]
    with pytest.raises(SettingError, match=r"pairs holds outlines of this study"):
        plan_study(config_from_dict(plain))
    plain["sources"] = [{**source, "data": {"images": str(tmp_path / "pairs" / "images")}}]
    assert left_out(plan_study(config_from_dict(plain))) == {None: ()}


def test_images_of_which_a_fold_leaves_nothing_are_told_before_anything_runs(place: Path) -> None:
    tests = who_tests(planned(place, "manifest"))
    for chosen, fold in (((tests[1][0],), 1), ((tests[1][0], tests[2][0]), None)):
        rows = [f"{one},{place / 'study' / f'{int(one[1:])}.nii.gz'}" for one in chosen]
        (place / "one_fold.csv").write_text("\n".join(["patient_id,image", *rows]) + "\n")
        plan = planned(place, str(place / "one_fold.csv"), val_fraction=0)
        if fold is None:
            check_pretexts(plan)
            continue
        with pytest.raises(SettingError, match=rf"\(jigsaw\): .*one_fold.csv .*in fold {fold} all"):
            check_pretexts(plan)
        check_pretexts(plan, {spec.id for spec in plan.pretexts if spec.fold == fold})


def test_one_patient_who_is_left_cannot_train_and_validate(place: Path) -> None:
    tests = who_tests(planned(place, "manifest"))
    two = (tests[1][0], tests[2][0])
    rows = [f"{one},{place / 'study' / f'{int(one[1:])}.nii.gz'}" for one in two]
    for name, lines in {"one.csv": rows[:1], "two.csv": rows}.items():
        (place / name).write_text("\n".join(["patient_id,image", *lines]) + "\n")
    with pytest.raises(SettingError, match=r"of .*one.csv there is one patient, who cannot both"):
        check_pretexts(planned(place, str(place / "one.csv")))
    with pytest.raises(SettingError, match=r"of .*two.csv in fold 1 one patient is left, who can"):
        check_pretexts(planned(place, str(place / "two.csv")))
    check_pretexts(planned(place, str(place / "two.csv"), val_fraction=0))
    pictures = photographs(place / "beside")
    check_pretexts(planned(place, [str(place / "two.csv"), str(pictures)]))
