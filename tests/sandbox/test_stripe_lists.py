"""Lists and search, as the SDK pages through them."""

import pytest
import stripe


@pytest.fixture
def intents(sandbox, create):
    """Five intents, an hour apart, oldest first."""
    client = sandbox.stripe()
    made = []
    for number in range(5):
        made.append(create(client, metadata={"pipeline_id": f"pipeline-{number}", "it's": "odd"}))
        sandbox.post("clock", {"hours": 1})
    return made


def ids(listed):
    return [each.id for each in listed]


def test_a_list_is_newest_first_in_pages(sandbox, intents):
    client = sandbox.stripe()
    first = client.v1.payment_intents.list({"limit": 2})
    assert (ids(first.data), first.has_more) == ([intents[4].id, intents[3].id], True)
    assert ids(first.auto_paging_iter()) == ids(reversed(intents))
    before = client.v1.payment_intents.list({"limit": 2, "ending_before": intents[1].id})
    assert (ids(before.data), before.has_more) == ([intents[3].id, intents[2].id], True)


def test_a_list_is_filtered_by_time_of_creation(sandbox, intents):
    client = sandbox.stripe()
    later = client.v1.payment_intents.list({"created": {"gte": intents[3].created}})
    assert ids(later.data) == [intents[4].id, intents[3].id]
    between = {"gt": intents[0].created, "lt": intents[2].created}
    assert ids(client.v1.payment_intents.list({"created": between}).data) == [intents[1].id]
    assert ids(client.v1.payment_intents.list({"created": intents[2].created}).data) == [intents[2].id]


def test_a_list_can_be_expanded(sandbox, create):
    client = sandbox.stripe()
    create(client, confirm=True)
    (listed,) = client.v1.payment_intents.list({"expand": ["data.latest_charge"]}).data
    assert listed.latest_charge.captured is False


@pytest.mark.parametrize(
    "wrong", [{"limit": 0}, {"limit": 101}, {"starting_after": "pi_x"}, {"created": {"after": 1}}, {"status": "x"}]
)
def test_a_bad_list_is_refused(sandbox, wrong):
    with pytest.raises(stripe.InvalidRequestError):
        sandbox.stripe().v1.payment_intents.list(wrong)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("metadata['pipeline_id']:'pipeline-3'", [3]),
        ('metadata["pipeline_id"]:"pipeline-3"', [3]),
        ("metadata['pipeline_id']:'pipeline-3' OR metadata['pipeline_id']:'pipeline-1'", [3, 1]),
        ("status:'canceled'", [0]),
        ("status:'requires_confirmation' AND -metadata['pipeline_id']:'pipeline-2'", [4, 3, 1]),
        ("amount>9899 AND currency:'eur' AND metadata['pipeline_id']:'pipeline-4'", [4]),
        ("metadata['absent']:null AND status:'canceled'", [0]),
        ("amount<100", []),
    ],
)
def test_search_finds_by_metadata_status_and_amount(sandbox, intents, query, expected):
    client = sandbox.stripe()
    client.v1.payment_intents.cancel(intents[0].id)
    found = client.v1.payment_intents.search({"query": query})
    assert ids(found.data) == [intents[number].id for number in expected]


def test_search_goes_on_from_page_to_page(sandbox, intents):
    client = sandbox.stripe()
    first = client.v1.payment_intents.search({"query": "currency:'eur'", "limit": 2})
    assert ids(first.auto_paging_iter()) == ids(reversed(intents))


@pytest.mark.parametrize("query", ["", "pipeline-3", "colour:'red'", "amount:'x'", "status:'a' AND", "status>'a'"])
def test_a_search_that_cannot_be_understood_is_refused(sandbox, query):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        sandbox.stripe().v1.payment_intents.search({"query": query})
    assert refused.value.param == "query"


def test_events_are_listed_by_type(sandbox, create):
    client = sandbox.stripe()
    intent = create(client, confirm=True)
    client.v1.payment_intents.capture(intent.id)
    assert [event.type for event in client.v1.events.list().data] == [
        "payment_intent.succeeded",
        "charge.captured",
        "payment_intent.amount_capturable_updated",
        "charge.succeeded",
        "payment_intent.created",
    ]
    (event,) = client.v1.events.list({"type": "payment_intent.succeeded"}).data
    assert event.data.object.id == intent.id
    assert len(client.v1.events.list({"types": ["charge.captured", "charge.succeeded"]}).data) == 2
    assert len(client.v1.events.list({"type": "charge.*"}).data) == 2
