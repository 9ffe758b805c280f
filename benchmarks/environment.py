"""What a time depends on: versions, the linear algebra library and its threads, the processor."""

import os
import platform
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np

from refimpl._words import counted

PACKAGES = (
    "refimpl", "numpy", "scipy", "diffrax", "equinox", "jax", "jaxlib", "torch", "torchdiffeq", "torchode",
)  # fmt: skip
SETTINGS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE", "XLA_FLAGS")

BUSY = 0.5
"""Load of a core, before anything was measured, above which a table says so."""


def environment():
    """Asked for before anything is measured, with the libraries loaded whose threads count."""
    return {
        "versions": versions(PACKAGES),
        "cpu": processor(),
        "cores": cores(),
        "load": load_before(),
        "blas": blas(),
        "threads": threads(),
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }


@cache
def load_before():
    """Load of the machine when this process asks first: later it would count what this process does itself."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def versions(packages):
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def blas():
    """The library behind NumPy's products, by threadpoolctl where that is installed, else as NumPy was built."""
    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    found = {"name": built.get("name"), "version": built.get("version")}
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return found
    kept = ("internal_api", "version", "num_threads", "architecture", "threading_layer")
    return found | {"pools": [{name: pool[name] for name in kept if name in pool} for pool in threadpool_info()]}


def allowed():
    """Threads that every library gets: what OpenBLAS was told, else one a core."""
    told = next((os.environ[name] for name in SETTINGS[:2] if os.environ.get(name, "").isdigit()), None)
    return cores() if told is None else int(told)


def threads():
    """Threads of NumPy's products, and of PyTorch where it is loaded."""
    found = {"numpy": allowed()}
    if "torch" in sys.modules:
        found["torch"] = sys.modules["torch"].get_num_threads()
    return found


def described(found):
    """Lines for the head of a table."""
    library, count, load = found["blas"], found["threads"]["numpy"], found["load"]
    lines = [
        "  ".join(f"{name} {version}" for name, version in found["versions"].items()),
        f"{found['cpu']}, {counted(found['cores'], 'core')}; "
        f"{library['name']} {library['version']}, {counted(count, 'thread')}",
    ]
    if load is not None and load > BUSY * found["cores"]:
        lines.append(
            f"others used this machine at the same time, load {load:.1f}: times are too long, and ratios by chance"
        )
    return lines
