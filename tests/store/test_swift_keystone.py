"""The real Keystone in front of the real Swift (slow: it installs Keystone once)."""
import subprocess
import time

import pytest
from swift_server import SwiftServer
from swift_server.fixtures import QUICK
from swift_server.identity_real import PINS, Keystone
from swift_server.launch import free_ports, make_venv

from oco2_outliers.datasets import Datasets

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    try:
        python = make_venv("keystone", PINS, "constraints-keystone.txt")
    except (OSError, subprocess.CalledProcessError) as e:
        pytest.skip(f"no Keystone here: {e}; test_swift asks a small stand-in for tokens")
    folder = tmp_path_factory.mktemp("keystone")
    keystone = Keystone(python, folder, free_ports(1)[0])
    with keystone, SwiftServer(auth=(python, keystone.filters)) as swift:
        yield keystone, keystone.prepare(swift.url)


@pytest.mark.parametrize("kind", ["password", "user id", "application credential"])
def test_a_revoked_token_is_renewed_mid_run(cloud, tmp_path, kind):
    keystone, made = cloud
    given = {
        "password": {"user": "me", "key": "right horse", "tenant_name": "oco"},
        "user id": {"user_id": made["user"], "key": "right horse", "tenant_id": made["project"]},
        "application credential": {"application_credential_id": made["id"],
                                   "application_credential_secret": made["secret"]},
    }[kind]
    config = {"swift_storage": {"auth_url": keystone.url, "options": {"region_name": keystone.region}, **given}}
    store = Datasets(config, container=kind.replace(" ", "-"), **QUICK)
    for i in range(30):
        (tmp_path / f"{i:02d}.csv").write_text(f"a,b\n{i},1\n")
    store.upload(tmp_path, "up/")
    first = store.fs.account._shared[1]
    keystone.revoke(first)
    time.sleep(3)  # for so long the proxy remembers a token
    assert len(store.upload(tmp_path, "up/", force=True).sent) == 30
    assert store.fs.account._shared[1] != first
    assert store.get_dataframe("up/07.csv").a.tolist() == [7]
    assert len(store.delete_files("up/", dry_run=False)) == 30


def test_who_is_unknown_is_refused(cloud):
    keystone, made = cloud
    config = {"swift_storage": {"auth_url": keystone.url, "user": "me", "key": "wrong horse", "tenant_name": "oco"}}
    with pytest.raises(PermissionError) as e:
        Datasets(config, **QUICK).get_container()
    assert "wrong horse" not in str(e.value)
