"""Container and manifests, looked at without a network: what they say, and whether their commands run as they say."""

import contextlib
import copy
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from layout import ROOT
from swift_server.launch import free_ports

from oco2_outliers.series.freezing import freeze
from oco2_outliers.series.simulated import simulate_series
from oco2_outliers.streams.result_store import open_store

DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "k8s").glob("*.yaml"))
VERSIONS = ["1.29", "1.33", "1.37"]
UID = 10001
NO_VALIDATE = "no kubernetes-validate (extra dev)"


def documents():
    """Every object of the manifests, by kind and name."""
    found = {}
    for path in MANIFESTS:
        for each in yaml.safe_load_all(path.read_text("utf-8")):
            if each["kind"] != "Kustomization":
                found[each["kind"], each["metadata"]["name"]] = each
    return found


OBJECTS = documents()
PODS = {name: each["spec"]["template"]["spec"] for (kind, name), each in OBJECTS.items()
        if kind in ("StatefulSet", "Job")}


# ---------------------------------------------------------------- manifests

def test_all_that_is_promised_is_there():
    wanted = {("Namespace", "readings"), ("ConfigMap", "series-streams"), ("Secret", "series-secret"),
              ("PersistentVolumeClaim", "series-models"), ("Service", "series-listen"),
              ("StatefulSet", "series-listen"), ("Job", "series-send")}
    assert wanted <= set(OBJECTS) and ("NetworkPolicy", "deny-all") in OBJECTS
    assert {each["metadata"].get("namespace", "readings") for each in OBJECTS.values()} == {"readings"}
    listed = yaml.safe_load((DEPLOY / "k8s" / "kustomization.yaml").read_text("utf-8"))["resources"]
    apart = {"kustomization.yaml", "secret.template.yaml", "job.yaml"}
    assert sorted(listed) == sorted({path.name for path in MANIFESTS} - apart)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_every_object(version):
    validate = pytest.importorskip("kubernetes_validate", reason=NO_VALIDATE + "; the next tests read the same files")
    for each in OBJECTS.values():
        validate.validate(each, version, strict=True)


FREE = {"labels", "annotations", "matchLabels", "data", "stringData", "requests", "limits", "selector"}  # any keys


def places(value, path=()):
    """The paths of all mappings below a value whose keys Kubernetes names."""
    if isinstance(value, dict):
        yield path
        for key, below in value.items():
            if key not in FREE:
                yield from places(below, (*path, key))
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from places(below, (*path, number))


