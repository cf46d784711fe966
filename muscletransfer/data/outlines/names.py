"""Names of the values of a label map: from the file itself, or from a published table."""

from __future__ import annotations

import fnmatch
import gzip
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import SimpleITK as sitk

from muscletransfer.data.io.volume import check_exists, itk_name, quiet
from muscletransfer.errors import DataError, ImageReadError, UnknownNameError, close_matches

__all__ = [
    "TOTALSEGMENTATOR",
    "Pairs",
    "Structures",
    "apart",
    "class_table",
    "label_names",
    "matching",
    "name_pairs",
    "stem",
    "values_of",
]

Structures: TypeAlias = (
    str | int | Sequence[str | int] | Mapping[str | int, int] | Mapping[str, int]
)
# Names and values in the order of the file: two values may share a name, which no dictionary holds.
Pairs: TypeAlias = Sequence[tuple[str, int]]

# Values of TotalSegmentator's task "total" from version 2 on, in order from 1 (version 1 numbered
# 104 otherwise): wasserth/TotalSegmentator, resources/totalsegmentator_total_mapping.csv.
_PAIRED = "{0}_left {0}_right"
_TEXT = " ".join(
    [
        "spleen kidney_right kidney_left gallbladder liver stomach pancreas adrenal_gland_right",
        "adrenal_gland_left lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right",
        "lung_middle_lobe_right lung_lower_lobe_right esophagus trachea thyroid_gland small_bowel",
        "duodenum colon urinary_bladder prostate kidney_cyst_left kidney_cyst_right sacrum",
        "vertebrae_S1",
        *(f"vertebrae_L{k}" for k in range(5, 0, -1)),
        *(f"vertebrae_T{k}" for k in range(12, 0, -1)),
        *(f"vertebrae_C{k}" for k in range(7, 0, -1)),
        "heart aorta pulmonary_vein brachiocephalic_trunk subclavian_artery_right",
        "subclavian_artery_left common_carotid_artery_right common_carotid_artery_left",
        "brachiocephalic_vein_left brachiocephalic_vein_right atrial_appendage_left",
        "superior_vena_cava inferior_vena_cava portal_vein_and_splenic_vein",
        *(_PAIRED.format(n) for n in ("iliac_artery", "iliac_vena", "humerus", "scapula")),
        *(_PAIRED.format(n) for n in ("clavicula", "femur", "hip")),
        "spinal_cord",
        *(_PAIRED.format(f"gluteus_{n}") for n in ("maximus", "medius", "minimus")),
        *(_PAIRED.format(n) for n in ("autochthon", "iliopsoas")),
        "brain skull",
        *(f"rib_left_{k}" for k in range(1, 13)),
        *(f"rib_right_{k}" for k in range(1, 13)),
        "sternum costal_cartilages",
    ]
)
#: What the values of TotalSegmentator's task ``total`` mean from version 2 on, for ``names=``.
#:
#: .. versionadded:: 0.1
TOTALSEGMENTATOR: dict[str, int] = {name: k for k, name in enumerate(_TEXT.split(), 1)}

_HEADER = 348
_LABEL = re.compile(r'<Label\s[^>]*\bKey="(\d+)"[^>]*>\s*(?:<!\[CDATA\[)?([^<\]]+?)(?:\]\]>)?\s*</')
_SEGMENT = re.compile(r"Segment(\d+)_(Name|LabelValue)$")


def label_names(path: str | Path) -> dict[str, int]:
    """Return the names that a label map carries itself, with their values.

    .. versionadded:: 0.1

    Args:
        path: NIfTI with a label table in its header extension (as TotalSegmentator ``--ml``
            writes), or a ``.seg.nrrd`` of 3D Slicer.

    Returns:
        Names to values; empty when the file carries none. Values that share a name are told apart
        as ``Psoas`` and ``Psoas (2)``; `read_outlines` takes both where ``Psoas`` is asked for.

    Raises:
        ImageReadError: No such file, or one that cannot be unpacked.

    Example:
        >>> TOTALSEGMENTATOR["vertebrae_L3"], len(TOTALSEGMENTATOR)
        (29, 117)
    """
    path = Path(path)
    check_exists(path)
    return apart(name_pairs(path))


def name_pairs(path: Path) -> Pairs:
    """Return the names of `label_names`, with every value of each; none of a file that is gone."""
    if not path.is_file():
        return []
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _nifti_table(path)
    if name.endswith((".nrrd", ".nhdr")):
        return _slicer_table(path)
    return []


def apart(pairs: Pairs) -> dict[str, int]:
    """Return names to values; a name that several values share is counted from the second on.

    Example:
        >>> apart([("Psoas", 1), ("Psoas", 2)])
        {'Psoas': 1, 'Psoas (2)': 2}
    """
    taken = {name for name, _ in pairs}
    found: dict[str, int] = {}
    for name, value in pairs:
        called, count = name, 1
        while called in found or (count > 1 and called in taken):
            count += 1
            called = f"{name} ({count})"
        found[called] = value
    return found


