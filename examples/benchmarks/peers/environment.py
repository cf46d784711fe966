"""Make an environment with the peers, which also sees all packages of this one.

    python examples/benchmarks/peers/environment.py FOLDER
    FOLDER/bin/python examples/benchmarks/augmentation.py

torch and whatever else is installed already is not fetched again, and the environment that this
command runs in stays as it is.
"""

from __future__ import annotations

import argparse
import importlib.util
import site
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def make(folder: Path, requirements: Path = REQUIREMENTS) -> Path:
    """Make the environment and return its Python."""
    if (folder / "pyvenv.cfg").is_file():
        raise SystemExit(f"{folder} is an environment already; name another folder, or remove it.")
    alone = importlib.util.find_spec("pip") is None  # else the one of this environment serves
    venv.EnvBuilder(symlinks=sys.platform != "win32", with_pip=alone).create(folder)
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    python = folder / scripts / "python"
    code = "import site; print(site.getsitepackages()[0])"
    found = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    # addsitedir, so that .pth files over there (of editable installs) are read as well.
    lines = [f"import site; site.addsitedir({path!r})" for path in site.getsitepackages()]
    Path(found.stdout.strip(), "packages_of_parent.pth").write_text("\n".join(lines) + "\n")
    install = [python, "-m", "pip", "install", "--quiet", "--requirement", requirements]
    subprocess.run(install, check=True)
    return python


def main() -> None:
    """Make it, say how it is used."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--requirements", type=Path, default=REQUIREMENTS)
    args = parser.parse_args()
    print(make(args.folder, args.requirements))


if __name__ == "__main__":
    main()
