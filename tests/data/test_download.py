"""Fetching from mirrors, served from this machine."""

import functools
import hashlib
import http.server
import threading

import pytest

from minigan.data import fetch_mnist
from minigan.errors import DataError

FILES = {"images.gz": b"all the images", "labels.gz": b"all the labels"}
HASHES = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


class Quiet(http.server.SimpleHTTPRequestHandler):
    requests: list[str] = []

    def do_GET(self):
        self.requests.append(self.path)
        super().do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site(tmp_path):
    """A web site with a good mirror, a damaged one and an empty one."""
    root = tmp_path / "site"
    for mirror in ("good", "damaged", "empty"):
        (root / mirror).mkdir(parents=True)
        for name, data in FILES.items():
            if mirror != "empty":
                content = data if mirror == "good" else data + b"?"
                (root / mirror / name).write_bytes(content)
    handler = functools.partial(Quiet, directory=root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_the_first_good_mirror_wins_and_whole_files_are_kept(site, tmp_path):
    Quiet.requests.clear()
    folder = tmp_path / "cache"
    mirrors = [site + "empty/", site + "damaged/", site + "good/"]
    assert fetch_mnist(folder, mirrors, HASHES, progress=False) == folder
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    asked = len(Quiet.requests)
    assert asked == 6
    fetch_mnist(folder, mirrors, HASHES, progress=False)
    assert len(Quiet.requests) == asked


def test_a_damaged_local_file_is_fetched_again(site, tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "images.gz").write_bytes(b"half of")
    fetch_mnist(folder, [site + "good/"], HASHES, progress=False)
    assert (folder / "images.gz").read_bytes() == FILES["images.gz"]


def test_every_mirrors_reason_is_named_and_no_half_file_stays(site, tmp_path):
    folder = tmp_path / "cache"
    mirrors = [site + "empty/", site + "damaged/", "http://127.0.0.1:9/"]
    with pytest.raises(DataError) as caught:
        fetch_mnist(folder, mirrors, HASHES, progress=False)
    message = str(caught.value)
    assert "empty/ (HTTP 404)" in message
    assert "damaged/ (the file is not the one expected: its SHA-256 differs)" in message
    assert "http://127.0.0.1:9/ (ConnectionError)" in message
    assert "--data" in message
    assert list(folder.iterdir()) == []


def test_the_progress_bar_shows(site, tmp_path, capsys):
    fetch_mnist(tmp_path, [site + "good/"], HASHES)
    assert "100%" in capsys.readouterr().err
