"""Servers that speak less than Amazon's S3: logos are stored all the same, or a command says why not."""

import uuid
from collections.abc import Callable
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from pipeline.testing import drain, state_of
from postings.providers import storage
from tests.postings.conftest import Outside

Submit = Callable[..., uuid.UUID]
GOOD_ENOUGH = (
    (),
    ("conditions",),
    ("conditions_kept",),
    ("checksums",),
    ("checksums_kept",),
    ("conditions", "checksums"),
    ("conditions", "checksums_kept"),
    ("conditions", "error_bodies"),
    ("checksums", "error_bodies"),
    ("metadata_case", "conditions"),
    ("missing_heads",),
    ("lists",),
)
each_server = pytest.mark.parametrize("lacks", GOOD_ENOUGH, ids=lambda lacks: "+".join(lacks) or "none")


@pytest.fixture
def server(outside: Outside) -> Callable[..., None]:
    """Makes the sandbox's S3 lack those features, for a process that knows nothing of it yet."""

    def lack(*features: str) -> None:
        outside.sandbox.post("s3/lacks", {"features": list(features)})
        storage._client.cache_clear()

    return lack


@each_server
def test_a_posting_with_a_logo_commits(outside, broker, submit, server, lacks) -> None:
    server(*lacks)
    pipeline = submit()
    assert drain(pipeline, broker) == "committed"
    outside.assert_agrees(pipeline)
    assert outside.effects(pipeline).count("object_put") == 1


@each_server
def test_a_refused_card_leaves_no_logo(outside, broker, submit, server, lacks) -> None:
    server(*lacks)
    pipeline = submit("pm_card_visa_chargeDeclined")
    assert drain(pipeline, broker) == "rolled_back"
    outside.assert_agrees(pipeline)


@pytest.mark.parametrize("lacks", [each for each in GOOD_ENOUGH if "missing_heads" not in each], ids="+".join)
def test_a_put_whose_answer_was_lost_is_found_by_its_mark(outside, broker, submit, server, lacks) -> None:
    server(*lacks)
    first = submit()
    assert drain(first, broker) == "committed"  # by now the process knows what the server knows
    outside.fault("s3", "objects.put", "drop_after", times=1)
    pipeline = submit()
    assert drain(pipeline, broker) == "committed"
    assert outside.fired() == 1
    stored = [each["reference"] for each in outside.sandbox.get("state")["objects"]]
    assert stored.count(str(pipeline)) == 1
    puts = 2 if "conditions_kept" in lacks else 1  # the same bytes, once more
    assert outside.effects(pipeline).count("object_put") == puts


@pytest.mark.parametrize("lacks", [(), ("conditions",), ("conditions", "checksums")], ids="+".join)
def test_a_key_of_somebody_else_is_not_written_to(outside, server, lacks) -> None:
    server(*lacks)
    put = {"content_type": "image/png", "digest": "d"}
    assert storage.put_new("logos/1.png", b"theirs", reference="theirs", **put) is True
    assert storage.put_new("logos/1.png", b"ours", reference="ours", **put) is False
    assert (storage.read("logos/1.png"), storage.owner_of("logos/1.png")) == (b"theirs", "theirs")


def test_what_a_server_does_not_know_is_asked_for_once_a_process(outside, server) -> None:
    server("conditions", "checksums")
    put = {"content_type": "image/png", "digest": "d", "reference": "r"}
    outside.fault("s3", "objects.put", "latency", seconds=0)
    for number in range(3):
        storage.put_new(f"logos/{number}.png", b"x", **put)
    assert outside.sandbox.faults()[0]["calls"] == len(storage._Ways.ALL) + 2


def test_a_server_that_refuses_every_put_is_a_matter_of_settings(outside, server, settings) -> None:
    settings.S3_BUCKET = "nobodys"
    with pytest.raises(storage.Unavailable, match="check the S3 settings"):
        storage.put_new("logos/1.png", b"x", content_type="image/png", digest="d", reference="r")


def checked() -> tuple[str, str]:
    """What the command says, and the error with which it ends."""
    said = StringIO()
    try:
        call_command("checkstorage", stdout=said)
    except CommandError as error:
        return said.getvalue(), str(error)
    return said.getvalue(), ""


@each_server
def test_the_command_says_what_is_lacking_and_leaves_nothing(outside, server, lacks) -> None:
    server(*lacks)
    said, error = checked()
    assert error == ""
    expected = {
        "conditions": "If-None-Match",
        "conditions_kept": "accepted and ignored",
        "checksums": "SHA-256 checksums on a put",
        "checksums_kept": "a SHA-256 checksum of what is stored",
        "missing_heads": "404 for what is not there",
        "lists": "ListObjectsV2",
    }
    assert [lack for lack in lacks if lack in expected and expected[lack] not in said] == []
    assert ("has everything" in said) == (not set(lacks) & set(expected))
    assert outside.sandbox.get("state")["objects"] == []


@pytest.mark.parametrize(
    ("lacks", "named"),
    [(("metadata",), "NEEDED: It lacks metadata"), (("conditions", "missing_heads"), "Nothing can be stored")],
    ids=str,
)
def test_the_command_fails_where_logos_cannot_be_stored(outside, server, lacks, named) -> None:
    server(*lacks)
    said, error = checked()
    assert named in said + error
    assert error


def test_the_command_names_a_bucket_that_is_not_there(outside, settings) -> None:
    settings.S3_BUCKET = "nobodys"
    assert "NoSuchBucket" in checked()[1]


def test_a_server_that_knows_neither_says_so_while_the_posting_waits(outside, broker, submit, server) -> None:
    server("conditions", "missing_heads")
    pipeline = submit()
    broker.deliver_all()
    assert state_of(pipeline) == "staging"
    server()
    assert drain(pipeline, broker) == "committed"
