"""``refimpl info``: versions and settings that results depend on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import click
import numpy as np

from refimpl import __version__

PACKAGES = {
    "core": ("numpy", "scipy"),
    "backends": ("torch", "cupy-cuda12x", "cupy-cuda13x", "array-api-compat"),
    "extras": ("click", "jsonschema", "matplotlib", "mpmath", "python-flint"),
}
THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS")


@click.command(epilog="\b\nExample:\n  refimpl info")
def info() -> None:
    """Versions, array libraries, BLAS and its threads, and the golden vectors."""
    from refimpl.conformance import cases

    lines = {"refimpl": __version__, "python": f"{platform.python_version()}, {platform.platform()}"}
    for group, names in PACKAGES.items():
        lines[group] = ", ".join(f"{name} {_version(name)}" for name in names)
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    lines["blas"] = f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
    chosen = [f"{name}={os.environ[name]}" for name in THREADS if name in os.environ]
    lines["blas threads"] = ", ".join(chosen) or f"not set; {os.cpu_count()} processors"
    shipped = cases()
    lines["vectors"] = f"{len(shipped)} cases, {sum(len(case.expected) for case in shipped)} quantities"
    for name, text in lines.items():
        click.echo(f"{name:<13}{text}")


def _version(package: str) -> str:
    """Without importing it: PyTorch takes seconds."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
