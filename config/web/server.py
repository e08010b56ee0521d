"""How the web server is run, in one place: the command of production, the demo and the tests all begin it so."""

import resource
import sys
from typing import Any, Final

import uvicorn

GRACE_SECONDS: Final = 20  # for requests under way when it is asked to end; waits and streams end at once
# Python's own is 5 ms. The event loop waits for its turn among 16 threads that compute: that long behind each.
_SWITCH_SECONDS: Final = 0.001
_FILES_BESIDES: Final = 200  # descriptors for the database, the broker, temporary files


def run(*, sockets: Any = None, grace: int = GRACE_SECONDS, **where: Any) -> None:
    """Serve until a signal; `where` is uvicorn's `host` and `port`."""
    _permit_files()
    sys.setswitchinterval(_SWITCH_SECONDS)
    config = uvicorn.Config(
        "config.asgi:application",
        loop="uvloop",
        http="config.web.connections:Connection",
        ws="none",
        lifespan="off",
        log_config=None,  # uvicorn's lines, tracebacks among them, are written and redacted like all others
        access_log=False,  # addresses of people, and ids that open pipelines, stand in no log
        proxy_headers=False,  # forwarded addresses are read by NUM_PROXIES alone
        timeout_graceful_shutdown=grace,
        **where,
    )
    uvicorn.Server(config).run(sockets=sockets)


def _permit_files() -> None:
    """A connection is a file descriptor: raise the soft limit to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
