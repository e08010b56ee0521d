import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import call_command

from postings.models import Plan

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def admin(monkeypatch):
    monkeypatch.setenv("ADMIN_USERNAME", "admin")
    monkeypatch.setenv("ADMIN_PASSWORD", "first-password")


def test_it_makes_three_plans_and_an_admin(capsys):
    call_command("bootstrap_demo")
    assert list(Plan.objects.values_list("slug", flat=True)) == ["starter", "standard", "extended"]
    user = authenticate(username="admin", password="first-password")
    assert user is not None
    assert user.is_superuser
    assert "first-password" not in capsys.readouterr().out


def test_again_it_keeps_what_was_changed_by_hand_and_takes_the_new_password(monkeypatch):
    call_command("bootstrap_demo")
    Plan.objects.filter(slug="starter").update(amount=100, is_on_sale=False)
    monkeypatch.setenv("ADMIN_PASSWORD", "second-password")
    call_command("bootstrap_demo")
    assert Plan.objects.get(slug="starter").amount == 100
    assert Plan.objects.count() == 3
    assert authenticate(username="admin", password="first-password") is None
    assert authenticate(username="admin", password="second-password") is not None


def test_without_a_password_no_admin_is_made(monkeypatch, capsys):
    monkeypatch.delenv("ADMIN_PASSWORD")
    call_command("bootstrap_demo")
    assert not get_user_model().objects.exists()
    assert "ADMIN_PASSWORD" in capsys.readouterr().out
