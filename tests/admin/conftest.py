"""Pipelines in many states, and staff with and without the permission to operate them."""

import itertools
from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from pipeline.start import start
from tests.pipeline.conftest import Hand

_keys = itertools.count(1)


@pytest.fixture
def shape(broker, world, define):
    """A workflow of the usual shape, of which nothing runs by itself."""
    return define(
        world.step("logo"),
        world.step("posting"),
        world.step("payment", pivot=True),
        world.step("email", tells=True),
    )


@pytest.fixture
def begin(db, shape) -> Callable[..., Hand]:
    """Start a pipeline, to be moved by hand."""

    def make(**given):
        return Hand(start(shape, **({"input": {}, "key": f"admin-{next(_keys)}"} | given)).id)

    return make


@pytest.fixture
def staff(db) -> Callable[..., Client]:
    """`staff("view_pipeline")`: the browser of somebody with these permissions."""
    for name in ("pipeline", "postings"):  # a flush of the tables may have taken them
        create_permissions(apps.get_app_config(name), verbosity=0)
    ContentType.objects.clear_cache()

    def make(*permissions, name="olga"):
        user = User.objects.create_user(name, is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def viewer(staff) -> Client:
    return staff("view_pipeline", name="vera")


@pytest.fixture
def operator(staff) -> Client:
    return staff("view_pipeline", "operate_pipeline")
