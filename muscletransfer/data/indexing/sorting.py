"""From records of files to volumes of patients."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from muscletransfer.data.indexing.choosing import choose_files, gather
from muscletransfer.data.indexing.grouping import Stack, make_stacks, restack
from muscletransfer.data.indexing.people import Identity, sort_people
from muscletransfer.data.indexing.pixels import PixelReport
from muscletransfer.data.indexing.records import Problem, SliceFile
from muscletransfer.data.indexing.rows import Found

__all__ = ["Sorted", "sort_out"]

_LEAST_TELLING = 4  # letters of an id that may stand in a path by chance


@dataclass
class Sorted:
    """Volumes to be listed, and who their patients are."""

    volumes: list[Found] = field(default_factory=list)
    people: dict[str, list[Identity]] = field(default_factory=dict)

    def apply(self, item: Found, report: PixelReport, problems: list[Problem]) -> None:
        """Take out of a series what its pixels showed to be wrong."""
        files = item.files
        if report.why_not is not None:
            problems.append(gather(files, *report.why_not))
            self.volumes.remove(item)
            return
        broken = dict(report.broken)
        for file in files:
            if file.path in broken:
                way_out = "Copy or export the file again."
                problems.append(gather([file], f"pixels: {broken[file.path]}", way_out))
        if broken:
            left = [file for file in files if file.path not in broken]
            if not left:
                self.volumes.remove(item)
                return
            item.stack = restack(left, problems)
            item.notes = [item.stack.note] if item.stack.note else []
        if report.check:
            item.notes.append(report.check)
            problems.append(gather(files, report.check, "Look at it.", "check"))

    def aliases(self, key: str) -> list[str]:
        """Return the ids of a patient that are not its key.

        An index that meets only one of several ids of a patient, or an id of two persons in the
        files of one alone, makes its name from that.
        """
        ids = {i.person.patient_id for i in self.people.get(key, [])}
        return sorted(ids - {key, ""})

    def links(self, pseudonyms: Mapping[str, str]) -> list[dict[str, str]]:
        """Return the rows of the link table, sorted by pseudonym."""
        rows = []
        for key, pseudonym in sorted(pseudonyms.items(), key=lambda kv: kv[1]):
            persons = [i.person for i in self.people.get(key, [])]
            if not persons:
                rows.append({"patient_id": pseudonym, "original_patient_id": key})
            for p in dict.fromkeys(persons):
                rows.append(
                    {
                        "patient_id": pseudonym,
                        "original_patient_id": p.patient_id,
                        "name": p.name,
                        "birth_date": p.birth_date,
                        "sex": p.sex,
                    }
                )
        return rows

    def telling_paths(self) -> list[Problem]:
        """Return a problem when file names hold a patient's id or name, as they go into lists."""
        telling = [item for item in self.volumes if self._tells(item)]
        if not telling:
            return []
        reason = f"the paths of {len(telling)} series hold the patient's id or name"
        way_out = (
            "The manifest has to name files: copy them to neutral names before it leaves the house."
        )
        return [Problem(telling[0].first, reason, way_out, "check", len(telling))]

    def _tells(self, item: Found) -> bool:
        path = os.path.dirname(item.first).lower() + "/" + os.path.basename(item.first).lower()
        words = set()
        for identity in self.people.get(item.patient, []):
            words |= {identity.person.patient_id, *identity.person.name.split("^")}
        return any(len(w) >= _LEAST_TELLING and w.lower() in path for w in words)


def sort_out(files: Sequence[SliceFile], problems: list[Problem]) -> Sorted:
    """Choose axial CT, stack it, and say whose it is.

    Args:
        files: All DICOM image files, sorted by path.
        problems: Gets a line for all that is left out or odd.

    Returns:
        Volumes with the patients they are of.
    """
    first_file: dict[Identity, str] = {}
    for file in files:
        first_file.setdefault(Identity.of(file.person, file.study), file.path)
    people = sort_people(first_file)
    problems.extend(people.problems)
    result = Sorted()
    for identity, key in people.key_of.items():
        result.people.setdefault(key, []).append(identity)
    series: dict[str, list[SliceFile]] = {}
    for file in files:
        series.setdefault(file.series or f"in {os.path.dirname(file.path)}", []).append(file)
    for group in series.values():
        chosen, left = choose_files(group)
        problems.extend(left)
        keys = {people.key_of[Identity.of(f.person, f.study)] for f in chosen}
        if len(keys) > 1:
            problems.append(
                gather(
                    chosen,
                    f"files of one series name {len(keys)} patients",
                    "Correct the patient tags, or remove the files that are of someone else.",
                )
            )
            continue
        stacks, odd = make_stacks(chosen)
        problems.extend(odd)
        for stack in stacks:
            result.volumes.append(_found(next(iter(keys)), stack))
    _anonymous(result, problems)
    _studies_of_two(files, people.key_of, problems)
    return result


def _found(patient: str, stack: Stack) -> Found:
    notes = [stack.note] if stack.note else []
    return Found(patient, f"{stack.files[0].study} {stack.files[0].series}", stack, notes=notes)


def _anonymous(result: Sorted, problems: list[Problem]) -> None:
    without = [v for v in result.volumes if not result.people[v.patient][0].person.patient_id]
    if without:
        problems.append(
            Problem(
                without[0].first,
                f"{len(without)} series name no patient id: each study is taken for a patient",
                "If two studies are of one patient, give them one patient_id in the manifest.",
                "check",
                len(without),
            )
        )


def _studies_of_two(
    files: Sequence[SliceFile], key_of: Mapping[Identity, str], problems: list[Problem]
) -> None:
    owner: dict[str, tuple[str, str]] = {}
    told: set[str] = set()
    for file in files:
        key = key_of[Identity.of(file.person, file.study)]
        before, path = owner.setdefault(file.study, (key, file.path))
        if file.study and before != key and file.study not in told:
            told.add(file.study)
            problems.append(
                Problem(
                    file.path,
                    f"is of the study of {path} and names another patient",
                    "Correct the tags of the one that is wrong: it may be the same person.",
                    "check",
                    2,
                )
            )
