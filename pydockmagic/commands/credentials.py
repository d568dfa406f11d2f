"""Docker's own file of credentials: ``~/.docker/config.json``, and the helper programs that it may name.

As docker/cli keeps it (cli/config/configfile, cli/config/credentials): a registry's entry lies in ``auths`` as base64,
or with ``credsStore`` and ``credHelpers`` in a program ``docker-credential-NAME`` that is asked for it. Everything else
in the file stays as it is.
"""

from __future__ import annotations

import binascii
import contextlib
import json
import os
import subprocess
import tempfile
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydockmagic.client.contexts import docker_config_dir

if TYPE_CHECKING:
    from pydockmagic.oci.reference import Reference

__all__ = ["HUB_KEY", "Credentials", "CredentialsError", "CredentialsFile", "auth_header", "host_of"]

HUB_KEY = "https://index.docker.io/v1/"
"""Under which Docker Hub's credentials are kept."""
_TOKEN = "<token>"  # noqa: S105 - what a helper calls the user of an identity token


class CredentialsError(Exception):
    """The file or a helper does not do what it should; the text is docker's."""


@dataclass(frozen=True)
class Credentials:
    """What is known for one registry."""

    server: str
    username: str = ""
    password: str = ""
    identity_token: str = ""

    def __bool__(self) -> bool:
        return bool(self.username or self.password or self.identity_token)

    def to_api(self) -> dict[str, str]:
        """Give the object that the API takes (``X-Registry-Auth``, ``POST /auth``)."""
        fields = {
            "username": self.username,
            "password": self.password,
            "serveraddress": self.server,
            "identitytoken": self.identity_token,
        }
        return {name: value for name, value in fields.items() if value} if self else {}


def host_of(address: str) -> str:
    """Strip scheme and path off an address."""
    for scheme in ("http://", "https://"):
        address = address.removeprefix(scheme)
    return address.partition("/")[0]


def auth_header(document: Mapping[str, Any]) -> str:
    """Write a header's value: JSON in URL-safe base64."""
    return urlsafe_b64encode(json.dumps(document, separators=(",", ":")).encode()).decode()


