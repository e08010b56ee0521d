"""Buckets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call
from sandbox.providers.s3.xml import element, iso, refused, xml_answer

if TYPE_CHECKING:
    from sandbox.world import World

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def require(world: World, bucket: str) -> None:
    """Raises `NoSuchBucket`."""
    if world.store.one("SELECT 1 FROM s3_buckets WHERE name = ?", (bucket,)) is None:
        raise refused(404, "NoSuchBucket", "The specified bucket does not exist", BucketName=bucket)


def make(world: World, bucket: str) -> None:
    """Makes the bucket unless it is there. Raises `InvalidBucketName`."""
    if NAME.fullmatch(bucket) is None:
        raise refused(400, "InvalidBucketName", "The specified bucket is not valid.", BucketName=bucket)
    world.store.execute("INSERT OR IGNORE INTO s3_buckets (name, at) VALUES (?, ?)", (bucket, world.clock.now()))


def create(world: World, call: Call) -> Answer:
    """200 also for one's own existing bucket, as in us-east-1."""
    make(world, call.params["bucket"])
    return Answer(200, headers={"location": f"/{call.params['bucket']}"})


def head(world: World, call: Call) -> Answer:
    require(world, call.params["bucket"])
    return Answer(200, headers={"x-amz-bucket-region": "us-east-1"})


def listed(world: World, _: Call) -> Answer:
    rows = world.store.all("SELECT name, at FROM s3_buckets ORDER BY name")
    buckets = "".join(
        f"<Bucket>{element('Name', row['name'])}{element('CreationDate', iso(row['at']))}</Bucket>" for row in rows
    )
    return xml_answer("ListAllMyBucketsResult", f"<Owner><ID>sandbox</ID></Owner><Buckets>{buckets}</Buckets>")


def delete(world: World, call: Call) -> Answer:
    bucket = call.params["bucket"]
    require(world, bucket)
    if world.store.one("SELECT 1 FROM s3_objects WHERE bucket = ? LIMIT 1", (bucket,)) is not None:
        raise refused(409, "BucketNotEmpty", "The bucket you tried to delete is not empty", BucketName=bucket)
    world.store.execute("DELETE FROM s3_buckets WHERE name = ?", (bucket,))
    return Answer(204)
