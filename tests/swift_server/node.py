"""Runs inside the server's venv: `node.py rings DIR PORTS` or `node.py serve KIND DIR`.

A daemon ends when its standard input closes, so that none outlives the test run that started it.
"""
import json
import os
import sys
import threading


def point_at(folder):
    """Make swift read its constraints from `folder`; daemons know the default folder alone."""
    from swift.common import utils

    utils.set_swift_dir(folder)
    from swift.common import constraints

    constraints.reload_constraints()


def build_rings(folder, ports):
    """One replica, one device each."""
    from swift.common.ring import RingBuilder

    for kind in ("account", "container", "object"):
        builder = RingBuilder(2, 1, 0)
        builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": ports[kind], "device": "d1", "weight": 1})
        builder.rebalance()
        builder.get_ring().save(os.path.join(folder, f"{kind}.ring.gz"))


def end_with_parent():
    """Exit as soon as the pipe on standard input closes."""
    pipe = os.dup(0)  # swift points descriptor 0 at /dev/null
    threading.Thread(target=lambda: (os.read(pipe, 1), os._exit(0)), daemon=True).start()


def serve(kind, folder):
    """Run one daemon in this process."""
    from swift.common.wsgi import run_wsgi

    extra = {}
    if kind == "object":
        from swift.obj.server import global_conf_callback

        extra = {"global_conf_callback": global_conf_callback}
    return run_wsgi(os.path.join(folder, f"{kind}-server.conf"), f"{kind}-server", **extra)


def update(folder):
    """One pass of the object updater: bring the listings up to date."""
    from swift.obj.updater import ObjectUpdater

    ObjectUpdater({"swift_dir": folder, "devices": os.path.join(folder, "devices"), "mount_check": "false",
                   "recon_cache_path": folder}).run_once()


if __name__ == "__main__":
    verb, folder, *rest = sys.argv[1], sys.argv[-1], *sys.argv[2:-1]
    if verb == "serve":
        end_with_parent()
    point_at(folder)
    if verb == "rings":
        build_rings(folder, json.loads(rest[0]))
    elif verb == "update":
        update(folder)
    else:
        sys.exit(serve(rest[0], folder))
