"""The engine's routes, to be included under /api/v1/."""

from django.urls import path

from pipeline.api.stream import StreamView
from pipeline.api.views import CancelView, EventsView, ResumeView, StatusView

app_name = "pipeline"
urlpatterns = [
    path("pipelines/<uuid:pipeline_id>/", StatusView.as_waiting_view(), name="status"),
    path("pipelines/<uuid:pipeline_id>/events/", EventsView.as_view(), name="events"),
    path("pipelines/<uuid:pipeline_id>/stream/", StreamView.as_streaming_view(), name="stream"),
    path("pipelines/<uuid:pipeline_id>/cancel/", CancelView.as_view(), name="cancel"),
    path("pipelines/<uuid:pipeline_id>/resume/", ResumeView.as_view(), name="resume"),
]
