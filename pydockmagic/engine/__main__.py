"""``python -m pydockmagic.engine``: the engine as a program."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import logging
import os
import sys
from pathlib import Path

from .errors import EngineError
from .ground import Ground, prepared
from .runtime.refusal import reason

__all__ = ["main"]

_M_ARENA_MAX = -8
"""mallopt(3)"""


def main(arguments: list[str] | None = None) -> int:
    """Run the program; give its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["doctor"]:
        from . import doctor  # noqa: PLC0415 - an engine that serves starts without it

        return doctor.main(arguments[1:])  # its options are its own
    options = _parser().parse_args(arguments)
    try:
        _log_to(options.log_file)
        _use_one_heap()
        with prepared(options.data_root.absolute(), options.run_dir) as ground:
            import asyncio  # noqa: PLC0415 - meanwhile the zygote comes up

            return asyncio.run(_serve(options, ground))
    except (EngineError, OSError) as error:
        sys.stderr.write(f"pydock engine: {_sentence(error)}\n")
        return 1


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {reason(error)}"
    return str(error)


def _use_one_heap() -> None:
    """Keep glibc from giving each thread a heap of its own, over which what is freed would stay scattered."""
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pydockmagic.engine", description="The pydockmagic engine.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve the Docker Engine API in the foreground")
    serve.add_argument(
        "--host",
        action="append",
        required=True,
        metavar="URL",
        help="unix://PATH or tcp://127.0.0.1:PORT; may be given several times",
    )
    serve.add_argument("--data-root", type=Path, required=True, metavar="DIR", help="where everything is kept")
    serve.add_argument("--run-dir", type=Path, metavar="DIR", help="sockets of running containers")
    serve.add_argument("--insecure", action="store_true", help="allow tcp on the loopback without TLS")
    serve.add_argument("--tlscert", metavar="FILE", help="server certificate")
    serve.add_argument("--tlskey", metavar="FILE", help="its key")
    serve.add_argument("--tlscacert", metavar="FILE", help="verify clients by this authority")
    serve.add_argument(
        "--idle-timeout",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="end when nothing runs and nobody asks for so long (0: never)",
    )
    serve.add_argument("--stop-containers", action="store_true", help="stop the containers when the engine ends")
    serve.add_argument("--hub", metavar="URL", help="what stands for Docker Hub; off: it is not asked (PYDOCK_HUB)")
    serve.add_argument(
        "--registry-mirror", action="append", default=[], metavar="URL", help="asked before Docker Hub; may be repeated"
    )
    serve.add_argument(
        "--insecure-registry",
        action="append",
        default=[],
        metavar="HOST",
        help="a registry (or network) that may do without TLS; may be repeated",
    )
    serve.add_argument("--log-file", type=Path, metavar="FILE", help="the engine's own log (else stderr)")
    commands.add_parser("doctor", help="say what this machine lets the engine do (--json, --data-root DIR)")
    return parser


async def _serve(options: argparse.Namespace, ground: Ground) -> int:
    from .api.server import TlsFiles  # noqa: PLC0415
    from .daemon import Daemon, DaemonOptions  # noqa: PLC0415
    from .distribution.options import registry_options  # noqa: PLC0415

    tls = None
    if options.tlscert or options.tlskey:
        tls = TlsFiles(cert=options.tlscert or "", key=options.tlskey or "", ca=options.tlscacert or "")
    daemon = Daemon(
        ground,
        DaemonOptions(
            hosts=tuple(options.host),
            insecure=options.insecure,
            tls=tls,
            idle_timeout=options.idle_timeout,
            stop_containers=options.stop_containers,
            registries=registry_options(
                os.environ,
                hub=options.hub,
                mirrors=tuple(options.registry_mirror),
                insecure=tuple(options.insecure_registry),
            ),
        ),
    )
    addresses = await daemon.open()
    with contextlib.suppress(BrokenPipeError):  # who started us may have been killed meanwhile
        sys.stdout.write(f"{' '.join(addresses)}\n")
        sys.stdout.flush()
    try:
        await daemon.run_until_stopped()
    finally:
        await daemon.close()
    return 0


def _log_to(path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=path, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")


if __name__ == "__main__":
    sys.exit(main())
