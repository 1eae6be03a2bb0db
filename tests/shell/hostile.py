"""Hostile command lines: odd files, odd options, odd surroundings, and a process for each of them."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import pickle
import random
import resource
import select
import shutil
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

ODD_NAMES = [
    "two words.csv",
    "\u03a9 \u6d4b.csv",
    "esc\x1b[31m.csv",
    "line\nbreak.csv",
    os.fsdecode(b"byte\xff.csv"),
    "-dash.csv",
    "[1].csv",
    "a@b.csv",
    "quote'\".csv",
    "\u202egnp.csv",
]


def _with_commas(head: str, lines: list[str]) -> str:
    """A table with semicolons and decimal commas, and a letter that only an old encoding has."""
    rows = [line.replace(",", ";").replace(".", ",") + ";\u00e9" for line in lines]
    return "\n".join([head.replace(",", ";") + ";site", *rows])


def _make_tiles(folder: Path) -> None:
    """Geo-embeddings: as files, with faults, kept in a folder, kept and cut."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from oco2_outliers.embeddings import read_embeddings, simulate_embeddings

    made = simulate_embeddings(0, n=80, d=8)
    gaps = np.where(made.X > 0.5, np.nan, made.X).astype(np.float32)
    for name, X in (("tiles/31TCJ_20220610_20220610_v001.gpq", made.X), ("gaps.gpq", gaps)):
        (folder / name).parent.mkdir(exist_ok=True)
        rows = pa.table({"id": made.table["id"], "geometry": made.geometry, "embeddings": list(X)})
        pq.write_table(rows, folder / name)
    read_embeddings(folder / "tiles").save(folder / "kept")
    read_embeddings(folder / "tiles").save(folder / "cut")
    (folder / "cut" / "X.npy").write_bytes((folder / "kept" / "X.npy").read_bytes()[:999])
    (folder / "grid_0.15_52.05.npy").write_bytes(b"\x93NUMPY")


