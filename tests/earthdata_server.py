"""A stand-in for NASA's catalogue, login and archive on this machine.

It stands where a company's proxy stands: requests for the real hosts come as `CONNECT`, are answered, and are served
over TLS with a certificate of its own. So what is tested is what a user runs: no address, no option and no function is
another. What it answers is written after the public descriptions of the CMR search API, of UMM-G, of Earthdata Login
and of HTTP ranges (RFC 9110).
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import os
import ssl
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

CATALOGUE, LOGIN, ARCHIVE = "cmr.earthdata.nasa.gov", "urs.earthdata.nasa.gov", "data.gesdisc.earthdata.nasa.gov"
HOSTS = (CATALOGUE, LOGIN, ARCHIVE)
USER, PASSWORD, TOKEN = "analyst", "correct-horse", "eyJ0eXAiOiJKV1Qi.stand-in"
START = b"\x89HDF\r\n\x1a\n"


def certificate(folder):
    """A certificate for the three hosts and its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "stand-in of Earthdata")])
    now = datetime.datetime.now(datetime.UTC)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), True).sign(key, hashes.SHA256()))
    path = folder / "stand-in.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return path


def content(day, size=3000):
    """The bytes of the file of a day; they begin like HDF5."""
    return START + hashlib.sha256(day.encode()).digest() * (size // 32)


class Earthdata(ThreadingHTTPServer):
    """What the servers know, what they were asked, and how they are to fail."""

    daemon_threads = True

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.certificate = certificate(folder)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate)
        self.files = {}  # path in the archive: bytes
        self.records = []
        self.products = {"OCO2_L2_Lite_FP", "OCO3_L2_Lite_FP"}
        self.most = 2000  # records of a page, whatever is asked
        self.asked = []  # (host, method, path with query, headers)
        self.codes = set()
        self.faults = {}  # path: a list of what to do instead of a right answer, one for each request
        self.knows_ranges = True
        self.wants_login = False  # as archives that know no tokens: they lead to the login and back
        self.catalogue_fault = None

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, address):
        """A client that hangs up, or a line that was cut on purpose, is no event."""

    def put(self, day, version="11.2r", **about):
        """Offer the file of a day, as the archive of OCO-2 names it."""
        short = day.replace("-", "")[2:]
        name = f"oco2_LtCO2_{short}_B{version.replace('.', '').replace('r', '')}00Ar_240813195502s.nc4"
        path = f"/data/OCO2_DATA/OCO2_L2_Lite_FP.{version}/{day[:4]}/{name}"
        data = self.files[path] = content(day + version)
        told = {"Name": name, "SizeInBytes": len(data), "Size": len(data) / 1e6, "SizeUnit": "MB", "Checksum": {
            "Algorithm": "MD5", "Value": hashlib.md5(data).hexdigest()}} | about
        told = {key: value for key, value in told.items() if value is not None}
        self.records.append({"meta": {"concept-id": f"G{len(self.records)}-GES_DISC", "provider-id": "GES_DISC",
                                      "concept-type": "granule"}, "umm": {
            "GranuleUR": f"OCO2_L2_Lite_FP.{version}:{name}",
            "CollectionReference": {"ShortName": "OCO2_L2_Lite_FP", "Version": version},
            "TemporalExtent": {"RangeDateTime": {"BeginningDateTime": f"{day}T00:05:05.000Z",
                                                 "EndingDateTime": f"{day}T23:59:21.000Z"}},
            "DataGranule": {"ArchiveAndDistributionInformation": [told]},
            "RelatedUrls": [{"Type": "GET DATA", "URL": f"https://{ARCHIVE}{path}"},
                            {"Type": "USE SERVICE API", "URL": "https://opendap.earthdata.nasa.gov/x"},
                            {"Type": "EXTENDED METADATA", "URL": f"https://{ARCHIVE}{path}.xml"}]}})
        return path

    def of(self, host):
        """The requests that a host got."""
        return [each for each in self.asked if each[0] == host]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host = None

    def log_message(self, *about):
        """Say nothing."""

    def do_CONNECT(self):  # noqa: N802 - http.server names methods so
        host = self.path.rpartition(":")[0]
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb", -1), self.connection.makefile("wb", 0)
        self.host, self.close_connection = host, False

    def finish(self):
        """End a connection, the encrypted one in the tunnel, too."""
        super().finish()
        self.connection.close()

    def do_GET(self):  # noqa: N802
        """Answer in the name of the host that was asked."""
        if self.host is None:  # not through the tunnel
            self.answer(400)
            return
        self.server.asked.append((self.host, self.command, self.path, dict(self.headers)))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        {CATALOGUE: self.catalogue, LOGIN: self.login, ARCHIVE: self.archive}[self.host]()

    do_POST = do_GET  # noqa: N815

    def answer(self, code, body=b"", kind="application/json", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in ({"Content-Type": kind, "Content-Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    # ---------------------------------------------------------------- the catalogue

    def catalogue(self):
        """CMR: pages of records in umm_json, the next one asked for with the header of the one before."""
        if self.server.catalogue_fault is not None:
            self.answer(*self.server.catalogue_fault)
            return
        parts = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(parts.query)
        products = {each.lower() for each in self.server.products}
        known = query.get("short_name", [""])[0].lower() in products
        if parts.path == "/search/collections.umm_json":
            self.answer(200, {"hits": int(known), "took": 1, "items": []}, CMR_Hits=str(int(known)))
            return
        found = [each for each in self.server.records if known and self.wanted(each["umm"], query)]
        size = min(int(query.get("page_size", ["10"])[0]), self.server.most)
        begin = int(json.loads(self.headers.get("CMR-Search-After", "[0]"))[0])
        page = found[begin:begin + size]
        more = {"CMR_Search_After": json.dumps([begin + len(page), "x"])} if page else {}
        self.answer(200, {"hits": len(found), "took": 5, "items": page},
                    kind="application/vnd.nasa.cmr.umm_results+json; version=1.6.6; charset=utf-8",
                    CMR_Hits=str(len(found)), **more)

    def wanted(self, umm, query):
        """Whether a record is of the days and the version that were asked for."""
        first, last = query["temporal[]"][0].split(",") if "temporal[]" in query else query["temporal"][0].split(",")
        time = umm["TemporalExtent"]["RangeDateTime"]
        version = query.get("version", [umm["CollectionReference"]["Version"]])[0]
        return (time["EndingDateTime"] >= first and time["BeginningDateTime"] <= last
                and version == umm["CollectionReference"]["Version"])

    # ---------------------------------------------------------------- the login

    def knows_user(self):
        return self.headers.get("Authorization") == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    def login(self):
        """Earthdata Login: a token for a user, or the way back to who sent the browser here."""
        parts = urllib.parse.urlsplit(self.path)
        if not self.knows_user():
            self.answer(401, {"error": "invalid_credentials", "error_description": "Invalid user credentials"},
                        WWW_Authenticate='Basic realm="Please enter your Earthdata Login credentials."')
        elif parts.path == "/api/users/find_or_create_token" and self.command == "POST":
            self.answer(200, {"access_token": TOKEN, "token_type": "Bearer", "expiration_date": "12/31/2099"})
        else:
            query = urllib.parse.parse_qs(parts.query)
            back = query["redirect_uri"][0] + "?" + urllib.parse.urlencode({"code": "c0de", "state": query["state"][0]})
            self.answer(302, Location=back)

    # ---------------------------------------------------------------- the archive

    def archive(self):
        """Files for who brings a token or a cookie; others are led to the login and back."""
        parts = urllib.parse.urlsplit(self.path)
        if parts.path == "/login":
            state = urllib.parse.parse_qs(parts.query)["state"][0]
            self.answer(302, Location=f"https://{ARCHIVE}{state}", Set_Cookie="session=ours; Path=/; Secure; HttpOnly")
            return
        known = "session=ours" in self.headers.get("Cookie", "") or (
            not self.server.wants_login and self.headers.get("Authorization") == f"Bearer {TOKEN}")
        if not known:
            self.answer(302, Location=f"https://{LOGIN}/oauth/authorize?" + urllib.parse.urlencode(
                {"client_id": "archive", "response_type": "code", "redirect_uri": f"https://{ARCHIVE}/login",
                 "state": self.path}))
            return
        faults = self.server.faults.get(parts.path) or []
        fault = faults.pop(0) if faults else None
        if isinstance(fault, tuple):
            self.answer(*fault)
        elif parts.path not in self.server.files:
            self.answer(404, b"<html>Not Found</html>", "text/html")
        else:
            self.send_file(self.server.files[parts.path], fault)

    def send_file(self, data, cut):
        """The bytes that were asked for, or the first `cut` of them before the line breaks."""
        tag = f'"{hashlib.sha1(data).hexdigest()}"'
        begin, code, more = 0, 200, {"ETag": tag, "Accept-Ranges": "bytes" if self.server.knows_ranges else "none"}
        asked = self.headers.get("Range", "")
        if asked and self.server.knows_ranges and self.headers.get("If-Range", tag) == tag:
            begin, code = int(asked.removeprefix("bytes=").rstrip("-")), 206
            if begin >= len(data):
                self.answer(416, Content_Range=f"bytes */{len(data)}")
                return
            more["Content_Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        if cut is None:
            self.answer(code, data[begin:], "application/x-netcdf", **more)
            return
        self.send_response(code)
        more |= {"Content-Type": "application/x-netcdf", "Content-Length": str(len(data) - begin)}
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data[begin:begin + cut])
        self.close_connection = True


def serve(folder):
    """A server that runs."""
    server = Earthdata(folder)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """The stand-in, if what it needs is here."""
    other = "other test: test_notebooks.py, 84_range_requests"
    pytest.importorskip("earthaccess", reason=f"no earthaccess (extra earthdata); {other}")
    pytest.importorskip("cryptography", reason=f"no cryptography, so no certificate; {other}")
    server = serve(tmp_path_factory.mktemp("stand-in"))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def servers(standing, monkeypatch, tmp_path):
    """The stand-in with three days, a login by token, and nobody's .netrc."""
    from oco2_outliers.soundings import earthdata, range_requests

    for name in [*os.environ]:
        if name.startswith("EARTHDATA_") or name.lower() in ("no_proxy", "all_proxy", "http_proxy", "https_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HTTPS_PROXY", standing.address)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(standing.certificate))
    monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(range_requests, "PAUSE", 0.001)
    monkeypatch.setattr(range_requests, "PIECE", 100)
    monkeypatch.setattr(earthdata, "PAUSE", 0.001)
    standing.files.clear()
    standing.faults.clear()
    for kept in (standing.records, standing.asked):
        kept.clear()
    standing.most, standing.knows_ranges, standing.wants_login, standing.catalogue_fault = 2000, True, False, None
    standing.paths = [standing.put(f"2018-08-{day}") for day in (24, 25, 26)]
    return standing
