"""A real Keystone on loopback in front of a real Swift, for the slow tests.

Run by the server's interpreter (`identity_real.py serve PORT FOLDER`) it is the daemon; imported, it is the launcher.
"""
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PINS = ("keystone==30.0.0", "keystonemiddleware==13.0.1", "swift==2.38.3")
CONF = """[DEFAULT]
log_file = {folder}/keystone.log
[database]
connection = sqlite:///{folder}/keystone.db
[token]
provider = fernet
[fernet_tokens]
key_repository = {folder}/fernet
[fernet_receipts]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
"""
FILTERS = """[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
www_authenticate_uri = {url}
auth_url = {url}
auth_type = password
project_domain_id = default
user_domain_id = default
project_name = admin
username = admin
password = {password}
delay_auth_decision = true
include_service_catalog = false
token_cache_time = 2
[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, member
"""


def serve(port: int, folder: str) -> None:
    """The daemon: Keystone's own application under the development server of its own web framework."""
    from node import end_with_parent

    end_with_parent()
    from keystone.server.wsgi import initialize_public_application
    from werkzeug.serving import run_simple

    run_simple("127.0.0.1", port, initialize_public_application(), threaded=True)


class Keystone:
    """`with Keystone(python) as keystone:`; keystone.url, .session(), .prepare(swift_url)."""

    password, region = "admin horse", "GRA"

    def __init__(self, python: Path, folder: Path, port: int):
        self.python, self.folder, self.port = python, Path(folder), port
        self.url = f"http://127.0.0.1:{port}/v3"

    @property
    def filters(self) -> str:
        """The two filters that take tempauth's place in Swift's proxy."""
        return FILTERS.format(url=self.url, password=self.password)

    def manage(self, *args: str) -> None:
        command = [str(self.python.with_name("keystone-manage")), "--config-file", str(self.folder / "keystone.conf")]
        subprocess.run([*command, *args], check=True, capture_output=True)

    def __enter__(self):
        user = __import__("pwd").getpwuid(os.getuid()).pw_name
        group = __import__("grp").getgrgid(os.getgid()).gr_name
        (self.folder / "keystone.conf").write_text(CONF.format(folder=self.folder))
        self.manage("db_sync")
        for kind in ("fernet_setup", "credential_setup"):
            self.manage(kind, "--keystone-user", user, "--keystone-group", group)
        self.manage("bootstrap", "--bootstrap-password", self.password, "--bootstrap-public-url", self.url,
                    "--bootstrap-internal-url", self.url, "--bootstrap-region-id", self.region)
        env = {**os.environ, "OS_KEYSTONE_CONFIG_DIR": str(self.folder), "OS_KEYSTONE_CONFIG_FILES": "keystone.conf"}
        log = open(self.folder / "keystone.out", "ab")  # noqa: SIM115 - the daemon keeps it
        self.daemon = subprocess.Popen([str(self.python), __file__, "serve", str(self.port), str(self.folder)],
                                       stdin=subprocess.PIPE, stdout=log, stderr=log, env=env)
        log.close()
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(self.url, timeout=5).close()
                return self
            except OSError:
                if self.daemon.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.folder / "keystone.out").read_text()[-2000:]) from None
                time.sleep(0.1)

    def __exit__(self, *_):
        self.daemon.kill()
        self.daemon.wait()
        self.daemon.stdin.close()

    def session(self):
        """A session of the administrator."""
        from keystoneauth1 import session
        from keystoneauth1.identity import v3

        return session.Session(auth=v3.Password(
            self.url, username="admin", password=self.password, project_name="admin", user_domain_id="default",
            project_domain_id="default"))

    def prepare(self, swift_url: str) -> dict:
        """A project, a member of it with an application credential, and the object-store in the catalog."""
        s = self.session()

        def post(path, **body):
            return s.post(self.url + path, json=body).json()

        service = post("/services", service={"type": "object-store", "name": "swift"})["service"]["id"]
        for interface in ("public", "internal"):
            post("/endpoints", endpoint={"service_id": service, "interface": interface, "region_id": self.region,
                                         "url": swift_url + "/v1/AUTH_$(project_id)s"})
        project = post("/projects", project={"name": "oco", "domain_id": "default"})["project"]["id"]
        user = post("/users", user={"name": "me", "password": "right horse", "domain_id": "default",
                                    "default_project_id": project})["user"]["id"]
        role = next(r["id"] for r in s.get(self.url + "/roles").json()["roles"] if r["name"] == "member")
        s.put(f"{self.url}/projects/{project}/users/{user}/roles/{role}")
        from keystoneauth1 import session
        from keystoneauth1.identity import v3

        own = session.Session(auth=v3.Password(self.url, user_id=user, password="right horse", project_id=project))
        wanted = {"application_credential": {"name": "laptop", "roles": [{"name": "member"}]}}
        made = own.post(f"{self.url}/users/{user}/application_credentials", json=wanted).json()
        made = made["application_credential"]
        return {"project": project, "user": user, "id": made["id"], "secret": made["secret"]}

    def revoke(self, token: str) -> None:
        """Make a token void."""
        self.session().delete(self.url + "/auth/tokens", headers={"X-Subject-Token": token})


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(__file__))
    port, folder = int(sys.argv[2]), sys.argv[3]
    sys.argv = sys.argv[:1]  # Keystone reads the command line too
    serve(port, folder)
