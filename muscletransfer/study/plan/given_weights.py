"""What weight files that a study starts from have seen: its own patients, perhaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from muscletransfer.data.manifest import Manifest
from muscletransfer.data.manifest.table import hash_of_rows
from muscletransfer.errors import MuscleTransferError, SettingError
from muscletransfer.study.config.names import is_weights_file
from muscletransfer.study.config.study import StudyConfig
from muscletransfer.study.plan.cases import Cases, digests_of

__all__ = ["check_given_weights"]


def check_given_weights(config: StudyConfig, cases: Cases) -> list[str]:
    """Refuse weights that learned from the study's own cases, and say what cannot be told.

    Provenance holds counts and hashes and no patient, so a file tells when it learned from the very
    manifest of the study, and of other data only that there were patients.

    Args:
        config: The study.
        cases: Its cases.

    Returns:
        A sentence for each file whose training showed patients of which nothing more is known.

    Raises:
        SettingError: A file learned from the manifest of the study.
    """
    notes = []
    own: set[str] | None = None
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
            own = _own_hashes(config, cases) if own is None else own
            several = one.data.get("manifest_hashes")
            if own & {one.data.get("manifest_hash"), *str(several).split(", ")}:
                others = " and of others" if several else ""
                raise SettingError(
                    f"{where}: {file} learned ({one.task}) from {patients} patients of the study's "
                    f"own manifest{others}, so those who test have been seen. Wanted weights of "
                    "other people; to pre-train on the study's images name them under "
                    "pretext.images, and those who test are left out in each fold."
                )
            notes.append(
                f"{where}: {file} learned ({one.task}) from {patients} patients; whether those who "
                "test are among them cannot be told"
            )
    return notes


def _files(config: StudyConfig) -> Iterator[tuple[str, str]]:
    for source in config.sources:
        if source.weights is not None and is_weights_file(source.weights):
            yield source.name, source.weights
        if source.pretext is not None:
            given = source.pretext.init_args.get("weights")
            if isinstance(given, str) and is_weights_file(given):
                yield source.name, given


def _own_hashes(config: StudyConfig, cases: Cases) -> set[str]:
    """Hashes of the study's manifest as other trainings may have read it.

    A source task may have read it without masks or with those of the usual column, and all its rows
    where the study takes some.
    """
    if cases.manifest is None or cases.path is None:
        return set()
    data = config.data
    known = dict(cases.digests)
    lists = [cases.manifest]
    for column in dict.fromkeys((data.mask_column, "mask")):
        try:
            whole = Manifest.read(cases.path, mask_column=column)
            known |= digests_of(whole.rows, masks=True)
        except MuscleTransferError:
            continue  # of files that the study does not use
        lists += [whole, whole.where(**data.where)] if data.where else [whole]
    bare = [[replace(row, mask=None) for row in one.rows] for one in lists]
    return {hash_of_rows(rows, None, known) for rows in (*(one.rows for one in lists), *bare)}