def make_zoo(folder: Path) -> None:
    """Files that a person, a disk or an enemy may leave in a folder."""
    from oco2_outliers.image_forest import simulate_pictures, train_model
    from oco2_outliers.main_job import isolate
    from oco2_outliers.peaks import find_peaks
    from oco2_outliers.scale import combine, map_files
    from oco2_outliers.soundings import simulate_granule, to_parquet, write_lite

    rows = simulate_granule(0, 20).soundings.head(120).reset_index(drop=True)
    rows = rows[["sounding_id", "time", "latitude", "longitude", "xco2", "xco2_quality_flag", "psurf", "tcwv"]]
    good = folder / "good.csv"
    rows.to_csv(good, index=False)
    to_parquet(rows, folder / "good.parquet")
    write_lite(simulate_granule(0, 20).soundings.head(300), folder / "good.nc4")
    rows.to_json(folder / "good.json", orient="records", date_format="iso")
    text = good.read_text()
    for name in ODD_NAMES:
        (folder / name).write_text(text)
    head, *lines = text.splitlines()
    made = {
        "empty.csv": b"",
        "header.csv": head.encode() + b"\n",
        "one.csv": f"{head}\n{lines[0]}\n".encode(),
        "digits.csv": f"sounding_id,xco2\n{'9' * 400},400\n1,{'8' * 400}\n".encode(),
        "huge.csv": b"a,b\n" + b"".join(b"%d,1e308\n" % k for k in range(20)),
        "nul.csv": b"a,b\n1,\0\n" * 9,
        "utf16.csv": text.encode("utf-16"),
        "latin.csv": b"a;b\n1;\xe9\n" * 9,
        "twins.csv": b"x,x\n" + b"".join(b"%d,%d\n" % (k, k * k % 7) for k in range(20)),
        "text.csv": b"a,b\n" + b"good,bad\n" * 20,
        "ragged.csv": b"a,b\n1,2,3\n4\n" * 5,
        "infinite.csv": b"a,b\n" + b"1,inf\n" * 12,
        "quotes.csv": b'a,b\n"1,2\n' * 9,
        "lonely.csv": b"\n\n\n",
        "junk.csv": bytes(range(256)) * 9,
        "junk.nc4": b"CDF nonsense" * 50,
        "junk.parquet": b"PAR1" + b"x" * 90 + b"PAR1",
        "junk.json": b'{"a": [1, 2',
        "deep.json": b"[" * 100_000,
        "scalar.json": b"5",
        "null.json": b"null",
        "odd.json": b'[{"a": {"b": [1]}}, 5]',
        "junk.png": b"\x89PNG\r\n\x1a\nxxxx",
        "junk.npz": b"PK\x03\x04zz",
        "junk.gz": b"\x1f\x8b",
        "cut.nc4": (folder / "good.nc4").read_bytes()[:3000],
        "cut.parquet": (folder / "good.parquet").read_bytes()[:500],
        "cut.csv.gz": gzip.compress(text.encode())[:200],
        "good.csv.gz": gzip.compress(text.encode()),
        "wrong.csv.xz": gzip.compress(text.encode()),
        "comma.csv": _with_commas(head, lines).encode("cp1252"),
        "either.csv": b"a,b;c,d\n" + b"x,y;z,w\n" * 20,
        "mixed.json": b'[{"xco2": 400, "site": 5, "about": {}}, {"xco2": 401, "site": "A12", "about": {}}]',
        "seconds.csv": b"time,xco2,latitude\n" + b"".join(b"%d.5,%d,north\n" % (8e8 + k, 400 + k * k % 7)
                                                          for k in range(30)),
        "old.pickle": pickle.dumps({"a": 1}),
        "notes.txt": b"hello",
        "clouds.yaml": b"clouds:\n  a: {auth: text}\n  b: 5\n  c: {auth: {auth_url: 'http://u:p@127.0.0.1:port/v3', "
        b"username: u, password: p}}\n",
        "junk.yaml": b"\t{:",
        "config.json": b'{"swift_storage": {"auth_url": 5}}',
        "list.json": b"[]",
        "config2.json": b'{"swift_storage": {"auth_url": "http://127.0.0.1:9/auth/v1.0", "user": "a", "key": "b"}}',
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    (folder / "folder.csv").mkdir()
    (folder / "nowhere.csv").symlink_to("absent")
    (folder / "loop.csv").symlink_to("loop.csv")
    with contextlib.chdir(folder), contextlib.redirect_stdout(None):
        isolate("good.csv", out="result")
        find_peaks("good.nc4", "plumes", n_surrogates=39, figures=False)
        map_files("good.csv", "isolate", out="many")
        map_files("good.csv", "isolate", out="torn")
        combine("many")
        simulate_pictures("pictures", n_pictures=8, odd_kinds=[], random_state=0)
        train_model("pictures", "model.npz", n_jobs=1)
    _make_tiles(folder)
    (folder / "torn" / "run.json").write_text('{"package": 1')
    (folder / "torn" / "manifest.jsonl").write_text('{"key": 5}\nnot json\n[]\n')
    shutil.copy(folder / "junk.png", folder / "pictures" / "junk.png")
    (folder / "result2").mkdir()
    shutil.copy(folder / "good.csv", folder / "result2" / "scores.csv")
    (folder / "result2" / "summary.json").write_text('{"features": 5, "parameters": []}')
    (folder / "store" / "runs").mkdir(parents=True)
    shutil.copy(good, folder / "store" / "runs" / "a.csv")
    shutil.copy(good, folder / "store" / "good.csv")


ODD_TEXTS = [
    "",
    " ",
    ",",
    "nan",
    "inf",
    "-1",
    "0",
    "1e400",
    "9" * 400,
    "\x1b[31mred",
    "\u03a9",
    os.fsdecode(b"\xff"),
    "a,b",
    "1,2,3,4",
    "5,45,12,50",
    "None",
    "../x",
    "*",
    "[",
    "--",
    "0.5",
    "3",
    "true",
    "http://bob:hushword@127.0.0.1:9/x.csv",
]
ODD_OUTS = [
    "new",
    "new/deep/er",
    "good.csv",
    "good.csv/x",
    "nowhere.csv",
    "loop.csv/x",
    "",
    ".",
    "/proc/x",
    "result",
    "many",
    "torn",
    "folder.csv",
    "x" * 300,
    "new\n\x1b[2J",
    os.fsdecode(b"new\xff"),
    "memory://m/x",
    "http://bob:hushword@127.0.0.1:9/out",
    "nosuch://x",
    "swift://x/y",
]
ODD_FILES = [
    *ODD_NAMES,
    "x" * 300 + ".csv",
    *"""
    good.csv good.nc4 good.parquet good.json good.csv.gz empty.csv header.csv one.csv digits.csv huge.csv nul.csv
    utf16.csv latin.csv twins.csv text.csv ragged.csv infinite.csv quotes.csv lonely.csv junk.csv junk.nc4
    junk.parquet junk.json deep.json scalar.json null.json odd.json junk.png junk.npz junk.gz cut.nc4 cut.parquet
    cut.csv.gz wrong.csv.xz old.pickle notes.txt folder.csv nowhere.csv loop.csv result plumes many torn result2
    pictures model.npz store . *.csv good.* absent.csv /dev/null /proc/self/mem result/isolated.csv
    many/combined.parquet pictures/junk.png memory://a/b.csv file:///etc/hostname swift://a/b.csv
    http://bob:hushword@127.0.0.1:9/x.csv nosuch://bob:hushword@h/x.csv
""".split(),  # noqa: SIM905 - a list with one name a line would fill the page
]

FILE, OUT, TEXT = "FILE", "OUT", "TEXT"
COMMANDS: dict[str, tuple[list[str], list[tuple[str, str | None]]]] = {
    "isolate": (
        [FILE],
        [
            ("--out", OUT),
            ("--store", FILE),
            ("--eps", TEXT),
            ("--min-samples", TEXT),
            ("--features", TEXT),
            ("--drop-missing", None),
            ("--random-state", TEXT),
            ("--jobs", TEXT),
            ("--quality", TEXT),
            ("--box", TEXT),
            ("--dates", TEXT),
            ("--mode", TEXT),
        ],
    ),
    "peaks": (
        [FILE],
        [
            ("--out", OUT),
            ("--store", FILE),
            ("--preset", TEXT),
            ("--alpha", TEXT),
            ("--box", TEXT),
            ("--column", TEXT),
            ("--keep-flagged", None),
            ("--wind-error", TEXT),
            ("--inventory", FILE),
            ("--no-figures", None),
            ("--random-state", TEXT),
            ("--surrogates", "39"),
        ],
    ),
    "soundings simulate": ([OUT], [("--store", FILE), ("--random-state", TEXT)]),
    "soundings info": ([FILE], [("--store", FILE)]),
    "soundings convert": (
        [FILE, "CONVERTED"],
        [("--store", FILE), ("--columns", TEXT), ("--box", TEXT), ("--dates", TEXT), ("--quality", TEXT)],
    ),
    "run isolate": (
        [FILE],
        [
            ("--out", OUT),
            ("--eps", TEXT),
            ("--min-samples", TEXT),
            ("--features", TEXT),
            ("--scope", "all"),
            ("--scale", "orbit"),
            ("--memory-limit", TEXT),
            ("--reference-rows", TEXT),
            ("--combine", None),
            ("--no-resume", None),
        ],
    ),
    "run peaks": (
        [FILE],
        [
            ("--out", OUT),
            ("--alpha", TEXT),
            ("--box", TEXT),
            ("--column", TEXT),
            ("--surrogates", "39"),
            ("--combine", None),
        ],
    ),
    "run convert": (
        [FILE],
        [("--out", OUT), ("--columns", TEXT), ("--dates", TEXT), ("--quality", TEXT), ("--combine", None)],
    ),
    "run images": ([FILE], [("--out", OUT), ("-m", FILE)]),
    "run": ([TEXT, FILE], [("--out", OUT)]),
    "combine": ([FILE], [("--top", TEXT)]),
    "store ls": (
        [TEXT],
        [("--store", FILE), ("--pattern", TEXT), ("--config", "CONFIG"), ("--cloud", "CLOUD"), ("--container", TEXT)],
    ),
    "store put": (
        [FILE],
        [
            ("--store", OUT),
            ("--prefix", TEXT),
            ("-r", None),
            ("--flat", None),
            ("--force", None),
            ("--threads", TEXT),
            ("--type", TEXT),
        ],
    ),
    "store get": ([TEXT, OUT], [("--store", FILE), ("--force", None), ("--cloud", "CLOUD")]),
    "store rm": ([TEXT], [("--store", OUT), ("--prefix", TEXT)]),
    "store url": ([TEXT], [("--store", FILE), ("--pattern", TEXT), ("--sounding", TEXT), ("--config", "CONFIG")]),
    "store cat": ([FILE], [("--store", "store"), ("--config", "CONFIG"), ("--cloud", "CLOUD")]),
    "images train": (
        [],
        [
            ("-d", FILE),
            ("-m", OUT),
            ("--bins", TEXT),
            ("--trees", "3"),
            ("--contamination", TEXT),
            ("--features", TEXT),
            ("--detector", TEXT),
            ("--scale", TEXT),
            ("--jobs", "1"),
            ("--random-state", TEXT),
        ],
    ),
    "images test": (
        [],
        [("-m", FILE), ("-i", FILE), ("--output", OUT), ("--show", None), ("--trusted", None), ("--bins", TEXT)],
    ),
    "images scan": (
        [FILE],
        [("--out", OUT), ("--top", TEXT), ("-m", FILE), ("--contamination", TEXT), ("--bins", TEXT), ("--fast", None)],
    ),
    "images convert": ([FILE, OUT], [("--bins", TEXT), ("--trusted", None)]),
    "evaluate": (
        [FILE],
        [("--labels", FILE), ("--out", OUT), ("--on", TEXT), ("--positive", TEXT), ("--share", TEXT)],
    ),
    "explore": (
        [FILE],
        [
            ("--out", OUT),
            ("--title", TEXT),
            ("--min-samples", TEXT),
            ("--columns", TEXT),
            ("--max-mb", TEXT),
            ("--pictures", FILE),
            ("--max-pictures", TEXT),
        ],
    ),
    "": ([TEXT], [("--version", None), ("--help", None), ("--install", TEXT)]),
}
# Options that several commands share, tried two or three at a time in the cases from FIRST_COMMANDS on.
FIRST_COMMANDS = 460
_ROWS = [("--box", "BOX"), ("--dates", "DATES"), ("--quality", TEXT), ("--mode", "MODE")]
_DIALECT = [("--encoding", "ENCODING"), ("--separator", "SEPARATOR"), ("--decimal", "DECIMAL")]
SHARED: dict[str, tuple[list[str], list[tuple[str, str | None]]]] = {
    "isolate": (["CSV"], [*_ROWS, *_DIALECT, ("--jobs", "JOBS")]),
    "peaks": (["CSV"], [*_ROWS, *_DIALECT, ("--inventory", "CSV")]),
    "soundings info": (["CSV"], _DIALECT),
    "soundings convert": (["CSV", "CONVERTED"], [*_ROWS, *_DIALECT]),
    "run isolate": (["CSV"], [*_ROWS, *_DIALECT, ("--jobs", "JOBS"), ("--scope", "all"), ("--scale", "orbit")]),
    "run peaks": (["CSV"], [*_ROWS, *_DIALECT, ("--jobs", "JOBS"), ("--combine", None)]),
    "run convert": (["CSV"], [*_ROWS, *_DIALECT, ("--jobs", "JOBS"), ("--combine", None)]),
    "run images": (["pictures"], [("--jobs", "JOBS"), ("--encoding", "ENCODING"), ("--box", "BOX")]),
    "explore": (["RESULT"], _DIALECT),
    "combine": (["RESULT"], [("--partial", None), ("--top", TEXT)]),
    "store check": ([], [("--store", FILE), ("--clean", None), ("--yes", None), ("--older-than", TEXT)]),
}
# Commands for geo-embeddings, in the cases from FIRST_EMBEDDINGS on.
FIRST_EMBEDDINGS, N_CASES = 560, 640
_READING = [("--column", TEXT), ("--format", "FORMAT"), ("--drop-missing", None), ("--stride", TEXT), ("--store", FILE)]
_STRAYS = [("--eps", TEXT), ("--min-samples", TEXT), ("--metric", "METRIC"), ("--jobs", "JOBS")]
EMBEDDINGS: dict[str, tuple[list[str], list[tuple[str, str | None]]]] = {
    "embeddings info": (["TILES"], [*_READING, ("--out", OUT)]),
    "embeddings isolate": (["TILES"], [*_READING, *_STRAYS, ("--out", OUT), ("--random-state", TEXT)]),
    "embeddings map": (["TILES"], [*_STRAYS, ("--out", OUT), ("--clusters", TEXT), ("--colour", TEXT)]),
    "embeddings similar": (["TILES", TEXT], [*_READING, ("-k", TEXT), ("--out", "CONVERTED")]),
    "embeddings duplicates": (["TILES"], [("--within", TEXT), ("--place-km", TEXT), ("--out", "CONVERTED")]),
    "embeddings tiles": (["TILES", TEXT], [*_READING, ("--out", OUT), ("--template", "TEMPLATE"), ("--size", TEXT)]),
    "embeddings cache": (["TILES", OUT], _READING),
}

# What a value is taken from, beside the two kinds above, and what makes a command likely to get far.
ALSO = {
    "CONVERTED": [
        "new.csv",
        "new.nc4",
        "new.parquet",
        "new.json.gz",
        "new.geoparquet",
        "new",
        "good.csv",
        "good.nc4",
        "a/b.csv",
        "folder.csv",
        "nowhere.csv",
        ".csv",
        "new\x1b.csv",
        os.fsdecode(b"new\xff.csv"),
        "new.doc",
    ],
    "TILES": ["tiles", "tiles", "kept", "gaps.gpq", "cut", "tiles/*.gpq", "good.parquet", "junk.parquet", "absent", "",
              ".", "result", "grid_0.15_52.05.npy", "folder.csv", "nowhere.csv", "/dev/null", "memory://a/b.gpq",
              "http://bob:hushword@127.0.0.1:9/x.gpq", "1"],
    "FORMAT": ["parquet", "tessera", "alphaearth", "auto", "npy", ""],
    "METRIC": ["cosine", "euclidean", "l1", ""],
    "TEMPLATE": ["http://127.0.0.1:9/{z}/{x}/{y}?key=hushword", "http://127.0.0.1:9/{z}/{x}", "ftp://t/{z}/{x}/{y}",
                 "", "{z}{x}{y}", "hushword"],
    "CSV": ["good.csv", "good.csv", "good.csv.gz", "utf16.csv", "latin.csv", "ragged.csv", "quotes.csv", "header.csv",
            "junk.csv", "good.nc4", "good.json", "comma.csv", "either.csv", "mixed.json", "seconds.csv"],
    "RESULT": ["result", "result/isolated.csv", "result2", "many", "torn", "comma.csv", "latin.csv", "plumes"],
    "ENCODING": ["cp1252", "utf-16", "ascii", "nosuch", "", "\x1b", "rot13", "hex", "idna", "utf-8\n", "x" * 400],
    "SEPARATOR": [";", ",", "tab", "blank", "\\t", "", "ab", "a", "\"", "\n", "\u03a9", "\x1b", ".", "|"],
    "DECIMAL": [",", ".", "", "x", ",,", "\u066b", "\x1b"],
    "JOBS": ["0", "1", "2", "3", "100000", "-1", "-9", "9" * 400, "x", "", "1e3", "0.5"],
    "BOX": ["5,45,12,50", "-180,-90,180,90", "170,-90,-170,90", "1,2,3", "a,b,c,d", "nan,0,1,1", "9,9,1,1", ""],
    "DATES": ["2019-07-15", "2016-01-01,2030-01-01", "2030-01-01,2016-01-01", "yesterday", "", ",", "1,2,3",
              "9999999-01-01", "0001-01-01"],
    "MODE": ["nadir", "glint,target", "0,1", "99", "nowhere", "", ",", "9" * 400],
    "CONFIG": ["config.json", "config2.json", "list.json", "junk.json", "absent", ".", "good.csv"],
    "CLOUD": ["a", "b", "c", "d", ""],
}
LIKELY = {
    "images train": ["-d", "pictures", "-m", "new.npz", "--jobs", "1"],
    "images test": ["-m", "model.npz", "-i", "pictures/junk.png"],
    "run isolate": ["--out", "new"],
    "run peaks": ["--out", "new", "--surrogates", "39"],
    "run convert": ["--out", "new"],
    "run images": ["--out", "new"],
    "run": ["--out", "new"],
    "peaks": ["--surrogates", "39", "--no-figures"],
    "store ls": ["--store", "store"],
    "store put": ["--store", "store"],
    "store get": ["--store", "store"],
    "store url": ["--store", "store"],
    "store rm": ["--store", "store"],
    "embeddings map": ["--method", "pca"],
    "embeddings tiles": ["0", "--size", "32"],
}
ENVIRONMENTS = [
    {"OCO2_STORE": "good.csv"},
    {"OCO2_STORE": "nosuch://x"},
    {"OCO2_STORE": ""},
    {"OS_CLOUD": "a"},
    {"OS_CLOUD": "c"},
    {"OS_CLIENT_CONFIG_FILE": "junk.yaml", "OS_CLOUD": "a"},
    {"OS_CLIENT_CONFIG_FILE": "absent", "OS_CLOUD": "a"},
    {"OS_AUTH_URL": "127.0.0.1", "OS_USERNAME": "u", "OS_PASSWORD": "hushword"},
    {
        "OS_AUTH_URL": "http://bob:hushword@127.0.0.1:9/v3",
        "OS_USERNAME": "u",
        "OS_PASSWORD": "hushword",
        "OS_PROJECT_NAME": "p",
    },
    {"ST_AUTH": "http://127.0.0.1:9/auth/v1.0", "ST_USER": "u", "ST_KEY": "hushword"},
    {"COLUMNS": "0"},
    {"COLUMNS": "x"},
    {"HOME": "/nonexistent"},
    {"TERM": "\x1b[31m"},
]
FRESH = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "cp1252"},
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"MPLBACKEND": "nosuch"},
    {"PYTHONWARNINGS": "error"},
    {"NUMBA_NUM_THREADS": "x"},
    {"HOME": "/nonexistent"},
    {"TMPDIR": "/nonexistent"},
    {"MPLCONFIGDIR": "/proc/x"},
    {"PYTHONUTF8": "1"},
    {"NUMBA_CACHE_DIR": "/proc/x"},
    {"OCO2_DEBUG": "0"},
]
SURROUNDINGS = [
    "",
    "",
    "",
    "",
    "",
    "",
    "full stdout",
    "closed stdout",
    "broken pipe",
    "no stderr",
    "full disk",
    "little memory",
    "SIGINT",
    "SIGTERM",
]


