"""Two filters for the proxy: a cache in the process, and faults on command (the file faults.json)."""
import json
import os
import time


class Cache:
    """What tempauth and the proxy need of a memcache client, in one process."""

    def __init__(self):
        self.kept = {}

    def get(self, key, **_):
        value, until = self.kept.get(key, (None, 0))
        return json.loads(value) if value is not None and (not until or until > time.time()) else None

    def set(self, key, value, time=0, **_):
        import time as clock

        self.kept[key] = (json.dumps(value), clock.time() + time if time else 0)

    def set_multi(self, mapping, server_key, time=0, **_):
        for key, value in mapping.items():
            self.set(key, value, time)

    def get_multi(self, keys, server_key, **_):
        return [self.get(key) for key in keys]

    def delete(self, key, **_):
        self.kept.pop(key, None)

    def incr(self, key, delta=1, time=0, **_):
        value = (self.get(key) or 0) + delta
        self.set(key, value, time)
        return value

    def decr(self, key, delta=1, time=0, **_):
        return self.incr(key, -delta, time)


def cache_factory(global_conf, **conf):
    cache = Cache()

    def filter(app):
        def call(env, start_response):
            env["swift.cache"] = cache
            return app(env, start_response)
        return call
    return filter


def faults_factory(global_conf, **conf):
    """faults.json holds {"status": 503, "count": 3, "methods": ["PUT"], "match": "x"} or {"expire": true}."""
    path = conf["faults"]

    def take(env):
        if not os.path.exists(path):
            return None
        with open(path) as file:
            fault = json.load(file)
        if fault.get("expire"):
            os.unlink(path)
            cache = env["swift.cache"]
            for key in [k for k in cache.kept if "/token/" in k or "/user/" in k]:
                cache.delete(key)
            return None
        if env["REQUEST_METHOD"] not in fault.get("methods", [env["REQUEST_METHOD"]]):
            return None
        if fault.get("match", "") not in env["PATH_INFO"] or env["PATH_INFO"].startswith("/auth"):
            return None
        fault["count"] -= 1
        if fault["count"] <= 0:
            os.unlink(path)
        else:
            with open(path + ".new", "w") as file:
                json.dump(fault, file)
            os.replace(path + ".new", path)
        return fault["status"]

    def filter(app):
        def call(env, start_response):
            status = take(env)
            if status is None:
                return app(env, start_response)
            while env["REQUEST_METHOD"] == "PUT" and env["wsgi.input"].read(65536):
                pass
            start_response(f"{status} Injected", [("Content-Length", "0")])
            return [b""]
        return call
    return filter
