"""A catalog in SQLite and in a real MariaDB: the same answers, whole rows whatever happens, no password in a word."""

import logging
import multiprocessing
import os
import signal
import socket
import sqlite3
import threading
import time

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from mariadb_server import PASSWORD

from oco2_outliers.albums.clusterings import Clustering, Fitted
from oco2_outliers.catalog import Catalog, read_config
from oco2_outliers.ground.errors import InputError

IDS = ["20180513-154001", "20180513-160001", "IMG_a", "IMG_A", "Ünïcødé 🛰", "<script>alert(1)</script>", "..", "a;b",
       "O'Neill", "100%", "%(x)s", "back\\slash", 'quo"te', "a", "ab", "ä"]
HISTORY = """12.656456313474;-75.371420423828;20180513-154001;Caribbean Sea
-43.891574367708;-21.080797293704;20180513-160001;Größe <b>'\" DROP TABLE runs
27.255631526786;-134.89231579188;20180513-184001;
"""


def clustering(version=1, ids=IDS, method="n2d", seed=0):
    """Groups of some pictures, drawn at random."""
    rng = np.random.default_rng([seed, version])
    (x, y), labels = rng.normal(size=(2, len(ids))), rng.integers(-1, 3, len(ids))
    fitted = Fitted(labels[:2], np.zeros((2, 2)), "nearest", np.empty((0, 2)), {}, [])
    table = pd.DataFrame({"id": pd.Series(ids, dtype=object), "path": None, "label": labels, "x": x, "y": y,
                          "silhouette": np.nan, "distance": 0.0})
    return Clustering(table, method, "simple_conv", "model_colab", version, {"umap": {"min_dist": 0.1}}, 883302, fitted,
                      np.zeros((2, 2), np.float32), 0.0, ["a <note>"])


def odd(ids=IDS):
    """What might have been found of odd pictures."""
    n = len(ids)
    table = pd.DataFrame({"id": ids, "score": np.arange(n) / 3, "ratio": np.nan, "outlier": np.arange(n) % 5 == 0,
                          "reason": "darker than usual; <b>", "nearest": [*ids[1:], None], "nearest_distance": 0.1,
                          "copies": pd.array([1] * (n - 1) + [None], dtype="Int64"), "neighbours": [["a", "ä"]] * n,
                          "cluster": 0})
    table.attrs |= {"eps": 1.5, "rule": "fence", "min_samples": 10, "notes": ["one"]}
    return table


def filled(address, history):
    """A catalog with something in every table."""
    made = Catalog(address)
    made.init()
    made.populate(history)
    for version, ids in ((1, IDS), (2, IDS[3:]), (3, IDS[:8])):
        made.add(clustering(version, ids))
    made.add(clustering(1, IDS[:5], "ward"))
    made.add(odd(), 1, "pixels", "model")
    made.add_poster("p-1", 2, pd.DataFrame({"position": [1, "b"], "id": IDS[4:6]}))
    return made


@pytest.fixture
def history(tmp_path):
    """Three places."""
    path = tmp_path / "history.txt"
    path.write_text(HISTORY, encoding="utf-8")
    return path


def answers(catalog):
    """All that a catalog can be asked."""
    runs = catalog.versions()
    return {"runs": runs.drop(columns="created"), "places": catalog.places(), "posters": catalog.posters(),
            "odd": catalog.odd(1), "compare": catalog.compare([3, 1, 2], type="n2d"),
            "near": catalog.close_to(0.1, -0.2, 7, 2), "ties": catalog.close_to(0.1, -0.2, 99, 1, "ward")}


def same(one, other):
    """Two sets of answers agree to the last bit."""
    for name in one:
        pd.testing.assert_frame_equal(one[name], other[name], check_exact=True, obj=name)


# ---------------------------------------------------------------- what comes back