@dataclass
class Case:
    """One invocation, and what is around it."""

    argv: list[str]
    environment: dict[str, str]
    surroundings: str
    fresh: bool
    seed: int

    def __str__(self) -> str:
        return f"{self.seed}: {self.environment} {self.surroundings} {'fresh ' * self.fresh}{self.argv}"


def case(seed: int) -> Case:
    """The hostile invocation with this number."""
    rng = random.Random(seed)
    commands = COMMANDS if seed < FIRST_COMMANDS else SHARED if seed < FIRST_EMBEDDINGS else EMBEDDINGS
    command = list(commands)[seed % len(commands)]

    def value(kind: str) -> str:
        if kind == FILE and rng.random() < 0.35:  # else few would come past the reading
            return rng.choice(["good.csv", "good.nc4", "good.parquet", "result", "pictures"])
        pool = {FILE: ODD_FILES, OUT: ODD_OUTS, TEXT: ODD_TEXTS}.get(kind) or ALSO.get(kind)
        return rng.choice(pool) if pool else kind

    places, options = commands[command]
    argv = [*command.split(), *map(value, places)]
    if rng.random() < 0.7 or commands is SHARED:
        argv += LIKELY.get(command, [])
    how_many = rng.choice([0, 0, 0, 1, 1, 2] if commands is COMMANDS else [1, 2, 2, 3])
    for name, kind in rng.sample(options, min(len(options), how_many)):
        argv += [name] if kind is None else [name, value(kind)]
    fresh = rng.random() < 0.1
    environment = rng.choice(FRESH) if fresh else rng.choice(ENVIRONMENTS) if rng.random() < 0.3 else {}
    return Case(argv, environment, rng.choice(SURROUNDINGS), fresh, seed)


