"""A small server of the CQL native protocol, version 4, that fails on demand: for tests of a client, and of it alone.

It is no Cassandra. It knows the frames of the protocol, the questions that the driver asks when it connects, and the
statements of one table each that `oco2_outliers.streams.cassandra` prepares; it keeps rows in a dictionary. Of the
rules of Cassandra it holds those that such a client could break: a partition must be named as a whole, DISTINCT takes
nothing but the key of partitions, ORDER BY follows the order of the clustering columns or turns all of it around. What
passes here is proven of the client: what it sends, in which order, and what it does with faults. How Cassandra itself
answers is not.
"""

from __future__ import annotations

import re
import socket
import socketserver
import ssl
import struct
import threading
import uuid
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, NamedTuple

ERROR, STARTUP, READY, AUTHENTICATE, OPTIONS, SUPPORTED, QUERY, RESULT = 0, 1, 2, 3, 5, 6, 7, 8
PREPARE, EXECUTE, REGISTER, AUTH_RESPONSE, AUTH_SUCCESS = 9, 10, 11, 15, 16
NAMES = {QUERY: "QUERY", PREPARE: "PREPARE", EXECUTE: "EXECUTE", STARTUP: "STARTUP", OPTIONS: "OPTIONS"}

# ---------------------------------------------------------------- the words of the protocol

CODES = {"ascii": 1, "bigint": 2, "boolean": 4, "double": 7, "float": 8, "int": 9, "timestamp": 11, "uuid": 12,
         "text": 13, "inet": 16, "date": 17, "smallint": 19}
PACKED = {"bigint": ">q", "timestamp": ">q", "double": ">d", "float": ">f", "int": ">i", "smallint": ">h", "date": ">I"}


def encoded(kind: str, value: Any) -> bytes:
    """A cell as bytes, with its length."""
    if value is None:
        return struct.pack(">i", -1)
    if kind in PACKED:
        data = struct.pack(PACKED[kind], value)
    elif kind == "uuid":
        data = value.bytes
    elif kind == "inet":
        data = socket.inet_aton(value)
    else:
        data = value.encode()
    return struct.pack(">i", len(data)) + data


def decoded(kind: str, data: bytes | None) -> Any:
    """What bytes of a client mean."""
    if data is None:
        return None
    if kind in PACKED:
        return struct.unpack(PACKED[kind], data)[0]
    return uuid.UUID(bytes=data) if kind == "uuid" else data.decode()


def text(value: str) -> bytes:
    """A string of the protocol."""
    return struct.pack(">H", len(value.encode())) + value.encode()


class Reader(BytesIO):
    """The body of a request."""

    def number(self, form: str) -> int:
        return struct.unpack(form, self.read(struct.calcsize(form)))[0]

    def short_bytes(self) -> bytes:
        return self.read(self.number(">H"))

    def long_bytes(self) -> bytes | None:
        size = self.number(">i")
        return None if size < 0 else self.read(size)


# ---------------------------------------------------------------- tables

class Column(NamedTuple):
    """A column as `system_schema.columns` describes it."""

    name: str
    kind: str
    place: str = "regular"
    position: int = -1
    order: str = "none"


class Refused(Exception):
    """What a server refuses, with its code."""

    def __init__(self, code: int, words: str, more: bytes = b"") -> None:
        super().__init__(words)
        self.code, self.more = code, more


def invalid(words: str) -> Refused:
    """A statement that makes no sense to the server."""
    return Refused(0x2200, words)


