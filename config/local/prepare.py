"""Bring the demo's database and static files up to date: one process, one start of Django."""

import django
from django.core.management import call_command


def main() -> None:
    """Migrate, create plans, the admin and the examples' buyers, collect the static files."""
    django.setup()
    call_command("migrate", interactive=False, verbosity=1)
    call_command("bootstrap_demo")
    call_command("bootstrap_examples")
    call_command("collectstatic", interactive=False, verbosity=0)


if __name__ == "__main__":
    main()
