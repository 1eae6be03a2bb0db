"""Messages: whatever the bytes are, readings and reasons come out, the same ones on the quick way and the slow."""

from __future__ import annotations

import json
import math
import tracemalloc
import unicodedata

import jsonschema
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive import naive_readings

from oco2_outliers.ground.errors import InputError
from oco2_outliers.streams import messages
from oco2_outliers.streams.messages import READING_SCHEMA, Reading, Refused, message_of, read_message

NOON = 1_364_299_200_000_000_000
FIRST, LAST = pd.Timestamp("1678-01-01").value, pd.Timestamp("2261-12-31T23:59:59.999999999").value
SEEN = st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))
NAMES = st.text(SEEN, min_size=1, max_size=200).map(str.strip).filter(bool)
FEW, MANY = (settings(max_examples=n) for n in (50, 150))
VALUES = st.floats(allow_infinity=False).map(lambda value: value + 0.0 if value == value else math.nan)
READINGS = st.builds(Reading, NAMES, NAMES, st.integers(FIRST, LAST), VALUES, st.none() | NAMES)


def same(left, right):
    """Equal readings, bit for bit, NaN and the sign of zero included."""
    return [(*each[:3], np.float64(each[3]).tobytes(), each[4]) for each in left] == [
        (*each[:3], np.float64(each[3]).tobytes(), each[4]) for each in right]


# ---------------------------------------------------------------- there and back

@given(st.lists(READINGS, max_size=5))
@example([Reading("A", "v", 0, math.nan)])
@example([Reading("A", "v", -1, 5e-324), Reading("A" * 200, "\U0001f600", FIRST, -1.7976931348623157e308, "192")])
@FEW
def test_there_and_back_is_the_identity(readings):
    found, refused = read_message(message_of(readings))
    assert same(found, readings) and refused == []
    assert same(read_message(message_of(iter(readings)), "json")[0], readings)


@given(READINGS)
@FEW
def test_one_reading_alone_and_in_a_list_is_the_same_message(reading):
    assert message_of(reading) == message_of([reading])
    assert same(read_message(message_of(reading))[0], [reading])


def test_numbers_of_numpy_are_written_as_numbers():
    body = message_of(Reading("A", "v", np.int64(NOON), np.float32(0.5)))
    assert json.loads(body) == {"site": "A", "channel": "v", "time": NOON, "value": 0.5}


@pytest.mark.parametrize("reading, words", [
    (Reading("", "v", NOON, 1.0), "site is empty"), (Reading("A", "a\nb", NOON, 1.0), "cannot be seen"),
    (Reading("A", "v", 2**63, 1.0), "1678 and 2261"), (Reading("A", "v", NOON, -math.inf), "infinite"),
    (Reading("A" * 201, "v", NOON, 1.0), "201 letters"), (Reading("A", "v", NOON, 1.0, "\0"), "quality"),
])
def test_what_cannot_be_read_is_not_written(reading, words):
    with pytest.raises(InputError, match=words):
        message_of(reading)


# ---------------------------------------------------------------- the quick way and the slow one

ODD_VALUES = st.sampled_from([None, True, "1.5", "", [], {}, 10**400, -(10**308), 0, -0.0, 1e-320, 2**63,
                              12345678901234567890])
TIMES = st.sampled_from([0, 1, -1, 10**16, 10**16 - 1, NOON, -NOON, LAST, LAST + 1, FIRST, FIRST - 1, 2**63, 1.5, 1e18,
                         True, None, "", "yesterday!", "2013-03-26T12:00:00Z", "2013-03-26 12:00:00.123456789",
                         "9999-01-01", "1364299200000000000", "1364299200", "2013-02-29", "2013-03-26T12:00:00+05:30"])
TEXTS = st.sampled_from(["A", " A ", "", " ", "x" * 200, "x" * 201, "\u202e", "\ud800", "a\nb", "\u00a0A", "\u0600",
                         "\ue000", "'; DROP TABLE readings; --", "../../etc", "<script>alert(1)</script>", 5, None])
OBJECTS = st.fixed_dictionaries({}, optional={
    "site": NAMES | TEXTS, "channel": NAMES | TEXTS, "time": st.integers(FIRST, LAST) | TIMES,
    "value": VALUES | ODD_VALUES, "quality": st.none() | NAMES | TEXTS | st.integers(), "other": ODD_VALUES})