class Table:
    """Rows by their key."""

    def __init__(self, columns: list[Column], rows: list[dict[str, Any]] | None = None) -> None:
        self.columns = {column.name: column for column in columns}
        self.partition = [c.name for c in sorted(columns, key=lambda c: c.position) if c.place == "partition_key"]
        self.clustering = [c.name for c in sorted(columns, key=lambda c: c.position) if c.place == "clustering"]
        self.rows: dict[tuple, dict[str, Any]] = {}
        for row in rows or []:
            self.insert(row)

    def insert(self, row: dict[str, Any]) -> None:
        key = tuple(row[name] for name in (*self.partition, *self.clustering))
        if None in key:
            raise invalid("a part of the key is null")
        self.rows[key] = {**self.rows.get(key, {}), **row}

    def ordered(self) -> list[dict[str, Any]]:
        """All rows, within their partition in the order of the table."""
        rows = list(self.rows.values())
        for name in reversed(self.clustering):
            rows.sort(key=lambda row, name=name: row[name], reverse=self.columns[name].order == "desc")
        return sorted(rows, key=lambda row: hash(tuple(row[name] for name in self.partition)))


def table_from(statement: str) -> tuple[str, Table]:
    """What a CREATE TABLE makes, and its full name."""
    found = re.fullmatch(r"CREATE TABLE IF NOT EXISTS (\S+) \((.*), PRIMARY KEY \(\((.*?)\), (.*)\)\)", statement)
    if not found:
        raise invalid(f"no table: {statement}")
    kinds = dict(each.replace('"', "").split() for each in found[2].split(", "))
    partition, clustering = (part.replace('"', "").split(", ") for part in (found[3], found[4]))
    places = {name: ("partition_key", place, "none") for place, name in enumerate(partition)}
    places |= {name: ("clustering", place, "asc") for place, name in enumerate(clustering)}
    return (found[1].replace('"', ""),
            Table([Column(name, kind, *places.get(name, ("regular", -1, "none"))) for name, kind in kinds.items()]))


class Statement(NamedTuple):
    """A statement of the client, taken apart."""

    what: str  # SELECT or INSERT
    table: str
    columns: list[str]
    distinct: bool
    where: list[tuple[str, str]]
    order: list[tuple[str, str]]


def names_in(part: str | None) -> list[str]:
    return [name.strip().strip('"') for name in (part or "").split(",") if name.strip()]


def parsed(statement: str) -> Statement:
    """A statement with a question mark for each value; one that has a value in it is refused."""
    if found := re.fullmatch(r"INSERT INTO (\S+) \((.*?)\) VALUES \(([?, ]+)\)", statement):
        columns = names_in(found[2])
        return Statement("INSERT", found[1].replace('"', ""), columns, False, [(name, "=") for name in columns], [])
    found = re.fullmatch(r"SELECT (DISTINCT )?(.*?) FROM (\S+)(?: WHERE (.*?))?(?: ORDER BY (.*?))?", statement)
    if not found:
        raise Refused(0x2000, f"cannot read {statement}")
    where = [re.fullmatch(r'"?(\w+)"? (=|>=|<=) \?', each) for each in (found[4] or "").split(" AND ") if each]
    if None in where:
        raise Refused(0x2000, f"cannot read {statement}")
    order = [tuple(each.replace('"', "").split()) for each in (found[5] or "").split(", ") if each]
    return Statement("SELECT", found[3].replace('"', ""), names_in(found[2]), bool(found[1]),
                     [each.groups() for each in where], order)


def selected(table: Table, asked: Statement, values: list[Any]) -> list[tuple]:
    """The rows of an answer; what Cassandra would refuse is refused."""
    equal = {name for name, sign in asked.where if sign == "="}
    if asked.where and not set(table.partition) <= equal:
        raise invalid("Cannot execute this query as it might involve data filtering")
    if asked.distinct and asked.columns != table.partition:
        raise invalid("SELECT DISTINCT queries must request all the partition key columns")
    reverse = False
    if asked.order:
        turned = {(table.columns[name].order == "desc") != (way == "DESC") for name, way in asked.order}
        if [name for name, _ in asked.order] != table.clustering[:len(asked.order)] or len(turned) > 1:
            raise invalid("Unsupported order by relation")
        reverse = turned.pop()
    rows = [row for row in table.ordered() if all(
        {"=": row[name] == value, ">=": row[name] >= value, "<=": row[name] <= value}[sign]
        for (name, sign), value in zip(asked.where, values))]
    found = [tuple(row.get(name) for name in asked.columns) for row in (reversed(rows) if reverse else rows)]
    return list(dict.fromkeys(found)) if asked.distinct else found


