"""Who is who: files of one patient under two ids, and of two patients under one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from muscletransfer.data.dicom.facts import Person
from muscletransfer.data.indexing.records import Problem

__all__ = ["Identity", "People", "sort_people"]

# Whole words: Manon and Testa are people, and so is somebody whose initial is X.
_NO_NAME = re.compile(
    r"\b(anon\w*|unknown|no ?name|tests?|removed?|de ?-?ident\w*|pseudo\w*|patient|none)\b"
    r"|^[x\d\W]*$"
)
_FEW = 3  # a name and a date of birth that more ids share may stand for nobody


@dataclass(frozen=True)
class Identity:
    """A person as a file names it; the study stands in where there is no patient id."""

    person: Person
    study: str = ""

    @classmethod
    def of(cls, person: Person, study: str) -> Identity:
        """Return the identity of a file."""
        return cls(person, "" if person.patient_id else study)


@dataclass
class People:
    """What `sort_people` found.

    Args:
        key_of: A text for each identity, equal for one person: what pseudonyms are made from.
        problems: Two persons under one id, and one person under two.
    """

    key_of: dict[Identity, str]
    problems: list[Problem]


def sort_people(first_file: Mapping[Identity, str]) -> People:
    """Tell persons apart by id, birth date, sex and name.

    One id with two birth dates, two sexes, or two names and nothing else to go by, is two persons,
    kept apart. Two ids with one name and one birth date are one person, kept together, for a
    patient in two folds would spoil every result. Both are reported.

    Args:
        first_file: Each identity and a file that has it.

    Returns:
        Keys and problems; neither names anyone.
    """
    problems: list[Problem] = []
    groups: list[list[Identity]] = []
    by_id: dict[tuple[str, str], list[Identity]] = {}
    for identity in sorted(first_file, key=lambda i: (i.person.patient_id, i.study, repr(i))):
        by_id.setdefault((identity.person.patient_id, identity.study), []).append(identity)
    for identities in by_id.values():
        parts = _persons_of_one_id(identities)
        groups.extend(parts)
        if len(parts) > 1:
            files = [first_file[part[0]] for part in parts]
            what = _what_differs([part[0].person for part in parts])
            problems.append(
                Problem(
                    files[0],
                    f"has the patient id of {files[1]} and another {what}: two patients with one "
                    "id?",
                    "Each has a pseudonym of its own. If they are one person, correct the tags, or "
                    "give them one patient_id in the manifest.",
                    "check",
                    len(files),
                )
            )
    merged = _one_name_two_ids(groups, first_file, problems)
    homes = Counter(id_ for group in merged for id_ in {i.person.patient_id for i in group})
    shared = {id_ for id_, count in homes.items() if count > 1}
    key_of = {}
    for group in merged:
        key = _key(group, shared)
        for identity in group:
            key_of[identity] = key
    return People(key_of, problems)


def _persons_of_one_id(identities: list[Identity]) -> list[list[Identity]]:
    parts: list[list[Identity]] = []
    for identity in identities:
        home = next(
            (part for part in parts if all(_may_be_one(identity.person, p.person) for p in part)),
            None,
        )
        if home is None:
            parts.append([identity])
        else:
            home.append(identity)
    return parts


def _may_be_one(a: Person, b: Person) -> bool:
    if a.birth_date and b.birth_date and a.birth_date != b.birth_date:
        return False
    if a.sex and b.sex and a.sex.upper()[:1] != b.sex.upper()[:1]:
        return False
    dates_agree = bool(a.birth_date) and a.birth_date == b.birth_date
    names_agree = not a.name or not b.name or _folded(a.name) == _folded(b.name)
    return names_agree or dates_agree  # a name may change, or be typed in two ways


def _one_name_two_ids(
    groups: list[list[Identity]], first_file: Mapping[Identity, str], problems: list[Problem]
) -> list[list[Identity]]:
    by_name: dict[tuple[str, str], list[int]] = {}
    for number, group in enumerate(groups):
        keys = {
            (_folded(i.person.name), i.person.birth_date)
            for i in group
            if i.person.birth_date and i.person.name and not _is_no_name(i.person.name)
        }
        for key in keys:
            by_name.setdefault(key, []).append(number)
    parent = list(range(len(groups)))

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for numbers in by_name.values():
        if len(numbers) < 2:
            continue
        a = groups[numbers[0]][0]
        alike = [n for n in numbers[1:] if _sexes_agree(a.person, groups[n][0].person)]
        if len(numbers) > _FEW and len(alike) >= _FEW:
            problems.append(
                Problem(
                    first_file[a],
                    f"has the name and birth date of {len(alike)} other patient ids: one patient "
                    "with an id a study?",
                    "They have a pseudonym each, since so many may share a name that stands for "
                    "nobody. If they are one person, give them one patient_id in the manifest, or "
                    "they may be in two folds.",
                    "check",
                    len(alike) + 1,
                )
            )
            continue
        for number in alike:
            parent[root(number)] = root(numbers[0])
            problems.append(
                Problem(
                    first_file[groups[number][0]],
                    f"has the name and birth date of {first_file[a]} and another patient id: one "
                    "patient with two ids?",
                    "Both have one pseudonym, so that they never are in two folds. If they are two "
                    "persons, give them two patient_ids in the manifest.",
                    "check",
                    2,
                )
            )
    merged: dict[int, list[Identity]] = {}
    for number, group in enumerate(groups):
        merged.setdefault(root(number), []).extend(group)
    return list(merged.values())


def _is_no_name(name: str) -> bool:
    """Whether a name stands for nobody in particular."""
    return bool(_NO_NAME.search(re.sub(r"[\^_=,.]+", " ", name.lower())))


def _sexes_agree(a: Person, b: Person) -> bool:
    return not a.sex or not b.sex or a.sex.upper()[:1] == b.sex.upper()[:1]


def _what_differs(persons: list[Person]) -> str:
    for field, label in (("birth_date", "birth date"), ("sex", "sex")):
        if len({getattr(p, field) for p in persons} - {""}) > 1:
            return label
    return "name"


def _folded(name: str) -> str:
    """Return a name without case, titles' separators and spaces."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _key(group: list[Identity], shared: set[str]) -> str:
    """Return a text that stays the same from run to run: the least id, and what tells it apart."""
    first = min(group, key=lambda i: (not i.person.patient_id, i.person.patient_id, repr(i)))
    p = first.person
    if not p.patient_id:
        return f"study {first.study}"
    return (
        "|".join((p.patient_id, p.birth_date, p.sex, _folded(p.name)))
        if p.patient_id in shared
        else p.patient_id
    )
