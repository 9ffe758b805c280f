from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling, which builds the wheel, is not installed")  # it comes with the extra `test` alone
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def run_isolated(code: str, path: Path, *arguments: str) -> str:
    """Output of `code` in a fresh interpreter that finds refimpl in `path` and not in the checkout."""
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=path,
        env=os.environ | {"PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_wheel_holds_refimpl_its_command_and_pytest_plugin_and_nothing_else(names: list[str]) -> None:
    version = PROJECT["version"]
    assert {name.partition("/")[0] for name in names} == {
        "refimpl",
        "_refimpl_command.py",
        "_refimpl_pytest.py",
        f"refimpl-{version}.dist-info",
    }


def test_wheel_holds_every_module_the_type_marker_and_the_data(names: list[str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "refimpl").rglob("*.py")}
    data = {"refimpl/py.typed", "refimpl/data/digits.npz", "refimpl/data/digits.LICENSE.txt"}
    vectors = {path.relative_to(ROOT).as_posix() for path in (ROOT / "refimpl" / "conformance").rglob("*.json")}
    assert "refimpl/conformance/schema.json" in vectors
    assert modules | data | vectors <= set(names)


def test_wheel_carries_both_licences(names: list[str], metadata: Message) -> None:
    assert metadata["License-Expression"] == "BSD-3-Clause"
    licences = {name.partition(".dist-info/licenses/")[2] for name in names if ".dist-info/licenses/" in name}
    assert licences == {"LICENSE", "refimpl/data/digits.LICENSE.txt"}


def test_wheel_needs_numpy_and_scipy_only(metadata: Message) -> None:
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(needed) == ["numpy>=2.0", "scipy>=1.14"]
    assert metadata["Requires-Python"] == ">=3.11"


def test_data_is_found_in_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "import refimpl, refimpl.data as data; print(refimpl.__file__); print(data.digits().X_train.shape)"
    file, shape = run_isolated(code, tmp_path).splitlines()
    assert Path(file).is_relative_to(tmp_path)
    assert shape == "(268, 64)"


def test_pytest_finds_the_plugin_and_the_vectors_in_the_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "pytest.ini").touch()
    options = ["-p", "no:cacheprovider", "-q", "--refimpl=refimpl.conformance.own:Default", "-k", "tanh-ode-line"]
    result = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", *options],
        cwd=tmp_path,
        env={k: z for k, z in os.environ.items() if k != "PYTEST_ADDOPTS"} | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "5 passed" in result.stdout


def test_import_reads_no_vectors() -> None:
    code = "import refimpl, refimpl.conformance.vectors as vectors; print(vectors._shipped.cache_info().misses)"
    assert run_isolated(code, ROOT) == "0\n"
    loaded = run_isolated("import sys, refimpl; print(*sys.modules)", ROOT).split()
    assert not {"refimpl.conformance.mistakes", "refimpl.conformance.drawing", "pytest"} & set(loaded)


def test_import_loads_numpy_and_scipy_and_no_other_package() -> None:
    """What their own modules bring in (numpy.f2py tries charset_normalizer, say) is not this package's choice."""
    ours = set(run_isolated("import sys, refimpl, refimpl.data; print(*sys.modules)", ROOT).split())
    assert "refimpl.data" in ours
    used = sorted(name for name in ours if name.partition(".")[0] in {"numpy", "scipy"})
    imports = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    theirs = set(run_isolated(imports, ROOT, *used).split())
    extra = {name.partition(".")[0] for name in ours - theirs} & set(packages_distributions())
    assert extra <= {"refimpl", "numpy", "scipy"}


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("CITATION.cff", r"^version: (\S+)$"),
        ("CHANGELOG.md", r"^## (\S+)"),
        ("refimpl/__init__.py", r'^__version__ = "(.+)"$'),
    ],
)
def test_version_is_the_same_everywhere(file: str, pattern: str) -> None:
    found = re.search(pattern, (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert found is not None
    assert found[1] == PROJECT["version"]


def test_constraints_pin_exact_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line)] == []


def test_constraints_pin_the_dependencies_and_the_direct_requirements_of_the_tests() -> None:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = {re.sub(r"[-_.]+", "-", name).lower() for name in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *(line for name in ("verify", "test", "docs", "dev") for line in extras[name])]
    assert {re.split(r"[\[<>=]", line)[0].lower() for line in wanted} - {"refimpl"} <= pinned