# ---------------------------------------------------------------- faults

@dataclass
class Fault:
    """What goes wrong, where, and how often."""

    kind: str  # overloaded, read_timeout, unavailable, unauthorized, server_error, silent, cut, half, forgotten
    times: int = 1
    opcode: int = EXECUTE
    match: str = ""  # a part of the statement
    page: int | None = None  # the n-th page, from 0

    def hits(self, opcode: int, statement: str, page: int) -> bool:
        wanted = self.times > 0 and opcode == self.opcode and self.match in statement
        return wanted and self.page in (None, page)


ERRORS = {"overloaded": (0x1001, b""), "unauthorized": (0x2100, b""), "server_error": (0x0000, b""),
          "read_timeout": (0x1200, struct.pack(">HiiB", 6, 1, 2, 0)),
          "unavailable": (0x1000, struct.pack(">Hii", 6, 2, 1)),
          "write_timeout": (0x1100, struct.pack(">Hii", 6, 1, 2) + text("SIMPLE"))}


class Cut(Exception):
    """The connection ends here; `half` of the answer is sent before."""

    def __init__(self, half: bool) -> None:
        super().__init__()
        self.half = half


# ---------------------------------------------------------------- the server

LOCAL = {"key": ("text", "local"), "cluster_name": ("text", "stub"), "data_center": ("text", "north"),
         "rack": ("text", "one"), "host_id": ("uuid", uuid.UUID(int=1)), "release_version": ("text", "4.0.0"),
         "partitioner": ("text", "org.apache.cassandra.dht.Murmur3Partitioner"), "rpc_address": ("inet", "127.0.0.1"),
         "schema_version": ("uuid", uuid.UUID(int=2))}


