"""Answers of any framework, as arrays on the host."""

from __future__ import annotations

import numpy as np
import pytest

from refimpl.conformance import Expected
from refimpl.conformance.arrays import as_answer, as_host

TRUTH = np.asarray([3.0, 0.0, -4.0])


def test_arrays_of_every_library_are_taken(xp):
    array = as_host(xp.asarray(TRUTH))
    assert type(array) is np.ndarray
    assert array.dtype == np.float64
    assert array.tolist() == TRUTH.tolist()
    single = as_answer(xp.asarray(TRUTH, dtype=xp.float32), Expected(TRUTH, 0.0, 1.0, None))
    assert single.dtype == np.float64


def test_tensors_with_a_history_are_taken():
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(TRUTH, requires_grad=True)
    for raw in (tensor, tensor * 1, list(tensor), torch.tensor(1j * TRUTH).conj().imag * -1):
        assert np.asarray(as_host(raw)).tolist() == TRUTH.tolist()


def test_arrays_that_know_dlpack_only_are_taken():
    class Foreign:
        def __dlpack__(self, **arguments):
            return TRUTH.copy().__dlpack__(**arguments)

        def __dlpack_device__(self):
            return TRUTH.__dlpack_device__()

    assert as_host(Foreign()).tolist() == TRUTH.tolist()


def test_arrays_on_a_device_come_to_the_host():
    class OnDevice:  # as CuPy's, which refuse to be converted unasked
        __cuda_array_interface__ = None

        def __array__(self):
            raise TypeError("implicit conversion")

        def get(self):
            return TRUTH

    assert as_host(OnDevice()) is TRUTH
