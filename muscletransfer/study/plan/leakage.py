"""Who of a source task's images is a test patient: by patient id and by what the files hold.

A source task must not see the images that its models are tested on. So the images of a fold's test
patients are left out, and where that concerns nobody one pre-training serves all folds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from muscletransfer.data.manifest.people import one_name_each
from muscletransfer.data.manifest.rows import patient_names
from muscletransfer.data.sources.image_source import ImageSource
from muscletransfer.data.sources.opening import open_source
from muscletransfer.errors import SettingError
from muscletransfer.study.config.data import PhantomConfig
from muscletransfer.study.config.images import MANIFEST, OTHER_LEVELS, Images, ImagesConfig
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan.cases import (
    Cases,
    digests_of,
    phantom_key,
    phantom_patients,
    rows_key,
)
from muscletransfer.study.plan.ids import content_key

__all__ = ["PretextImages", "collection_key", "look_at_images"]


@dataclass(frozen=True)
class PretextImages:
    """What a source task learns from.

    Args:
        key: Digest of the images.
        people: Patient id among these images to the study's patients it stands for; those outside
            the study are not in it.
        sources: One dict a collection, for the worker: ``path`` (or ``phantom``), ``kind``,
            ``drop_masks``, and of files the ``key`` they had when they were looked at.
        notes: What was found, for people.
        licence: Of the images, for provenance.
        patients: Ids of the patients of each collection that lists some, by its path.
    """

    key: str
    people: dict[str, frozenset[str]] = field(default_factory=dict)
    sources: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    licence: str | None = None
    patients: dict[str, frozenset[str]] = field(default_factory=dict)

    def excluded(self, patients: tuple[str, ...]) -> tuple[str, ...]:
        """Return the ids among these images that stand for one of the study's patients."""
        barred = set(patients)
        return tuple(sorted(p for p, found in self.people.items() if found & barred))


def collection_key(
    source: ImageSource, digests: dict[Path, str], label_column: str, *, drop_masks: bool
) -> str:
    """Return the digest of a collection: of all that a source task can learn from it.

    Args:
        source: The collection.
        digests: Of its files.
        label_column: Where its classes come from.
        drop_masks: Whether its outlines are the study's, which the task does not get.
    """
    key: list[Any] = [source.kind, rows_key(source.manifest.rows, digests), drop_masks]
    # the rows hold the classes of every other layout and column
    if not source.is_natural and label_column != "label":
        key.append([list(source.classes), list(source.labels or ())])
    return content_key(key)


def look_at_images(config: StudyConfig, cases: Cases, images: ImagesConfig) -> PretextImages:
    """Find out who is on the images of a source task.

    Args:
        config: The study.
        cases: Its cases.
        images: The images.

    Returns:
        What is known of them.

    Raises:
        SettingError: Photographs or folders hold images of the study, or a word does not fit.
        DataError, ManifestError: The files are wrong.
    """
    keys: list[str] = []
    people: dict[str, set[str]] = {}
    sources: list[dict[str, Any]] = []
    notes: list[str] = []
    patients: dict[str, frozenset[str]] = {}
    for one in images.images:
        found = _look_at(config, cases, images, one)
        keys.append(found.key)
        sources += found.sources
        notes += found.notes
        patients |= found.patients
        for patient, same in found.people.items():
            people.setdefault(patient, set()).update(same)
    frozen = {patient: frozenset(same) for patient, same in people.items()}
    key = content_key(keys)
    return PretextImages(key, frozen, tuple(sources), tuple(notes), images.licence, patients)