@dataclass
class CqlStub:
    """A server on loopback; `tables` and `faults` may be changed while it runs, `seen` tells what was sent."""

    user: str | None = None
    password: str = ""
    tls: ssl.SSLContext | None = None
    tables: dict[str, Table] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str, list[Any], int]] = field(default_factory=list)  # opcode, statement, values, page

    def __enter__(self) -> CqlStub:
        self.prepared: dict[bytes, str] = {}
        self.lock = threading.Lock()
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler(), bind_and_activate=True)
        self.server.daemon_threads, self.server.block_on_close = True, False
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def url(self, keyspace: str = "plant", user: str = "", **options: object) -> str:
        """Its address for the historian, with waits that suit a test."""
        told = "&".join(f"{name}={value}" for name, value in ({"wait": 0.02, "timeout": 2} | options).items())
        return f"cassandra://{user and user + '@'}127.0.0.1:{self.port}/{keyspace}?{told}"

    def fail(self, kind: str, **where: Any) -> None:
        """Let something go wrong."""
        self.faults.append(Fault(kind, **where))

    def texts(self, opcode: str = "EXECUTE") -> list[str]:
        """The statements that were sent, of one kind."""
        return [statement for name, statement, _, _ in self.seen if name == opcode]

    def _handler(stub) -> type[socketserver.BaseRequestHandler]:  # `self` is the connection below
        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                if stub.tls is not None:
                    try:
                        self.request = stub.tls.wrap_socket(self.request, server_side=True)
                    except ssl.SSLError:
                        return
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self.request.makefile("rb") as lines:
                    while head := lines.read(9):
                        version, _, stream, opcode, size = struct.unpack(">BBhBi", head)
                        if not self.answer(version, stream, opcode, lines.read(size)):
                            return

            def answer(self, version: int, stream: int, opcode: int, body: bytes) -> bool:
                """Answer one frame; whether the connection goes on."""
                try:
                    if version != 4:
                        raise Refused(0x000A, f"Invalid or unsupported protocol version ({version}); it is 4")
                    kind, data = stub.answer(opcode, Reader(body))
                except Refused as error:
                    kind, data = ERROR, struct.pack(">i", error.code) + text(str(error)) + error.more
                except Cut as cut:
                    if cut.half:
                        self.request.sendall(struct.pack(">BBhBi", 0x84, 0, stream, RESULT, 1000) + b"x" * 10)
                    self.request.shutdown(socket.SHUT_RDWR)
                    return False
                if kind is not None:
                    self.request.sendall(struct.pack(">BBhBi", 0x84, 0, stream, kind, len(data)) + data)
                return True

        return Connection

    def answer(self, opcode: int, body: Reader) -> tuple[int | None, bytes]:
        """What one request brings: the kind of the answer, and its body."""
        if opcode == OPTIONS:
            return SUPPORTED, struct.pack(">H", 2) + b"".join(
                text(name) + struct.pack(">H", len(values)) + b"".join(map(text, values))
                for name, values in (("CQL_VERSION", ["3.4.5"]), ("COMPRESSION", [])))
        if opcode == STARTUP and self.user:
            return AUTHENTICATE, text("org.apache.cassandra.auth.PasswordAuthenticator")
        if opcode in (STARTUP, REGISTER):
            return READY, b""
        if opcode == AUTH_RESPONSE:
            if body.long_bytes() != f"\0{self.user}\0{self.password}".encode():
                raise Refused(0x0100, "Provided username or password are incorrect")
            return AUTH_SUCCESS, struct.pack(">i", 0)
        return self._statement(opcode, body)

    def _statement(self, opcode: int, body: Reader) -> tuple[int | None, bytes]:
        if opcode == EXECUTE:
            number = body.short_bytes()
            statement = self.prepared.get(number)
            if statement is None:
                raise Refused(0x2500, "not prepared", struct.pack(">H", len(number)) + number)
            asked, bound, size, state = self._bound(statement, body)
            page = struct.unpack(">I", state[:4])[0] if state else 0
        else:
            statement = (body.long_bytes() or b"").decode()
            asked, bound, size, state, page = None, [], 0, None, 0
        with self.lock:
            self.seen.append((NAMES[opcode], statement, bound, page))
            fault = next((each for each in self.faults if each.hits(opcode, statement, page)), None)
            if fault is not None:
                fault.times -= 1
                return self._fail(fault, number if opcode == EXECUTE else b"")
            if opcode == EXECUTE:
                return RESULT, self._executed(asked, bound, size, state, page)
            return RESULT, self._prepare(statement) if opcode == PREPARE else self._asked(statement)

    def _fail(self, fault: Fault, number: bytes) -> tuple[None, bytes]:
        if fault.kind == "silent":
            return None, b""
        if fault.kind in ("cut", "half"):
            raise Cut(fault.kind == "half")
        if fault.kind == "forgotten":
            raise Refused(0x2500, "forgotten", struct.pack(">H", len(number)) + number)
        code, more = ERRORS[fault.kind]
        raise Refused(code, f"the test wants it: {fault.kind}", more)

    # -------------------------------------------------------- statements

    def table(self, name: str) -> Table:
        """A table, or the one that describes all others."""
        if name == "system_schema.columns":
            columns = [Column("keyspace_name", "text", "partition_key", 0),
                       *(Column(each, "text", "clustering", place) for place, each in enumerate(["table_name",
                                                                                                "column_name"])),
                       Column("kind", "text"), Column("position", "int"), Column("type", "text"),
                       Column("clustering_order", "text")]
            return Table(columns, [dict(zip([c.name for c in columns],
                                            (*full.split("."), c.name, c.place, c.position, c.kind, c.order)))
                                   for full, table in self.tables.items() for c in table.columns.values()])
        if name not in self.tables:
            raise invalid(f"table {name} does not exist")
        return self.tables[name]

    def _prepare(self, statement: str) -> bytes:
        asked = parsed(statement)
        table = self.table(asked.table)
        number = uuid.uuid5(uuid.NAMESPACE_URL, statement).bytes
        for name in [*asked.columns, *(name for name, _ in asked.where)]:
            if name not in table.columns:
                raise invalid(f"Undefined column name {name}")
        self.prepared[number] = statement
        bound = [(name, table.columns[name].kind) for name, _ in asked.where]
        told = [] if asked.what == "INSERT" else [(name, table.columns[name].kind) for name in asked.columns]
        space = b"".join(map(text, asked.table.split(".")))
        columns = [b"".join(text(name) + struct.pack(">H", CODES[kind]) for name, kind in each)
                   for each in (bound, told)]
        result = struct.pack(">ii", 1, len(told)) + space + columns[1] if told else struct.pack(">ii", 4, 0)
        return (struct.pack(">iH", 4, len(number)) + number + struct.pack(">iii", 1, len(bound), 0) + space + columns[0]
                + result)

    def _bound(self, statement: str, body: Reader) -> tuple[Statement, list[Any], int, bytes | None]:
        """What is bound to a statement, how many rows a page has, and where it begins."""
        asked = parsed(statement)
        table = self.table(asked.table)
        body.number(">H")  # the consistency
        flags = body.number(">B")
        count = body.number(">H") if flags & 1 else 0
        values = [decoded(table.columns[name].kind, body.long_bytes()) for name, _ in asked.where[:count]]
        size = body.number(">i") if flags & 4 else 10**9
        return asked, values, size, body.long_bytes() if flags & 8 else None

    def _executed(self, asked: Statement, values: list[Any], size: int, state: bytes | None, page: int) -> bytes:
        table = self.table(asked.table)
        if len(values) != len(asked.where):
            raise invalid("a value is missing")
        if asked.what == "INSERT":
            table.insert(dict(zip(asked.columns, values)))
            return struct.pack(">i", 1)
        rows, mark = selected(table, asked, values), struct.pack(">q", hash((asked.table, repr(values))))
        if state and state[8:] != mark:
            raise invalid("Invalid value for the paging state")
        start = struct.unpack(">I", state[4:8])[0] if state else 0
        more = struct.pack(">II", page + 1, start + size) + mark if start + size < len(rows) else None
        kinds = [(name, table.columns[name].kind) for name in asked.columns]
        return rows_of(asked.table, kinds, rows[start:start + size], more)

    def _asked(self, statement: str) -> bytes:
        """What the driver asks by itself, and CREATE TABLE."""
        if statement.startswith("CREATE TABLE"):
            name, table = table_from(statement)
            self.tables.setdefault(name, table)
            return struct.pack(">i", 5) + b"".join(map(text, ("CREATED", "TABLE", *name.split("."))))
        found = re.match(r"SELECT (.*?) FROM (system\.\w+)", statement)
        if not found or found[2] == "system.peers_v2":
            raise invalid(f"no such table: {statement}")
        names = list(LOCAL) if found[1] == "*" else [name for name in names_in(found[1])]
        kinds = [(name, LOCAL.get(name, ("text", None))[0]) for name in names]
        rows = [tuple(LOCAL[name][1] for name in names)] if found[2] == "system.local" else []
        return rows_of(found[2], kinds, rows, None)


def rows_of(table: str, kinds: list[tuple[str, str]], rows: list[tuple], more: bytes | None) -> bytes:
    """Rows as an answer, and where the next page begins."""
    head = struct.pack(">iii", 2, 1 | (2 if more else 0), len(kinds))
    state = struct.pack(">i", len(more)) + more if more else b""
    columns = b"".join(text(name) + struct.pack(">H", CODES[kind]) for name, kind in kinds)
    cells = b"".join(encoded(kind, value) for row in rows for (_, kind), value in zip(kinds, row))
    return head + state + b"".join(map(text, table.split("."))) + columns + struct.pack(">i", len(rows)) + cells
