"""Served by Restate's own environment: the eight durable steps."""

import restate

STEPS = 8

bench = restate.Service("bench")


def effect() -> None:
    """Nothing."""


@bench.handler()
async def eight(ctx: restate.Context) -> None:
    """Eight durable steps, one after another."""
    for number in range(STEPS):
        await ctx.run_typed(f"effect {number}", effect)


app = restate.app([bench])
