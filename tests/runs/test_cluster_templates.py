"""The templates for clusters hold what their programs read; test_on_slurm runs the one for a queue."""

import dask.config
import pytest
import yaml
from layout import ROOT

CONFIGS = ROOT / "configs"
OBJECTS = list(yaml.safe_load_all((CONFIGS / "dask-kubernetes.yaml").read_text("utf-8")))
NAMED = {(each["kind"], each["metadata"]["name"]): each for each in OBJECTS}
# What dask-jobqueue 0.9 reads for SLURM.
KEYS = {"name", "cores", "memory", "processes", "python", "interface", "death-timeout", "local-directory",
        "shared-temp-directory", "worker-command", "worker-extra-args", "shebang", "queue", "account", "walltime",
        "env-extra", "job-script-prologue", "job-cpu", "job-mem", "job-extra", "job-extra-directives",
        "job-directives-skip", "log-directory", "scheduler-options"}
QUEUE = yaml.safe_load((CONFIGS / "dask-jobqueue.yaml").read_text("utf-8"))


def test_the_queue_template_is_a_config_of_dask():
    with dask.config.set(QUEUE):
        asked = dask.config.get("jobqueue.slurm")
        assert asked.keys() <= KEYS
        assert asked["cores"] == asked["processes"] == 1, "one thread a worker, one worker a job"
        assert dask.utils.parse_bytes(asked["memory"]) == 3e9
        hours, minutes, _ = map(int, asked["walltime"].split(":"))
        assert "--lifetime" in asked["worker-extra-args"]
        lifetime = dask.utils.parse_timedelta(asked["worker-extra-args"][1])
        stagger = dask.utils.parse_timedelta(asked["worker-extra-args"][3])
        assert lifetime + stagger < 3600 * hours + 60 * minutes, "workers end before their job does"
        fractions = list(dask.config.get("distributed.worker.memory", {}).get(name)
                         for name in ("target", "spill", "pause", "terminate"))
        assert fractions == sorted(fractions) and dask.config.get("distributed.scheduler.allowed-failures") >= 3


@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
def test_kubernetes_takes_the_template(version):
    validate = pytest.importorskip("kubernetes_validate", reason="no kubernetes-validate (extra dev); other test: "
                                   "test_the_pods_find_each_other")
    for each in OBJECTS:
        validate.validate(each, version, strict=True)


def test_the_pods_find_each_other():
    pods = {name: each["spec"]["template"] for (kind, name), each in NAMED.items() if kind in ("Deployment", "Job")}
    service = NAMED["Service", "dask-scheduler"]["spec"]
    assert service["selector"].items() <= pods["dask-scheduler"]["metadata"]["labels"].items()
    port = service["ports"][0]["port"]
    for name in ("dask-worker", "isolate"):
        assert f"tcp://dask-scheduler:{port}" in pods[name]["spec"]["containers"][0]["command"]
    (rule,) = NAMED["NetworkPolicy", "dask-among-themselves"]["spec"]["ingress"]
    for pod in pods.values():
        assert rule["from"][0]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        (container,) = pod["spec"]["containers"]
        assert pod["spec"]["securityContext"]["runAsNonRoot"] and not pod["spec"]["automountServiceAccountToken"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {each["name"] for each in container["volumeMounts"]} <= {each["name"] for each in pod["spec"]["volumes"]}
    command = pods["dask-worker"]["spec"]["containers"][0]["command"]
    assert command[command.index("--nthreads") + 1] == "1"


def test_the_commands_are_those_of_the_programs():
    from click.testing import CliRunner
    from distributed.cli import dask_scheduler, dask_worker

    for name, program in (("dask-scheduler", dask_scheduler.main), ("dask-worker", dask_worker.main)):
        options = {option for parameter in program.params for option in parameter.opts + parameter.secondary_opts}
        command = NAMED["Deployment", name]["spec"]["template"]["spec"]["containers"][0]["command"]
        assert {each for each in command if each.startswith("--")} <= options
        assert CliRunner().invoke(program, ["--help"]).exit_code == 0
    options = {option for parameter in dask_worker.main.params for option in parameter.opts}
    extra = QUEUE["jobqueue"]["slurm"]["worker-extra-args"]
    assert {each for each in extra if each.startswith("--")} <= options
