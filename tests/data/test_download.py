"""Fetching from mirrors, served from this machine."""

import functools
import hashlib
import http.server
import re
import socket
import sys
import threading
from typing import ClassVar

import pooch
import pytest

from minigan.data import fetch_mnist
from minigan.data.download import MIRRORS, SHA256
from minigan.data.idx import FILES as MNIST_NAMES
from minigan.errors import DataError

FILES = {"images.gz": b"all the images", "labels.gz": b"all the labels"}
HASHES = {
    name.removesuffix(".gz"): hashlib.sha256(data).hexdigest() for name, data in FILES.items()
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    requests: ClassVar[list[str]] = []

    def do_GET(self):
        self.requests.append(self.path)
        if self.path.startswith("/cut"):  # announces more than it sends, then hangs up
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half of")
        else:
            super().do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A web site with a good mirror, a damaged one, an empty one and one that hangs up."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    root = tmp_path / "site"
    for mirror in ("good", "damaged", "empty"):
        (root / mirror).mkdir(parents=True)
        for name, data in FILES.items():
            if mirror != "empty":
                content = data if mirror == "good" else data + b"?"
                (root / mirror / name).write_bytes(content)
    handler = functools.partial(Quiet, directory=root)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
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
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening: refuses
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        mirrors = [site + "empty/", site + "damaged/", site + "cut/", closed]
        with pytest.raises(DataError) as caught:
            fetch_mnist(folder, mirrors, HASHES, progress=False)
    message = str(caught.value)
    assert message.startswith("images.gz could not be fetched from any mirror: ")
    assert f"{site}empty/ (404 Client Error" in message
    assert f"{site}damaged/ (the file is not the one expected: its SHA-256 differs)" in message
    assert re.search(r"cut/ \(.*(7 bytes read|IncompleteRead|SHA-256 differs)", message)
    assert re.search(rf"{closed} \(.*refused", message)
    assert "--data" in message
    assert list(folder.iterdir()) == []


def test_an_interrupted_download_leaves_nothing(site, tmp_path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("pooch.core.hash_matches", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch_mnist(tmp_path / "cache", [site + "good/"], HASHES, progress=False)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_not_blamed_on_the_mirrors(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(DataError, match=r"taken: expected a folder .*\(File exists\)\. Try: "):
        fetch_mnist(tmp_path / "taken", ["http://127.0.0.1:9/"], HASHES, progress=False)


def test_the_real_set_has_four_files_with_a_hash_each():
    assert set(SHA256) == {name for names in MNIST_NAMES.values() for name in names}
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in SHA256.values())
    assert all(re.fullmatch("https://.*/", mirror) for mirror in MIRRORS)


def test_the_progress_bar_is_all_that_shows(site, tmp_path, capsys, monkeypatch):
    for handler in pooch.get_logger().handlers:  # it holds the stream of the first import
        monkeypatch.setattr(handler, "stream", sys.stderr)
    fetch_mnist(tmp_path / "shown", [site + "good/"], HASHES)
    output = capsys.readouterr()
    assert output.out == ""
    assert "100%" in output.err
    assert "Downloading" not in output.err
    fetch_mnist(tmp_path / "silent", [site + "good/"], HASHES, progress=False)
    assert capsys.readouterr().err == ""
