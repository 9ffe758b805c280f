from __future__ import annotations

import io
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refimpl
from refimpl import SGD, Adam, Euler, GradientDescent, Momentum, Params, SolveIVP, train
from refimpl.backend import to_host
from refimpl.training.checkpoint import HEADER
from tests import formulas

ROOT = Path(__file__).resolve().parents[2]
RULES = (GradientDescent(), SGD(batch_size=2, seed=3), Momentum(), Adam())
ARRAYS = ("loss", "test_loss", "predictions", "test_predictions", "spectrum")
ARRAYS += ("distance", "distance_U", "distance_W", "distance_v")
case = formulas.make("tanh", n=6, d=3, N=5)
X_test, y_test = np.random.default_rng(5).standard_normal((4, 3)), np.ones(4)
SETTINGS = {
    "net": case.net, "theta": case.theta, "X": case.X, "y": case.y, "X_test": X_test, "y_test": y_test,
    "optimizer": Adam(), "lr": 0.05, "solver": Euler(4), "spectrum_every": 3,
}  # fmt: skip


def run(path=None, steps=8, **changed):
    return train(steps=steps, checkpoint=path, **(SETTINGS | changed))


def same(one, two):
    for name in ARRAYS:
        np.testing.assert_array_equal(to_host(getattr(one, name)), to_host(getattr(two, name)))
    for name in ("U", "W", "v"):
        np.testing.assert_array_equal(to_host(getattr(one.theta, name)), to_host(getattr(two.theta, name)))
    assert (one.lr, one.spectrum_steps, one.stopped) == (two.lr, two.spectrum_steps, two.stopped)


# --- going on -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("every", [1, 3, 100])
def test_a_run_that_was_stopped_anywhere_ends_with_the_same_bits(tmp_path, rule, every):
    expected = run(optimizer=rule)
    for last in range(9):
        path = tmp_path / f"{last}.npz"
        settings = {"optimizer": rule, "checkpoint_every": every}
        run(path, callback=lambda step, last=last: step.step == last, **settings)
        assert path.exists() == (last > 0)
        same(run(path, **settings), expected)
        same(run(path, **settings), expected)  # and once more, from its end


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_more_steps_extend_a_run_to_the_same_bits(tmp_path, rule):
    path = tmp_path / "run"
    for steps in (1, 2, 5, 8):
        same(run(path, steps, optimizer=rule), run(steps=steps, optimizer=rule))


def test_solvers_that_adapt_and_parameters_in_any_order_in_memory_resume_to_the_same_bits(tmp_path):
    theta = Params(*(np.asfortranarray(block) for block in (case.theta.U, case.theta.W, case.theta.v)))
    settings = {"solver": SolveIVP(rtol=1e-7), "theta": theta, "optimizer": SGD(2)}
    run(tmp_path / "run", 3, **settings)
    same(run(tmp_path / "run", **settings), run(**settings))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_library_resumes_to_the_same_bits_and_kinds(xp, dtype, tmp_path):
    arrays = (case.theta.U, case.theta.W, case.theta.v, case.X, case.y, X_test, y_test)
    U, W, v, X, y, *test = (xp.asarray(array.astype(dtype)) for array in arrays)
    settings = {"theta": Params(U, W, v), "X": X, "y": y, "X_test": test[0], "y_test": test[1]}
    run(tmp_path / "run", 4, **settings)
    found, expected = run(tmp_path / "run", **settings), run(**settings)
    same(found, expected)
    for name in ARRAYS:
        assert type(getattr(found, name)) is type(X)
        assert getattr(found, name).dtype == X.dtype


def test_a_run_without_data_or_test_set_resumes(tmp_path):
    settings = {"X": case.X[:0], "y": case.y[:0], "X_test": None, "y_test": None, "spectrum_every": None}
    run(tmp_path / "run", 3, **settings)
    assert run(tmp_path / "run", 5, **settings).loss.tolist() == [0.0] * 6


def test_a_run_of_many_parameters_resumes(tmp_path):
    """θ takes more bytes than the header of an array may."""
    theta = case.net.init(width=48, dim=3, seed=0)
    assert theta.ravel().nbytes > 1.1 * HEADER
    run(tmp_path / "run", 2, theta=theta)
    same(run(tmp_path / "run", 3, theta=theta), run(steps=3, theta=theta))


def test_a_run_resumes_on_the_device_of_its_arrays(tmp_path):
    strict = pytest.importorskip("array_api_strict")
    device = strict.Device("device1")
    arrays = (case.theta.U, case.theta.W, case.theta.v, case.X, case.y, X_test, y_test)
    U, W, v, X, y, *test = (strict.asarray(array, device=device) for array in arrays)
    settings = {"theta": Params(U, W, v), "X": X, "y": y, "X_test": test[0], "y_test": test[1], "optimizer": SGD(2)}
    run(tmp_path / "run", 4, **settings)
    found = run(tmp_path / "run", **settings)
    same(found, run(**settings))
    assert {array.device for array in (found.theta.W, *(getattr(found, name) for name in ARRAYS))} == {device}


