"""A server of pictures on this machine that gives every answer it is told to give."""

import contextlib
import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from PIL import Image

KEY = "pk.a-very-secret-key"


def painted(side=16, kind="JPEG", colour=(30, 90, 60)):
    """A small picture as bytes."""
    written = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(written, kind)
    return written.getvalue()


GOOD = painted()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append(self.path)
        answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        code, data, headers = answer.get("code", 200), answer.get("data", b""), answer.get("headers", {})
        if answer.get("wait"):
            server.stop.wait(answer["wait"])
        if answer.get("hang_up"):
            self.close_connection = True
            return self.connection.close()
        # A reason that repeats the address, as some servers give it.
        self.send_response(code, f"for {self.path[:200]}" if code >= 400 else "OK")
        for name, value in {"Content-Length": str(answer.get("length", len(data))), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            for i in range(0, len(data), answer.get("piece", len(data) or 1)):
                self.wfile.write(data[i:i + answer.get("piece", len(data))])
                if answer.get("piece"):
                    self.wfile.flush()
                    time.sleep(0.05)

    def log_message(self, *args):
        pass


class PictureServer(ThreadingHTTPServer):
    """Gives its `answers` one after the other, the last one for ever; `asked` are the paths."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.asked, self.stop = [{"data": GOOD}], [], threading.Event()
        self.home = f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def running():
    """A server in a thread."""
    server = PictureServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop.set()
        server.shutdown()
        server.server_close()
        thread.join()