def values_of(wanted: str, pairs: Pairs, where: str, kind: str = "structure") -> list[int]:
    """Return every value that a name or shell pattern means; see `matching`.

    Raises:
        UnknownNameError: None; with close matches.

    Example:
        >>> values_of("psoas", [("Psoas", 1), ("Psoas", 2)], "a file")
        [1, 2]
    """
    known = [*pairs, *apart(pairs).items()]
    names = set(matching(wanted, dict.fromkeys(name for name, _ in known), where, kind))
    return list(dict.fromkeys(value for name, value in known if name in names))


def stem(path: str | Path) -> str:
    """Return a file's name without its ending, ``.nii.gz`` included.

    Example:
        >>> stem("segmentations/vertebrae_L3.nii.gz")
        'vertebrae_L3'
    """
    return re.sub(r"\.(nii(\.gz)?|seg\.nrrd|nrrd|nhdr|mha|mhd)$", "", Path(path).name, flags=re.I)


def class_table(structures: Structures) -> dict[str | int, int]:
    """Return which structure becomes which class.

    Args:
        structures: A name or value (class 1), several (classes 1, 2, ... in order), or a mapping to
            classes, where several may share one.

    Raises:
        DataError: No structure, or a class that is no number from 1 to 254.

    Example:
        >>> class_table(["psoas", "autochthon_*"])
        {'psoas': 1, 'autochthon_*': 2}
    """
    if isinstance(structures, (str, int, np.integer)):
        structures = [structures]
    if isinstance(structures, Mapping):
        table: dict[str | int, int] = dict(structures.items())
    else:
        table = {name: k for k, name in enumerate(structures, 1)}
    if not table:
        raise DataError("no structure was named; wanted at least one name or value.")
    for name, value in table.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, np.integer))
            or not 1 <= value <= 254
        ):
            raise DataError(
                f"structure {name!r} is to become class {value!r}; wanted a whole number from 1 to "
                "254 (0 is background, 255 not annotated)."
            )
    # Numbers of numpy become plain.
    return {int(k) if isinstance(k, (int, np.integer)) else k: int(v) for k, v in table.items()}


def matching(wanted: str, known: Iterable[str], where: str, kind: str = "structure") -> list[str]:
    """Return the known names that a name or shell pattern means, in any case of letters.

    Args:
        wanted: ``"iliopsoas_left"``, or a pattern such as ``"iliopsoas_*"``.
        known: All names there are.
        where: The file, to begin the message with.
        kind: What they name.

    Raises:
        UnknownNameError: None; with close matches.

    Example:
        >>> matching("iliopsoas_*", TOTALSEGMENTATOR, "a file")
        ['iliopsoas_left', 'iliopsoas_right']
    """
    names = list(known)
    exact = [n for n in names if n == wanted]
    folded = wanted.strip().lower()
    found = exact or [n for n in names if n.strip().lower() == folded]
    if not found and any(c in wanted for c in "*?["):
        found = [n for n in names if fnmatch.fnmatchcase(n.lower(), folded)]
    if found:
        return found
    near = close_matches(wanted, names)
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    shown = ", ".join(map(repr, names[:12])) + (
        f" and {len(names) - 12} more" if names[12:] else ""
    )
    raise UnknownNameError(f"{where}: has no {kind} {wanted!r}.{hint} It has {shown or 'none'}.")


def _nifti_table(path: Path) -> Pairs:
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if packed else path.open("rb") as file:
            head = file.read(_HEADER + 4)
            if len(head) < _HEADER + 4 or not head[_HEADER]:
                return []
            text = file.read(200_000).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error) as error:
        raise ImageReadError(
            f"{path}: is cut short or damaged ({error}); wanted a whole NIfTI file. Copy it again."
        ) from error
    end = text.find("</LabelTable>")
    if end < 0:
        return []
    return [(name.strip(), int(key)) for key, name in _LABEL.findall(text[:end])]


def _slicer_table(path: Path) -> Pairs:
    reader = sitk.ImageFileReader()
    reader.SetFileName(itk_name(path))
    try:
        with quiet():
            reader.ReadImageInformation()
    except RuntimeError:
        return []  # whoever reads the voxels says what is wrong with the file
    parts: dict[str, dict[str, str]] = {}
    for key in reader.GetMetaDataKeys():
        found = _SEGMENT.match(key)
        if found:
            parts.setdefault(found[1], {})[found[2]] = reader.GetMetaData(key)
    named = [(p["Name"], p["LabelValue"]) for p in parts.values() if len(p) == 2]
    return [(name.strip(), int(value)) for name, value in named if value.strip().isdecimal()]
