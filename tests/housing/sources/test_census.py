import functools
import http.server
import io
import socket
import tarfile
import threading
import time
from pathlib import Path

import pytest

from housing.errors import SourceUnavailable
from housing.problems.california.census import DIGEST, Census
from housing.quality.rows import validate
from housing.quality.table import whole
from housing.sources.download import NotFetched, TimeLimits, fetch, store_file
from housing.sources.landing import Landing


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path):
    """A web server over a folder: (folder, address)."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def closed() -> str:
    """An address without a server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/housing.csv"


def tarred(path: Path, name: str, content: bytes) -> None:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def test_no_table_is_delivered_beside_an_existing_one(options, seen, closed):
    seen.reference = True
    assert list(Census(options(), homes=(closed,)).deliveries(seen)) == []


def test_a_named_file_is_delivered(options, seen, census_path):
    (delivery,) = Census(options(census=str(census_path))).deliveries(seen)
    assert (delivery.name, delivery.digest, delivery.simulated) == ("housing.csv", DIGEST, False)
    result = validate(delivery.read(), delivery.name)
    assert (len(result.accepted), result.rejections, result.notes) == (20_640, (), ())


def test_another_named_table_beside_the_stored_one_is_reported(options, seen, tmp_path, table):
    stored, other, packed = tmp_path / "a.csv", tmp_path / "b.csv", tmp_path / "b.tgz"
    stored.write_text(table)
    other.write_text(table.rpartition("\n")[0].rpartition("\n")[0])
    tarred(packed, "b.csv", other.read_bytes())
    (delivery,) = Census(options(census=str(stored))).deliveries(seen)
    seen.store(delivery)
    seen.reference = True
    for where in (stored, tmp_path / "deleted.csv"):
        assert list(Census(options(census=str(where))).deliveries(seen)) == []
    for where, unpack in ((other, ""), (packed, " (unpack it first)")):
        (found,) = Census(options(census=str(where))).deliveries(seen)
        assert (found.status, found.name) == ("unreadable", where.name)
        assert f"HOUSING_CENSUS names {where.name}, which is not read" in found.message
        assert f"`housing ingest {where}` adds its rows{unpack};" in found.message
    (also,) = Landing(options(), files=(other,)).deliveries(seen)  # housing ingest b.csv
    seen.store(also)
    for where in (other, packed):
        assert list(Census(options(census=str(where))).deliveries(seen)) == []


def test_a_named_address_is_compared_without_fetching_it_again(options, seen, site, table):
    folder, address = site
    (folder / "a.csv").write_text(table)
    (delivery,) = Census(options(census=address + "a.csv")).deliveries(seen)
    seen.store(delivery)
    seen.reference = True
    (folder / "a.csv").unlink()
    assert list(Census(options(census=address + "a.csv")).deliveries(seen)) == []
    (folder / "b.csv").write_text(table[:-1])
    (found,) = Census(options(census=address + "b.csv")).deliveries(seen)
    assert "HOUSING_CENSUS names b.csv" in found.message


def test_a_file_address_and_an_archive(options, seen, tmp_path, table):
    plain, packed = tmp_path / "my table.csv", tmp_path / "t.tgz"
    plain.write_text(table)
    tarred(packed, "x/housing.csv", table.encode())
    for where in (plain.as_uri(), str(packed)):
        (delivery,) = Census(options(census=where)).deliveries(seen)
        raw = whole(delivery.read())
        assert raw.read == 40
        assert "this is not the reference table" in raw.notes[0]


def test_other_formats_and_addresses_can_be_named(options, seen, site, districts, tmp_path):
    folder, address = site
    districts.to_parquet(tmp_path / "a.parquet")
    districts.to_csv(folder / "a.csv.gz", index=False)
    for where in (str(tmp_path / "a.parquet"), address + "a.csv.gz?token=1"):
        (delivery,) = Census(options(census=where)).deliveries(seen)
        assert whole(delivery.read()).read == 40


@pytest.mark.parametrize("where", ["{tmp}/none.csv", "file://{tmp}/none.csv", "ftp://host/a.csv"])
def test_a_named_table_that_is_not_there_is_an_error(options, seen, tmp_path, where):
    source = Census(options(census=where.format(tmp=tmp_path)))
    with pytest.raises(SourceUnavailable, match="HOUSING_CENSUS"):
        list(source.deliveries(seen))