def test_what_goes_in_comes_out(address, history):
    catalog = filled(address, history)
    found = catalog.compare([1, 2, 3], "n2d").set_index("id")
    assert sorted(found.index) == sorted(IDS), "no picture is lost"
    for version, ids in ((1, IDS), (2, IDS[3:]), (3, IDS[:8])):
        table = clustering(version, ids).table.set_index("id").loc[ids]
        for name in ("x", "y", "label"):
            assert found.loc[ids, f"v{version}_{name}"].tolist() == table[name].tolist()
        assert found.drop(index=ids)[f"v{version}_label"].isna().all()
    assert found.loc["20180513-154001", ["latitude", "longitude"]].tolist() == [12.656456313474, -75.371420423828]
    assert str(found.loc["20180513-160001", "timestamp"]) == "2018-05-13 16:00:01+00:00"
    assert found.loc["20180513-160001", "location"] == "Größe <b>'\" DROP TABLE runs"
    runs = catalog.versions().set_index(["clustering_type", "clustering_version"])
    assert runs.loc[("n2d", "1"), ["pictures", "random_state"]].tolist() == [len(IDS), 883302]
    assert '"min_dist": 0.1' in runs.loc[("n2d", "1"), "settings"] and "numpy" in runs.loc[("n2d", "1"), "versions"]
    assert runs.loc[("odd", "1"), "odd"] == odd()["outlier"].sum()
    back = catalog.odd(1).set_index("id").loc[IDS]
    assert back["score"].tolist() == odd()["score"].tolist() and back["ratio"].isna().all()
    assert pd.isna(back["copies"].iloc[-1]) and back["nearest"].iloc[-1] is None


def test_mariadb_answers_as_sqlite_does(database, history, tmp_path):
    one, other = filled(f"sqlite:///{tmp_path}/c.db", history), filled(database, history)
    same(answers(one), answers(other))
    tables = []
    for catalog in (one, other):
        catalog.export(tmp_path / "all.parquet")
        tables.append(pd.read_parquet(tmp_path / "all.parquet"))
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert {*IDS, "20180513-184001"} == set(tables[0]["id"]), "a place without a picture is kept, too"


def test_a_run_is_replaced_and_no_other(catalog):
    for version in (1, 2):
        catalog.add(clustering(version))
    before = catalog.compare([2])
    catalog.add(clustering(1, IDS[:4], seed=5))
    assert catalog.compare([1])["id"].tolist() == sorted(IDS[:4])
    pd.testing.assert_frame_equal(catalog.compare([2]), before)
    assert len(catalog.versions()) == 2 and catalog.versions()["pictures"].tolist() == [4, len(IDS)]


def test_places_are_replaced_by_id(catalog, history):
    assert catalog.populate(history)[:2] == (3, 0)
    history.write_text("1;2;20180513-154001;new\n3;4;20190101-000000;other\n")
    assert catalog.populate(history)[:2] == (2, 1)
    assert catalog.places()["location"].tolist() == ["new", "Größe <b>'\" DROP TABLE runs", None, "other"]


def test_a_wrong_line_writes_nothing_and_takes_no_other_with_it(catalog, history):
    history.write_text(HISTORY + "1;2;20180513-154009\n91;2;20180513-154010;x\n1;2;20181332-154010;x\n" +
                       HISTORY.splitlines()[0])
    with pytest.raises(InputError, match="4 wrong lines .line 4: 3 fields.*line 5: latitude 91.*line 6.*line 7"):
        catalog.populate(history)
    assert catalog.places().empty
    done = catalog.populate(history, bad="skip")
    assert (done.written, [number for number, _ in done.skipped]) == (3, [4, 5, 6, 7]) and "4 wrong" in done.notes[0]


def test_many_rows_are_written_in_one_go(catalog):
    ids = [f"IMG_{number:05d}" for number in range(5_001)]
    catalog.add(clustering(1, ids))
    found = catalog.compare([1])
    assert found["id"].tolist() == ids and found["v1_x"].tolist() == clustering(1, ids).table["x"].tolist()


def test_missing_positions_stay_missing(catalog):
    made = clustering()
    made.table.loc[0, "x"] = np.nan
    catalog.add(made)
    assert catalog.compare([1]).set_index("id")["v1_x"].isna().tolist() == [each == made.table["id"][0] for each in
                                                                          sorted(IDS)]
    assert len(catalog.close_to(0, 0, 99)) == len(IDS) - 1, "what has no place is near to none"


@pytest.mark.parametrize("ids, words", [(["a", "a"], "two pictures have the id"), (["a", "a "], "differ by spaces"),
                                        (["x" * 256, "b"], "1 to 255 letters"), (["\udce4", "b"], "no UTF-8")])
def test_a_wrong_id_leaves_the_run_as_it_was(catalog, ids, words):
    catalog.add(clustering())
    before = catalog.compare([1])
    with pytest.raises(InputError, match=words):
        catalog.add(clustering(1, ids))
    pd.testing.assert_frame_equal(catalog.compare([1]), before)


