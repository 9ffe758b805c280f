from __future__ import annotations

import builtins
import importlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("click", reason="the command line needs click")

from click.testing import CliRunner, Result

import refimpl
from refimpl.commands import output
from refimpl.commands import refimpl as command
from refimpl.commands.inputs import MAX_ENTRIES, MAX_ROWS
from refimpl.commands.kernel import BLOCK, gram
from refimpl.conformance import FLAGS, QUANTITIES, cases
from refimpl.conformance.vectors import FOLDER

X = np.asarray([[1.0, 0.0], [0.3, np.sqrt(1 - 0.09)], [0.5, -2.0]])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def run(*arguments: object, status: int = 0) -> Result:
    """Result of the command, which must end with `status`, and with one line on stderr if that is an error."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    if status:
        assert result.stderr.startswith("refimpl")
        assert result.stderr.count("\n") == 1, result.stderr
        assert "Traceback" not in result.output
    return result


def process(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A fresh interpreter that answers SIGINT, which a shell's background jobs have ignored."""
    head = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    root = str(Path(refimpl.__file__).resolve().parents[1])
    environment = os.environ | {"PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *arguments], env=environment, text=True, **pipes, **options
    )


def refuses(*arguments: object, says: str, out: str = "K.npy") -> None:
    """The kernel of a file is refused in one line, and nothing is left behind."""
    before = sorted(os.listdir())
    assert says in run("kernel", *arguments, "--out", out, status=2).stderr
    assert sorted(os.listdir()) == before


# --- the whole ----------------------------------------------------------------------------------------------------


def test_importing_refimpl_imports_no_click() -> None:
    code = "import refimpl, sys; assert not {'click', 'refimpl.cli', 'refimpl.commands'} & set(sys.modules)"
    child = process(code)
    assert child.communicate(timeout=60) == ("", "")
    assert child.returncode == 0


def test_without_click_one_line_names_the_extra() -> None:
    child = process("import sys; sys.modules['click'] = None; from refimpl.cli import main; sys.exit(main(['info']))")
    out, error = child.communicate(timeout=60)
    assert (child.returncode, out) == (2, "")
    assert error == "refimpl: the command line needs click: pip install 'refimpl[cli]'\n"


def test_python_m_refimpl_is_the_command() -> None:
    child = process("import runpy; runpy.run_module('refimpl', run_name='__main__')", "info")
    out, error = child.communicate(timeout=60)
    assert (child.returncode, error) == (0, "")
    assert out.startswith("refimpl      0.1.0\npython")
    assert f"{len(cases())} cases" in out


def test_a_closed_pipe_is_no_traceback() -> None:
    with process("from refimpl.cli import main; import sys; sys.exit(main())", "vectors", "list") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["check"], ["kernel"], ["info"], ["vectors"]],
    ids=lambda arguments: arguments[0] if arguments else "refimpl",
)
def test_every_help_has_examples(arguments: list[str]) -> None:
    text = run(*arguments, "--help").output
    assert "Example" in text
    assert f"  refimpl {' '.join(arguments)}".rstrip() in text


def test_without_a_subcommand_the_help_goes_to_stderr() -> None:
    result = CliRunner().invoke(command, [])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Exit status" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["--nothing"],
        ["kernel"],
        ["kernel", "--curve", "x.csv", "--out", "K.csv"],
        ["kernel", "--curve", "--points", "1", "--out", "K.csv"],
        ["kernel", "--curve", "--radius", "-1", "--out", "K.csv"],
        ["kernel", "--curve", "--horizon", "nan", "--out", "K.csv"],
        ["kernel", "--curve", "--activation", "swish", "--out", "K.csv"],
        ["kernel", "--curve", "--depth", "0", "--out", "K.csv"],
        ["kernel", "--curve", "--out", "K.txt"],
        ["kernel", "--curve", "--out", "nowhere/K.csv"],
        ["kernel", "--curve", "--activation", "quadratic", "--horizon", "50", "--out", "K.csv"],
        ["check", "nothing"],
        ["check", "nothing:Candidate", "--digits", "0"],
        ["check", "nothing:Candidate", "--quantity", "loss"],
        ["check", "nothing:Candidate", "--plot", "scorecard.txt"],
        ["vectors", "show", "tanh-nothing"],
        ["vectors", "validate", "missing.json"],
        ["vectors", "validate", "."],
        ["vectors", "regenerate", "--jobs", "0"],
        ["vectors", "regenerate"],
    ],
    ids=" ".join,
)
def test_errors_are_one_line_with_status_2(arguments: list[str], folder: Path) -> None:
    run(*arguments, status=2)
    assert not list(folder.iterdir())