class CredentialsFile:
    """The file of one user. It is read when it is first needed."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.path = docker_config_dir(environ) / "config.json"
        self._environ = environ

    # -- reading ------------------------------------------------------------------------------------------------

    def get(self, server: str) -> Credentials:
        """Give what is known for a registry; nothing where nothing is, or where a helper does not tell."""
        document = self._read()
        helper = _helper(document, server)
        if helper:
            with contextlib.suppress(CredentialsError):
                return self._from_helper(helper, server)
            return Credentials(server)
        auths = _auths(document)
        if server in auths:
            return _entry(server, auths[server])
        host = host_of(server)
        for key, value in auths.items():
            if host_of(key) == host:
                return _entry(server, value)
        return Credentials(server)

    def header_for(self, reference: Reference) -> str:
        """Give ``X-Registry-Auth`` for the registry of a name."""
        server = HUB_KEY if reference.domain == "docker.io" else reference.domain
        try:
            return auth_header(self.get(server).to_api())
        except CredentialsError:
            return auth_header({})  # a broken file is told of by login; what is public can be had all the same

    def header_for_all(self) -> str:
        """Give ``X-Registry-Config``: what is known for every registry, as builds need it."""
        try:
            document = self._read()
        except CredentialsError:
            return auth_header({})
        servers = {**_auths(document), **dict.fromkeys(_helpers(document))}
        if store := document.get("credsStore"):
            with contextlib.suppress(CredentialsError, ValueError):
                servers.update(dict.fromkeys(json.loads(self._run(str(store), "list", "") or "{}")))
        found = {server: self.get(server) for server in servers}
        return auth_header({server: entry.to_api() for server, entry in found.items() if entry})

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self.path.read_bytes() or b"{}")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise CredentialsError(f"{self.path}: {error}") from None
        return document if isinstance(document, dict) else {}

    # -- writing ------------------------------------------------------------------------------------------------

    def store(self, credentials: Credentials) -> bool:
        """Keep credentials; tell whether a new password now lies in the file, for everybody to read who may."""
        document = self._read()
        helper = _helper(document, credentials.server)
        auths = _auths(document)
        if helper:
            token = bool(credentials.identity_token)
            secret = {
                "ServerURL": credentials.server,
                "Username": _TOKEN if token else credentials.username,
                "Secret": credentials.identity_token or credentials.password,
            }
            self._run(helper, "store", json.dumps(secret, separators=(",", ":")), what="storing")
            entry: dict[str, str] = {}
        else:
            pair = f"{credentials.username}:{credentials.password}".encode()
            entry = {"auth": b64encode(pair).decode()}
            if credentials.identity_token:
                entry["identitytoken"] = credentials.identity_token
        if auths.get(credentials.server) == entry:
            return False
        self._write({**document, "auths": {**auths, credentials.server: entry}})
        return not helper and bool(credentials.password)

    def erase(self, server: str) -> None:
        """Forget a registry. Raises ``CredentialsError`` where a helper does not."""
        document = self._read()
        helper = _helper(document, server)
        if helper:
            self._run(helper, "erase", server, what="erasing")
        auths = _auths(document)
        if server in auths:
            left = {key: value for key, value in auths.items() if key != server}
            self._write({**document, "auths": left})

    def _write(self, document: dict[str, Any]) -> None:
        """Write the file whole or not at all, for its owner's eyes; a link to it stays a link."""
        auths = dict(sorted(document.pop("auths", {}).items()))
        text = json.dumps({"auths": auths, **document}, indent="\t", ensure_ascii=False)
        target = Path(os.path.realpath(self.path))
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix="config.json", dir=target.parent)
            try:
                with os.fdopen(descriptor, "w") as file:
                    file.write(text)
                Path(name).replace(target)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise CredentialsError(f"open {error.filename}: {(error.strerror or str(error)).lower()}") from None

    # -- helpers ------------------------------------------------------------------------------------------------

    def _from_helper(self, helper: str, server: str) -> Credentials:
        answer = self._run(helper, "get", server, what="getting")
        try:
            found = json.loads(answer)
        except ValueError as error:
            raise CredentialsError(f"error getting credentials - err: {error}, out: `{answer}`") from None
        username, secret = str(found.get("Username", "")), str(found.get("Secret", ""))
        if username == _TOKEN:
            return Credentials(server, identity_token=secret)
        return Credentials(server, username, secret)

    def _run(self, helper: str, action: str, text: str, *, what: str = "listing") -> str:
        program = f"docker-credential-{helper}"
        try:
            done = subprocess.run(
                [program, action],
                input=text,
                capture_output=True,
                text=True,
                check=False,
                env=dict(self._environ) or None,
            )
        except OSError:
            reason = f'exec: "{program}": executable file not found in $PATH'
            raise CredentialsError(f"error {what} credentials - err: {reason}, out: ``") from None
        if done.returncode != 0:
            reason = f"exit status {done.returncode}"
            raise CredentialsError(f"error {what} credentials - err: {reason}, out: `{done.stdout.strip()}`")
        return done.stdout


def _auths(document: Mapping[str, Any]) -> dict[str, Any]:
    found = document.get("auths")
    return found if isinstance(found, dict) else {}


def _helpers(document: Mapping[str, Any]) -> dict[str, Any]:
    found = document.get("credHelpers")
    return found if isinstance(found, dict) else {}


def _helper(document: Mapping[str, Any], server: str) -> str:
    """Name the helper that keeps a registry's credentials, if one does."""
    return str(_helpers(document).get(server) or document.get("credsStore") or "")


def _entry(server: str, value: Any) -> Credentials:
    """Read an entry of ``auths``; what cannot be read counts as nothing."""
    entry = value if isinstance(value, dict) else {}
    username, password = str(entry.get("username", "")), str(entry.get("password", ""))
    if entry.get("auth"):
        try:
            username, _, password = b64decode(str(entry["auth"])).decode().partition(":")
        except (binascii.Error, ValueError):
            username = password = ""
    return Credentials(server, username, password.rstrip("\0"), str(entry.get("identitytoken", "")))