def test_a_poster_is_not_written_over(catalog):
    placed = pd.DataFrame({"position": ["1", "2"], "id": IDS[:2]})
    assert catalog.add_poster("p", 1, placed) == 2
    with pytest.raises(InputError, match="another id"):
        catalog.add_poster("p", 1, placed)
    assert catalog.posters()["version"].tolist() == ["1", "1"]


def test_posters_of_one_id_and_two_templates_are_two(catalog):
    """`images poster` calls each template's first poster seed_0."""
    placed = pd.DataFrame({"position": ["1", "2"], "id": IDS[:2]})
    catalog.add_posters(pd.concat([placed.assign(poster_id="p", version=version) for version in ("1", "default")]))
    assert catalog.posters()["version"].tolist() == ["1", "1", "default", "default"]
    catalog.add_poster("p", "default", placed.iloc[:1], replace=True)
    assert catalog.posters()["version"].tolist() == ["1", "1", "default"]


def test_all_posters_of_a_table_are_written_or_none(catalog):
    good = pd.DataFrame({"poster_id": "a", "version": "1", "position": ["1"], "id": IDS[:1]})
    with pytest.raises(InputError, match="one picture at each position"):
        catalog.add_posters(pd.concat([good, good.assign(poster_id="b"), good.assign(poster_id="b")]))
    assert catalog.posters().empty


# ---------------------------------------------------------------- killed, and at the same time

def add_and_die(address):
    """Add a run, and be killed when half of its rows are sent."""
    sent = []

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def kill(connection, cursor, statement, *rest):
        sent.extend([statement] * statement.startswith("INSERT INTO pictures_embedding"))
        if len(sent) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    Catalog(address).add(clustering(1, [f"new_{number}" for number in range(11_000)]))


