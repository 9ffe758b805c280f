"""Where the numbers were made: versions, machine, threads."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]

EXTRA = ("matplotlib", "jinja2", "latex2mathml", "tqdm")
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS")


class MissingExtraError(ImportError):
    """The packages of the extra `verify` are not all installed."""


def require_extra() -> None:
    """Raise `MissingExtraError`, naming the extra to install, unless its packages are there."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"the verification needs {', '.join(missing)}: pip install -e '.[verify]'")


def describe() -> dict[str, Any]:
    """What a reader needs to judge whether other numbers are due to another machine."""
    return {
        "refimpl": refimpl_version(),
        **({} if (known := commit(ROOT)) is None else {"git commit": known}),
        "source code": source_code(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", "scipy", "matplotlib")},
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "cpus usable": usable_cpus(),
        "blas": _blas(),
        "threads": _threads(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def usable_cpus() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def refimpl_version() -> str:
    """Version of the package under test: its own word first, for a checkout may shadow an installed one."""
    version = getattr(importlib.import_module("refimpl"), "__version__", None)
    if version is not None:
        return str(version)
    try:
        return importlib.metadata.version("refimpl")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def source_code() -> str:
    """What tells two sources apart, whether or not git knows them: a hash of the modules, and of which.

    The SHA-256 of all ``*.py`` below ``verification``, then of all below ``refimpl``, sorted by path in each: the path
    from there in UTF-8, a zero byte, the content, a zero byte. The first 12 digits are kept. It is no object of git,
    whose own name `commit` gives. To have it of another checkout, run there
    ``python -c "from verification.environment import source_code; print(source_code())"``.
    """
    total = hashlib.sha256()
    roots = [Path(__file__).parent, Path(importlib.import_module("refimpl").__file__ or "").parent]
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            total.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return f"SHA-256 {total.hexdigest()[:12]} of verification/**/*.py and refimpl/**/*.py"


def commit(root: Path) -> str | None:
    """The commit that `root` is a checkout of, and whether modules differ from it; None where git does not know.

    Only a `root` that is the top of a working tree counts: what is unpacked within another project has none of it.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), "--no-optional-locks", *arguments]
        return subprocess.run(command, capture_output=True, check=True, timeout=10, encoding="utf-8").stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != root.resolve():
            return None
        found = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--", ":(glob)refimpl/**/*.py", ":(glob)verification/**/*.py")
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):  # no git, no checkout, no commit yet
        return None
    return f"{found}, with changes" if changed else found


def _blas() -> str:
    build: Any = np.show_config(mode="dicts")
    blas = build.get("Build Dependencies", {}).get("blas", {})
    return " ".join(str(blas[key]) for key in ("name", "version") if blas.get(key)) or "unknown"


def _threads() -> str:
    given = [f"{name}={os.environ[name]}" for name in _THREAD_VARIABLES if name in os.environ]
    return ", ".join(given) or "as the BLAS chooses"
