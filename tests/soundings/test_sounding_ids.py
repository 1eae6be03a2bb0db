"""Ids: there and back, and numbers that name no date."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
from hypothesis import given

from oco2_outliers.soundings import make_sounding_id, sounding_footprint, sounding_time

moments = st.datetimes(pd.Timestamp("2014-07-02"), pd.Timestamp("2050-01-01"))


@given(moments, st.integers(1, 8))
def test_id_and_time_are_one(moment, footprint):
    tenth = np.datetime64(moment.replace(microsecond=moment.microsecond // 100_000 * 100_000), "ms")
    made = make_sounding_id([tenth], [footprint])
    assert made.dtype == np.int64
    assert sounding_time(made)[0] == pd.Timestamp(tenth) and sounding_footprint(made)[0] == footprint
    assert str(made[0]) == moment.strftime("%Y%m%d%H%M%S") + str(moment.microsecond // 100_000) + str(footprint)


@given(st.integers(0, 10**16 - 1))
def test_time_of_any_number_is_a_date_or_missing(number):
    stamp = sounding_time([number])[0]
    if stamp is not pd.NaT and number // 100 % 100 < 60:
        assert make_sounding_id([stamp], [number % 10])[0] == number


def test_ids_that_name_no_date_are_missing():
    assert sounding_time([0, 2019063112000001, 2019013124000001, 2019013100600001, 20190131]).isna().all()
    assert not sounding_time([2016123123596001]).isna().any()  # the leap second of 2016
    assert len(sounding_time([])) == 0
