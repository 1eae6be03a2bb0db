"""Arrays of other libraries: read where they lie, or copied from a device and said so."""

import warnings

import numpy as np
import pytest

from oco2_outliers.dbscan import IsolatedSoundings, isolation_radius, nearest, sweep
from oco2_outliers.ground.errors import InputError

ROWS = np.random.default_rng(0).standard_t(3, (200, 4))


class OnDevice:
    """An array of a GPU, as DLPack describes it: no GPU can run here. `copies` says how its library makes a copy."""

    def __init__(self, rows, copies):
        self._rows, self.shape, self._copies = rows, rows.shape, copies
        if copies in ("get", "cpu"):
            setattr(self, copies, lambda: rows)

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, *, dl_device=None, copy=None, **more):
        if self._copies == "dlpack" and tuple(dl_device) == (1, 0) and copy:
            return self._rows.copy().__dlpack__()
        raise BufferError("the rows lie on a device")


@pytest.mark.parametrize("copies", ["dlpack", "get", "cpu"])
def test_rows_on_a_device_are_copied_and_said_so(copies):
    expected = IsolatedSoundings(eps=1.5, min_samples=5).fit(ROWS)
    with pytest.warns(UserWarning, match="lies on a CUDA device: its 200 x 4 numbers were copied") as said:
        model = IsolatedSoundings(eps=1.5, min_samples=5).fit(OnDevice(ROWS, copies))
    assert len(said) == 1
    assert (model.labels_ == expected.labels_).all() and (model.radius_ == expected.radius_).all()
    with pytest.warns(UserWarning, match="copied"):
        assert (model.predict(OnDevice(ROWS, copies)) == expected.predict(ROWS)).all()
    with pytest.warns(UserWarning, match="copied"):
        assert (isolation_radius(OnDevice(ROWS, copies), 5) == expected.radius_).all()


def test_a_device_that_nobody_can_copy_from():
    with pytest.warns(UserWarning, match="CUDA"), pytest.raises(InputError, match="hand over an array of NumPy"):
        isolation_radius(OnDevice(ROWS, "not at all"), 5)


class SpeaksDLPack:
    """Rows in the processor's memory that know nothing but DLPack."""

    def __init__(self, rows):
        self._rows, self.shape = rows, rows.shape

    def __dlpack_device__(self):
        return self._rows.__dlpack_device__()

    def __dlpack__(self, **asked):
        return self._rows.__dlpack__(**asked)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32])
def test_rows_in_memory_are_read_where_they_lie(dtype):
    rows = (10 * ROWS).astype(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = SpeaksDLPack(rows)
        assert (isolation_radius(theirs, 5) == isolation_radius(rows, 5)).all()
        one, other = (sweep(each, eps=[5.0], min_samples=5).labels(0) for each in (theirs, rows))
        assert (one == other).all()
        found, expected = nearest(theirs, k=3), nearest(rows, k=3)
        assert all((one == other).all() for one, other in zip(found, expected))


@pytest.mark.torch
def test_tensors_of_pytorch():
    torch = pytest.importorskip("torch", reason="no PyTorch (extra torch); other test: "
                                                "test_rows_in_memory_are_read_where_they_lie")
    expected = IsolatedSoundings(eps=1.5, min_samples=5).fit(ROWS).labels_
    for tensor in (torch.tensor(ROWS), torch.tensor(ROWS, requires_grad=True)):
        assert (IsolatedSoundings(eps=1.5, min_samples=5).fit(tensor).labels_ == expected).all()
    with pytest.raises(InputError, match="hand over float32 or float64"):
        isolation_radius(torch.tensor(ROWS).to(torch.bfloat16), 5)
