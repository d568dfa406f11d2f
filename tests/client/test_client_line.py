"""A connection whose other end falls silent: a daemon that is at work is waited for, one that is gone is not."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress

import pytest
from support.leaks import until

from pydockmagic.client import Client, ConnectionFailed, ConnectionLost, parse_address

pytestmark = pytest.mark.timeout(60)

PING = b"HTTP/1.1 200 OK\r\nApi-Version: 1.43\r\nContent-Length: 0\r\n\r\n"
LIST = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


class Daemon:
    """Answers pings while it is ``there``; the rest when it is told to."""

    def __init__(self):
        self.there = threading.Event()
        self.there.set()
        self.answers = threading.Event()
        self.asked = threading.Semaphore(0)
        self.pings = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while head := connection.recv(65536):
                if b"/_ping" in head:
                    self.there.wait()
                    self.pings += 1
                    connection.sendall(PING)
                else:
                    self.asked.release()
                    self.answers.wait()
                    connection.sendall(LIST)
        except OSError:
            return

    def close(self):
        self.there.set()
        self.answers.set()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextmanager
def talk():
    daemon = Daemon()
    try:
        with Client(parse_address(daemon.url)) as client:
            client.patience = 0.5
            yield daemon, client
    finally:
        daemon.close()


def test_a_daemon_that_is_slow_but_there_is_waited_for():
    with talk() as (daemon, client):
        client.patience = 0.1
        answer = []
        asking = threading.Thread(target=lambda: answer.append(client.containers()))
        asking.start()
        until(lambda: daemon.pings >= 4)  # one to negotiate; then the silence has been asked about, again and again
        daemon.answers.set()
        asking.join(30)
        assert answer == [[]]


def test_a_daemon_that_answers_nobody_any_more_is_given_up():
    with talk() as (daemon, client):
        client.ping()
        daemon.there.clear()
        with pytest.raises(ConnectionLost) as caught:
            client.containers()
        assert str(caught.value) == (
            f"the connection to the Docker daemon at {daemon.url} was lost: it has not answered for 1 second"
        )
        assert not caught.value.embedded


def test_a_daemon_that_reads_nothing_any_more_is_given_up_while_it_is_sent_to():
    with talk() as (daemon, client):
        client.ping()
        daemon.there.clear()
        with pytest.raises(ConnectionLost, match="has not answered"):
            client.build((b"x" * 1_000_000 for _ in range(100)), params={})


def test_a_machine_that_has_gone_is_given_up():
    with talk() as (daemon, client):
        client.ping()
        daemon._listener.shutdown(socket.SHUT_RDWR)
        daemon._listener.close()
        with pytest.raises(ConnectionLost, match="nobody answers there any more"):
            client.containers()


def test_who_is_in_a_hurry_waits_no_longer_than_that():
    with talk() as (daemon, client):
        client.patience = 1000
        client.ping()
        with client.hurried(0.2), pytest.raises((ConnectionLost, ConnectionFailed)):
            client.containers()
        daemon.answers.set()
        assert client.containers() == []


def test_another_thread_breaks_off_a_request():
    with talk() as (daemon, client):
        client.patience = 1000
        client.ping()
        told = []

        def ask():
            try:
                client.containers()
            except ConnectionLost as error:
                told.append(str(error))

        asking = threading.Thread(target=ask)
        asking.start()
        daemon.asked.acquire()
        while asking.is_alive():  # asked, it is about to wait for the answer
            client.wake(asking.ident)
            asking.join(0.01)
        assert told == [f"the connection to the Docker daemon at {daemon.url} was lost"]