def run_killed(address):
    """Another process that is killed in the midst of writing."""
    process = multiprocessing.get_context("fork").Process(target=add_and_die, args=(address,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_killed_program_leaves_the_old_rows_whole(address, catalog):
    catalog.add(clustering())
    before = answers_of_one(catalog)
    run_killed(address)
    same(answers_of_one(catalog), before)
    catalog.add(clustering(1, IDS[:3]))  # and nobody waits for it
    assert catalog.compare([1])["id"].tolist() == sorted(IDS[:3])


def answers_of_one(catalog):
    """What a catalog of one run says."""
    return {"runs": catalog.versions(), "rows": catalog.compare([1])}


def test_a_reader_sees_the_old_rows_or_the_new_ones(address, catalog):
    """While a run is written again and again, each time with another number of pictures."""
    sizes = [2_000, 3_000]
    runs = [clustering(1, [f"p{number}" for number in range(size)]) for size in sizes]
    catalog.add(runs[0])
    writer = threading.Thread(target=lambda: [Catalog(address).add(run) for run in (runs[1], runs[0], runs[1])])
    writer.start()
    seen = set()
    while writer.is_alive():
        seen.add(len(catalog.compare([1])))
        time.sleep(0.02)
    writer.join()
    assert seen <= set(sizes) and len(catalog.compare([1])) == sizes[1]


def test_two_writers_wait_for_each_other(address, catalog):
    writers = [threading.Thread(target=Catalog(address).add, args=(clustering(1, IDS, seed=seed),)) for seed in
               range(6)]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    found = catalog.compare([1]).set_index("id").loc[IDS, "v1_x"].tolist()
    assert found in [clustering(1, IDS, seed=seed).table["x"].tolist() for seed in range(6)]


# ---------------------------------------------------------------- what cannot be

def silent_port():
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def refused(call, words):
    """A call ends in one line with these words, and without the password."""
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value) and "hunter2" not in str(caught.value) and caught.value.__cause__ is None


def test_a_server_that_says_no(maria, database, caplog):
    caplog.set_level(logging.DEBUG)
    name = database.rpartition("/")[2]
    refused(Catalog(maria.url(name, password="wrong-hunter2")).versions, r"mariadb://\*\*\*@.*wrong user or password")
    refused(Catalog(maria.url("absent")).init, "no database of that name: CREATE DATABASE")
    refused(Catalog(maria.url(name)).versions, "no table pictures_location.*catalog init")
    Catalog(maria.url(name)).init()
    refused(lambda: Catalog(maria.url(name, "reader")).add(clustering()), "the user may not do that")
    assert Catalog(maria.url(name, "reader")).versions().empty
    assert "hunter2" not in caplog.text and "hunter2" not in repr(Catalog(database))


def test_a_server_that_is_down():
    refused(Catalog(f"mariadb://me:hunter2@127.0.0.1:{silent_port()}/iss").init, "nobody answers: is the server run")
    refused(Catalog("mysql://me:hunter2@no-such-host.invalid/iss").init, "nobody answers|no host of that name")


def test_old_tables_are_named(database, maria, tmp_path):
    name = database.rpartition("/")[2]
    old = "CREATE TABLE pictures_embedding (pictures_id VARCHAR(15), pictures_x FLOAT(8, 4), pictures_y FLOAT(8, 4))"
    maria.run(old, database=name)
    lite = f"sqlite:///{tmp_path}/old.db"
    sqlite3.connect(tmp_path / "old.db").execute(old)
    for address in (database, lite):
        catalog = Catalog(address)
        for call in (catalog.init, catalog.versions, lambda catalog=catalog: catalog.add(clustering())):
            refused(call, "the table pictures_embedding lacks the 5 columns label, clustering_type")
    assert maria.run("SHOW TABLES", database=name) == [("pictures_embedding",)], "nothing was made"


def test_tables_of_the_original_are_read_and_not_written_to(database, maria):
    """MyISAM keeps half a run where a program is killed, and a collation of Swedish takes IMG_a for IMG_A."""
    name, keys = database.rpartition("/")[2], "clustering_type, clustering_version, clustering_model_type"
    maria.run("CREATE TABLE pictures_embedding (pictures_id VARCHAR(15), pictures_x FLOAT(8,4), pictures_y FLOAT(8,4), "
              "label INT NULL, clustering_type VARCHAR(15), clustering_version VARCHAR(5), clustering_model_type "
              f"VARCHAR(15), clustering_model_name VARCHAR(15), UNIQUE KEY unique_key (pictures_id, {keys}, "
              "clustering_model_name)) ENGINE=MYISAM CHARSET=latin1",
              "INSERT INTO pictures_embedding VALUES ('20180513-154001', 1.5, -2.25, 7, 'n2d', '1', 'simple_conv', 'm')"
              ", ('20180513-160001', 3, 4, 8, 'n2d', '2', 'simple_conv', 'm')", database=name)
    catalog = Catalog(database)
    assert len(catalog.init()) == 4
    found = catalog.compare([1, 2])
    assert found["v1_x"].tolist()[0] == 1.5 and found["v2_label"].isna().tolist() == [True, False]
    assert catalog.versions()["pictures"].tolist() == [1, 1]
    refused(lambda: catalog.add(clustering()), "pictures_embedding is MyISAM, latin1_swedish_ci.*ALTER TABLE")
    maria.run("ALTER TABLE pictures_embedding ENGINE=InnoDB, CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
              "ALTER TABLE pictures_embedding MODIFY pictures_id VARCHAR(255)", database=name)
    catalog.add(clustering(3))
    assert set(catalog.compare([3])["id"]) == set(IDS)


def test_a_configuration_leads_to_the_server(maria, database, tmp_path, monkeypatch, history):
    monkeypatch.setenv("DB_PASSWORD", PASSWORD)
    (tmp_path / "config").mkdir()
    (tmp_path / ".env").write_text("MODE=prod\n")
    (tmp_path / "config" / "config_prod.yaml").write_text(
        f"mysql:\n  database: {{server: 127.0.0.1, port: {maria.port}, name: {database.rpartition('/')[2]}, user: me, "
        "password: '${DB_PASSWORD}'}\n")
    catalog = Catalog(read_config(tmp_path))
    catalog.init()
    assert catalog.populate(history).written == 3 and "hunter2" not in repr(catalog)


@pytest.mark.slow
def test_a_killed_server_loses_nothing(maria, database):
    """SIGKILL of the server itself, while a run is written; it mends its files when it starts again."""
    catalog = Catalog(database)
    catalog.init()
    catalog.add(clustering())
    before = answers_of_one(catalog)
    sent = []

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def kill(connection, cursor, statement, *rest):
        sent.extend([statement] * statement.startswith("INSERT INTO pictures_embedding"))
        if len(sent) == 3:
            maria.kill()

    try:
        refused(lambda: Catalog(database).add(clustering(1, [f"p{n}" for n in range(11_000)])), "the server went away")
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", kill)
    maria.launch()
    same(answers_of_one(catalog), before)
