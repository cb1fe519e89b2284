"""Print what the build requires, one a line: pyproject.toml's build-system.requires, which stands nowhere else."""

import pathlib
import tomllib

project = tomllib.loads((pathlib.Path(__file__).parent.parent / "pyproject.toml").read_text())
print(*project["build-system"]["requires"], sep="\n")
