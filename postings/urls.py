"""The pages for people."""

from django.urls import path

from postings.views import board, logo, progress, submit

app_name = "postings"

urlpatterns = [
    path("", board.board, name="board"),
    path("post/", submit.submit, name="submit"),
    path("jobs/<slug:slug>/", board.job, name="job"),
    path("jobs/<slug:slug>/logo", logo.logo, name="logo"),
    path("pipelines/<uuid:pipeline_id>/", progress.progress, name="progress"),
    path("pipelines/<uuid:pipeline_id>/cancel/", progress.cancel, name="cancel"),
    path("pipelines/<uuid:pipeline_id>/sandbox-authenticate/", progress.authenticate, name="authenticate"),
]
