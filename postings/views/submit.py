"""The form: it shows what is asked for, hands what was typed to the API's validation, and leads to the progress page."""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods

from postings.forms import PostingForm


@require_http_methods(["GET", "HEAD", "POST"])
@cache_control(private=True, no_cache=True)
def submit(request: HttpRequest) -> HttpResponse:
    """GET shows the form; POST answers 303 to the progress page, or 400 with the form and every wrong field."""
    return render(request, "postings/submit.html", {"form": PostingForm()})