@dataclass
class Ending:
    """How an invocation ended, and what it left."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    changed: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def hashes(folder: Path) -> dict[str, str]:
    """What is in a folder: the hash of every file below it."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with contextlib.suppress(OSError), open(path, "rb") as file:
                found[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


def _prepare(one: Case, folder: Path, outputs: list[int]) -> None:
    """In the new process: streams, limits and environment."""
    os.setpgid(0, 0)
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(outputs[0], 1)
    os.dup2(outputs[1], 2)
    os.environ["TMPDIR"] = str(folder / "tmp")
    os.environ.update(one.environment)
    if one.surroundings == "full stdout":
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    if one.surroundings == "broken pipe":
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)
    if one.surroundings == "closed stdout":
        os.close(1)
    if one.surroundings == "no stderr":
        os.close(2)
    if one.surroundings == "full disk":  # the system says "File too large" where a full disk says "No space left"
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    if one.surroundings == "little memory":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2)


def _streams_anew() -> None:
    """The standard streams as a new process would open them."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
            errors = "strict" if number == 1 else "backslashreplace"
            stream = open(number, "w", encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        except OSError:
            stream = None
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _as_a_process(one: Case) -> None:
    """In the new process: the command, and the end of the process as Python ends it."""
    import tempfile

    tempfile.tempdir = None
    _streams_anew()
    code = 99
    try:
        from oco2_outliers.cli import main

        code = main(one.argv)
    except BaseException:  # noqa: BLE001 - a traceback is what is looked for
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _start(one: Case, folder: Path, outputs: list[int]) -> int:
    """A new process: forked, with all modules there, or fresh; returns its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        _prepare(one, folder, outputs)
        if one.fresh:
            os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
            os.execv(sys.executable, [sys.executable, "-m", "oco2_outliers", *one.argv])
        _as_a_process(one)
    finally:
        os._exit(98)


