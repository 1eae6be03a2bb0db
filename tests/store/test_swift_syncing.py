"""Pictures that come from a real object store. Here, where the other tests of Swift are: each process of the tests that
meets one of them starts a server.
"""

from swift_server.fixtures import container, server, store  # noqa: F401

from oco2_outliers.catalog import sync


def files_below(folder):
    """Names and contents of the files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_from_swift(server, store, container, tmp_path, monkeypatch):  # noqa: F811
    names = ["stills/a.jpg", "stills/deep/<b>.jpg", "stills//etc/escaped.jpg", "stills/back\\slash.jpg", "other/c.jpg"]
    for name in names:
        store.fs.account.connection().put_object(container, name, name.encode())
    for name, value in (("ST_AUTH", server.auth_url), ("ST_USER", server.user), ("ST_KEY", server.key)):
        monkeypatch.setenv(name, value)
    album = tmp_path / "album"
    done = sync(f"swift://{container}/stills", album)
    assert files_below(album) == {"a.jpg": b"stills/a.jpg", "deep/<b>.jpg": b"stills/deep/<b>.jpg"}
    assert sorted(done.copied) == names[:2] and set(done.refused) == set(names[2:4])
    again = sync(f"swift://{container}/stills", album)
    assert (again.copied, again.skipped, len(again.refused)) == ([], 2, 2)
