"""``refimpl kernel``: the files that it reads, and those that it refuses."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click", reason="the command line needs click")


import refimpl
from refimpl.commands.inputs import MAX_ENTRIES, MAX_ROWS
from tests.commands.running import refuses, run


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
