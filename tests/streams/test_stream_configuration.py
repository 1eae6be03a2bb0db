"""The configuration of a pipeline: the file that is shipped, and what is refused and how."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.ground.errors import InputError
from oco2_outliers.streams.configuration import StreamConfig

TEMPLATE = Path(__file__).parents[2] / "configs" / "streams.yaml"


# ---------------------------------------------------------------- the file that is shipped

def uncommented():
    """The template with the lines in use that it shows as comments."""
    return re.sub(r"(?m)^(\s*)# ((?:  )?[a-z_]+:(?: .*)?)$", r"\1\2", TEMPLATE.read_text())


def test_the_template_is_read():
    config = StreamConfig.read(TEMPLATE)
    assert (config.broker, config.topic, config.store) == ("file://./broker", "sewers", "results.db")
    assert config == StreamConfig(broker="file://./broker", topic="sewers", store="results.db", model="model.npz")


def test_the_template_shows_every_key_and_its_default():
    config, short = StreamConfig.from_text(uncommented()), StreamConfig.read(TEMPLATE)
    for each in fields(config):
        if each.name.startswith("health") or each.name in ("historian", "table", "columns"):
            assert getattr(config, each.name), each.name
        else:
            assert getattr(config, each.name) == getattr(short, each.name), each.name
    keys = [len(below) if isinstance(below, dict) else 1 for below in yaml.safe_load(uncommented()).values()]
    assert sum(keys) == len(fields(config)), "a key has no line in configs/streams.yaml"


def test_the_template_says_where_secrets_come_from():
    text = TEMPLATE.read_text()
    assert "OCO2_STREAM_PASSWORD_FILE" in text and not re.search(r"://[^\s@]*:[^\s@]*@", text)


# ---------------------------------------------------------------- what is refused, and how

HOSTILE = [
    ("latness: 3", "unknown key 'latness' (nearest: lateness)"),
    ("broker: {topc: a}", "broker: unknown key 'topc' (nearest: topic)"),
    ("batch: {wiat: 1}", "batch: unknown key 'wiat' (nearest: wait)"),
    ("health: {prot: 1}", "health: unknown key 'prot' (nearest: port)"),
    ("historian: {uri: a}", "historian: unknown key 'uri' (nearest: url)"),
    ("historian: {columns: {valve: a}}", "historian.columns: unknown key 'valve' (nearest: value)"),
    ("historian: {columns: [a]}", "historian.columns must hold keys"),
    ("broker: redis://one", "broker must hold keys (url, topic, group), not 'redis://one'"),
    ("model: a\nmodel: b", "line 2: the key 'model' stands twice"),
    ("broker: {url: a, url: b}", "the key 'url' stands twice"),
    ("lateness: three", "lateness must be a whole number of at least 0, not 'three'"),
    ("lateness: -1", "lateness must be a whole number of at least 0, not -1"),
    ("lateness: 1.5", "lateness must be a whole number"),
    ("lateness: .nan", "lateness must be a whole number"),
    ("lateness: 99999999999999999999", "from 0 to 10000, not a number of 13 digits or more"),
    ("lateness: yes", "lateness must be a whole number of at least 0, not True"),
    ("batch: {most: 0}", "batch.most must be a whole number of at least 1, not 0"),
    ("batch: {wait: 0}", "batch.wait must be a finite number above 0, not 0"),
    ("batch: {wait: 5 apples}", "batch.wait must be a span of time"),
    ("batch: {wait: 2 h}", "batch.wait must be at most an hour, not"),
    ("health: {port: 70000}", "health.port must be a whole number from 1 to 65535, not 70000"),
    ("silent_after: 0", "silent_after must be a whole number of at least 1, not 0"),
    ("form: xml", "form must be auto, json, csv, influx, not 'xml'"),
    ("form: [json]", "form must be auto"),
    ("broker: {topic: 7}", "broker.topic must be a text on one line, not 7: write it in quotes"),
    ("broker: {topic: no}", "broker.topic must be a text on one line, not False: write it in quotes"),
    ('store: "a\\nb"', "store must be a text on one line"),
    ('model: ""', "model must be a text on one line"),
    ("model: [a, b]", "model must be a text on one line"),
    ("broker: {url: 'redis://judge:hunter2@one:6379'}", "in it: take it out, and set OCO2_STREAM_PASSWORD"),
    ("broker: {url: 'kafka://one/?sasl_password=hunter2'}", "an address with a password in it"),
    ("historian: {url: 'postgresql://a:hunter2@one/plant'}", "an address with a password in it"),
    ("store: 'sqlite://u:hunter2/x@one/y'", "an address with a password in it"),
    ("broker: {password: hunter2}", "'password' is a secret: take it out, and set OCO2_STREAM_PASSWORD"),
    ("passwd: hunter2", "'passwd' is a secret"),
    ("kafka: {sasl: {api_key: hunter2}}", "'api_key' is a secret"),
    ("tokens: [hunter2]", "'tokens' is a secret"),
    ("a: &x [hunter2]\nb: *x", "references (&name, *name) are not read"),
    ("!!python/object/apply:os.system ['hunter2']", "could not determine a constructor"),
    ("[" * 50 + "]" * 50, "too many levels"),
    ("a: b: c", "line 1: mapping values are not allowed here"),
    ("\tlateness: 3", "line 1: "),
    ("- a", "must hold keys"),
    ("just words", "must hold keys"),
    ("? {a: b}\n: c", "streams.yaml"),
]


@pytest.mark.parametrize("text, words", HOSTILE)
def test_a_slip_is_named_in_one_line_without_its_secrets(tmp_path, text, words):
    path = tmp_path / "streams.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as told:
        StreamConfig.read(path)
    said = str(told.value)
    assert words in said and "streams.yaml" in said and "hunter2" not in said and len(said.splitlines()) == 1


def test_odd_files_are_refused(tmp_path):
    path = tmp_path / "streams.yaml"
    with pytest.raises(FileNotFoundError, match="no such file"):
        StreamConfig.read(path)
    with pytest.raises(FileNotFoundError):
        StreamConfig.read(tmp_path)
    path.write_bytes(b"model: \xff")
    with pytest.raises(InputError, match="not UTF-8"):
        StreamConfig.read(path)
    path.write_bytes(b"#" * 2**17)
    with pytest.raises(InputError, match="65,536 bytes: that is no configuration"):
        StreamConfig.read(path)
    path.write_bytes(b"\xef\xbb\xbflateness: 4")
    assert StreamConfig.read(path).lateness == 4


def test_a_secret_in_an_option_is_refused_too():
    with pytest.raises(InputError, match="take it out") as told:
        StreamConfig().with_options(broker="redis://me:hunter2@one")
    assert "hunter2" not in str(told.value)


def test_a_user_in_an_address_is_kept_and_not_shown():
    config = StreamConfig(broker="redis://judge@one:6379")
    assert config.broker == "redis://judge@one:6379" and "judge@" not in repr(config) and "one:6379" in repr(config)


# ---------------------------------------------------------------- what the hash tells apart

MATTERS = st.fixed_dictionaries({"topic": st.sampled_from(["a", "b"]), "form": st.sampled_from(["auto", "json"]),
                                 "lateness": st.integers(0, 3)})
REST = st.fixed_dictionaries({}, optional={
    "group": st.sampled_from(["a", "b"]), "most": st.integers(1, 9), "wait": st.floats(0.1, 9),
    "model": st.just("m.npz"), "silent_after": st.integers(1, 9), "health_port": st.integers(1, 9), "broker": st.just("file://./x"),
    "store": st.sampled_from(["a.db", "b.db"])})


@given(MATTERS, MATTERS, REST, REST)
@settings(max_examples=60)
def test_the_hash_tells_apart_what_changes_verdicts_and_nothing_else(one, other, rest, more):
    left, right = StreamConfig(**one, **rest), StreamConfig(**other, **more)
    assert (left.hash == right.hash) == (one == other)
    assert re.fullmatch("[0-9a-f]{64}", left.hash)


def test_the_hash_is_the_same_in_every_version():
    assert StreamConfig(topic="sewers").hash == "7ca795d0d1ca339b52cc3b249b7c50a129c85bb890307162fe39815e029e153a"