def _look_at(config: StudyConfig, cases: Cases, images: ImagesConfig, one: Images) -> PretextImages:
    study = config.data.phantom
    if one.phantom is not None:
        return _phantom(config, one.phantom)
    if one.word == OTHER_LEVELS:
        if study is None or not study.other_levels:
            raise SettingError(
                "images: other_levels wants a study on a phantom that has some; found "
                + ("a manifest. Give a path." if study is None else "data.phantom.other_levels: 0.")
            )
        key = content_key([phantom_key(study), study.other_levels])
        drawn = {"phantom": vars(study), "file": "pretext.csv", "kind": "manifest"}
        return PretextImages(key, _themselves(cases.patients), (drawn,))
    if one.word == MANIFEST and study is not None:
        drawn = {"phantom": vars(study), "file": "manifest.csv", "kind": "manifest"}
        return PretextImages(
            cases.key, _themselves(cases.patients), ({**drawn, "drop_masks": True},)
        )
    own = one.word == MANIFEST
    path = config.path(str(config.data.manifest if own else one.path))
    # the study's manifest may have its outlines in a column of another name
    column = config.data.mask_column if own else images.mask_column
    source = open_source(
        path,
        "manifest" if own else images.kind,
        label_column=images.label_column,
        mask_column=column,
        where=images.where or None,
        slices=images.slices,  # type: ignore[arg-type]
    )
    return _files(cases, images, source, path, own, column)


def _phantom(config: StudyConfig, phantom: PhantomConfig) -> PretextImages:
    study = config.data.phantom
    source = {"phantom": vars(phantom), "file": "pretext.csv", "kind": "manifest"}
    key = content_key([phantom_key(phantom), phantom.other_levels])
    # patient i of a seed is the same in a cohort of any size
    same = study is not None and study.seed == phantom.seed
    people = _themselves(tuple(phantom_patients(phantom))) if same else {}
    return PretextImages(key, people, (source,))


def _files(
    cases: Cases, images: ImagesConfig, source: ImageSource, path: Path, own: bool, column: str
) -> PretextImages:
    rows = source.manifest.rows
    digests = digests_of(rows, masks=True)
    holders: dict[str, set[str]] = {}
    named: dict[str, set[str]] = {}
    references: set[str] = set()
    person: dict[str, str] = {}
    if cases.manifest is not None:
        person = one_name_each(patient_names(row) for row in (*cases.manifest.rows, *rows))
        for row in cases.manifest.rows:
            holders.setdefault(cases.digests[row.image], set()).add(row.patient_id)
            named.setdefault(person[row.patient_id], set()).add(row.patient_id)
            if row.mask is not None:
                references.add(cases.digests[row.mask])
    known = set(cases.patients) if own or not images.other_people else set()
    people: dict[str, set[str]] = {}
    by_content = 0
    for row in rows:
        same = set(holders.get(digests[row.image], ()))
        by_content += bool(same - {row.patient_id})
        if not source.is_natural:
            same |= known & {row.patient_id, *named.get(person.get(row.patient_id, ""), ())}
        if same:
            people.setdefault(row.patient_id, set()).update(same)
    if source.is_natural and people:
        raise SettingError(
            f"{path} holds {len(people)} images that are cases of this study, "
            f"{next(iter(people))!r} first, and lists no patients by which the test patients could "
            "be left out. Use images: manifest, or a manifest with patient_id, or other images."
        )
    # outlines of the study must not reach a source task: more than n patients' labels would be used
    outlines = own or any(row.mask is not None and digests[row.mask] in references for row in rows)
    drop = outlines and any(row.mask is not None for row in rows)
    if drop and source.is_natural:
        raise SettingError(
            f"{path} holds outlines of this study, and lists no patients by which those who test "
            "could be left out. Wanted its images without masks (a folder of images alone), a "
            "manifest with patient_id, or other images."
        )
    notes = []
    if by_content:
        notes.append(
            f"{path}: {by_content} images are those of study patients under another id; they are "
            "held apart like these."
        )
    if drop:
        notes.append(f"{path}: its outlines are the study's own, so the source task gets none.")
    key = collection_key(source, digests, images.label_column, drop_masks=drop)
    worker = {"path": str(path), "kind": source.kind, "drop_masks": drop, "mask_column": column}
    return PretextImages(
        key,
        {p: frozenset(same) for p, same in people.items()},
        ({**worker, "key": key},),
        tuple(notes),
        patients={} if source.is_natural else {str(path): frozenset(r.patient_id for r in rows)},
    )


def _themselves(patients: tuple[str, ...]) -> dict[str, frozenset[str]]:
    return {patient: frozenset((patient,)) for patient in patients}