def ending_of(one: Case, folder: Path, limit: float = 120) -> Ending:
    """Run a case in a folder."""
    (folder / "tmp").mkdir(exist_ok=True)
    before = hashes(folder)
    pipes = [os.pipe(), os.pipe()]
    started = time.monotonic()
    pid = _start(one, folder, [writing for _, writing in pipes])
    for _, writing in pipes:
        os.close(writing)
    when = started + random.Random(one.seed).uniform(0.3, 2.5) if one.surroundings in ("SIGINT", "SIGTERM") else None
    said, status = _watched(pid, [reading for reading, _ in pipes], started + limit, when, one.surroundings)
    after = hashes(folder)
    return Ending(
        os.waitstatus_to_exitcode(status),
        said[0],
        said[1],
        time.monotonic() - started,
        sorted(name for name in before if after.get(name) != before[name]),
        sorted(set(after) - set(before)),
    )


def _watched(pid: int, readings: list[int], end: float, when: float | None, which: str) -> tuple[list[str], int]:
    """What a process says until it ends, and its status; it gets a signal when it is time, and is killed at the end."""
    said = {reading: b"" for reading in readings}
    alive = set(readings)
    while alive:
        now = time.monotonic()
        if when is not None and now > when:
            os.kill(pid, getattr(signal, which))
            when = None
        if now > end:
            os.kill(pid, signal.SIGKILL)
        for reading in select.select(list(alive), [], [], 0.05)[0]:
            data = os.read(reading, 65536)
            said[reading] += data
            if not data:
                alive.discard(reading)
        if not select.select(list(alive), [], [], 0)[0] and (ended := os.waitpid(pid, os.WNOHANG))[0]:
            break
    else:
        ended = os.waitpid(pid, 0)
    for reading in readings:
        os.close(reading)
    return [said[reading].decode("utf-8", "backslashreplace") for reading in readings], ended[1]


