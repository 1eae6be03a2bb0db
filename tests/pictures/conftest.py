"""Generated pictures, and one thread for what is made of them."""
from __future__ import annotations

import pytest
from threadpoolctl import threadpool_limits

from oco2_outliers.image_forest import simulate_pictures


@pytest.fixture(autouse=True)
def one_thread_for_small_matrices():
    """On a busy machine threads wait for each other far longer than these matrices take."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return folder, simulate_pictures(folder, n_pictures=40, random_state=0)
