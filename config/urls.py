"""URLs of the whole site."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponseRedirect
from django.templatetags.static import static
from django.urls import include, path, re_path

from config.docs import docs, schema
from config.errors import unknown_route
from config.health import healthz, readyz
from config.login import login
from config.metrics import metrics
from postings.api import webhooks


def favicon(_: HttpRequest) -> HttpResponseRedirect:
    """For pages without a link to it: the admin's, the API's documentation."""
    return HttpResponseRedirect(static("postings/icon.svg"))


urlpatterns = [
    path("api/v1/", include("pipeline.api.urls")),
    path("api/v1/", include("postings.api.urls")),
    path("api/v1/", include("examples.registrations.urls")),
    path("api/v1/", include("examples.ledger_orders.urls")),
    path("api/schema/", schema, name="schema"),
    path("api/docs/", docs, name="docs"),
    re_path(r"^api(?:/.*)?$", unknown_route),
    path("webhooks/stripe/", webhooks.stripe, name="stripe-webhook"),
    path("webhooks/sendgrid/", webhooks.sendgrid, name="sendgrid-webhook"),
    path("webhooks/twilio/", webhooks.twilio, name="twilio-webhook"),
    path("favicon.ico", favicon),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin/login/", login),
    path("admin/", admin.site.urls),
    path("", include("postings.urls")),
]

handler400 = "config.errors.bad_request"
handler403 = "config.errors.permission_denied"
handler404 = "config.errors.page_not_found"
handler500 = "config.errors.internal"