def test_an_unexpected_error_is_one_line_with_status_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyError("of a\ndefect")

    monkeypatch.setattr(importlib.import_module("refimpl.commands.kernel"), "_curve", fail)  # the name is a command's
    assert "report it: KeyError" in run("kernel", "--curve", "--out", "c.csv", status=3).stderr


# --- kernel -------------------------------------------------------------------------------------------------------


def test_csv_and_npy_hold_the_kernel_to_the_last_bit() -> None:
    np.save("x.npy", X)
    Path("x.csv").write_text("\n".join(",".join(map(repr, row)) for row in X.tolist()))
    run("kernel", "x.npy", "--activation", "sin", "--horizon", 2, "--sigma-w", 1.2, "--out", "K.npy", "--out", "K.csv")
    run("kernel", "x.csv", "--activation", "sin", "--horizon", 2, "--sigma-w", 1.2, "--out", "same.npy")
    truth = refimpl.NeuralODE("sin", 2.0, sigma_w=1.2).limit().ntk(X)
    assert np.load("K.npy").tolist() == np.load("same.npy").tolist() == truth.tolist()
    assert np.loadtxt("K.csv", delimiter=",").tolist() == truth.tolist()


@pytest.mark.parametrize(
    ("options", "method", "solver"),
    [(["--nngp"], "nngp", None), (["--depth", "3"], "ntk", refimpl.Euler(3))],
    ids=["nngp", "depth"],
)
def test_options_choose_the_kernel(options: list[str], method: str, solver: refimpl.Euler | None) -> None:
    np.save("x.npy", X)
    scales = ["--sigma-u", "0.5", "--sigma-w", "0.7", "--sigma-v", "2"]
    run("kernel", "x.npy", *options, *scales, "--out", "K.npy")
    limit = refimpl.NeuralODE("softplus", 1.0, 0.5, 0.7, 2.0).limit(solver)
    assert np.load("K.npy").tolist() == getattr(limit, method)(X).tolist()


@pytest.mark.parametrize("options", [[], ["--nngp"]], ids=["ntk", "nngp"])
def test_the_curve_is_the_kernel_on_a_sphere(options: list[str]) -> None:
    run("kernel", "--curve", *options, "--points", 5, "--radius", 2, "--activation", "sin", "--out", "curve.csv")
    assert Path("curve.csv").read_text().startswith("rho,kernel\n-1.0,")
    rho, found = np.loadtxt("curve.csv", delimiter=",", skiprows=1).T
    assert rho.tolist() == [-1, -0.5, 0, 0.5, 1]
    limit = refimpl.NeuralODE("sin").limit()
    inputs = 2 * np.stack([rho, np.sqrt(1 - rho**2)], axis=1)
    truth = (limit.nngp if options else limit.ntk)(inputs[-1:], inputs)[0]
    assert np.abs(found - truth).max() < 1e-9 * np.abs(truth).max()  # the default of the solver, with room


def test_png_is_drawn_for_both() -> None:
    pytest.importorskip("matplotlib", reason="a PNG needs matplotlib")
    np.save("x.npy", X)
    run("kernel", "x.npy", "--activation", "identity", "--out", "K.png")
    run("kernel", "--curve", "--activation", "identity", "--out", "curve.png")
    for name in ("K.png", "curve.png"):
        assert Path(name).read_bytes().startswith(b"\x89PNG\r\n")


