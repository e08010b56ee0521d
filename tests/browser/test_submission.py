"""From the form to the end, as a customer sees it."""

import pytest

from pipeline.models import Pipeline
from pipeline.testing import drain
from postings.models import Posting

TEXTS = ("title", "description", "location", "salary_min", "salary_max", "company_name", "apply_email", "contact_email")
SEND = "main form button[type=submit]"


@pytest.fixture
def fill(site, typed, png, tmp_path):
    """Open the form and fill it in by hand."""
    logo = tmp_path / "logo.png"
    logo.write_bytes(png)

    def filled(window, card="pm_card_visa"):
        window.open(f"{site}/post/")
        for name in TEXTS:
            window.type(f"[name={name}]", typed[name].replace("\r", ""))
        window.type("[name=logo]", str(logo))
        window.click("[name=country] option[value=DE]")
        window.click("[name=plan][value=basic]")
        window.click(f"[name=payment_method] option[value={card}]")

    return filled


def test_a_posting_is_submitted_followed_and_read(broker, fill, window, outside, site):
    fill(window)
    window.click(SEND)
    window.wait_for("We are preparing your posting", "h1")
    pipeline = Pipeline.objects.get()
    assert window.url == f"{site}/pipelines/{pipeline.pk}/"
    assert drain(pipeline.pk, broker) == "committed"
    window.wait_for("Your posting is published", "h1")  # nobody has touched the page
    assert window.title.startswith("Your posting is published")
    window.click(".outcome .button")
    window.wait_for("Lighthouse keeper", "h1")
    assert "38,500.50 to 42,000 EUR a year" in window.text()
    assert window.run("return document.querySelector('.job-head img').naturalWidth") == 64
    assert window.complaints() == []
    outside.assert_agrees(pipeline.pk)


def test_one_of_the_windows_runs_no_scripts(window, request):
    window.open("data:text/html,<p>still</p><script>document.querySelector('p').textContent = 'ran'</script>")
    assert window.text("p") == ("still" if "without" in request.node.name else "ran")


def test_a_declined_card_is_told_with_nothing_left(broker, fill, window, outside):
    fill(window, card="pm_card_chargeDeclined")
    window.click(SEND)
    window.wait_for("We are preparing", "h1")
    pipeline = Pipeline.objects.get()
    assert drain(pipeline.pk, broker) == "rolled_back"
    window.wait_for("Not published, and not charged", "h1")
    assert "Your card was declined" in window.text(".outcome")
    outside.assert_agrees(pipeline.pk)


@pytest.mark.parametrize(("button", "end"), [("#confirm", "committed"), ("#deny", "rolled_back")])
def test_the_bank_asks_and_the_customer_answers_on_the_page(broker, fill, window, button, end):
    fill(window, card="pm_card_authenticationRequired")
    window.click(SEND)
    window.wait_for("We are preparing", "h1")
    pipeline = Pipeline.objects.get()
    broker.deliver_all()
    window.wait_for("Please confirm your payment", "h1")
    window.click(button)
    assert drain(pipeline.pk, broker) == end
    window.wait_for("published", "h1")


def test_the_customer_cancels_on_the_page(broker, fill, window):
    fill(window, card="pm_card_authenticationRequired")
    window.click(SEND)
    window.wait_for("We are preparing", "h1")
    broker.deliver_all()
    window.wait_for("Please confirm your payment", "h1")
    window.click("#cancel")
    window.wait_for("We are undoing everything", "h1")
    assert drain(Pipeline.objects.get().pk, broker) == "rolled_back"
    window.wait_for("Not published, and not charged", "h1")
    assert "cancelled" in window.text(".outcome")


def test_a_double_click_makes_one_pipeline(broker, fill, scripted):
    fill(scripted)
    scripted.run("const send = document.querySelector('main form button[type=submit]'); send.click(); send.click();")
    scripted.wait_for("We are preparing", "h1")
    assert Pipeline.objects.count() == 1


def test_errors_lead_to_their_fields_and_keep_what_was_typed(broker, fill, window, typed):
    fill(window)
    window.type("[name=contact_email]", "nobody@nowhere")  # good enough for a browser
    window.type("[name=salary_min]", "about 50k")
    window.click(SEND)
    window.wait_for("This was not submitted yet", ".summary")
    assert "choose the file again" in window.text(".summary")
    window.click(".summary a[href='#id_salary_min']")
    assert window.run("return document.activeElement.name") == "salary_min"
    window.type("[name=salary_min]", "40000")
    window.type("[name=contact_email]", "customer@example.org")
    window.click(SEND)
    window.wait_for("We are preparing", "h1")
    given = Pipeline.objects.get().input
    assert (given["title"], given["salary_min"]) == (typed["title"], 4_000_000)


def test_the_page_follows_without_being_loaded_again_and_then_stops(broker, fill, scripted):
    fill(scripted)
    scripted.click(SEND)
    scripted.wait_for("We are preparing", "h1")
    scripted.run("window.same = true")
    assert drain(Pipeline.objects.get().pk, broker) == "committed"
    scripted.wait_for("Your posting is published", "h1")
    assert scripted.run("return window.same") is True
    assert not scripted.has("[hx-trigger]")
    assert "Your posting is published" in scripted.run("return document.querySelector('#announcement').textContent")
    assert scripted.complaints() == []


def test_nothing_in_a_posting_runs(broker, scripted, site, typed, plan, client):
    evil = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>[x](javascript:window.ran=1) and more words'
    client.post("/post/", typed | {"title": "</script><script>window.ran=1</script>", "description": evil})
    drain(Pipeline.objects.get().pk, broker)
    scripted.open(f"{site}/jobs/{Posting.objects.get().slug}/")
    scripted.wait_for("</script><script>window.ran=1</script>", "h1")
    assert scripted.run("return window.ran || null") is None
    assert scripted.complaints() == []


def test_nothing_is_wider_than_a_phone(broker, scripted, site, typed, plan, client):
    client.post("/post/", typed | {"title": "W" * 120, "company_name": "M" * 120})
    pipeline = Pipeline.objects.get()
    drain(pipeline.pk, broker)
    with scripted.as_a_phone(width=360):
        for address in ("/", f"/jobs/{Posting.objects.get().slug}/", "/post/", f"/pipelines/{pipeline.pk}/"):
            scripted.open(f"{site}{address}")
            assert scripted.run("return document.documentElement.scrollWidth") <= 360, address
