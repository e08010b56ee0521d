"""The project's URLs, and beside them the plain view that G6 compares with."""

from django.urls import include, path

from benchmarks.plain import PlainPostings

urlpatterns = [
    path("bench/postings/", PlainPostings.as_view()),
    path("", include("config.urls")),
]