def agree(body):
    wanted = naive_readings(body)
    found, refused = read_message(body, "json")
    if wanted is None:
        assert found == [] and [each.part for each in refused] == [-1]
        return
    assert same(found, [each for each in wanted if each is not None])
    assert [each.part for each in refused] == [i for i, each in enumerate(wanted) if each is None]


@given(st.lists(OBJECTS | st.none() | st.integers(), max_size=8) | OBJECTS, st.booleans())
@MANY
def test_the_slow_twin_reads_the_same(given_objects, plain):
    agree(json.dumps(given_objects, ensure_ascii=plain).encode("utf-8", "surrogatepass"))


@given(OBJECTS, st.permutations(["site", "channel", "time", "value", "quality"]),
       st.sampled_from(["", " ", "\n", "\t "]), st.sampled_from(['"site": "B",', '"value": 7,', "", "", ""]))
@FEW
def test_the_slow_twin_reads_the_same_in_any_order_with_keys_that_stand_twice(told, order, blank, extra):
    pairs = [f"{json.dumps(key)}{blank}:{blank}{json.dumps(told[key])}" for key in order if key in told]
    text = blank + "{" + (extra if pairs else "") + f"{blank},{blank}".join(pairs) + "}" + blank
    agree(text.encode("utf-8", "surrogatepass"))


DIGITS = st.from_regex(r"-?[0-9]{1,40}(\.[0-9]{1,41})?([eE][+-]?[0-9]{1,4})?", fullmatch=True)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8), DIGITS, st.integers(0, 10**19),
       st.sampled_from([" ", "", "\n"]))
@example("A", "-0.0", NOON, "")
@example("A", "1e400", NOON, "")
@example("A", "00", NOON, "")
@FEW
def test_the_usual_message_is_read_as_the_general_way_reads_it(name, digits, time, blank):
    body = f'{{"site":{blank}"{name}", "channel":{blank}"v","time":{time},{blank}"value": {digits}}}'.encode()
    try:
        wanted = messages._parted(body, "json")
    except InputError:
        wanted = None
    found = read_message(body, "json")
    if wanted is None:
        assert found[0] == [] and found[1][0].part == -1
    else:
        assert same(found[0], wanted[0]) and found[1] == wanted[1]
    agree(body)


@given(st.datetimes(pd.Timestamp("1678-01-02").to_pydatetime(), pd.Timestamp("2261-12-30").to_pydatetime()),
       st.integers(0, 9), st.integers(-23 * 60 - 59, 23 * 60 + 59), st.sampled_from("Tt "), st.booleans())
@FEW
def test_times_are_read_as_pandas_reads_them(moment, digits, east, letter, colon):
    fraction = f"{moment.microsecond:06d}789"[:digits]
    text = moment.strftime(f"%Y-%m-%d{letter}%H:%M:%S").rjust(19, "0") + ("." + fraction if fraction else "")
    zone = f"{'-' if east < 0 else '+'}{abs(east) // 60:02d}{':' if colon else ''}{abs(east) % 60:02d}"
    stamp = pd.Timestamp(text.upper())
    assert messages.utc_time(text) == stamp.value == messages.utc_time(text + "Z") == messages.utc_time(text + " UTC")
    assert messages.utc_time(text + zone) == pd.Timestamp(text.upper() + zone).as_unit("ns").value


# ---------------------------------------------------------------- the other forms

CELLS = NAMES.filter(lambda name: name[0] not in "{[#" and name.casefold() not in ("site", "channel", "time", "value"))


def cell(text):
    return '"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text


@given(st.lists(st.builds(Reading, CELLS, CELLS, st.integers(10**16, LAST), VALUES, st.none() | CELLS), min_size=1,
                max_size=4), st.booleans(), st.sampled_from(["\n", "\r\n"]))
@FEW
def test_lines_of_a_csv(readings, header, end):
    lines = ["Site, channel,TIME,value,quality"] * header
    for r in readings:
        lines.append(",".join([cell(r.site), cell(r.channel), str(r.time), repr(r.value), cell(r.quality or "")]))
    found, refused = read_message(end.join(lines).encode(), "csv")
    assert same(found, readings) and refused == []


def escaped(name, letters):
    return "".join("\\" + each if each in letters else each for each in name)


# A backslash before a comma, a blank or an equals sign cannot be written in line protocol.
WORDS = NAMES.filter(lambda name: "\\" not in name and name[0] != "#")


