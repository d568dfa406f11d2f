"""``docker login`` and ``docker logout`` (docker/cli, command/registry)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydockmagic.client import ClientError, Unauthorized
from pydockmagic.commands.credentials import HUB_KEY, Credentials, CredentialsError, CredentialsFile, host_of

from .sink import Sink

if TYPE_CHECKING:
    from pydockmagic.commands.context import Context
    from pydockmagic.commands.grammar import Parsed
    from pydockmagic.commands.results import Result

__all__ = ["login", "logout"]

_INSECURE = "WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n"
_UNENCRYPTED = """
WARNING! Your credentials are stored unencrypted in '{}'.
Configure a credential helper to remove this warning. See
https://docs.docker.com/go/credential-store/

"""
_HUB = """Log in with your Docker ID or email address to push and pull images from Docker Hub. \
If you don't have a Docker ID, head over to https://hub.docker.com/ to create one.
You can log in with your password or a Personal Access Token (PAT). \
Using a limited-scope PAT grants better security and is required for organizations using SSO. \
Learn more at https://docs.docker.com/go/access-tokens/

"""
_NO_TERMINAL = "Error: Cannot perform an interactive login from a non TTY device"


def login(parsed: Parsed, context: Context) -> Result:
    """``docker login``: check name and password at the registry, then keep them in docker's own file."""
    sink = Sink(context)
    server = _server(parsed.arguments)
    username, password = _given(parsed, context, sink)
    file = CredentialsFile(context.environ)
    try:
        known = file.get(server)
    except CredentialsError as error:
        raise sink.failure(str(error)) from None
    if not username and not password and known and _again(known, file, context, sink):
        return sink.result()
    if not username or not password:
        username, password = _asked(
            username or known.username, username, password, context, sink, hub=server == HUB_KEY
        )
    _log_in(Credentials(server, username, password), file, context, sink)
    return sink.result()


def _server(arguments: list[str]) -> str:
    given = arguments[0] if arguments else ""
    return host_of(given) if given and given != "docker.io" else HUB_KEY


def _given(parsed: Parsed, context: Context, sink: Sink) -> tuple[str, str]:
    """Give name and password as far as they are said with the command."""
    username, password = parsed.text("username"), parsed.text("password")
    if parsed.flag("password-stdin"):
        if password:
            raise sink.failure("conflicting options: cannot specify both --password and --password-stdin")
        if not username:
            raise sink.failure("the --password-stdin option requires --username to be set")
        password = b"".join(context.chunks()).decode(errors="replace").rstrip("\r\n")
        if not password:
            raise sink.failure("password is empty")
    elif password:
        sink.err(_INSECURE)
    return username, password


def _again(known: Credentials, file: CredentialsFile, context: Context, sink: Sink) -> bool:
    """Log in with what is known; tell whether that did it."""
    sink.err(f"Authenticating with existing credentials... [Username: {known.username}]\n")
    sink.err("\n Info -> To login with a different account, run 'docker logout' followed by 'docker login'\n\n\n")
    try:
        _log_in(known, file, context, sink)
    except Unauthorized:
        sink.err("Stored credentials invalid or expired\n")
    except ClientError as error:
        sink.err(f"Login did not succeed, error: {error}\n")
    else:
        return True
    return False


def _asked(default: str, username: str, password: str, context: Context, sink: Sink, *, hub: bool) -> tuple[str, str]:
    """Ask a person for what is missing."""
    if context.ask is None:
        raise sink.failure(_NO_TERMINAL)
    if hub:
        sink.out(_HUB)
    if not username:
        answer = context.ask(f"Username ({default}): " if default else "Username: ").strip()
        username = answer or default
        if not username:
            raise sink.failure("Error: Non-null Username Required")
    if not password:
        password = (context.secret or context.ask)("Password: ").rstrip("\r\n")
        if not password:
            raise sink.failure("Error: Password Required")
    return username, password


def _log_in(credentials: Credentials, file: CredentialsFile, context: Context, sink: Sink) -> None:
    answer = context.client.registry_login(credentials.to_api())
    token = str(answer.get("IdentityToken") or "")
    kept = Credentials(credentials.server, credentials.username, "", token) if token else credentials
    try:
        new = file.store(kept)
    except CredentialsError as error:
        raise sink.failure(f"Error saving credentials: {error}") from None
    if new:
        sink.err(_UNENCRYPTED.format(file.path))
    sink.out(f"{answer.get('Status') or 'Login Succeeded'}\n")


def logout(parsed: Parsed, context: Context) -> Result:
    """``docker logout``: forget a registry, under each of the keys that it may have."""
    sink = Sink(context)
    server = _server(parsed.arguments)
    keys = [server] if server == HUB_KEY else [server, f"http://{server}", f"https://{server}"]
    sink.out(f"Removing login credentials for {server}\n")
    file = CredentialsFile(context.environ)
    complaints = []
    for key in keys:
        try:
            file.erase(key)
        except CredentialsError as error:
            complaints.append(f"{key}: {error}")
    if complaints:
        sink.err("WARNING: could not erase credentials:\n" + "".join(f"{text}\n" for text in complaints))
    return sink.result()
