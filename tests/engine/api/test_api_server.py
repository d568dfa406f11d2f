"""The HTTP server on the wire: what clients send, in what pieces, and what they get."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pydockmagic.engine.api.messages import Answer, Duplex, Hijack, Reply, Request, Stream, json_lines, reply_json
from pydockmagic.engine.api.router import Route
from pydockmagic.engine.api.server import ApiServer, TlsFiles
from pydockmagic.engine.errors import Conflict, InvalidParameter, NotModified


class Routes:
    """Routes that try out every kind of answer."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.waiting = asyncio.Event()
        self.finished = asyncio.Event()

    def all(self) -> list[Route]:
        return [
            Route("GET", "/hello", self.hello),
            Route("POST", "/echo", self.echo),
            Route("POST", "/object", self.object),
            Route("GET", "/things/{name}", self.thing),
            Route("GET", "/conflict", self.conflict),
            Route("GET", "/same", self.same),
            Route("GET", "/broken", self.broken),
            Route("GET", "/count", self.count),
            Route("GET", "/progress", self.progress),
            Route("GET", "/early", self.early),
            Route("POST", "/upper", self.upper),
            Route("GET", "/wait", self.wait, waits=True),
            Route("GET", "/work", self.work),
        ]

    async def hello(self, request: Request) -> Answer:
        return Reply(body=b"hello", content_type="text/plain")

    async def echo(self, request: Request) -> Answer:
        return Reply(body=await request.read(1 << 20), content_type="text/plain")

    async def object(self, request: Request) -> Answer:
        return reply_json(await request.object())

    async def thing(self, request: Request) -> Answer:
        return reply_json({"name": request.params["name"], "version": list(request.version)})

    async def conflict(self, request: Request) -> Answer:
        raise Conflict("in use")

    async def same(self, request: Request) -> Answer:
        raise NotModified

    async def broken(self, request: Request) -> Answer:
        raise ZeroDivisionError("a fault of ours")

    async def count(self, request: Request) -> Answer:
        async def chunks() -> AsyncIterator[bytes]:
            for number in range(3):
                yield f"{number}\n".encode()

        return Stream(chunks=chunks(), content_type="text/plain")

    async def progress(self, request: Request) -> Answer:
        async def messages() -> AsyncIterator[dict[str, str]]:
            yield {"stream": "one"}
            raise InvalidParameter("went wrong")

        return Stream(chunks=json_lines(messages()))

    async def early(self, request: Request) -> Answer:
        async def messages() -> AsyncIterator[dict[str, str]]:
            raise InvalidParameter("went wrong at once")
            yield {}

        return Stream(chunks=json_lines(messages()))

    async def upper(self, request: Request) -> Answer:
        async def talk(duplex: Duplex) -> None:
            while data := await duplex.read():
                await duplex.write(data.upper())
            await duplex.write(b"!")

        return Hijack(talk=talk)

    async def wait(self, request: Request) -> Answer:
        self.waiting.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        raise AssertionError

    async def work(self, request: Request) -> Answer:
        self.waiting.set()
        await asyncio.sleep(0.05)
        self.finished.set()
        return Reply()