@given(WORDS, WORDS, st.dictionaries(WORDS.filter(lambda name: name != "value"), VALUES.filter(math.isfinite),
                                     min_size=1, max_size=4), st.integers(10**16, LAST))
@FEW
def test_line_protocol(measurement, site, fields, time):
    told = ",".join(f"{escaped(name, ',= ')}={value!r}" for name, value in fields.items())
    bare = f"{escaped(measurement, ', ')} {told} {time}"
    tagged = f"{escaped(measurement, ', ')},site={escaped(site, ',= ')},x=y {told} {time}"
    found, refused = read_message(f"{bare}\n{tagged}\n".encode(), "influx")
    assert refused == [] and same(found, [Reading(where, name, time, value) for where in (measurement, site)
                                          for name, value in fields.items()])


# ---------------------------------------------------------------- whatever the bytes are

SEEDS = [b'{"site": "A", "channel": "v", "time": 1364299200000000000, "value": 0.5}', b"A,v,2013-03-26T12:00Z,0.5,good",
         b'[{"site": "A", "channel": "v", "time": "2013-03-26", "value": null}]', b"A,t=a v=1,w=2i 1364299200000000000",
         b'site,channel,time,value\nA,"v",1364299200000000000,\n', b'v,site=A value="x\\"\ny" 1364299200000000000']


def in_order(body, form="auto"):
    found, refused = read_message(body, form)
    assert all(type(each) is Reading and type(each.time) is int and type(each.value) is float for each in found)
    assert all(type(each) is Refused and each.reason and each.reason.isprintable() and len(each.reason) <= 1000
               for each in refused)
    assert not any(math.isinf(each.value) for each in found) and len(refused) <= 11
    for each in found:
        assert FIRST <= each.time <= LAST and same(read_message(message_of(each))[0], [each])
        assert all(unicodedata.category(letter) not in ("Cc", "Cf", "Cs") for letter in each.site + each.channel)
    return found, refused


@given(st.binary(max_size=200), st.sampled_from(["auto", "json", "csv", "influx"]))
@example(b"\x0b", "auto")
@FEW
def test_no_bytes_raise(body, form):
    in_order(body, form)


@given(st.sampled_from(SEEDS),
       st.lists(st.tuples(st.integers(0, 80), st.binary(max_size=3), st.integers(0, 3)), max_size=4),
       st.sampled_from(["auto", "json", "csv", "influx"]))
@MANY
def test_no_message_that_was_damaged_raises(body, changes, form):
    for place, letters, gone in changes:
        body = body[:place] + letters + body[place + gone :]
    in_order(body, form)


@given(st.text(st.sampled_from('{}[],:"\\ \n\r=#0123456789.eE+-siteAvNaNulltrue\u202e'), max_size=60))
@MANY
def test_no_text_of_such_letters_raises(text):
    in_order(text.encode())


SITE = '{"site": %s, "channel": "v", "time": 1364299200000000000, "value": 1}'
VALUE = '{"site": "A", "channel": "v", "time": 1364299200000000000, "value": %s}'
TIME = '{"site": "A", "channel": "v", "time": %s, "value": 1}'
HOSTILE = [
    ("", "is empty"), ("\ufeff", "is empty"), ("\x00", "1 cell,"), ("{", "not JSON"), ("[" * 10_000, "too deeply"),
    ('{"a":' * 10_000, "too deeply"), ("null", "1 cell,"), ("{}", "site is missing"), ("[1]", "not 1"),
    (SITE % '"A"' + "\n" + SITE % '"B"', "one array"), (SITE % "null", "site must be a text"),
    (SITE % '""', "site is empty"), (SITE % '"a\\nb"', "cannot be seen"), (SITE % '"\\ud800"', "cannot be seen"),
    (SITE % f'"{"x" * 201}"', "201 letters"), (SITE % '"\\u202egpj"', "cannot be seen"),
    (SITE % '"a\\u0000"', "cannot be seen"), (SITE % '{"a": {}}', "site must be"),
    (VALUE % "NaN", "the word NaN"), (VALUE % "Infinity", "the word Infinity"), (VALUE % "-Infinity", "word -Infinity"),
    (VALUE % "1e999", "outside float64"), (VALUE % ("9" * 400), "outside float64"), (VALUE % ("9" * 5000), "thousands"),
    (VALUE % "true", "not True"), (VALUE % '"1"', "not '1'"), (VALUE % "1, \"value\": 2", "'value' stands twice"),
    (TIME % "1364299200", "no count of nanoseconds"), (TIME % "1364299200000", "no count of nanoseconds"),
    (TIME % "1.3e18", "whole number"), (TIME % "true", "not True"), (TIME % '"9999-12-31T00:00:00Z"', "1678 and 2261"),
    (TIME % "9223372036854775807", "1678 and 2261"), (TIME % '"2013-02-29"', "day"), (TIME % '"tomorrow"', "neither"),
    ("A,v,2013-03-26", "3 cells"), ("A,v,2013-03-26,inf", "no number"), ('"A,v,2013-03-26,1', "no line of a CSV"),
    ("A;v;2013-03-26;1", "1 cell,"), ("site,time,value,channel,time", "time twice"), ("A v=1", "a blank and a time"),
    ('A v="x" 1364299200000000000', "not a text"), ("A v=t 1364299200000000000", "not 't'"), ("A v=1 1", "no count"),
    ("A v=1,v=2 1364299200000000000", "'v' stands twice"), ("A,=b v=1 1364299200000000000", "name of a tag"),
    ("SELECT * FROM readings; --", "1 cell,"),
]