def test_a_kernel_in_blocks_is_the_kernel_at_once() -> None:
    inputs, done = np.random.default_rng(0).standard_normal((2 * BLOCK + 3, 3)), []
    limit = refimpl.NeuralODE("sin", horizon=0.1).limit()  # not homogeneous: norms matter
    K = gram(limit, inputs, nngp=False, bar=lambda part, total: done.append((part, total)))
    assert np.array_equal(K, K.T)
    assert np.allclose(K, limit.ntk(inputs), rtol=1e-9, atol=0)  # both within the solver's tolerance
    assert done == [(124, 190), (184, 190), (190, 190)]  # 19 rows: 190 pairs, less those of 11 and of 3 rows


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("x,y\r\n1, 2\r\n\r\n3,4e0", [[1, 2], [3, 4]]),
        ('\ufeff"first, of all",y\n1,2\n', [[1, 2]]),
        ("1.5", [[1.5]]),
    ],
    ids=["plain", "header", "quoted header with a byte order mark", "one number"],
)
def test_csv_is_read(text: str, rows: list[list[float]]) -> None:
    Path("x.csv").write_text(text, encoding="utf-8", newline="")
    run("kernel", "x.csv", "--activation", "identity", "--out", "K.npy")
    assert (
        np.load("K.npy").tolist() == refimpl.NeuralODE("identity").limit().ntk(np.asarray(rows, dtype=float)).tolist()
    )


@pytest.mark.parametrize("dtype", ["<f4", ">f8", "i4", "u1"])
def test_npy_of_other_real_dtypes_is_read_in_double_precision(dtype: str) -> None:
    np.save("x.npy", np.asfortranarray(np.asarray([[1, 2], [3, 5]], dtype=dtype)))
    run("kernel", "x.npy", "--activation", "identity", "--out", "K.npy")
    K = np.load("K.npy")
    assert K.dtype == np.float64
    assert K.tolist() == refimpl.NeuralODE("identity").limit().ntk(np.asarray([[1.0, 2.0], [3.0, 5.0]])).tolist()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "holds no numbers"),
        (b"x,y\n", "holds no numbers"),
        (b"x,y\nu,v\n1,2\n", "line 2: 'u' is no number"),
        (b"1,2\n3\n", "line 2 has 1 number where the first has 2"),
        (b"1,2\n3,4,\n", "line 2 has 3 numbers"),
        (b"1,oops\n3,4\n", "line 1: 'oops' is no number"),
        (b"1,2\n3,nan\n", "line 2: nan is not finite"),
        (b"inf,2\n", "line 1: inf is not finite"),
        (b"1,1e999\n", "line 1: 1e999 is not finite"),
        (b"1;2\n3;4\n1,2\n", "'1;2' is no number"),
        (b"1;2\n", "'1;2' is no number"),
        (b"nan,nan\n1,2\n", "line 1: nan is not finite"),
        (b",x\n1,2\n", "line 1: '' is no number"),
        (b"1_000,2\n3,4\n", "'1_000' is no number"),
        (b"\xff\xfe1,2\n", "is no UTF-8 text"),
        (b'"1,2\n', "line 1: unexpected end of data"),
        (b"1\n" * (MAX_ROWS + 1), f"at most {MAX_ROWS}"),
        (b"1e200,0\n", "norm"),
    ],
    ids=lambda value: "file" if isinstance(value, bytes) else value,
)
def test_hostile_csv_is_refused(text: bytes, says: str) -> None:
    Path("x.csv").write_bytes(text)
    refuses("x.csv", says=says)


