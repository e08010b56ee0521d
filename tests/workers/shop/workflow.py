"""Every kind of step, each of whose effects is one appended line: what happened, whatever PostgreSQL thinks."""

import os
import time
from pathlib import Path

from pipeline.workflow import Refused, Run, Step, Workflow


def effect(run: Run) -> dict[str, str]:
    """Append the line; then do as the input says for this place: refuse, or wait until a file is there."""
    place = f"{run.step}.{run.verb.value}"
    if run.input.get("refuse") == place:
        raise Refused("no")
    call = run.call("do", {})
    with Path(os.environ["LEDGER"]).open("ab", buffering=0) as ledger:
        ledger.write(f"{run.reference} {place} {call.key} {run.attempt} {os.getpid()}\n".encode())
    gate = run.input.get("gates", {}).get(place)
    while gate and run.attempt == 1 and not Path(gate).exists():
        time.sleep(0.02)
    return {run.verb.value: call.key}


class Recorded(Step):
    def stage(self, run: Run) -> dict[str, str]:
        return effect(run)

    def commit(self, run: Run) -> dict[str, str]:
        return effect(run)

    def rollback(self, run: Run) -> dict[str, str]:
        return effect(run)


class Logo(Recorded):
    name = label = "logo"


class Local(Recorded):
    name = label = "local"
    local = True


class Payment(Recorded):
    name = label = "payment"
    pivot = True


class Email(Recorded):
    name = label = "email"
    tells = True


class Sms(Recorded):
    name = label = "sms"
    tells = True


class Shop(Workflow):
    name = "tests_shop"
    steps = [Logo, Local, Payment, Email, Sms]