def test_a_named_learning_rate_is_worked_out_once(tmp_path, monkeypatch):
    settings = {"optimizer": "gd", "lr": "stable"}
    expected = run(**settings)
    run(tmp_path / "run", 3, **settings)
    monkeypatch.setattr("refimpl.training.rates.learning_rate", lambda *_: pytest.fail("worked out again"))
    same(run(tmp_path / "run", **settings), expected)


def test_a_run_saves_every_so_many_steps_and_at_its_end(tmp_path, monkeypatch):
    saved = []
    save = refimpl.training.checkpoint.Checkpoint.save
    monkeypatch.setattr(
        "refimpl.training.checkpoint.Checkpoint.save",
        lambda self, at, recorder: saved.append(at.step) or save(self, at, recorder),
    )
    run(tmp_path / "run", 8, checkpoint_every=3)
    assert saved == [3, 6, 8]
    run(tmp_path / "run", 10, checkpoint_every=3)
    assert saved == [3, 6, 8, 9, 10]


def test_a_path_may_be_a_string_and_need_no_extension(tmp_path):
    run(str(tmp_path / "run"), 2)
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


# --- a process that is killed -------------------------------------------------------------------------------------

SCRIPT = textwrap.dedent("""
    import os, signal, sys
    import numpy as np
    import refimpl

    left = 0  # events until this process kills itself; 0: never

    def event(*_):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying(function):
        def call(*arguments, **settings):
            event()
            return function(*arguments, **settings)
        return call

    def work(folder, saves):
        rng = np.random.default_rng(0)
        net = refimpl.NeuralODE("tanh")
        theta, X = net.init(5, 3, seed=0), rng.standard_normal((6, 3))
        rules = refimpl.GradientDescent(), refimpl.SGD(4), refimpl.Momentum(), refimpl.Adam()
        for i, rule in enumerate(rules):
            history = refimpl.train(
                net, theta, X, X[:, 0], X[:2], X[:2, 1], rule, lr=0.1, steps=30, solver=refimpl.Euler(3),
                spectrum_every=7, callback=event, checkpoint=f"{folder}/run{i}" if saves else None, checkpoint_every=2,
            )
            np.savez(f"{folder}/end{i}.npz", theta=history.theta.ravel(), loss=history.loss, test=history.test_loss,
                     outputs=history.predictions, distance=history.distance, spectrum=history.spectrum)

    whole, broken, *deaths = sys.argv[1:]
    work(whole, saves=False)
    os.fsync, os.replace = dying(os.fsync), dying(os.replace)  # a file that is written, and not yet in its place
    for left in [int(death) for death in deaths] + [0]:
        child = os.fork()
        if child == 0:
            work(broken, saves=True)
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_run_killed_ten_times_ends_with_the_bits_of_one_that_was_not(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    # Four runs of 31 callbacks and 2 × 15 calls while saving make 244 events, some of which are done again after a
    # kill: ten kills spread over all four optimisers.
    deaths = [str(after) for after in np.random.default_rng(7).integers(15, 30, 10)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(whole), str(broken), *deaths]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [str(-signal.SIGKILL)] * 10 + ["0"]
    for i in range(4):
        with np.load(whole / f"end{i}.npz") as one, np.load(broken / f"end{i}.npz") as two:
            assert set(one) == set(two)
            for name in one:
                np.testing.assert_array_equal(one[name], two[name])


# --- the file -----------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run.npz"
    run(path, 4)
    return path


def test_the_file_is_plain_arrays_and_json(saved):
    with np.load(saved, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored}
    meta = json.loads(arrays.pop("meta").tobytes())
    assert (meta["format"], meta["step"], meta["lr"]) == (1, 4, 0.05)
    assert {name: array.shape for name, array in arrays.items()} == {
        "theta": (60,), "moment_0": (60,), "moment_1": (60,), "record_loss": (4,), "record_test_loss": (4,),
        "record_predictions": (4, 5), "record_test_predictions": (4, 4), "record_spectrum": (2, 5),
        "record_distance": (4,), "record_distance_U": (4,), "record_distance_W": (4,), "record_distance_v": (4,),
    }  # fmt: skip


@pytest.mark.parametrize("where", ["numpy.savez", "os.fsync", "os.replace"])
def test_a_save_that_fails_leaves_the_file_as_it_was(saved, monkeypatch, where):
    before = saved.read_bytes()

    def fail(*arguments, **_):
        if where == "numpy.savez":
            arguments[0].write(b"half a file")
        raise OSError("no space left on device")

    monkeypatch.setattr(where, fail)
    with pytest.raises(OSError, match="no space left"):
        run(saved, 8)
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert [file.name for file in saved.parent.iterdir()] == [saved.name]
    same(run(saved), run())


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"net": refimpl.NeuralODE("sin")}, "activation"),
        ({"net": refimpl.NeuralODE("tanh", horizon=2.0)}, r"horizon \('1.0' there, '2.0' here\)"),
        ({"net": refimpl.NeuralODE("tanh", sigma_u=0.5)}, r"sigma_u \(.*\)"),
        ({"net": refimpl.NeuralODE("tanh", sigma_w=0.5)}, r"sigma_w \(.*\)"),
        ({"net": refimpl.NeuralODE("tanh", sigma_v=0.5)}, r"sigma_v \(.*\)"),
        ({"theta": case.theta * (1 + 2**-52)}, "theta"),
        ({"X": case.X + 1e-15}, "X"),
        ({"y": -case.y}, "y"),
        ({"X_test": -X_test}, "X_test"),
        ({"y_test": 2 * y_test}, "y_test"),
        ({"y_test": None}, "y_test"),
        ({"X_test": None, "y_test": None}, "X_test, y_test"),
        ({"optimizer": Adam(0.8)}, r"optimizer \('.*Adam\(beta1=0.9,.* there, '.*beta1=0.8,.* here\)"),
        ({"optimizer": "gd"}, r"optimizer \(.*\)"),
        ({"lr": 0.06}, r"lr \('0.05' there, '0.06' here\)"),
        ({"solver": Euler(5)}, r"solver \('.*depth=4.* there, '.*depth=5.* here\)"),
        ({"spectrum_every": 2}, r"spectrum_every \('3' there, '2' here\)"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_and_the_difference_is_named(saved, changed, named):
    before = saved.read_bytes()
    with pytest.raises(ValueError, match=f"run.npz belongs to another run; different: {named}$"):
        run(saved, **changed)
    assert saved.read_bytes() == before


def test_a_checkpoint_beyond_the_steps_asked_for_is_refused(saved):
    with pytest.raises(ValueError, match=r"has reached step 4, beyond steps=3$"):
        run(saved, 3)


# --- files that cannot be trusted ---------------------------------------------------------------------------------


def refused(path, what="is damaged or no checkpoint", settings=None):
    with pytest.raises(ValueError, match=what) as info:
        run(path, **(settings or {}))
    message = str(info.value)
    assert message.startswith(f"checkpoint {path} ")
    assert "\n" not in message
    assert len(message) < 2000


def rewritten(path, entries=None, /, **changed):
    """The checkpoint with other arrays (None: without), and with other entries in its JSON part."""
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored}
    found = json.loads(arrays["meta"].tobytes()) | (entries or {})
    arrays["meta"] = np.frombuffer(json.dumps(found).encode(), np.uint8)
    arrays = {name: array for name, array in (arrays | changed).items() if array is not None}
    np.savez(path, **arrays)


class Exploding:
    """Unpickling this would leave a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"PK\x05\x06" + 18 * b"\0", bytes(10**5)])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "run"
    path.write_bytes(content)
    refused(path)


