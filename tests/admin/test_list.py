import re
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from pipeline import estimate
from pipeline.admin.paginator import EstimatingPaginator
from pipeline.models import Pipeline

LIST = reverse("admin:pipeline_pipeline_changelist")

pytestmark = pytest.mark.django_db


def rows(response):
    """The text of each row, without markup."""
    table = response.content.decode().partition("<tbody>")[2].partition("</tbody>")[0]
    return [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in table.split("</tr>")[:-1]]


def listed(response):
    return set(re.findall(r'href="[^"]*/pipeline/pipeline/([0-9a-f-]{36})/change/', response.content.decode()))


def test_a_row_tells_state_step_error_attempts_and_attention_in_words(begin, viewer):
    hand = begin()
    hand.do("logo")
    claimed = hand.claim("posting")
    hand.fail(claimed, mark=True)
    [row] = rows(viewer.get(LIST))
    for word in ("Staging", "posting", "posting: x", "0 minutes", "Needs attention"):
        assert word in row
    assert row.endswith(" 1")


def test_a_pipeline_that_was_turned_back_shows_why(begin, viewer):
    hand = begin()
    hand.refuse(hand.claim("logo"))
    [row] = rows(viewer.get(LIST))
    assert "Roll" in row
    assert "refused" in row


def test_a_page_of_a_hundred_takes_as_many_queries_as_a_page_of_one(begin, viewer):
    begin()
    viewer.get(LIST)  # what is read once a process
    with CaptureQueriesContext(
        connection,
    ) as one:
        viewer.get(LIST)
    for _ in range(99):
        begin()
    with CaptureQueriesContext(connection) as hundred:
        assert len(rows(viewer.get(LIST))) == 100
    assert len(hundred) == len(one)


def test_the_list_never_counts_the_whole_table(begin, viewer):
    begin()
    with CaptureQueriesContext(connection) as queries:
        viewer.get(LIST, {"state__exact": "staging", "_facets": "True"})
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"] and "pipeline_pipeline" in query["sql"]]
    assert counts
    assert all(f"LIMIT {estimate.EXACT_UP_TO + 1}" in sql for sql in counts)


def test_beyond_a_bound_the_count_is_the_planners_estimate(begin, monkeypatch):
    monkeypatch.setattr(estimate, "EXACT_UP_TO", 2)
    monkeypatch.setattr(estimate, "_estimate", lambda rows: 70_000)
    begin()
    assert EstimatingPaginator(Pipeline.objects.order_by("pk"), 10).count == 1
    for _ in range(3):
        begin()
    assert EstimatingPaginator(Pipeline.objects.order_by("pk"), 10).count == 70_000


def test_the_planner_is_asked_for_the_rows_that_a_filter_leaves(begin):
    begin()
    assert estimate._estimate(Pipeline.objects.filter(state="staging")) >= 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"state__exact": "staging"}, "staging"),
        ({"state__exact": "rolled_back"}, None),
        ({"attention": "yes"}, "marked"),
        ({"age": "hour"}, "staging marked"),
        ({"age": "unfinished"}, "staging marked old"),
        ({"age": "unfinished-1d"}, "old"),
    ],
)
def test_filters_leave_what_they_name(begin, viewer, query, found):
    made = {"staging": begin(), "marked": begin(), "old": begin()}
    marked = made["marked"].claim("logo")
    made["marked"].fail(marked, mark=True)
    long_ago = timezone.now() - timedelta(days=2)
    Pipeline.objects.filter(pk=made["old"].pipeline).update(created_at=long_ago)
    if query == {"state__exact": "staging"}:
        found = "staging marked old"
    expected = {str(made[name].pipeline) for name in (found or "").split()}
    assert listed(viewer.get(LIST, query)) == expected


def test_the_workflow_filter_offers_the_known_workflows(begin, viewer, shape):
    begin()
    page = viewer.get(LIST, {"workflow": "publish_posting"})
    assert "publish posting" in page.content.decode()
    assert listed(page) == set()
    assert len(listed(viewer.get(LIST, {"workflow": shape.name}))) == 1


def test_a_pipeline_is_found_by_its_id_and_by_its_key_alone(begin, viewer):
    wanted, _other = begin(key="order-4711"), begin()
    for term in (str(wanted.pipeline), f" {wanted.pipeline} ", "order-4711", '"order-4711"'):
        assert listed(viewer.get(LIST, {"q": term})) == {str(wanted.pipeline)}, term
    for term in (str(uuid.uuid4()), "order", "%", "' OR 1=1"):
        assert listed(viewer.get(LIST, {"q": term})) == set(), term


def test_without_the_view_permission_there_is_no_list(staff):
    assert staff().get(LIST).status_code == 403


def test_a_search_for_what_is_no_text_is_answered(begin, viewer):
    begin()
    assert viewer.get(LIST, {"q": "\x00"}).status_code == 200
