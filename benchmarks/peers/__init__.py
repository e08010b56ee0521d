"""Those that the project is compared with and that are not Celery: each in an environment of its own."""
