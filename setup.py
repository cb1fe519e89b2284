"""Build of the two extensions; everything else is in pyproject.toml.

Environment: TSUNAMI_SANITIZE=address|thread builds for that sanitizer; TSUNAMI_OPT overrides -O2.
"""

import os
import platform

from Cython.Build import cythonize
from setuptools import Extension, setup

SANITIZE = os.environ.get("TSUNAMI_SANITIZE", "")
flags = [os.environ.get("TSUNAMI_OPT", "-O2"), "-std=c11", "-fno-strict-aliasing", "-Wno-unused-function"]
links: list[str] = []
if SANITIZE == "address":
    flags = ["-O1", "-g", "-std=c11", "-fno-strict-aliasing", "-fno-omit-frame-pointer"]
    flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
    links = ["-fsanitize=address,undefined"]
elif SANITIZE == "thread":
    flags = ["-O1", "-g", "-std=c11", "-fno-strict-aliasing", "-fsanitize=thread"]
    links = ["-fsanitize=thread"]

HEADERS = [f"src_cython/c/{name}" for name in sorted(os.listdir("src_cython/c")) if name.endswith(".h")]


def extension(name: str) -> Extension:
    root = f"src_cython/tsunami/{name}.pyx"
    parts = sorted(
        f"src_cython/tsunami/{part}" for part in os.listdir("src_cython/tsunami") if part.endswith((".pxi", ".pxd"))
    )
    return Extension(
        f"tsunami.{name}",
        [root],
        include_dirs=["src_cython/c"],
        depends=parts + HEADERS,
        extra_compile_args=flags,
        extra_link_args=links,
        libraries=[] if platform.system() == "Darwin" else ["pthread"],
    )


names = [n for n in ("_core", "_wire") if os.path.exists(f"src_cython/tsunami/{n}.pyx")]
setup(
    ext_modules=cythonize(
        [extension(name) for name in names],
        include_path=["src_cython"],
        compiler_directives={
            "language_level": 3,
            "binding": True,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "auto_pickle": False,
            "embedsignature": False,
            "freethreading_compatible": True,
        },
    )
)