def faults(one: Case, ending: Ending) -> list[str]:
    """What is wrong with an ending."""
    found = []
    # A signal that comes when all is said ends the process itself; a shell shows 130 and 143 then, too.
    signals = {"SIGINT": {130, -signal.SIGINT}, "SIGTERM": {143, -signal.SIGTERM}}
    allowed = {0, 1, 2} | signals.get(one.surroundings, set())
    if ending.code not in allowed:
        found.append(f"exit code {ending.code}")
    if "Traceback" in ending.stdout + ending.stderr:
        found.append("a traceback")
    if ending.code == 2 and ending.stderr.count("\n") != 1 and one.surroundings != "no stderr":
        found.append(f"{ending.stderr.count(chr(10))} lines on standard error")
    if "hushword" in ending.stdout + ending.stderr:
        found.append("a password")
    # `store cat` gives the bytes of an object as they are.
    if "\x1b" in ("" if one.argv[:2] == ["store", "cat"] else ending.stdout) + ending.stderr:
        found.append("an order to the terminal")
    if ".part" in "".join(ending.new) or any(name.startswith("tmp/") for name in ending.new):
        found.append(f"leftovers: {ending.new}")
    if ending.code == 2 and ending.new and not _may_stay(one):
        found.append(f"left behind: {ending.new}")
    read = [name for name in ending.changed if name in one.argv]
    if read:
        found.append(f"an input was changed: {read}")
    return found


