"""The demo's two postings, through the HTTP API like any customer's, shown step by step."""

import io
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests
from PIL import Image, ImageDraw

from config.local.terminal import coloured

FOLLOW_SECONDS = 60.0
POLL_SECONDS = 0.1
TERMINAL = ("committed", "rolled_back")
COLOURS = {
    "staged": "green",
    "committed": "green",
    "decided_commit": "bold",
    "decided_rollback": "bold",
    "refused": "red",
    "attempt_failed": "yellow",
    "rolled_back": "yellow",
    "pipeline_committed": "green",
    "pipeline_rolled_back": "yellow",
}


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One submission, and the end it must have."""

    title: str
    ends: str


@dataclass(frozen=True, kw_only=True)
class PostingSample(Sample):
    """A posting."""

    company: str
    payment_method: str
    colour: str  # of its logo


SAMPLES = (
    PostingSample(
        title="Senior Python engineer",
        company="Harbour Works",
        payment_method="pm_card_visa",
        colour="#0b6e4f",
        ends="committed",
    ),
    PostingSample(
        title="Night-shift baker",
        company="Crumb & Daughters",
        payment_method="pm_card_chargeDeclined",
        colour="#b3541e",
        ends="rolled_back",
    ),
)


@dataclass(frozen=True)
class Result:
    """What became of a sample; ``pipeline`` is the API's resource at the end."""

    sample: Sample
    pipeline: dict[str, Any]

    @property
    def is_right(self) -> bool:
        """Whether it ended as it must."""
        return bool(self.pipeline["state"] == self.sample.ends)


class SampleError(Exception):
    """A sample was not accepted or did not end; the message says what came instead."""


def run_sample(web: str, sample: PostingSample, say: Callable[[str], None]) -> Result:
    """Submit one sample, show its events as they come, and return how it ended."""
    with requests.Session() as session:
        plan = answer(session.get(f"{web}/api/v1/plans/", timeout=10), 200)["results"][0]
        price = plan["price"]
        amount = f"{price['amount'] / 100:.2f} {price['currency']}"
        say(coloured(f"{sample.title} at {sample.company}, {amount} with {sample.payment_method}", "bold"))
        accepted = answer(
            session.post(
                f"{web}/api/v1/postings/",
                data=_fields(sample, plan["slug"]),
                files={"logo": ("logo.png", logo(sample), "image/png")},
                headers={"Idempotency-Key": f"demo-{uuid.uuid4()}"},
                timeout=10,
            ),
            202,
        )
        return Result(sample, follow(session, accepted, say))


def logo(sample: PostingSample) -> bytes:
    """A PNG of 128 by 128 pixels: the company's initial on its colour."""
    image = Image.new("RGB", (128, 128), sample.colour)
    ImageDraw.Draw(image).text((64, 64), sample.company[0], fill="white", anchor="mm", font_size=88)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _fields(sample: PostingSample, plan: str) -> dict[str, str]:
    return {
        "title": sample.title,
        "company_name": sample.company,
        "description": f"**{sample.company}** is looking for a colleague. This is a sample of the demo.",
        "employment_type": "FULL_TIME",
        "location": "Hamburg",
        "country": "DE",
        "apply_email": "jobs@example.com",
        "contact_email": "customer@example.com",
        "plan": plan,
        "payment_method": sample.payment_method,
        # Looked at only where RECAPTCHA_ENABLED is set: the sandbox lets it pass, whichever version asks.
        "recaptcha_token": f"v3-pass.submit_posting-{uuid.uuid4()}",
    }


def follow(session: requests.Session, pipeline: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Print each event once until the pipeline has ended; its last resource."""
    began = time.monotonic()
    shown = 0
    while time.monotonic() - began < FOLLOW_SECONDS:
        # The state is read first: events written before it are then all there.
        pipeline = answer(session.get(pipeline["links"]["self"], timeout=10), 200)
        for event in answer(session.get(pipeline["links"]["events"], timeout=10), 200)["results"]:
            if event["seq"] > shown:
                shown = event["seq"]
                say(_line(event, since=pipeline["created_at"]))
        if pipeline["state"] in TERMINAL:
            say(f"  → {_ending(pipeline)}")
            return pipeline
        time.sleep(POLL_SECONDS)
    raise SampleError(f"{pipeline['links']['page']} is still {pipeline['state']} after {FOLLOW_SECONDS:.0f} s")


def _line(event: dict[str, Any], *, since: str) -> str:
    seconds = (datetime.fromisoformat(event["at"]) - datetime.fromisoformat(since)).total_seconds()
    words = str(event["type"])
    what = coloured(words.replace("_", " "), COLOURS.get(words, "dim"))
    return f"  {seconds:6.2f} s  {event['step'] or '':<11} {what}"


def _ending(pipeline: dict[str, Any]) -> str:
    if pipeline["state"] == "committed":
        posting = pipeline["result"].get("posting")
        return f"committed: {posting['url']}" if posting else "committed"
    error = pipeline["error"] or {}
    return f"rolled back: {error.get('detail', 'no reason given')} ({error.get('code', 'no code')})"


def answer(response: requests.Response, status: int) -> dict[str, Any]:
    """The body of an answer with that status; SampleError with what came instead."""
    if response.status_code != status:
        request = response.request
        said = response.text[:500]
        raise SampleError(f"{request.method} {request.url} answered {response.status_code} instead of {status}: {said}")
    body: dict[str, Any] = response.json()
    return body
