"""Routes of institutions, to be included under /api/v1/."""

from django.urls import path

from examples.registrations.api import InstitutionView, RegisterView

app_name = "registrations"
urlpatterns = [
    path("institutions/register/", RegisterView.as_waiting_view(), name="register"),
    path("institutions/<uuid:institution_id>/", InstitutionView.as_view(), name="institution"),
]
