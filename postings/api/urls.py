"""The shop's routes, to be included under /api/v1/."""

from django.urls import path

from postings.api.views import PlansView, PostingsView, PostingView

app_name = "shop"
urlpatterns = [
    path("plans/", PlansView.as_view(), name="plans"),
    path("postings/", PostingsView.as_waiting_view(), name="postings"),
    path("postings/<uuid:posting_id>/", PostingView.as_view(), name="posting"),
]