def test_nothing_is_ever_unpickled(saved):
    trap = saved.parent / "trap"
    saved.write_bytes(pickle.dumps(Exploding(trap)))
    refused(saved)
    np.savez(saved, meta=np.asarray([Exploding(trap)], dtype=object))
    refused(saved)
    saved.unlink()
    run(saved, 4)
    rewritten(saved, theta=np.asarray([Exploding(trap)] * 60, dtype=object))
    refused(saved)
    assert not trap.exists()
    pickle.loads(pickle.dumps(Exploding(trap)))
    assert trap.exists()  # the trap works


@given(st.integers(0, 10**9))
def test_a_truncated_file_is_refused(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("cut") / "run"
    run(path, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[: length % len(whole)])
    refused(path)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=3), st.integers(1, 255))
def test_damage_is_found_or_harmless(tmp_path_factory, places, change):
    path = tmp_path_factory.mktemp("damage") / "run"
    run(path, 3)
    data = bytearray(path.read_bytes())
    for place in places:
        data[place % len(data)] ^= change
    path.write_bytes(data)
    try:
        history = run(path)
    except ValueError:
        refused(path, "checkpoint")
    else:
        same(history, run())


@pytest.mark.parametrize(
    "changed",
    [
        {"theta": None},
        {"moment_1": None},
        {"record_loss": None},
        {"record_spectrum": None},
        {"theta": np.zeros(59)},
        {"theta": np.zeros((60, 1))},
        {"theta": np.zeros(60, np.float32)},
        {"theta": np.zeros(60, complex)},
        {"theta": np.full(60, np.nan)},
        {"moment_0": np.full(60, np.inf)},
        {"record_loss": np.zeros(5)},
        {"record_predictions": np.zeros((5, 4))},
        {"record_test_predictions": np.zeros((4, 4), int)},
        {"meta": None},
        {"meta": np.zeros(3, np.uint8)},
        {"meta": np.frombuffer(b"[1, 2]", np.uint8)},
        {"meta": np.frombuffer(b"{}", np.uint8)},
        {"meta": np.frombuffer(b"[" * 10**5, np.uint8)},
        {"meta": np.frombuffer(b" " * (1 << 21), np.uint8)},
        {"meta": np.asarray("{}")},
    ],
    ids="-".join,
)
def test_arrays_that_are_missing_or_of_another_form_are_refused(saved, changed):
    rewritten(saved, **changed)
    refused(saved)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"theta": np.zeros(59)}, r"theta has shape \(59,\) and dtype float64, not \(60,\) and float64"),
        ({"theta": np.full(60, np.nan)}, "theta is not finite"),
        ({"moment_0": np.full(60, np.inf)}, "moment_0 is not finite"),
        ({"meta": np.asarray("{}")}, "its JSON part is no array of bytes"),
        ({"meta": np.frombuffer(b"[1, 2]", np.uint8)}, "its JSON part has another form"),
        ({"meta": np.frombuffer(b" " * (1 << 21), np.uint8)}, "its JSON part is too large"),
    ],
    ids=lambda part: "-".join(part) if isinstance(part, dict) else "",
)
def test_the_reason_is_named(saved, changed, reason):
    rewritten(saved, **changed)
    refused(saved, rf"is damaged or no checkpoint \(ValueError: {reason}\)$")


