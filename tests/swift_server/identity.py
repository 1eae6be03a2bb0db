"""A stand-in for Keystone v3: checks who asks, hands out a real tempauth token and a catalog."""
import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Identity:
    """`with Identity(server) as identity:`; identity.auth_url, identity.issued."""

    user, user_id, password, project, region = "me", "u1", "right horse", "oco", "GRA"
    credential_id, credential_secret = "cred1", "cred secret"

    def __init__(self, server):
        self.server, self.issued, self.asked = server, 0, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # noqa: N802
                link = {"rel": "self", "href": outer.auth_url}
                self.answer(200, {"version": {"id": "v3.14", "status": "stable", "links": [link]}})

            def do_POST(self):  # noqa: N802
                auth = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["auth"]
                outer.asked.append(auth)
                if self.path != "/v3/auth/tokens" or not outer.knows(auth["identity"]):
                    return self.answer(401, {"error": {"code": 401, "message": "The request needs authentication."}})
                url, token = outer.token()
                endpoints = [{"interface": i, "region": outer.region, "region_id": outer.region, "url": url, "id": i}
                             for i in ("public", "internal")]
                catalog = [{"type": "object-store", "name": "swift", "id": "s", "endpoints": endpoints}]
                self.answer(201, {"token": {
                    "methods": ["password"], "expires_at": "2099-01-01T00:00:00.000000Z", "catalog": catalog,
                    "issued_at": "2026-01-01T00:00:00.000000Z", "user": {"id": outer.user_id, "name": outer.user,
                    "domain": {"id": "default", "name": "Default"}}}}, {"X-Subject-Token": token})

            def answer(self, status, body, headers=()):
                data = json.dumps(body).encode()
                self.send_response(status)
                for k, v in {"Content-Type": "application/json", "Content-Length": len(data), **dict(headers)}.items():
                    self.send_header(k, str(v))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.auth_url = f"http://127.0.0.1:{self._http.server_port}/v3"

    def knows(self, identity: dict) -> bool:
        """A password by user name or id, or an application credential."""
        if identity["methods"] == ["application_credential"]:
            given = identity["application_credential"]
            return (given.get("id"), given["secret"]) == (self.credential_id, self.credential_secret)
        user = identity["password"]["user"]
        known = user.get("id") == self.user_id or (user.get("name") == self.user and "domain" in user)
        return known and user["password"] == self.password

    def token(self):
        """(storage URL, token) of the real server."""
        ask = urllib.request.Request(self.server.auth_url, headers={
            "X-Storage-User": self.server.user, "X-Storage-Pass": self.server.key})
        with urllib.request.urlopen(ask, timeout=10) as answer:
            self.issued += 1
            return answer.headers["X-Storage-Url"], answer.headers["X-Auth-Token"]

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
