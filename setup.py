"""Build of the two extensions; everything else is in pyproject.toml.

Environment:

TSUNAMI_SANITIZE=address|thread  build for that sanitizer (`make asan`, `make tsan`)
TSUNAMI_OPT=-O1                  instead of -O2
TSUNAMI_EXTENSIONS=0             leave the extensions out: the Makefile installs the Python part once, as a link to
                                 the checkout, and builds the extensions in place, each time only what has changed
"""

import os
import platform

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = "src_cython/tsunami"
NAMES = ("_core", "_wire")
DIRECTIVES = {
    "language_level": 3,
    "binding": False,  # plain method descriptors: 10 ns less a call
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "auto_pickle": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    "freethreading_compatible": True,
}


def compiler_flags(sanitize: str) -> tuple[list[str], list[str]]:
    """Flags of the compiler and of the linker. The engine casts between bytes and words: no strict aliasing."""
    # The two warnings are about how Cython writes C, not about what we wrote.
    common = ["-std=c11", "-fno-strict-aliasing", "-Wno-unused-function", "-Wno-sign-compare"]
    if sanitize == "address":
        # float-cast-overflow and the like stay fatal; so is everything else: a finding must stop the run.
        links = ["-fsanitize=address,undefined"]
        return [*common, "-O1", "-g", "-fno-omit-frame-pointer", *links, "-fno-sanitize-recover=undefined"], links
    if sanitize == "thread":
        links = ["-fsanitize=thread"]
        return [*common, "-O1", "-g", "-fno-omit-frame-pointer", *links], links
    if sanitize:
        raise SystemExit(f"TSUNAMI_SANITIZE={sanitize}: it must be address or thread")
    return [*common, os.environ.get("TSUNAMI_OPT", "-O2")], []


def files(directory: str, *endings: str) -> list[str]:
    return sorted(f"{directory}/{name}" for name in os.listdir(directory) if name.endswith(endings))


def extension(name: str) -> Extension:
    compile_args, link_args = compiler_flags(os.environ.get("TSUNAMI_SANITIZE", ""))
    return Extension(
        f"tsunami.{name}",
        [f"{ROOT}/{name}.pyx"],
        include_dirs=["src_cython/c"],
        depends=["setup.py", *files(ROOT, ".pxi", ".pxd"), *files("src_cython/c", ".h")],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
        libraries=[] if platform.system() == "Darwin" else ["pthread"],
    )


def extensions() -> list[Extension]:
    if os.environ.get("TSUNAMI_EXTENSIONS") == "0":
        return []
    names = [name for name in NAMES if os.path.exists(f"{ROOT}/{name}.pyx")]
    return cythonize(
        [extension(name) for name in names],
        nthreads=len(names),
        include_path=["src_cython"],
        compiler_directives=DIRECTIVES,
    )


if __name__ == "__main__":  # cythonize's processes may import this file again
    setup(ext_modules=extensions(), options={"build_ext": {"parallel": len(NAMES)}})
