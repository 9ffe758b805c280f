"""Hypothesis profiles, and the array libraries that a test body runs on."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import Phase, settings

# Fixed examples by default: the same checkout gives the same verdict. "thorough" looks for new counterexamples.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50, database=None, print_blob=True)
settings.register_profile("quick", settings.get_profile("ci"), max_examples=10)
# For a test that is to fail: no search for the smallest example.
settings.register_profile(
    "mutation", settings.get_profile("ci"), phases=(Phase.explicit, Phase.generate), report_multiple_bugs=False,
)  # fmt: skip
settings.register_profile("thorough", deadline=None, max_examples=1000, database=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

NAMESPACES = {
    "numpy": "numpy",
    "array_api_strict": "array_api_strict",
    "torch": "array_api_compat.torch",
    "cupy": "array_api_compat.cupy",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cupy", action="store_true", help="run the `xp` tests on CuPy as well; needs a CUDA device")
    parser.addoption("--cupy-stand-in", action="store_true", help="run them on tests/fake_cupy.py in its place")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "xp" in metafunc.fixturenames:
        with_cupy = metafunc.config.getoption("--cupy") or metafunc.config.getoption("--cupy-stand-in")
        names = [name for name in NAMESPACES if name != "cupy" or with_cupy]
        metafunc.parametrize("xp", names, indirect=True, scope="session")


def finds_a_device(cupy: Any) -> bool:
    """Whether CuPy has a GPU: without a driver, or with one that is too old, it raises instead of saying no."""
    try:
        return bool(cupy.cuda.is_available())
    except cupy.cuda.runtime.CUDARuntimeError:
        return False


@pytest.fixture(scope="session")
def xp(request: pytest.FixtureRequest) -> Any:
    """Array API namespace of each library in turn: the module to make arrays with."""
    name = request.param
    if name == "cupy" and request.config.getoption("--cupy-stand-in"):
        from tests import fake_cupy

        sys.modules.update(fake_cupy.modules())
    pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)
    if name == "cupy" and not finds_a_device(importlib.import_module("cupy")):
        pytest.skip("CuPy finds no CUDA device")  # its arrays live on one; importing CuPy works without
    return pytest.importorskip(NAMESPACES[name], reason="array-api-compat is not installed", exc_type=ImportError)


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """On arrays this small PyTorch's threads only wait for each other."""
    torch = sys.modules.get("torch")
    threads = torch and torch.get_num_threads()
    if torch:
        torch.set_num_threads(1)
    yield
    if torch:
        torch.set_num_threads(threads)
