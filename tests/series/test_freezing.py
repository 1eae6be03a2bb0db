"""A frozen judge is the same after its file, and its file cannot bite."""
import io
import json
import pickle
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.ground.errors import InputError
from oco2_outliers.series.freezing import FrozenJudge, freeze, frozen_bytes, hash_of_judge, load_frozen, load_model
from oco2_outliers.series.judging import judge
from oco2_outliers.series.simulated import simulate_series


@pytest.fixture(scope="module")
def frozen():
    return freeze(simulate_series("seasonal", days=40, step="1 h", random_state=4), window=24, n_surrogates=2)


@pytest.fixture(scope="module")
def arrays(frozen):
    return dict(np.load(io.BytesIO(frozen_bytes(frozen))))


def written(path, arrays, **meta):
    """A model file with some of its settings changed."""
    told = json.loads(arrays["meta"].tobytes())
    channel = told["channels"][0]
    for name, value in meta.items():
        (channel if name in channel and name != "notes" else told)[name] = value
    np.savez(path, **(arrays | {"meta": np.frombuffer(json.dumps(told).encode(), np.uint8)}))
    return path


def test_a_judge_is_the_same_after_its_file(frozen, tmp_path):
    frozen.save(tmp_path / "m.npz")
    again, table = load_model(tmp_path / "m.npz"), simulate_series("seasonal", days=20, step="1 h", random_state=5)
    assert isinstance(again, FrozenJudge) and hash_of_judge(again) == hash_of_judge(frozen)
    one, other = judge(table, model=frozen), judge(table, model=again)
    assert one.points.equals(other.points) and one.windows.equals(other.windows)


def test_another_seed_or_history_is_another_judge(frozen):
    history = simulate_series("seasonal", days=40, step="1 h", random_state=4)
    assert hash_of_judge(freeze(history, window=24, n_surrogates=2)) == hash_of_judge(frozen)
    assert hash_of_judge(freeze(history, window=24, n_surrogates=2, random_state=1)) != hash_of_judge(frozen)


class Bite:
    """What a pickle could do."""

    def __reduce__(self):
        return exec, ("raise SystemExit('bitten')",)


BAD = {"pickle": pickle.dumps(Bite()), "empty": b"", "cut zip": b"PK\x03\x04", "numpy": b"\x93NUMPY",
       "page": b"<html>", "zeros": b"\x00" * 1000}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_is_no_model_is_refused_in_one_line(bad, tmp_path):
    (tmp_path / "m.npz").write_bytes(bad)
    for load in (load_frozen, load_model):
        with pytest.raises(InputError, match="is refused: ") as told:
            load(tmp_path / "m.npz")
        assert "\n" not in str(told.value)


def test_a_pickle_within_is_never_read(arrays, tmp_path):
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        for name in arrays:
            file = io.BytesIO()
            np.lib.format.write_array(file, np.array([Bite()], object), allow_pickle=True)
            archive.writestr(f"{name}.npy", file.getvalue())
    with pytest.raises(InputError, match="type and length"):
        load_frozen(tmp_path / "m.npz")


@pytest.mark.parametrize(("change", "words"), [
    ({"kind": "series forest"}, "no frozen judge"), ({"format": 2}, "freeze it again"), ({"alpha": -1}, "alpha"),
    ({"channels": []}, "names no channels"), ({"limits": "sites: {a: {b: {spike: {suspect: -1}}}}"}, "above 0"),
    ({"limits": "sites: !!python/object/apply:os.system [ls]"}, "refused"), ({"limits": "sites: &a [*a]"}, "refused"),
    ({"step": 0}, "out of range"), ({"step": 2.5}, "wrong kind"), ({"begin": 10**30}, "out of range"),
    ({"forest": -1}, "out of range"), ({"forest": 10**9}, "before it is whole"), ({"run": True}, "wrong kind"),
    ({"noise": -1.0}, "noise"), ({"site": "other"}, "without limits"), ({"site": 5}, "wrong kind"),
    ({"settled": {"scores": 10**6, "months": 1.0, "share": 0.0}}, "calibration"),
    ({"settled": {"scores": 5, "months": -1.0, "share": 0.0}}, "months"), ({"settled": [1]}, "wrong kind"),
    ({"arriving": None}, "more than it names")], ids=str)
def test_a_changed_model_is_refused_in_one_line(arrays, change, words, tmp_path):
    with pytest.raises(InputError, match="is refused: ") as told:
        load_frozen(written(tmp_path / "m.npz", arrays, **change))
    assert words in str(told.value) and "\n" not in str(told.value)


@settings(max_examples=40)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_model_with_a_changed_byte_is_refused_or_whole(frozen, tmp_path_factory, where, mask):
    packed = bytearray(frozen_bytes(frozen))
    packed[int(where * len(packed))] ^= mask
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    path.write_bytes(bytes(packed))
    try:
        again = load_frozen(path)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert hash_of_judge(again) == hash_of_judge(frozen)


def test_a_model_of_other_sensors_and_steps_is_refused(frozen):
    table = simulate_series("seasonal", days=3, step="1 h", random_state=5)
    with pytest.raises(InputError, match="knows no channel 'value' of site 'elsewhere'"):
        judge(table.assign(site="elsewhere"), model=frozen)
    with pytest.raises(InputError, match="steps of 1 h, these readings come every 2 h"):
        judge(table[::2], model=frozen)
    assert len(judge(table.assign(site="elsewhere"), model=frozen.for_any()).points) == len(table)


def test_a_history_too_short_for_thresholds_leaves_the_checks():
    known = freeze(simulate_series("seasonal", days=8, step="1 h", random_state=4), window=24)
    assert "too short" in " ".join(known.notes) and not np.isfinite(known.channels["site_1", "value"].threshold)
    table = simulate_series("seasonal", days=8, step="1 h", random_state=5)
    table.loc[100, "value"] = 1e6
    assert judge(table, model=known).points.loc[100, "kind"] in ("spike", "out of range")


def test_times_with_a_zone_get_the_same_verdicts(frozen):
    table = simulate_series("seasonal", days=10, step="1 h", random_state=5)
    there = table.assign(time=pd.DatetimeIndex(table["time"]).tz_localize("UTC").tz_convert("Asia/Tokyo"))
    one, other = judge(table, model=frozen).points, judge(there, model=frozen).points
    assert one["score"].equals(other["score"]) and one["outlier"].equals(other["outlier"])