@pytest.mark.parametrize("kind, name", OBJECTS)
def test_a_misspelt_key_is_refused_wherever_it_stands(kind, name):
    validate = pytest.importorskip("kubernetes_validate", reason=NO_VALIDATE + "; the next tests read the same files")
    whole = OBJECTS[kind, name]
    for path in places(whole):
        spoilt = copy.deepcopy(whole)
        inside = spoilt
        for step in path:
            inside = inside[step]
        inside["replicsa"] = 1
        with pytest.raises(validate.ValidationError, match="replicsa"):
            validate.validate(spoilt, VERSIONS[1], strict=True)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_rights_and_knows_its_limits(name):
    pod = PODS[name]
    (container,) = pod["containers"]
    own, shared = container["securityContext"], pod["securityContext"]
    assert (shared["runAsUser"], shared["runAsGroup"], shared["runAsNonRoot"]) == (UID, UID, True)
    assert shared["seccompProfile"] == {"type": "RuntimeDefault"} and own["capabilities"] == {"drop": ["ALL"]}
    assert own["readOnlyRootFilesystem"] and own["runAsNonRoot"]
    assert not own["allowPrivilegeEscalation"] and not own["privileged"]
    assert not pod["automountServiceAccountToken"] and not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert pod["terminationGracePeriodSeconds"] == 30
    for what in ("requests", "limits"):
        assert {"cpu", "memory", "ephemeral-storage"} == set(container["resources"][what])
    assert not re.search(r":latest$|^[^:]*$", container["image"]) and "command" not in container
    volumes = {each["name"] for each in pod["volumes"]} | ({"store"} if name == "series-listen" else set())
    assert volumes == {each["name"] for each in container["volumeMounts"]}
    allowed = {"name", "configMap", "secret", "emptyDir", "persistentVolumeClaim"}
    assert all(set(each) <= allowed for each in pod["volumes"])
    written = {each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
    assert written == {"/data", "/tmp"}


def test_the_parts_fit_together():
    spec = OBJECTS["StatefulSet", "series-listen"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    assert OBJECTS["Service", "series-listen"]["spec"]["selector"].items() <= labels.items()
    assert spec["serviceName"] == "series-listen" and spec["volumeClaimTemplates"][0]["metadata"]["name"] == "store"
    (container,) = spec["template"]["spec"]["containers"]
    (port,) = container["ports"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]
    told = yaml.safe_load(OBJECTS["ConfigMap", "series-streams"]["data"]["streams.yaml"])
    assert told["health"] == {"port": port["containerPort"], "host": "0.0.0.0"}  # a probe comes from outside
    assert told["store"].startswith("/data/")
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    assert os.path.dirname(told["model"]) in mounts
    for name, pod in PODS.items():
        for volume in pod["volumes"]:
            for kind, key in (("configMap", "name"), ("secret", "secretName"), ("persistentVolumeClaim", "claimName")):
                if kind in volume:
                    assert (kind[0].upper() + kind[1:], volume[kind][key]) in OBJECTS, (name, volume)
        args = pod["containers"][0]["args"]
        assert args[args.index("--config") + 1] == "/etc/oco2/streams.yaml"
    assert OBJECTS["NetworkPolicy", "deny-all"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for (kind, name), each in OBJECTS.items():
        if kind == "NetworkPolicy" and name != "deny-all":
            assert each["spec"]["podSelector"]["matchLabels"].items() & labels.items() or name == "historian"
            assert all(rule.get("ports") and (rule.get("to") or rule.get("from"))
                       for rule in [*each["spec"].get("egress", []), *each["spec"].get("ingress", [])])


def test_no_secret_has_a_value_and_no_address_has_a_password():
    assert set(OBJECTS["Secret", "series-secret"]["stringData"].values()) == {""}
    for path in [*MANIFESTS, *(each for each in DEPLOY.iterdir() if each.is_file())]:
        assert not re.search(r"://[^\s/@]*:[^\s/@]+@", path.read_text("utf-8")), path.name


# ---------------------------------------------------------------- the image

def image():
    """The instructions of the Containerfile: by stage a list of names and values."""
    parser = pytest.importorskip("dockerfile_parse", reason="not installed (extra dev); hadolint reads the same file")
    with open(DEPLOY / "Containerfile", "rb") as file:
        lines = parser.DockerfileParser(fileobj=io.BytesIO(file.read())).structure
    stages = []
    for each in lines:
        if each["instruction"] == "FROM":
            stages.append([])
        if stages and each["instruction"] != "COMMENT":
            stages[-1].append((each["instruction"], each["value"]))
    return stages


def test_the_image_has_no_root_and_needs_no_shell():
    build, final = image()
    names = [name for name, _ in final]
    told = dict(final)
    assert "RUN" not in names and "ADD" not in names + [name for name, _ in build]
    assert told["USER"] == f"{UID}:{UID}" and told["STOPSIGNAL"] == "SIGTERM"
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert json.loads(told["ENTRYPOINT"]) == ["oco2-outliers"] and json.loads(told["CMD"])[:2] == ["series", "listen"]
    installs = [part for name, value in build if name == "RUN" for part in value.split("&&") if "pip install" in part]
    assert installs and all("--require-hashes" in part or "--no-index" in part for part in installs)
    copied = [word for name, value in build if name == "COPY" for word in value.split()[:-1]]
    assert all((ROOT / each).exists() for each in copied if not each.startswith("--"))


def test_hadolint_has_nothing_to_say():
    tool = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if tool is None:
        pytest.skip("hadolint is not installed (extra dev); the same file is read by "
                    "test_the_image_has_no_root_and_needs_no_shell")
    done = subprocess.run([tool, DEPLOY / "Containerfile"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
    spoilt = (DEPLOY / "Containerfile").read_text("utf-8").replace("USER 10001:10001", "USER root")
    spoilt = spoilt.replace('CMD ["series", "listen", "--help"]', "CMD series listen")
    done = subprocess.run([tool, "-"], input=spoilt, capture_output=True, text=True, timeout=60)
    assert done.returncode and {"DL3002", "DL3025"} <= set(re.findall(r"DL\d+", done.stdout))


def pinned(path):
    """Version and hashes of each line of a requirements file."""
    found = {}
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            name, version, hashes = re.fullmatch(r"([\w.-]+)==(\S+)((?: --hash=sha256:[0-9a-f]{64})+)", line).groups()
            found[name.lower().replace("_", "-")] = version, hashes.split()
    return found


def test_what_the_image_installs_is_what_the_constraints_say():
    found = pinned(DEPLOY / "requirements.txt")
    constraints = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M))
    constraints = {name.lower().replace("_", "-"): version for name, version in constraints.items()}
    both = found | pinned(DEPLOY / "build-requirements.txt")
    assert {name: version for name, (version, _) in both.items()} == {name: constraints[name] for name in both}
    settings = ConfigParser(delimiters=["="])
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    lines = "\n".join(settings["DEFAULT"][key] for key in ("requirements", "stream_requirements")).split("\n")
    wanted = {re.match(r"[\w.-]+", line.strip())[0].lower().replace("_", "-") for line in lines if line.strip()}
    assert wanted <= set(found), "run python deploy/pin.py"


# ---------------------------------------------------------------- the commands, as the pod runs them

# A world in which nothing can be written to but /tmp, for a user without rights. `dac_read_search` lets it read the
# files of this test, which belong to somebody else; it lets nobody write.
ENTER = """set -e
root="$1" project="$2" given="$3"
shift 3
mount --rbind / "$root"
mount -o remount,ro,bind "$root"
mount -t tmpfs -o mode=1777 none "$root/tmp"
mkdir -p "$root/tmp/data" "$root/tmp/given"
chown UID:UID "$root/tmp/data"
mount --bind "$given" "$root/tmp/given"
case "$project" in /tmp/*)
    mkdir -p "$root$project"
    mount --bind "$project" "$root$project"
    mount -o remount,ro,bind "$root$project";;
esac
cd /
exec chroot "$root" setpriv --reuid UID --regid UID --clear-groups --no-new-privs --bounding-set -all,+dac_read_search \
    --inh-caps -all,+dac_read_search --ambient-caps -all,+dac_read_search "$@"
""".replace("UID", str(UID))


class _Pod:
    """Runs commands as the container would; where we lack the rights, as ourselves in a read-only folder."""

    def __init__(self, folder):
        self.given, self.world, self.closed = (folder / name for name in ("given", "world", "closed"))
        for each in (self.given, self.world):
            each.mkdir()
        self.closed.mkdir(mode=0o555)
        self.inside = {"data": Path("/tmp/data"), "given": Path("/tmp/given")}
        told = dict(image()[1])["ENV"]
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        self.variables = dict(re.findall(r"(\w+)=(\S+)", told)) | {"PATH": path, "PYTHONPATH": str(ROOT)}
        self.whole = True
        with contextlib.suppress(OSError):
            self.whole = self.run(["true"])[0] == 0
        if not self.whole:
            self.inside = {"data": folder / "data", "given": self.given}
            self.inside["data"].mkdir()
            self.variables["HOME"] = str(folder)

    def start(self, command, **more):
        """A command in a process of its own."""
        command = ["env", "-i", *(f"{name}={value}" for name, value in (self.variables | more).items()), *command]
        if self.whole:
            command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", self.world, ROOT,
                       self.given, *command]
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"  # chroot lies there
        return subprocess.Popen(command, cwd=self.closed, env=os.environ | {"PATH": path}, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def run(self, command, **more):
        """The exit code and the output of a command."""
        process = self.start(command, **more)
        told, _ = process.communicate(timeout=120)
        return process.returncode, told


@pytest.fixture
def pod(tmp_path):
    """A container for show."""
    return _Pod(tmp_path)


def test_the_command_of_the_image_runs_as_another_user_where_nothing_can_be_written(pod):
    told = dict(image()[1])
    code, said = pod.run([*json.loads(told["ENTRYPOINT"]), *json.loads(told["CMD"])])
    assert code == 0 and "Usage: oco2-outliers series listen" in said, said
    if pod.whole:
        code, said = pod.run(["sh", "-c", f"id -u; touch {ROOT}/made /made /etc/made /tmp/data/made"])
        assert said.split("\n")[0] == str(UID) and said.count("Read-only file system") == 3, said


@pytest.mark.parametrize("name", PODS)
def test_the_arguments_of_a_pod_are_options_of_its_command(pod, name):
    args = PODS[name]["containers"][0]["args"]
    code, said = pod.run(["oco2-outliers", *args[:2], "--help"])
    assert code == 0, said
    assert [each for each in args if each.startswith("--") and each not in said] == []


def as_the_pod_has_it(pod, name, topic):
    """The arguments of a pod with what its environment fills in, and where its files are here."""
    args = [each.replace("$(TOPIC)-$(ORDINAL)", topic) for each in PODS[name]["containers"][0]["args"]]
    return ["oco2-outliers", *(each.replace("/etc/oco2", str(pod.inside["given"])) for each in args)]


@pytest.mark.slow
def test_the_pods_send_and_judge_and_leave_when_they_are_told_to(pod):
    """The arguments of both pods and the ConfigMap as they are, but for the addresses."""
    history = simulate_series("seasonal", days=40, step="1 h", random_state=1)
    freeze(history, window=24, n_surrogates=2).save(pod.given / "model.npz")
    fresh = simulate_series("seasonal", days=60, step="1 h", random_state=1).iloc[-400:]
    fresh[["time", "site", "channel", "value"]].to_csv(pod.given / "fresh.csv", index=False)
    config = yaml.safe_load(OBJECTS["ConfigMap", "series-streams"]["data"]["streams.yaml"])
    here = pod.inside["given"]
    config["broker"]["url"] = f"file://{here}/topics"
    config |= {"store": f"{here}/results.db", "model": f"{here}/model.npz"}
    del config["historian"]
    config["health"] = {"port": free_ports(1)[0], "host": "127.0.0.1"}
    (pod.given / "streams.yaml").write_text(yaml.safe_dump(config), "utf-8")
    if pod.whole:
        os.chown(pod.given, UID, UID)
    send = as_the_pod_has_it(pod, "series-send", "sewers-0")
    send[send.index("-")] = f"{here}/fresh.csv"
    code, said = pod.run(send)
    assert code == 0 and "sent 400 messages of 1 channel to sewers-0" in said, said
    process, judged, until = None, 0, time.monotonic() + 110
    try:
        process = pod.start(as_the_pod_has_it(pod, "series-listen", "sewers-0"))
        while judged < 390 and time.monotonic() < until and process.poll() is None:
            time.sleep(0.2)
            with contextlib.suppress(FileNotFoundError), open_store(pod.given / "results.db") as store:
                judged = store.tally()["judged"]
        assert process.poll() is None, process.communicate()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{config['health']['port']}/health", timeout=10) as answer:
            told = json.load(answer)
        assert answer.status == 200 and told["state"] == "running" and "judged" in told and told["dead"] == 0
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)  # the cluster kills it then
    finally:
        if process is not None:
            process.kill()
            process.wait()
    assert process.returncode == 0 and "stopped: it was told to" in said, said
    with open_store(pod.given / "results.db") as store:
        assert store.tally()["judged"] >= 390 and store.about["topic"] == "sewers-0"