def npy(shape: object, descr: object = "<f8", content: bytes = b"") -> bytes:
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is no NPY file"),
        (b"PK\x03\x04 a zip", "is no NPY file"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "is no NPY file, or its header is damaged"),
        (b"\x93NUMPY\x03\x00", "version 3.0"),
        (npy("(2, 2)")[:-20], "damaged"),
        (npy("__import__('os').abort()"), "damaged"),
        (npy("(2, 2)", content=bytes(31)), "is truncated"),
        (npy("(2, 2)", content=bytes(33)), "is longer than its header says"),
        (npy("(2, 2)", "|O", b"\x80\x04."), "pickled"),
        (npy("(2, 2)", "<U4", bytes(64)), "has dtype <U4"),
        (npy("(2, 2)", "<c16", bytes(64)), "has dtype complex128"),
        (npy("(2, 2)", "|b1", bytes(4)), "has dtype bool"),
        (npy("(2, 2)", [("a", "<f8")], bytes(32)), "has dtype"),
        (npy("(4,)", content=bytes(32)), "has shape (4,)"),
        (npy("(2, 0)"), "holds no numbers"),
        (npy("(-2, -2)", content=bytes(32)), "holds no numbers"),
        (npy("(1, 1 << 40)".replace("1 << 40", str(1 << 40))), f"at most {MAX_ENTRIES}"),
        (npy(f"({1 << 40}, 1)"), f"at most {MAX_ROWS}"),
        (npy("(1, 2)", content=np.asarray([1, np.nan]).tobytes()), "row 1, column 2 is nan"),
        (npy("(1, 2)", content=np.asarray([-np.inf, 1]).tobytes()), "row 1, column 1 is -inf"),
    ],
    ids=lambda value: "file" if isinstance(value, bytes) else value,
)
def test_hostile_npy_is_refused(content: bytes, says: str) -> None:
    Path("x.npy").write_bytes(content)
    refuses("x.npy", says=says)


def test_a_file_of_gigabytes_is_refused_without_being_read(folder: Path) -> None:
    for name, head in (("x.npy", npy(f"({1 << 14}, {1 << 14})")), ("y.csv", b"")):
        with (folder / name).open("wb") as file:
            file.write(head)
            file.truncate(1 << 31)  # sparse
    start = time.process_time()
    refuses("x.npy", says="at most")
    assert time.process_time() - start < 1
    refuses("y.csv", says="MiB")


def test_what_the_kernel_says_of_inputs_names_their_file(folder: Path) -> None:
    np.save(folder / "big.npy", np.full((3, 2), 1e200))
    says = run("kernel", folder / "big.npy", "--out", folder / "K.csv", status=2).stderr
    assert f"{folder / 'big.npy'}: " in says
    assert "1e+150" in says


@pytest.mark.parametrize("activation", ["softplus", "relu", "gelu", "sin", "erf"])
def test_what_is_out_of_reach_comes_with_advice(activation: str, folder: Path) -> None:
    """And the advice is good: with the smaller horizon, or the tolerance that is named, the kernel is there."""
    np.save("x.npy", X[:2])
    given = ["kernel", "x.npy", "--activation", activation, "--out", "K.npy"]
    says = run(*given, "--horizon", 30, status=2).stderr
    assert re.search("make T(,| or) sigma_w (or sigma_u .x. )?smaller", says)
    found = re.search("ask for an rtol above ([^ ,]+)", says)
    assert (found is None) == (activation != "erf")
    assert ("rtol changes nothing" in says) == (activation == "softplus")
    run(*given, "--horizon", 1)
    if found is not None:
        run(*given, "--horizon", 30, "--rtol", 1.1 * float(found[1]), "--force")


def test_a_tolerance_is_of_the_ode_and_is_kept(folder: Path) -> None:
    np.save("x.npy", X)
    run("kernel", "x.npy", "--activation", "tanh", "--horizon", 2, "--rtol", 1e-5, "--out", "K.npy")
    coarse = refimpl.NeuralODE("tanh", 2).limit(refimpl.Gauss(rtol=1e-5)).ntk(X)
    np.testing.assert_array_equal(np.load("K.npy"), coarse)
    assert (coarse != refimpl.NeuralODE("tanh", 2).limit().ntk(X)).any()
    refuses("x.npy", "--depth", 3, "--rtol", 1e-5, says="--rtol is of the ODE", out="L.npy")
    refuses("x.npy", "--rtol", 0, says="--rtol", out="L.npy")