@pytest.mark.parametrize("text, words", HOSTILE)
def test_hostile_messages_have_a_reason(text, words):
    found, (refused,) = in_order(text.encode("utf-8", "surrogatepass"))
    assert found == [] and words in refused.reason


@pytest.mark.parametrize("name", ["../../etc/passwd", "'; DROP TABLE first; --", "<script>alert(1)</script>", "a/b",
                                  "%s", "{0}"])
def test_names_that_would_harm_a_careless_reader_are_names(name):
    assert in_order((SITE % json.dumps(name)).encode())[0][0].site == name


def read_with_peak(body, form="auto"):
    """What was read, and the most memory that it took."""
    tracemalloc.start()
    try:
        return read_message(body, form), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_hundred_megabytes_are_refused_unread():
    (found, (refused,)), peak = read_with_peak(b"[" * 100_000_000)
    assert peak < 100_000
    assert found == [] and refused == (-1, "the message has 100,000,000 bytes, more than 1,048,576: cut it")


def takes_bounded_memory(letters, form):
    assert read_with_peak(letters * (2**20 // len(letters)), form)[1] < 100_000_000


LETTERS = [b"[", b'{"a":', b"9", b"\\", b"\\a", b'"', b",", b"=", b" a", b"a v=1 1\n", b"[],", b"a,b\n", b"\n"]


@pytest.mark.parametrize("letters", LETTERS[:9])
def test_a_mebibyte_of_anything_takes_bounded_memory(letters):
    takes_bounded_memory(letters, "auto")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "csv", "influx"])
@pytest.mark.parametrize("letters", LETTERS)
def test_a_mebibyte_of_anything_takes_bounded_memory_in_any_form(letters, form):
    takes_bounded_memory(letters, form)


def test_many_parts_that_cannot_be_read_are_told_as_a_number():
    body = b"[" + b",".join([b"1", SEEDS[0]] * 500) + b"]"
    found, refused = read_message(body)
    assert len(found) == 500 and [each.part for each in refused] == [*range(0, 20, 2), -1]
    assert refused[-1].reason.startswith("490 more parts of this message cannot be read")
    assert "25,000 readings" in read_message(b"a v=1 1\n" * 30_000)[1][0].reason


def test_an_unknown_form_is_refused():
    with pytest.raises(InputError, match="form must be auto, json, csv, influx"):
        read_message(b"", "xml")


# ---------------------------------------------------------------- the schema

CHECKER = jsonschema.Draft202012Validator(READING_SCHEMA)


def test_the_schema_is_one():
    CHECKER.check_schema(READING_SCHEMA)
    assert json.loads(json.dumps(READING_SCHEMA)) == READING_SCHEMA


@given(st.lists(OBJECTS, max_size=3) | OBJECTS)
@MANY
def test_what_is_read_fits_the_schema(told):
    found, refused = read_message(json.dumps(told).encode())
    if not refused:
        assert CHECKER.is_valid(told)


@given(st.lists(READINGS, max_size=3))
@FEW
def test_what_is_written_fits_the_schema(readings):
    assert CHECKER.is_valid(json.loads(message_of(readings)))