def _may_stay(one: Case) -> bool:
    """Whether files may stay after exit code 2: what a run has done is safe, and a report may fail after the work."""
    return (
        one.argv[0] in ("run", "combine")
        or one.surroundings in ("full stdout", "broken pipe")
        or one.argv[:2] in (["store", "put"], ["embeddings", "tiles"])
    )


def main(first: int, last: int) -> int:
    """Run cases, and print what is wrong with them; 1 where something is."""
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        zoo = Path(place, "zoo")
        zoo.mkdir()
        make_zoo(zoo)
        slow, n_wrong = [], 0
        for seed in range(first, last):
            work = Path(place, "work")
            shutil.copytree(zoo, work, symlinks=True)
            one = case(seed)
            ending = ending_of(one, work)
            wrong = faults(one, ending)
            slow.append((ending.seconds, str(one)))
            n_wrong += bool(wrong)
            if wrong:
                print(
                    f"{one}\n    {wrong} code {ending.code} {ending.seconds:.1f} s\n    {ending.stderr[-1500:]!r}",
                    flush=True,
                )
            elif os.environ.get("SHOW"):
                print(f"{one}\n  {ending.code} {ending.stderr!r} {ending.new}", flush=True)
            shutil.rmtree(work)
        print(*sorted(slow)[-3:], f"{len(slow)} cases, {n_wrong} wrong", sep="\n")
    return int(n_wrong > 0)


if __name__ == "__main__":
    import oco2_outliers.cli  # noqa: F401 - what is imported once need not be imported by every child
    import oco2_outliers.embeddings
    import oco2_outliers.explorer
    import oco2_outliers.image_forest
    import oco2_outliers.scale  # noqa: F401

    sys.exit(main(*map(int, sys.argv[1:])))
