"""``muscletransfer data prepare``: a data set or export in its own layout, as a manifest."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from muscletransfer.errors import SettingError

__all__ = ["add_prepare", "run_prepare"]


def add_prepare(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the group.

    Args:
        actions: The subparsers of ``muscletransfer data``.
    """
    prepare = actions.add_parser(
        "prepare",
        help="turn SAROS, TotalSegmentator data or output, or planning outlines into a manifest",
        description="Read a layout as it was published or exported, and write manifest.csv with "
        "masks, manifest.json (classes, licence, what is known of the layout) and problems.csv. "
        "Nothing is downloaded, and nothing is written to the source.",
    )
    kinds = prepare.add_subparsers(dest="kind", metavar="LAYOUT", required=True)

    saros = _layout(kinds, "saros", "SAROS: annotated slices, five folds, test set")
    saros.add_argument("--info", metavar="CSV", help="its spreadsheet 'Segmentation Info'")
    saros.add_argument(
        "--slices",
        default="all",
        help="all annotated slices, or abdomen: with an abdominal and no thoracic cavity",
    )
    saros.add_argument("--torso", action="store_true", help="leave out arms, legs and head")
    saros.add_argument("--patient-column", help="column of the spreadsheet with the patient")
    saros.add_argument("--resample", action="store_true", help="accept masks on another grid")

    total = _layout(kinds, "totalsegmentator", "TotalSegmentator's data set, or its output")
    total.add_argument("--vertebra", default="vertebrae_L3", help="the level")
    total.add_argument("--neighbours", type=int, default=0, help="further slices on either side")
    total.add_argument("--resample", action="store_true", help="accept labels on another grid")
    total.add_argument("--licence", help="terms of your own CT, for manifest.json")

    planned = _layout(kinds, "planned", "CT series with RTSTRUCT or DICOM-SEG outlines")
    planned.add_argument("--licence", help="terms of the data, for manifest.json")
    planned.add_argument("--links", metavar="FILE", help="also write which pseudonym is who")
    planned.add_argument("--key", metavar="FILE", help="make pseudonyms with this secret")
    prepare.set_defaults(run_data=run_prepare)


def _layout(
    kinds: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    parser = kinds.add_parser(name, help=text, description=text)
    parser.add_argument("root", help="its folder")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        help="the folder to write to; masks that were corrected there stay",
    )
    parser.add_argument(
        "-s",
        "--structure",
        action="append",
        default=[],
        metavar="NAME[=CLASS]",
        help="what to outline, once for each; several may share a class, and a shell pattern takes "
        "several names",
    )
    parser.add_argument("--workers", type=int, default=0, help="processes (0: this one)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def run_prepare(options: argparse.Namespace) -> None:
    """Prepare, and say what was written.

    Args:
        options: The parsed arguments of the command.

    Raises:
        SettingError: A structure that cannot be read, or none where one is needed.
        DataError: No case can be used; ``problems.csv`` says why.
    """
    from muscletransfer.data import archives

    table = structure_table(options.structure)
    shared = {"workers": options.workers, "progress": not options.quiet}
    if options.kind == "saros":
        done = archives.prepare_saros(
            options.root,
            options.output,
            info=options.info,
            structures=table or "muscle",
            slices=options.slices,
            torso_only=options.torso,
            patient_column=options.patient_column,
            resample=options.resample,
            **shared,
        )
    elif options.kind == "totalsegmentator":
        done = archives.prepare_totalsegmentator(
            options.root,
            options.output,
            structures=table or None,
            vertebra=options.vertebra,
            neighbours=options.neighbours,
            resample=options.resample,
            licence=options.licence,
            **shared,
        )
    else:
        if not table:
            raise SettingError(
                "no structure was named; wanted the ROI that is to be outlined, as in "
                "-s 'Muscle L3'."
            )
        done = archives.prepare_planned(
            options.root,
            options.output,
            table,
            links=options.links,
            key=options.key,
            licence=options.licence,
            **shared,
        )
    print(done.summary())


def structure_table(texts: Sequence[str]) -> dict[str | int, int]:
    """Read ``NAME[=CLASS]`` texts; those without a class are numbered from 1 in order.

    Raises:
        SettingError: A class that is no whole number from 1 to 254, classes for some only, or a
            name twice.

    Example:
        >>> structure_table(["psoas_*=1", "wall=2"]), structure_table(["Muscle L3"])
        ({'psoas_*': 1, 'wall': 2}, {'Muscle L3': 1})
    """
    table: dict[str | int, int] = {}
    given = ["=" in text for text in texts]
    if any(given) and not all(given):
        raise SettingError(
            f"{texts[given.index(False)]!r} names no class and others do; wanted NAME=CLASS for "
            "all, or for none."
        )
    for number, text in enumerate(texts, 1):
        name, equals, value = text.rpartition("=")
        if not equals:
            name, value = text, str(number)
        if not name or not value.isdecimal() or not 1 <= int(value) <= 254:
            raise SettingError(
                f"{text!r}; wanted a name and a class from 1 to 254, as in psoas_left=1."
            )
        if name in table:
            raise SettingError(
                f"the structure {name!r} is named twice; wanted it once, with one class."
            )
        table[name] = int(value)
    return table
