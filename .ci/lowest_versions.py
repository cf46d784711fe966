"""Print pip constraints that pin everything users install to its lower bound in pyproject.toml.

``python .ci/lowest_versions.py > constraints.txt``
"""

import re
import sys
import tomllib
from pathlib import Path

# Extras that users install beside the plain package and that tests of every part need.
EXTRAS = ("dicom",)


def lowest(requirement: str) -> str:
    """Turn ``name[extra]>=1.2`` into ``name==1.2``.

    Raises:
        ValueError: If the requirement has another form: then this script has to learn it.
    """
    found = re.fullmatch(r"([A-Za-z0-9._-]+)(\[[^\]]*\])?>=([0-9][0-9A-Za-z.]*)", requirement)
    if found is None:
        raise ValueError(f"{requirement!r} in pyproject.toml: wanted one lower bound, name>=1.2.")
    return f"{found[1]}=={found[3]}"


def constraints(pyproject: Path) -> list[str]:
    """Return a constraint for each dependency and for those of the extras."""
    project = tomllib.loads(pyproject.read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    return [lowest(requirement) for requirement in wanted]


if __name__ == "__main__":
    sys.stdout.write("\n".join(constraints(Path(__file__).parents[1] / "pyproject.toml")) + "\n")