class Wire:
    """A connection to the server, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value for name, value in headers.items()}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, await self._chunked()
        return status, headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def _chunked(self) -> bytes:
        data = b""
        while size := int(await self.reader.readline(), 16):
            data += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return data

    async def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        await self.send(f"GET {path} HTTP/1.1\r\nHost: d\r\n\r\n")
        return await self.answer()


@contextlib.asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[Routes, ApiServer, Path]]:
    routes = Routes()
    server = ApiServer(routes.all(), {"Api-Version": "1.50", "Server": "test"})
    path = folder / "s.sock"
    await server.listen(f"unix://{path}")
    try:
        yield routes, server, path
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def wired(folder: Path) -> AsyncIterator[tuple[Wire, Routes]]:
    async with serving(folder) as (routes, _, path):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            yield Wire(reader, writer), routes
        finally:
            writer.close()


def test_a_connection_serves_one_request_after_the_other(tmp_path):
    async def body():
        async with wired(tmp_path) as (wire, _):
            for _ in range(3):
                status, headers, text = await wire.get("/hello")
                assert (status, text) == (200, b"hello")
                assert headers["api-version"] == "1.50"

    asyncio.run(body())


def test_requests_may_come_in_one_piece_and_in_many(tmp_path):
    async def body():
        async with wired(tmp_path) as (wire, _):
            request = b"GET /hello HTTP/1.1\r\nHost: d\r\n\r\n"
            await wire.send(request + request)
            assert (await wire.answer())[2] == (await wire.answer())[2] == b"hello"
            for byte in request:
                await wire.send(bytes([byte]))
            assert (await wire.answer())[2] == b"hello"

    asyncio.run(body())


def test_chunked_bodies_are_read_and_chunked_answers_written(tmp_path):
    async def body():
        async with wired(tmp_path) as (wire, _):
            await wire.send("POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n")
            await wire.send("3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
            assert (await wire.answer())[2] == b"abcdefg"
            status, headers, text = await wire.get("/count")
            assert (status, text) == (200, b"0\n1\n2\n")
            assert headers["transfer-encoding"] == "chunked"

    asyncio.run(body())


def test_a_client_that_expects_100_continue_gets_it_only_when_the_body_is_wanted(tmp_path):
    async def body():
        async with wired(tmp_path) as (wire, _):
            await wire.send("POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            assert (await wire.head())[0] == 100
            await wire.send("abc")
            assert (await wire.answer())[2] == b"abc"
            await wire.send("POST /nowhere HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
            assert (await wire.answer())[0] == 404

    asyncio.run(body())


def test_errors_carry_their_status_and_dockers_message_form(tmp_path):
    async def body():
        async with wired(tmp_path) as (wire, _):
            status, _, text = await wire.get("/conflict")
            assert (status, json.loads(text)) == (409, {"message": "in use"})
            status, _, text = await wire.get("/nosuchpath")
            assert (status, json.loads(text)) == (404, {"message": "page not found"})
            status, headers, _ = await wire.get("/same")
            assert status == 304
            assert "content-length" not in headers
            status, _, text = await wire.get("/broken")
            assert status == 500
            assert (await wire.get("/hello"))[0] == 200

    asyncio.run(body())


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        ("1.10", ("client version 1.10 is too old. Minimum supported API version is 1.24, "
                 "please upgrade your client to a newer version")),
        ("1.99", "client version 1.99 is too new. Maximum supported API version is 1.50"),
    ],
)  # fmt: skip
def test_a_version_we_do_not_speak_is_refused_in_dockers_words(tmp_path, version, sentence):
    async def body():
        async with wired(tmp_path) as (wire, _):
            status, _, text = await wire.get(f"/v{version}/hello")
            assert (status, json.loads(text)["message"]) == (400, sentence)
            status, _, text = await wire.get("/v1.43/things/a%2Fb")
            assert status == 404  # a name is one segment
            assert json.loads((await wire.get("/v1.43/things/a%20b"))[2]) == {"name": "a b", "version": [1, 43]}

    asyncio.run(body())


@pytest.mark.parametrize("text", ['{"a":', "[1]", "nonsense", '"x"', "", "\udcff"])
def test_a_body_that_is_no_json_object_is_a_400(tmp_path, text):
    async def body():
        async with wired(tmp_path) as (wire, _):
            data = text.encode("utf-8", "surrogateescape")
            head = f"POST /object HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {len(data)}"
            await wire.send(f"{head}\r\n\r\n".encode() + data)
            status, _, answer = await wire.answer()
            assert status == 400
            assert "message" in json.loads(answer)
            assert (await wire.get("/hello"))[0] == 200

    asyncio.run(body())


def test_a_body_larger_than_allowed_is_refused(tmp_path):
    async def body():
        async with wired(tmp_path) as (wire, _):
            await wire.send("POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 2000000\r\n\r\n")
            await wire.send(b"x" * 2_000_000)
            assert (await wire.answer())[0] == 413

    asyncio.run(body())


def test_an_error_in_mid_stream_is_the_last_message_and_one_before_it_a_status(tmp_path):
    async def body():
        async with wired(tmp_path) as (wire, _):
            lines = (await wire.get("/progress"))[2].splitlines()
            assert json.loads(lines[0]) == {"stream": "one"}
            assert json.loads(lines[1]) == {"errorDetail": {"message": "went wrong"}, "error": "went wrong"}
            status, _, text = await wire.get("/early")
            assert (status, json.loads(text)) == (400, {"message": "went wrong at once"})

    asyncio.run(body())


@pytest.mark.parametrize("upgrade", [True, False], ids=["upgrade", "legacy"])
def test_a_hijacked_connection_carries_bytes_both_ways_and_half_closes(tmp_path, upgrade):
    async def body():
        async with wired(tmp_path) as (wire, _):
            asked = "Connection: Upgrade\r\nUpgrade: tcp\r\n" if upgrade else ""
            # what follows the request in the same packet is the first input already
            await wire.send(f"POST /upper HTTP/1.1\r\nHost: d\r\n{asked}Content-Length: 0\r\n\r\nearly ")
            status, headers = await wire.head()
            assert status == (101 if upgrade else 200)
            assert headers["content-type"] == "application/vnd.docker.raw-stream"
            assert headers.get("upgrade") == ("tcp" if upgrade else None)
            await wire.send("late")
            wire.writer.write_eof()
            assert await wire.reader.read() == b"EARLY LATE!"

    asyncio.run(body())


def test_a_client_that_vanishes_cancels_what_waits_for_it(tmp_path):
    async def body():
        async with serving(tmp_path) as (routes, server, path):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET /wait HTTP/1.1\r\nHost: d\r\n\r\n")
            await asyncio.wait_for(routes.waiting.wait(), 5)
            assert server.active == 1
            writer.close()
            await asyncio.wait_for(routes.cancelled.wait(), 5)

    asyncio.run(body())


def test_a_client_that_vanishes_does_not_break_off_what_must_be_finished(tmp_path):
    async def body():
        async with serving(tmp_path) as (routes, _, path):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(b"GET /work HTTP/1.1\r\nHost: d\r\n\r\n")
            await asyncio.wait_for(routes.waiting.wait(), 5)
            writer.close()
            await asyncio.wait_for(routes.finished.wait(), 5)

    asyncio.run(body())


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n"])
def test_garbage_is_refused_and_others_are_served_on(tmp_path, garbage):
    async def body():
        async with serving(tmp_path) as (_, _, path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(garbage + b"\r\n\r\n")
            writer.write_eof()
            assert b"400" in await asyncio.wait_for(reader.read(), 5)
            writer.close()
            reader, writer = await asyncio.open_unix_connection(path)
            assert (await Wire(reader, writer).get("/hello"))[0] == 200
            writer.close()

    asyncio.run(body())


def test_the_socket_is_private_and_gone_afterwards(tmp_path):
    async def body():
        async with serving(tmp_path) as (_, _, path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with pytest.raises(InvalidParameter, match="in use"):
                await ApiServer([], {}).listen(f"unix://{path}")
            return path

    assert not asyncio.run(body()).exists()


def test_a_socket_left_by_a_killed_engine_is_taken_over(tmp_path):
    import socket

    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    async def body():
        async with wired(tmp_path) as (wire, _):
            assert (await wire.get("/hello"))[0] == 200

    asyncio.run(body())


@pytest.mark.parametrize(
    ("host", "insecure", "reason"),
    [
        ("tcp://127.0.0.1:0", False, "needs TLS"),
        ("tcp://0.0.0.0:0", True, "refusing to listen"),
        ("tcp://192.0.2.1:0", True, "refusing to listen"),
        ("tcp://:2375", True, "needs an address"),
        ("http://127.0.0.1", True, "only unix:// and tcp://"),
        ("unix:///" + "x" * 120, False, "longer than"),
    ],
)
def test_nothing_listens_where_strangers_could_reach_it(host, insecure, reason):
    with pytest.raises(InvalidParameter, match=reason):
        asyncio.run(ApiServer([], {}).listen(host, insecure=insecure))


def test_plain_tcp_on_the_loopback_is_served_when_asked_for():
    async def body():
        server = ApiServer(Routes().all(), {})
        address = await server.listen("tcp://127.0.0.1:0", insecure=True)
        port = int(address.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await Wire(reader, writer).get("/hello"))[2] == b"hello"
        writer.close()
        await server.close()

    asyncio.run(body())


def _certificates(folder: Path) -> Path:
    """Make an authority, and a server and a client that it signed."""
    import subprocess

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost")
    openssl(
        *new,
        "-x509",
        "-days",
        "2",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-addext",
        "basicConstraints=critical,CA:TRUE",
    )
    (folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for name in ("server", "client"):
        openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed_by = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san")
        openssl("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed_by)
    return folder


def test_tls_serves_only_clients_that_the_authority_signed(tmp_path):
    import ssl

    folder = _certificates(tmp_path)

    async def hello(port: int, context: ssl.SSLContext) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        try:
            return (await Wire(reader, writer).get("/hello"))[2]
        finally:
            writer.close()

    async def body():
        server = ApiServer(Routes().all(), {})
        tls = TlsFiles(cert=str(folder / "server.pem"), key=str(folder / "server.key"), ca=str(folder / "ca.pem"))
        port = int((await server.listen("tcp://127.0.0.1:0", tls=tls)).rpartition(":")[2])
        known = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        known.load_cert_chain(folder / "client.pem", folder / "client.key")
        assert await hello(port, known) == b"hello"
        stranger = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await hello(port, stranger)
        assert await hello(port, known) == b"hello"
        await server.close()

    asyncio.run(body())
