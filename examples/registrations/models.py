"""What a registration makes here: Institution and its director's Profile. The login is Supabase's."""

import uuid

from django.db import models
from django.db.models import Q

SUBDOMAIN = r"^[a-z0-9]([a-z0-9-]{1,61})[a-z0-9]$"  # a DNS label of 3 to 63 characters


class InstitutionState(models.TextChoices):
    """Whether an institution exists for others."""

    PENDING = "pending", "Pending"
    # Staged: holds its subdomain, seen by nobody.
    TRIAL = "trial", "Trial"
    # Committed: its director can log in.


class Institution(models.Model):
    """A customer. Its subdomain is held by a constraint from the moment it is staged."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pipeline_id = models.UUIDField(unique=True, editable=False)
    name = models.CharField(max_length=120)
    subdomain = models.CharField(max_length=63)
    state = models.CharField(max_length=10, choices=InstitutionState, default=InstitutionState.PENDING)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["subdomain"]
        constraints = [
            models.UniqueConstraint(fields=["subdomain"], name="institution_subdomain_once"),
            models.CheckConstraint(condition=Q(subdomain__regex=SUBDOMAIN), name="institution_subdomain_is_label"),
        ]

    def __str__(self) -> str:
        return self.name


class Profile(models.Model):
    """The director of an institution; `user` is the id at Supabase Auth."""

    institution = models.OneToOneField(Institution, on_delete=models.CASCADE, related_name="director")
    user = models.UUIDField(unique=True)
    email = models.EmailField()

    def __str__(self) -> str:
        return self.email
