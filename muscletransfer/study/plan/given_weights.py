"""What weight files that a study starts from have seen: its own patients, perhaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.table import hash_of_rows
from muscletransfer.errors import MuscleTransferError, SettingError
from muscletransfer.study.config.names import is_weights_file
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan.cases import Cases, digests_of

__all__ = ["check_given_weights"]


def check_given_weights(config: StudyConfig, cases: Cases) -> list[str]:
    """Refuse weights that learned from the study's own cases, and say what cannot be told.

    Provenance holds counts and hashes and no patient. So a file tells when it learned from the very
    rows of the study; when it learned from the whole list of which the study takes some rows, and
    left out too few patients for all of the study's to be among them; and of other data only that
    there were patients.

    Args:
        config: The study.
        cases: Its cases.

    Returns:
        A sentence for each file whose training showed patients of which nothing more is known.

    Raises:
        SettingError: A file has seen patients of the study.
    """
    notes = []
    lists = _Lists(config, cases)
    for where, file in _files(config):
        from muscletransfer.transfer import inspect_file

        try:
            chain = inspect_file(config.path(file)).chain()
        except MuscleTransferError:
            continue  # whoever loads it says what is wrong
        for one in chain:
            patients = one.data.get("patients")
            kinds = one.data.get("kinds")  # of a source task; photographs show no patients
            if not patients or (kinds and "manifest" not in str(kinds).split(", ")):
                continue
            learned = f"{where}: {file} learned ({one.task}) from {patients} patients"
            seen = lists.seen_by(one.data)
            if seen is not None:
                raise SettingError(
                    f"{learned} of {seen}, so those who test have been seen. Wanted weights of "
                    "other people; to pre-train on the study's images name them under "
                    "pretext.images, and those who test are left out in each fold."
                )
            notes.append(f"{learned}; whether those who test are among them cannot be told")
    return notes


def _files(config: StudyConfig) -> Iterator[tuple[str, str]]:
    for source in config.sources:
        if source.weights is not None and is_weights_file(source.weights):
            yield source.name, source.weights
        if source.pretext is not None:
            given = source.pretext.init_args.get("weights")
            if isinstance(given, str) and is_weights_file(given):
                yield source.name, given


@dataclass(frozen=True)
class _Lists:
    """The study's rows, and the list that they are taken from.

    Other trainings may have read both without masks, or with those of the usual column.
    """

    config: StudyConfig
    cases: Cases

    def seen_by(self, data: Mapping[str, Any]) -> str | None:
        """Say whose patients a training has seen, if some are the study's for sure.

        Args:
            data: What its provenance says of the data.
        """
        several = data.get("manifest_hashes")
        hashes = {data.get("manifest_hash"), *str(several).split(", ")}
        others = " and of others" if several else ""
        if hashes & self._own:
            return f"the study's own manifest{others}"
        if not self._whole:
            return None
        listed = len(self._whole[0].patients)
        left_out = listed - _count(data, "patients", "val_patients")
        if "excluded_patients" in data:
            left_out = _count(data, "excluded_patients")
            if _count(data, "images", "val_images", "excluded_images") < len(self._whole[0]):
                return None  # it was another list; no file need be hashed to tell
        wanted = len(self.cases.patients)
        if left_out >= wanted or not hashes & self._whole_hashes:
            return None
        return (
            f"the list that the study takes its {wanted} patients from{others} and left out only "
            f"{left_out} of its {listed}"
        )

    @cached_property
    def _own(self) -> set[str]:
        if self.cases.manifest is None:
            return set()
        if self.config.data.mask_column == "mask":
            return self._hashes([self.cases.manifest])
        where = self.config.data.where
        return self._hashes([self.cases.manifest, *(one.where(**where) for one in self._read())])

    @cached_property
    def _whole(self) -> list[Manifest]:
        """Empty where the study takes all rows."""
        return self._read() if self.config.data.where else []

    @cached_property
    def _whole_hashes(self) -> set[str]:
        return self._hashes(self._whole)

    def _read(self) -> list[Manifest]:
        found: list[Manifest] = []
        if self.cases.path is None:
            return found
        for column in dict.fromkeys((self.config.data.mask_column, "mask")):
            try:
                found.append(Manifest.read(self.cases.path, mask_column=column))
            except MuscleTransferError:
                continue  # of files that the study does not use
        return found

    def _hashes(self, lists: list[Manifest]) -> set[str]:
        found = set()
        known = dict(self.cases.digests)
        for one in lists:
            new = [r for r in one.rows if not {r.image, r.mask or r.image} <= known.keys()]
            try:
                known |= digests_of(new, masks=True)
            except MuscleTransferError:
                continue
            bare = [replace(row, mask=None) for row in one.rows]
            found |= {hash_of_rows(rows, None, known) for rows in (one.rows, bare)}
        return found


def _count(data: Mapping[str, Any], *names: str) -> int:
    return sum(found for name in names if isinstance(found := data.get(name), int))
