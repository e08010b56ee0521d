"""Users, groups and tokens in the admin: Django's own pages, which take no lookups but their filters'."""

from typing import TYPE_CHECKING

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from rest_framework.authtoken.admin import TokenAdmin
from rest_framework.authtoken.models import TokenProxy

from pipeline.admin.lookups import OwnFiltersOnly

if TYPE_CHECKING:
    _UserAdmin = UserAdmin[User]
else:
    _UserAdmin = UserAdmin

# Importing their modules has registered them.
admin.site.unregister([User, Group, TokenProxy])


@admin.register(User)
class Users(OwnFiltersOnly, _UserAdmin):
    """Otherwise `?password__startswith=` reads a hash."""


@admin.register(Group)
class Groups(OwnFiltersOnly, GroupAdmin):
    """Groups of staff."""


@admin.register(TokenProxy)
class Tokens(OwnFiltersOnly, TokenAdmin):
    """Tokens of the API."""
