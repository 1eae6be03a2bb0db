"""One limit of threads for the whole process, which is found once and not with every answer."""

import threading

import numpy as np
import pytest
import threadpoolctl
from threadpoolctl import threadpool_info, threadpool_limits

from oco2_outliers.dbscan import nearest
from oco2_outliers.ground import threads


def blas_threads():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


@pytest.fixture
def wide_rows():
    return np.random.default_rng(0).normal(size=(400, 200))


def test_libraries_are_looked_for_once(wide_rows, monkeypatch):
    """To look through all that is loaded takes longer than a small answer does."""
    nearest(wide_rows, wide_rows[:3], 2)
    looked = []

    class Counted(threadpoolctl.ThreadpoolController):
        def __init__(self):
            looked.append(1)
            super().__init__()

    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", Counted)
    for _ in range(20):
        nearest(wide_rows, wide_rows[:3], 2)
        with threads.one_thread():
            pass
    assert len(looked) <= 1, "once more where the first answer imported something"


def test_the_limit_holds_whichever_thread_asks():
    """threadpoolctl obeys the first thread that ever set a limit, and no other as long as that one lives."""
    with threadpool_limits(2, user_api="blas"):
        pass
    before, seen = blas_threads(), []
    with threadpool_limits(2, user_api="blas"):

        def work():
            with threads.one_thread():
                seen.append(blas_threads())

        other = threading.Thread(target=work)
        other.start()
        other.join()
    assert seen == [{1}] and blas_threads() == before