@pytest.mark.parametrize(
    ("meta", "reason"),
    [({"step": value}, f"its step is {value!r}") for value in (0, -1, 4.0, "4", None, True)]
    + [({"lr": value}, f"its learning rate is {value!r}") for value in (0.0, -1.0, math.nan, math.inf, 1, "0.1", None)]
    + [({"run": value}, "its JSON part has another form") for value in (None, [], "x")],
    ids=lambda part: "-".join(part) if isinstance(part, dict) else "",
)
def test_numbers_that_cannot_be_are_refused(saved, meta, reason):
    rewritten(saved, meta)
    refused(saved, rf"is damaged or no checkpoint \(ValueError: {reason}\)$")


def test_another_step_than_that_of_the_arrays_is_refused(saved):
    rewritten(saved, {"step": 3})
    refused(saved)


def test_another_format_is_refused_by_its_number(saved):
    rewritten(saved, {"format": 2, "step": "of another kind"})
    refused(saved, r"has format 2, this version reads 1$")
    rewritten(saved, {"format": "x\n" * 1000})
    refused(saved, r"has format .*, this version reads 1$")


def test_an_invented_fingerprint_is_refused_in_one_line(saved):
    with np.load(saved) as stored:
        real = json.loads(stored["meta"].tobytes())["run"]
    for run_ in ({}, {"X": 3}, {"a\nb" * 1000: "c\nd"}, real | {"X": ["nested"]}, real | {"extra\nline": None}):
        rewritten(saved, {"run": run_})
        refused(saved, "belongs to another run; different: ")


@pytest.mark.parametrize("name", ["meta", "theta"])
def test_an_archive_that_unpacks_to_far_more_than_it_should_is_not_unpacked(saved, name):
    with zipfile.ZipFile(saved) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**7,)})
    members[f"{name}.npy"] = header.getvalue() + bytes(8 * 10**7)
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    assert saved.stat().st_size < 10**6
    refused(saved, "too large|larger than")


def test_a_header_that_promises_more_than_there_is_is_refused(saved):
    with zipfile.ZipFile(saved) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    for shape in ((10**15,), (10**400,), (-1,), (2**62, 2**62)):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
        with zipfile.ZipFile(saved, "w") as archive:
            for member, content in members.items():
                archive.writestr(member, header.getvalue() if member == "theta.npy" else content)
        refused(saved)


def test_data_behind_an_array_is_refused(saved):
    with zipfile.ZipFile(saved) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    members["theta.npy"] += b"more"
    with zipfile.ZipFile(saved, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    refused(saved, "followed by other data")


def test_a_file_that_may_not_be_written_raises_what_the_system_says(saved, monkeypatch):
    opened = Path.open

    def denied(self, mode="r", *rest):
        if "w" in mode:
            raise PermissionError(13, "Permission denied")
        return opened(self, mode, *rest)

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PermissionError):
        run(saved)


def test_a_file_that_may_not_be_read_raises_what_the_system_says(saved, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(PermissionError):
        run(saved)
