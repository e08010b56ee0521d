"""Tests, settings, metrics, commands and tables that the documents name exist, and the documents name all of them."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import get_commands

from config.metrics import REGISTRY
from config.web import limits
from pipeline.conf import Conf
from pipeline.logs import LONGEST

ROOT = Path(__file__).resolve().parents[2]
SECURITY = (ROOT / "docs/security.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
TESTS = re.findall(r"`([\w/]+\.py)::(test_\w+)`", SECURITY)
SETTINGS = "".join((ROOT / "config" / name).read_text() for name in ("settings.py", "database.py"))
READ = re.findall(r'(?:env\.\w+|address)\(\s*"(\w+)"', SETTINGS)


@pytest.mark.parametrize(("file", "name"), TESTS, ids=[name for _, name in TESTS])
def test_a_named_test_exists(file, name):
    assert f"def {name}(" in (ROOT / "tests" / file).read_text()


def test_every_item_of_the_list_is_shown_by_a_test():
    rows = re.findall(r"^\| (\d+) \| .*$", SECURITY, re.MULTILINE)
    assert rows == [str(number) for number in range(1, 17)]
    for line in re.findall(r"^\| \d+ \| .*$", SECURITY, re.MULTILINE):
        assert "::test_" in line


def test_every_variable_that_is_read_is_documented():
    documented = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", OPERATIONS))
    assert len(READ) > 60
    assert set(READ) <= documented, sorted(set(READ) - documented)


def test_every_documented_variable_is_read():
    rows = re.findall(r"^\| ((?:`[A-Z0-9_]+`(?:, )?)+) \|", OPERATIONS, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert documented
    assert documented <= set(READ), sorted(documented - set(READ))


def test_every_setting_of_the_engine_is_documented():
    documented = set(re.findall(r"`([A-Z_]+)`", (ROOT / "docs/engine.md").read_text()))
    assert {field.name for field in fields(Conf)} - documented == {"CRASH_FILE"}, "that one is for tests alone"


def test_the_limits_of_one_client_are_those_of_the_code():
    kib, mib = limits.KIB, limits.KIB**2
    cookie, media_type = limits.NARROWER[b"cookie"], limits.NARROWER[b"content-type"]
    for told in (
        (
            f"{limits.MAX_TARGET // kib} KiB; {limits.MAX_HEAD // kib} KiB; {limits.MAX_HEADER // kib} KiB "
            f"(cookies {cookie // kib} KiB, Content-Type {media_type} bytes); {limits.MAX_HEADERS}"
        ),
        f"| a head | {limits.HEAD_SECONDS:g} s |",
        (
            f"{settings.DATA_UPLOAD_MAX_MEMORY_SIZE // mib} MiB (a form without files {limits.FORM_BODY // kib} KiB), "
            f"{limits.PACE_BYTES // kib} KiB in each {limits.PACE_SECONDS:g} s, {limits.BODY_SECONDS:g} s in all. "
            f"What is over {limits.IN_MEMORY // kib} KiB lies in a temporary file"
        ),
        f"| {limits.ALL_BODIES // mib} MiB; {limits.CLIENT_BODIES // mib} MiB, but in the demo |",
        f"| {limits.MAX_PIPELINED}; {limits.WRITE_SECONDS:g} s without taking anything |",
        f"| {limits.MAX_PARTS}; {limits.MAX_PART_HEAD // kib} KiB, no transfer encoding |",
        f"{LONGEST:,} characters, redacted in linear time",
    ):
        assert told in SECURITY, told


@pytest.mark.django_db
def test_every_metric_is_documented():
    for metric in REGISTRY.collect():
        assert f"`{metric.name}" in OPERATIONS, metric.name


def test_every_named_command_exists():
    named = set(re.findall(r"manage\.py (\w+)", OPERATIONS + SECURITY))
    assert named <= set(get_commands())


def test_every_table_is_on_the_list_of_where_personal_data_lies():
    """A new table of the engine or the shop is thought about."""
    without = {"pipeline_chore", "pipeline_circuit", "postings_plan", "postings_indexingday"}
    models = [model for name in ("pipeline", "postings") for model in apps.get_app_config(name).get_models()]
    ours = {model._meta.db_table for model in models}
    assert {table for table in ours - without if f"`{table}" not in SECURITY} == set()
