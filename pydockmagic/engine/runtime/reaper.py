"""A small init for ``--init`` where the machine has no static tini: pass signals on, reap orphans, end as the child.

It is the container's first process, still our interpreter, so it must not be inspected from inside: it is not
dumpable, which closes /proc/1/exe and /proc/1/mem to the container. Standard library only.
"""

from __future__ import annotations

import os
import signal

from . import linux

__all__ = ["stay_behind"]

_NOT_PASSED_ON = {
    signal.SIGCHLD,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGABRT,
    signal.SIGTRAP,
    signal.SIGSYS,
    signal.SIGTTIN,
    signal.SIGTTOU,
}


def stay_behind() -> None:
    """Fork; return in the child, which execs the program. The parent never returns: it is init until that ends."""
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    waited = signal.valid_signals() - _NOT_PASSED_ON | {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, waited)
        os.setpgid(0, 0)
        _take_terminal()
        return
    linux.close_range(3, on_exec=False)  # the supervisor's, and the socket on which it waits for our exec
    while True:
        number = signal.sigwait(waited)
        if number != signal.SIGCHLD:
            try:
                os.kill(child, number)
            except ProcessLookupError:
                continue
            continue
        _reap(child)


def _reap(child: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _take_terminal() -> None:
    """Give the terminal, if there is one, to the child's process group, so that Ctrl-C reaches it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        os.tcsetpgrp(0, os.getpgrp())
    except OSError:
        pass  # not a terminal
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTTOU})