def test_what_is_no_readable_file_is_refused(folder: Path) -> None:
    (folder / "folder.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    (folder / "x.txt").write_text("1\n")
    refuses("folder.csv", says="is no file")
    refuses("pipe.csv", says="is no file")
    refuses("x.txt", says="must end in .csv or .npy")
    refuses("missing.csv", says="No such file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads and writes everything")
def test_what_may_not_be_read_or_written_is_refused(folder: Path) -> None:
    (folder / "x.csv").write_text("1\n")
    (folder / "x.csv").chmod(0)
    refuses("x.csv", says="Permission denied")
    (folder / "closed").mkdir(mode=0o500)
    refuses("--curve", says="not writable", out="closed/K.csv")


# --- output -------------------------------------------------------------------------------------------------------


def test_an_output_that_exists_is_kept_without_force(folder: Path) -> None:
    Path("c.csv").write_text("mine")
    Path("c.csv").chmod(0o640)
    refuses("--curve", "--activation", "identity", says="--force", out="c.csv")
    assert Path("c.csv").read_text() == "mine"
    run("kernel", "--curve", "--activation", "identity", "--force", "--out", "c.csv")
    assert Path("c.csv").read_text().startswith("rho")
    assert stat.S_IMODE(Path("c.csv").stat().st_mode) == 0o640


def test_force_replaces_what_a_link_points_to_but_no_folder_device_or_input(folder: Path) -> None:
    (folder / "true.csv").write_text("1\n")
    (folder / "link.csv").symlink_to("true.csv")
    run("kernel", "--curve", "--activation", "identity", "--force", "--out", "link.csv")
    assert (folder / "link.csv").is_symlink()
    assert (folder / "true.csv").read_text().startswith("rho")
    (folder / "folder.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    for name in ("folder.csv", "pipe.csv"):
        refuses("--curve", "--force", says="is no file", out=name)
    refuses("true.csv", "--force", says="is the input", out="link.csv")


def test_a_failed_write_leaves_the_old_file_and_no_other(folder: Path) -> None:
    path = folder / "old.csv"
    path.write_text("old")

    def write() -> None:
        with output.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert path.read_text() == "old"
    assert os.listdir(folder) == ["old.csv"]


@pytest.mark.parametrize("slow", ["refimpl.infinite.kernel.Limit.ntk", "numpy.lib.format.write_array"])
def test_ctrl_c_ends_with_status_130_and_leaves_nothing(slow: str, folder: Path) -> None:
    np.save("x.npy", X)
    child = process(
        "import sys, time; from unittest import mock; from refimpl.cli import main\n"
        "def wait(*_, **__): print('now', flush=True); time.sleep(60)\n"
        f"with mock.patch({slow!r}, wait): sys.exit(main())",
        "kernel", "x.npy", "--activation", "identity", "--out", "K.npy",
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "now\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=30)[1].strip() == "refimpl: interrupted"
    assert child.returncode == 130
    assert os.listdir(folder) == ["x.npy"]


@pytest.mark.parametrize("delay", [0.01, 0.1, 0.3, 0.6])
def test_ctrl_c_while_the_package_is_imported_is_one_line(delay: float) -> None:
    """Of the command as it is installed, which no import has preceded."""
    program = "import sys; from _refimpl_command import main; print('!', flush=True); sys.exit(main())"
    child = process(program, "check", "json:Candidate")
    assert child.stdout is not None
    assert child.stdout.read(1) == "!"
    time.sleep(delay)
    child.send_signal(signal.SIGINT)
    error = child.communicate(timeout=30)[1]
    # It may have given its answer before, and be on the way out.
    assert (child.returncode, error) == (130, "refimpl: interrupted\n") or (
        "json" in error and "Traceback" not in error
    )


# --- check --------------------------------------------------------------------------------------------------------


class Scorecard:
    """Stands for that of the check."""

    def __init__(self, passed: bool) -> None:
        self.passed = passed

    def __str__(self) -> str:
        return "the scorecard"

    def to_json(self) -> str:
        return json.dumps({"passed": self.passed})

    def plot(self, path: Path) -> None:
        Path(path).write_bytes(b"picture")


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], dict[str, Any]]:
    """Replaces the check by one that passes or not, and that tells what it was called with."""

    def replace(passed: bool) -> dict[str, Any]:
        called: dict[str, Any] = {}

        def check_conformance(candidate: object, **options: object) -> Scorecard:
            called.update(options, candidate=candidate)
            return Scorecard(passed)

        monkeypatch.setattr("refimpl.conformance.check.check_conformance", check_conformance)
        return called

    return replace


@pytest.mark.parametrize("passed", [True, False])
def test_check_ends_with_1_where_digits_are_missing(passed: bool, checked: Any, folder: Path) -> None:
    called = checked(passed)
    (folder / f"mine_{passed}.py").write_text("Candidate = 'a candidate'\n")
    options = ("--quantity", "ntk", "--quantity", "predict", "--flag", "kink", "--activation", "relu", "--digits", "6")
    result = CliRunner().invoke(
        command, ["check", f"mine_{passed}:Candidate", *options, "--json", "card.json", "--plot", "card.svg"]
    )
    assert (result.exit_code, result.stdout, result.stderr) == (0 if passed else 1, "the scorecard\n", "")
    assert called == {
        "candidate": "a candidate",
        "quantities": ("ntk", "predict"),
        "flags": ("kink",),
        "activations": ("relu",),
        "digits": 6.0,
        "progress": None,
    }
    assert json.loads(Path("card.json").read_text()) == {"passed": passed}
    assert Path("card.svg").read_bytes() == b"picture"


@pytest.mark.parametrize("option", ["--points", "--radius"])
def test_options_of_the_curve_are_refused_with_an_input(option: str, folder: Path) -> None:
    Path("x.csv").write_text("1,0\n0,1\n")
    assert f"{option} is of the curve" in run("kernel", "x.csv", option, "3", "--out", "K.csv", status=2).stderr
    assert not Path("K.csv").exists()


def test_check_keeps_outputs_that_exist(checked: Any, folder: Path) -> None:
    called = checked(True)
    (folder / "kept.py").write_text("Candidate = None\n")
    Path("card.json").write_text("mine")
    run("check", "kept:Candidate", "--json", "card.json", status=2)
    assert not called
    run("check", "kept:Candidate", "--json", "card.json", "--force")
    assert called["quantities"] is None


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise RuntimeError('of\\nmine')", "RuntimeError: of mine"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("def (", "SyntaxError"),
        ("import not_there_at_all", "not_there_at_all"),
        ("Other = 1", "Candidate"),
    ],
    ids=["raises", "exits", "syntax", "import", "name"],
)
def test_a_candidate_that_cannot_be_loaded_is_an_error_in_one_line(
    source: str, says: str, checked: Any, folder: Path, request: pytest.FixtureRequest
) -> None:
    checked(True)
    module = f"broken_{request.node.callspec.id}"
    (folder / f"{module}.py").write_text(source)
    assert says in run("check", f"{module}:Candidate", status=2).stderr