def test_a_named_address_that_does_not_answer_is_an_error(options, seen, closed):
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1: .*refused"):
        list(Census(options(census=closed)).deliveries(seen))


def test_a_damaged_archive_is_an_error(options, seen, tmp_path):
    (tmp_path / "a.tgz").write_bytes(b"\x1f\x8b nothing")
    with pytest.raises(SourceUnavailable, match="damaged archive"):
        list(Census(options(census=str(tmp_path / "a.tgz"))).deliveries(seen))


def test_the_public_table_is_fetched_once_and_kept(options, seen, site, census_path, closed):
    folder, address = site
    (folder / "housing.csv").write_bytes(census_path.read_bytes())
    (first,) = Census(options(), homes=(address + "housing.csv",)).deliveries(seen)
    (again,) = Census(options(), homes=(closed,)).deliveries(seen)
    assert first.digest == again.digest == DIGEST
    assert not again.simulated


def test_the_second_address_is_an_archive(options, seen, site, census_path):
    folder, address = site
    tarred(folder / "housing.tgz", "housing/housing.csv", census_path.read_bytes())
    homes = (address + "gone.csv", address + "housing.tgz")
    (delivery,) = Census(options(), homes=homes).deliveries(seen)
    assert (delivery.digest, whole(delivery.read()).read) == (DIGEST, 20_640)


def test_a_damaged_cache_is_not_believed(options, seen, closed, tmp_path):
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / f"census-{DIGEST[:12]}.csv").write_text("longitude\n1\n")
    (delivery,) = Census(options(), homes=(closed,)).deliveries(seen)
    assert delivery.simulated


def test_a_public_table_with_another_digest_is_refused(options, seen, site, table):
    folder, address = site
    (folder / "housing.csv").write_text(table)
    (delivery,) = Census(options(), homes=(address + "housing.csv",)).deliveries(seen)
    assert delivery.simulated
    assert "holds another table than the pinned one" in delivery.name


def test_offline_delivers_simulated_rows_with_a_notice(options, seen, closed):
    started = time.monotonic()
    (delivery,) = Census(options(), homes=(closed, closed)).deliveries(seen)
    assert time.monotonic() - started < 5
    assert delivery.name.startswith("simulated districts (the census table could not be reached: ")
    assert "Errno" not in delivery.name
    assert (delivery.source, delivery.simulated) == ("census", True)
    assert len(validate(delivery.read(), "x").accepted) == 200


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"])
def test_a_server_that_never_finishes_is_stopped(sent):
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def answer():
            connection, _ = server.accept()
            connections.append(connection)
            connection.recv(1_000)
            connection.sendall(sent)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        started = time.monotonic()
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.csv"
        with pytest.raises(NotFetched, match=r"127\.0\.0\.1"):
            fetch(address, TimeLimits(connect=0.3, transfer=1), 1_000)
        assert time.monotonic() - started < 3
        thread.join()
        for connection in connections:
            connection.close()


def test_a_server_that_answers_in_drops_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip():
            connection, _ = server.accept()
            with connection:
                while not stop.wait(0.05):
                    connection.sendall(b"HTTP/1.1 200 OK\r\n"[:1])

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        try:
            with pytest.raises(NotFetched, match=r"did not answer within 0\.3 s"):
                fetch(f"http://127.0.0.1:{server.getsockname()[1]}/", TimeLimits(0.3, 1), 1_000)
            assert time.monotonic() - started < 2
        finally:
            stop.set()
            thread.join()


def test_limits_of_a_download(site):
    folder, address = site
    (folder / "a.csv").write_bytes(b"x" * 1_000)
    assert len(fetch(address + "a.csv", TimeLimits(2, 5), 1_000)) == 1_000
    with pytest.raises(NotFetched, match="sent more than 999 bytes"):
        fetch(address + "a.csv", TimeLimits(2, 5), 999)
    with pytest.raises(NotFetched, match="404"):
        fetch(address + "b.csv", TimeLimits(2, 5), 999)
    with pytest.raises(NotFetched, match="not a web address"):
        fetch("file:///etc/hosts", TimeLimits(2, 5), 999)


def test_a_file_is_stored_whole(tmp_path):
    store_file(tmp_path / "new" / "a", b"one")
    store_file(tmp_path / "new" / "a", b"two")
    assert [p.read_bytes() for p in (tmp_path / "new").iterdir()] == [b"two"]
