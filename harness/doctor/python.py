"""Python, its packages, the toolboxes, a compiler."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys

from packaging.requirements import Requirement

from harness.doctor.child import ask_python
from harness.doctor.findings import Finding, error, ok, warning
from harness.doctor.subject import Subject
from harness.startup import DOUBLED, doubled_distributions, foreign_modules
from harness.toolboxes import INSTALL, TOOLBOXES, missing_toolboxes

LEAST_PYTHON = (3, 11)
DISTRIBUTION = "transfer-harness"
IMPORT_SECONDS = 180.0
"""From a cold network disk the toolboxes take minutes; from a warm local one some ten seconds."""
COMPILER_SECONDS = 20.0

IMPORT_TOOLBOXES = """
import importlib, json, sys
found = {"operations": "", "versions": {}, "failed": {}}
try:
    from benchmarks.toolbox.ops import provide_ops
    found["operations"] = provide_ops()
except Exception as error:
    found["failed"]["operations"] = f"{type(error).__name__}: {error}"
for name in sys.argv[1:]:
    try:
        found["versions"][name] = importlib.import_module(name).__version__
    except Exception as error:
        found["failed"][name] = f"{type(error).__name__}: {error}"
print()
print(json.dumps(found))
"""


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Python's version."""
    said = f"{'.'.join(map(str, version))} at {sys.executable}"
    if version < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        return error("python", f"{said}: older than {least}", f"make the environment anew with Python {least} or newer")
    return ok("python", said)


def packages() -> Finding:
    """What the harness needs, in the versions that it needs."""
    try:
        wanted = [Requirement(text) for text in importlib.metadata.requires(DISTRIBUTION) or ()]
    except importlib.metadata.PackageNotFoundError:
        mend = "python -m pip install --no-deps --editable . in the folder of the harness"
        return warning("packages", f"{DISTRIBUTION} is not installed, so its needs are not known", mend)
    problems = []
    for each in wanted:
        if each.marker is not None and not each.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(each.name)
        except importlib.metadata.PackageNotFoundError:
            problems.append(f"{each.name} is missing")
            continue
        if not each.specifier.contains(version, prereleases=True):
            problems.append(f"{each.name} is {version}, not {each.specifier}")
    if problems:
        return error("packages", "; ".join(problems), INSTALL)
    return ok("packages", f"{len(wanted)} in the versions that are needed")


def installed_twice() -> Finding:
    """Packages that others overwrite or hide; what start-up refuses too."""
    foreign = [f"{name} would be imported from {origin}" for name, origin in foreign_modules()]
    doubled = doubled_distributions()
    if foreign:
        mend = "run from another folder, or start with python -P -m harness"
        return error("installed twice", "; ".join(foreign), mend)
    if doubled:
        pairs = "; ".join(f"{one} and {other}" for one, other in doubled)
        names = " ".join(dict.fromkeys(name for pair in doubled for name in reversed(pair)))
        mend = f"python -m pip uninstall -y {names} && {INSTALL}"
        return error("installed twice", f"the same files come from two distributions: {pairs}", mend)
    return ok("installed twice", f"none of {sum(map(len, DOUBLED.values()))} known rivals of the toolboxes")


def toolboxes(subject: Subject) -> tuple[Finding, ...]:
    """The toolboxes, and where mmcv's operations come from; imported in a child."""
    wanting = [choice.benchmark.name for choice in subject.choices if choice.benchmark.trains]
    if not wanting and missing_toolboxes():
        return (ok("toolboxes", "not installed, and nothing in the suite needs them"),)
    said = ask_python(IMPORT_TOOLBOXES, IMPORT_SECONDS, TOOLBOXES)
    if said.content is None:
        return (error("toolboxes", f"they cannot be imported: {said.problem}", INSTALL),)
    versions, failed, kind = (said.content[name] for name in ("versions", "failed", "operations"))
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    broken = "; ".join(f"{name}: {reason.splitlines()[0]}" for name, reason in failed.items() if name != "operations")
    first = error("toolboxes", broken, INSTALL) if broken else ok("toolboxes", listed)
    if "operations" in failed:
        reason = failed["operations"].splitlines()[0]
        return first, error("operations", f"mmcv's operations are not there: {reason}", INSTALL)
    origin = (
        "mmcv's own, compiled" if kind == "compiled" else "torchvision's in place of mmcv's, which are not compiled"
    )
    return first, ok("operations", origin)


def compiler(subject: Subject) -> Finding:
    """A C++ compiler, which only torch.compile needs."""
    asked = subject.settings.numerics.compile
    # torch/_inductor/config.py, cpp.cxx: CXX, else g++.
    name = os.environ.get("CXX", "g++").split()[0]
    mend = "install g++ (or set CXX), or leave out compile=true"
    if shutil.which(name) is None:
        if asked:
            return error("compiler", f"there is no {name}, and numerics ask for compile=true", mend)
        return ok("compiler", f"there is no {name}; only --numerics compile=true needs one")
    try:
        done = subprocess.run([name, "--version"], capture_output=True, timeout=COMPILER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as failed:
        return (error if asked else warning)("compiler", f"{name} does not work: {failed}", mend)
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode or not lines:
        return (error if asked else warning)("compiler", f"{name} --version failed", mend)
    return ok("compiler", f"{platform.machine()}: {re.sub(r'[^ -~]', '', lines[0])}")