@pytest.mark.parametrize("spec", ["bare_module", "bare_package:inner"])
def test_check_takes_a_module(spec: str, checked: Any, folder: Path) -> None:
    called = checked(True)
    Path("bare_package").mkdir()
    for file in ("bare_module.py", "bare_package/__init__.py", "bare_package/inner.py"):
        Path(file).write_text("" if "init" in file else "def ntk(U, W, v, X, settings):\n    return X @ X.T\n")
    run("check", spec)
    assert called["candidate"].ntk.__module__ == spec.replace(":", ".")


def test_check_says_what_a_module_lacks(folder: Path) -> None:
    Path("lacking.py").write_text("class Mine:\n    pass\n")
    said = run("check", "lacking", status=2).stderr
    assert "package.module:Candidate" in said
    assert "has none of predict" in said


def test_check_judges_a_real_candidate(folder: Path) -> None:
    (folder / "resnets.py").write_text(
        "import refimpl\n"
        "class Right:\n"
        "    def resnet_predict(self, U, W, v, X, settings):\n"
        "        s = settings\n"
        "        net = refimpl.NeuralODE(s.activation, s.horizon, s.sigma_u, s.sigma_w, s.sigma_v)\n"
        "        return net.predict(refimpl.Params(U, W, v), X, refimpl.Euler(s.depth))\n"
        "class Wrong(Right):\n"
        "    def resnet_predict(self, U, W, v, X, settings):\n"
        "        return -super().resnet_predict(U, W, v, X, settings)\n"
    )
    root = Path(refimpl.__file__).resolve().parents[1]
    for name, status in (("Right", 0), ("Wrong", 1)):
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "refimpl",
                "check",
                f"resnets:{name}",
                "--activation",
                "tanh",
                "--json",
                f"{name}.json",
            ],
            env=os.environ | {"PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (result.returncode, result.stderr) == (status, "")
        assert "resnet_predict" in result.stdout
        assert json.loads(Path(f"{name}.json").read_text())["passed"] is (status == 0)


# --- vectors ------------------------------------------------------------------------------------------------------


def test_list_prints_the_chosen_cases() -> None:
    lines = run("vectors", "list", "--quantity", "resnet_ntk", "--activation", "tanh").stdout.splitlines()
    chosen = cases("resnet_ntk", activation="tanh")
    assert [line.split("\t") for line in lines] == [[c.id, ",".join(c.flags), c.comment] for c in chosen]


def test_a_list_of_nothing_says_so() -> None:
    empty = CliRunner().invoke(command, ["vectors", "list", "--quantity", "limit_ntk", "--flag", "asymmetric-weights"])
    assert (empty.exit_code, empty.stdout, empty.stderr) == (1, "", "refimpl vectors list: no case has all of these\n")


def test_show_prints_the_case_as_it_stands_in_its_file() -> None:
    first = json.loads((FOLDER / "tanh-resnet.json").read_text(encoding="utf-8"))["cases"][0]
    assert json.loads(run("vectors", "show", first["id"]).stdout) == first
    assert f"did you mean {first['id']}?" in run("vectors", "show", first["id"] + "x", status=2).stderr


def test_validate_tells_valid_from_invalid() -> None:
    good = FOLDER / "tanh-resnet.json"
    Path("bad.json").write_text('{"format": 2}')
    Path("text.json").write_text("[" * 100_000)
    assert run("vectors", "validate", good).stdout == f"{good}: valid\n"
    result = CliRunner().invoke(command, ["vectors", "validate", str(good), "bad.json", "text.json"])
    assert (result.exit_code, result.stdout) == (1, f"{good}: valid\n")
    assert [line.split(":")[1] for line in result.stderr.splitlines()] == [" bad.json", " text.json"]
    with Path("huge.json").open("wb") as file:
        file.truncate(1 << 31)
    assert "MiB" in run("vectors", "validate", "huge.json", status=2).stderr


def test_regenerate_writes_to_a_folder_and_keeps_files_without_force(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mpmath", reason="the vectors are made with mpmath")
    called = []

    def generate(directory: Path, jobs: int, progress: object) -> tuple[Path, ...]:
        called.append((directory, jobs, progress))
        directory.mkdir(exist_ok=True)
        (directory / "tanh-ode.json").write_text("{}")
        return (directory / "tanh-ode.json",)

    monkeypatch.setattr("refimpl.conformance.generate.generate", generate)
    before = signal.getsignal(signal.SIGINT)
    assert run("vectors", "regenerate", "--out", "new", "--jobs", 3).stdout == "1 file in new, 2 bytes\n"
    assert "--force" in run("vectors", "regenerate", "--out", "new", status=2).stderr
    run("vectors", "regenerate", "--out", "new", "--force")
    assert called == [(Path("new"), 3, None), (Path("new"), 2, None)]
    assert signal.getsignal(signal.SIGINT) is before


def test_help_names_every_quantity_and_flag() -> None:
    text = run("check", "--help").output.replace("\n", " ")
    assert all(name in text for name in (*QUANTITIES, *FLAGS))


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [(KeyboardInterrupt(), 130, "refimpl: interrupted\n"), (ModuleNotFoundError(name="click"), 2, "refimpl[cli]")],
)
def test_an_end_before_the_imports_are_done_is_one_line(
    error: BaseException, status: int, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from refimpl.cli import main

    real = builtins.__import__

    def imported(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "click":
            raise error
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", imported)
    assert main(["info"]) == status
    assert says in capsys.readouterr().err


def test_a_missing_package_of_another_name_is_no_missing_click(monkeypatch: pytest.MonkeyPatch) -> None:
    from refimpl.cli import main

    real = builtins.__import__

    def imported(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "click":
            raise ModuleNotFoundError(name="colorama")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", imported)
    with pytest.raises(ModuleNotFoundError):
        main(["info"])


def test_info_names_versions() -> None:
    lines = run("info").stdout.splitlines()
    assert lines[0].split() == ["refimpl", refimpl.__version__]
    assert any(line.startswith("vectors") and "409 cases" in line for line in lines)
