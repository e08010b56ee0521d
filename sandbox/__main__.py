"""`python -m sandbox`: the command line."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from sandbox import __doc__ as description
from sandbox.providers import PROVIDERS
from sandbox.providers.s3 import make_bucket
from sandbox.server import HOST, CannotStart, listen, own, serve
from sandbox.world import World


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=9900, metavar="N", help="loopback port; 0: any free one (9900)")
    parser.add_argument(
        "--host",
        default=HOST,
        metavar="ADDRESS",
        help=f"where it listens ({HOST}); another one only in a network of your own: whoever reaches it may do all",
    )
    parser.add_argument(
        "--data", type=Path, default=Path(".data/sandbox"), metavar="DIR", help="where all state lives (.data/sandbox)"
    )
    parser.add_argument("--bucket", default="postings", metavar="NAME", help="bucket made at the start (postings)")
    for name in ("stripe", "sendgrid"):
        variable = f"SANDBOX_{name.upper()}_WEBHOOK_URL"
        parser.add_argument(
            f"--{name}-webhook-url",
            default=os.environ.get(variable),
            metavar="URL",
            help=f"where {name}'s events are sent; also {variable}; default: where the data folder says, else nowhere",
        )
    parser.add_argument("--log-requests", action="store_true", help="write a line for each request")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    try:
        lock = own(given.data)
        listener = listen(given.port, given.host)
        world = World(given.data, PROVIDERS)
        for name, url in (("stripe", given.stripe_webhook_url), ("sendgrid", given.sendgrid_webhook_url)):
            if url:
                world.outbox.set_target(name, url)
        make_bucket(world, given.bucket)
    except (CannotStart, ValueError) as error:
        sys.exit(f"sandbox: {error}")
    with lock:
        serve(world, listener, log_requests=given.log_requests)
        world.store.close()


if __name__ == "__main__":
    main()
