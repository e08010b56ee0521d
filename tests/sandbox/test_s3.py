"""S3 as boto3 sees it."""

import base64
import hashlib
import io
import socket
import zlib
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = "postings"
BODY = b"\x89PNG and so on"


def code(refused):
    return refused.value.response["Error"]["Code"], refused.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_an_object_comes_back_as_it_was_put(sandbox):
    s3 = sandbox.s3()
    key = "logos/ä b+c%2F/1.png"
    put = s3.put_object(
        Bucket=BUCKET,
        Key=key,
        Body=BODY,
        ContentType="image/png",
        CacheControl="max-age=31536000, immutable",
        ContentDisposition="inline",
        Metadata={"pipeline-id": "pipeline-1", "sha256": hashlib.sha256(BODY).hexdigest()},
    )
    got = s3.get_object(Bucket=BUCKET, Key=key)
    head = s3.head_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED")
    assert got["Body"].read() == BODY
    assert put["ETag"] == got["ETag"] == head["ETag"] == f'"{hashlib.md5(BODY).hexdigest()}"'
    for shown in (got, head):
        assert (shown["ContentType"], shown["ContentLength"]) == ("image/png", len(BODY))
        assert (shown["CacheControl"], shown["ContentDisposition"]) == ("max-age=31536000, immutable", "inline")
        assert shown["Metadata"]["pipeline-id"] == "pipeline-1"
    crc32 = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()
    assert put["ChecksumCRC32"] == head["ChecksumCRC32"] == crc32
    (entry,) = sandbox.ledger()
    assert (entry["effect"], entry["object_id"]) == ("object_put", f"{BUCKET}/{key}")
    assert entry["reference"] == "pipeline-1"
    (kept,) = sandbox.get("state")["objects"]
    assert (kept["key"], kept["size"], kept["reference"]) == (key, len(BODY), "pipeline-1")


def test_deleting_is_recorded_once_with_the_objects_reference(sandbox):
    s3 = sandbox.s3()
    s3.put_object(Bucket=BUCKET, Key="a", Body=BODY, Metadata={"pipeline-id": "pipeline-1"})
    for _ in range(2):
        assert s3.delete_object(Bucket=BUCKET, Key="a")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert sandbox.effects() == ["object_put", "object_deleted"]
    assert sandbox.ledger()[1]["reference"] == "pipeline-1"


def test_a_missing_object_or_bucket_is_named(sandbox):
    s3 = sandbox.s3()
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=BUCKET, Key="nope")
    assert code(refused) == ("NoSuchKey", 404)
    with pytest.raises(ClientError) as refused:
        s3.head_object(Bucket=BUCKET, Key="nope")
    assert code(refused) == ("404", 404)
    for act in (lambda: s3.put_object(Bucket="nope", Key="a", Body=b""), lambda: s3.list_objects_v2(Bucket="nope")):
        with pytest.raises(ClientError) as refused:
            act()
        assert code(refused) == ("NoSuchBucket", 404)


def test_if_none_match_lets_exactly_one_of_many_win(sandbox):
    s3 = sandbox.s3()

    def put(number):
        try:
            s3.put_object(Bucket=BUCKET, Key="a", Body=b"%d" % number, IfNoneMatch="*")
        except ClientError as lost:
            return lost.response["Error"]["Code"]
        return number

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(put, range(8)))
    (winner,) = [each for each in results if each != "PreconditionFailed"]
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == b"%d" % winner
    assert sandbox.effects() == ["object_put"]


def test_if_match_writes_and_deletes_only_what_it_expects(sandbox):
    s3 = sandbox.s3()
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=BUCKET, Key="a", Body=b"1", IfMatch='"x"')
    assert code(refused) == ("NoSuchKey", 404)
    etag = s3.put_object(Bucket=BUCKET, Key="a", Body=b"1")["ETag"]
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"2", IfMatch=etag)
    for act in (
        lambda: s3.put_object(Bucket=BUCKET, Key="a", Body=b"3", IfMatch=etag),
        lambda: s3.delete_object(Bucket=BUCKET, Key="a", IfMatch=etag),
        lambda: s3.get_object(Bucket=BUCKET, Key="a", IfMatch=etag),
    ):
        with pytest.raises(ClientError) as refused:
            act()
        assert code(refused) == ("PreconditionFailed", 412)


def test_an_unchanged_object_is_not_sent_again(sandbox):
    s3 = sandbox.s3()
    etag = s3.put_object(Bucket=BUCKET, Key="a", Body=BODY)["ETag"]
    with pytest.raises(ClientError) as unchanged:
        s3.get_object(Bucket=BUCKET, Key="a", IfNoneMatch=etag)
    assert code(unchanged) == ("304", 304)


@pytest.mark.parametrize(
    "wrong",
    [
        {"ContentMD5": base64.b64encode(b"0" * 16).decode()},
        {"ChecksumSHA256": base64.b64encode(b"0" * 32).decode()},
        {"ChecksumCRC32": "AAAAAA=="},
        {"ChecksumSHA1": base64.b64encode(b"0" * 20).decode()},
    ],
)
def test_a_wrong_checksum_is_refused_and_stores_nothing(sandbox, wrong):
    with pytest.raises(ClientError) as refused:
        sandbox.s3().put_object(Bucket=BUCKET, Key="a", Body=BODY, **wrong)
    assert code(refused) == ("BadDigest", 400)
    assert sandbox.get("state")["objects"] == []


def test_a_right_sha256_is_kept_and_returned(sandbox):
    s3 = sandbox.s3()
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    md5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    s3.put_object(Bucket=BUCKET, Key="a", Body=BODY, ChecksumSHA256=digest, ContentMD5=md5)
    assert s3.head_object(Bucket=BUCKET, Key="a", ChecksumMode="ENABLED")["ChecksumSHA256"] == digest


def chunked(trailer):
    body = b"6\r\nhello \r\n5;chunk-signature=abc\r\nworld\r\n0\r\n" + trailer + b"\r\n\r\n"
    headers = {
        "authorization": "AWS4-HMAC-SHA256 Credential=x",
        "content-encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "11",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    return body, headers


def test_an_aws_chunked_body_is_freed_of_its_encoding_and_its_trailer_verified(sandbox):
    crc32 = base64.b64encode(zlib.crc32(b"hello world").to_bytes(4, "big"))
    body, headers = chunked(b"x-amz-checksum-crc32:" + crc32)
    assert sandbox.http.put(f"/s3/{BUCKET}/a", content=body, headers=headers).status_code == 200
    got = sandbox.s3().get_object(Bucket=BUCKET, Key="a")
    assert (got["Body"].read(), got.get("ContentEncoding")) == (b"hello world", None)
    body, headers = chunked(b"x-amz-checksum-crc32:AAAAAA==")
    answer = sandbox.http.put(f"/s3/{BUCKET}/a", content=body, headers=headers)
    assert (answer.status_code, "BadDigest" in answer.text) == (400, True)
    answer = sandbox.http.put(f"/s3/{BUCKET}/a", content=b"junk", headers=headers)
    assert (answer.status_code, "IncompleteBody" in answer.text) == (400, True)


def test_a_stream_can_be_put(sandbox):
    s3 = sandbox.s3()
    s3.upload_fileobj(io.BytesIO(b"x" * 100_000), BUCKET, "a")
    assert s3.head_object(Bucket=BUCKET, Key="a")["ContentLength"] == 100_000


def test_expect_100_continue_is_answered_before_the_body(sandbox):
    with socket.create_connection(("127.0.0.1", sandbox.port), timeout=5) as connection:
        connection.sendall(
            f"PUT /s3/{BUCKET}/a HTTP/1.1\r\nhost: x\r\nauthorization: AWS4-HMAC-SHA256 x\r\n"
            "expect: 100-continue\r\ncontent-length: 3\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"abc")
        answer = connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("asked", "part", "shown"),
    [
        ("bytes=0-3", BODY[:4], "bytes 0-3/14"),
        ("bytes=10-", BODY[10:], "bytes 10-13/14"),
        ("bytes=-4", BODY[-4:], "bytes 10-13/14"),
        ("bytes=0-999", BODY, "bytes 0-13/14"),
    ],
)
def test_a_range_of_an_object_can_be_read(sandbox, asked, part, shown):
    s3 = sandbox.s3()
    s3.put_object(Bucket=BUCKET, Key="a", Body=BODY)
    got = s3.get_object(Bucket=BUCKET, Key="a", Range=asked)
    assert (got["Body"].read(), got["ContentRange"]) == (part, shown)


def test_a_range_beyond_the_object_is_refused(sandbox):
    s3 = sandbox.s3()
    s3.put_object(Bucket=BUCKET, Key="a", Body=BODY)
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=BUCKET, Key="a", Range="bytes=99-")
    assert code(refused) == ("InvalidRange", 416)


def test_listing_goes_by_prefix_in_pages(sandbox):
    s3 = sandbox.s3()
    keys = [f"logos/{number:02d} ä.png" for number in range(7)]
    for key in [*keys, "other/1"]:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    first = s3.list_objects_v2(Bucket=BUCKET, Prefix="logos/", MaxKeys=3)
    assert ([each["Key"] for each in first["Contents"]], first["IsTruncated"]) == (keys[:3], True)
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="logos/", PaginationConfig={"PageSize": 2}
    )
    assert [each["Key"] for page in pages for each in page["Contents"]] == keys
    folders = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")
    assert [each["Prefix"] for each in folders["CommonPrefixes"]] == ["logos/", "other/"]
    assert s3.list_objects_v2(Bucket=BUCKET, StartAfter=keys[5])["KeyCount"] == 2


def test_a_copy_keeps_the_metadata_and_honours_conditions(sandbox):
    s3 = sandbox.s3()
    etag = s3.put_object(Bucket=BUCKET, Key="a b", Body=BODY, Metadata={"pipeline-id": "pipeline-1"})["ETag"]
    source = {"Bucket": BUCKET, "Key": "a b"}
    s3.copy_object(Bucket=BUCKET, Key="b", CopySource=source, CopySourceIfMatch=etag, IfNoneMatch="*")
    assert s3.head_object(Bucket=BUCKET, Key="b")["Metadata"] == {"pipeline-id": "pipeline-1"}
    for condition in ({"IfNoneMatch": "*"}, {"CopySourceIfMatch": '"other"'}, {"CopySourceIfNoneMatch": etag}):
        with pytest.raises(ClientError) as refused:
            s3.copy_object(Bucket=BUCKET, Key="b", CopySource=source, **condition)
        assert code(refused) == ("PreconditionFailed", 412)
    s3.copy_object(Bucket=BUCKET, Key="b", CopySource=source, MetadataDirective="REPLACE", Metadata={"x": "1"})
    assert s3.head_object(Bucket=BUCKET, Key="b")["Metadata"] == {"x": "1"}
    assert [entry["object_id"] for entry in sandbox.ledger()] == [f"{BUCKET}/{key}" for key in ("a b", "b", "b")]
    with pytest.raises(ClientError) as refused:
        s3.copy_object(Bucket=BUCKET, Key="b", CopySource={"Bucket": BUCKET, "Key": "nope"})
    assert code(refused) == ("NoSuchKey", 404)


def test_buckets_are_made_listed_and_deleted_when_empty(sandbox):
    s3 = sandbox.s3()
    for _ in range(2):
        s3.create_bucket(Bucket="second")
    s3.head_bucket(Bucket="second")
    assert [each["Name"] for each in s3.list_buckets()["Buckets"]] == [BUCKET, "second"]
    s3.put_object(Bucket="second", Key="a", Body=b"")
    with pytest.raises(ClientError) as refused:
        s3.delete_bucket(Bucket="second")
    assert code(refused) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket="second", Key="a")
    s3.delete_bucket(Bucket="second")
    with pytest.raises(ClientError) as refused:
        s3.head_bucket(Bucket="second")
    assert code(refused) == ("404", 404)


def test_what_the_stand_in_does_not_do_is_refused_and_not_mistaken(sandbox):
    s3 = sandbox.s3()
    s3.put_object(Bucket=BUCKET, Key="a", Body=BODY)
    for act in (
        lambda: s3.put_object_tagging(Bucket=BUCKET, Key="a", Tagging={"TagSet": []}),
        lambda: s3.create_multipart_upload(Bucket=BUCKET, Key="b"),
        lambda: s3.list_objects(Bucket=BUCKET),
    ):
        with pytest.raises(ClientError) as refused:
            act()
        assert code(refused) == ("NotImplemented", 501)
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == BODY


def test_unsigned_requests_are_refused_and_presigned_ones_taken(sandbox):
    s3 = sandbox.s3(signature_version="s3v4")
    s3.put_object(Bucket=BUCKET, Key="a", Body=BODY)
    assert sandbox.http.get(f"/s3/{BUCKET}/a").status_code == 403
    url = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": "a"})
    assert sandbox.http.get(url).content == BODY
    anonymous = boto3.client(
        "s3", endpoint_url=f"{sandbox.url}/s3", region_name="us-east-1", config=Config(signature_version=UNSIGNED)
    )
    with pytest.raises(ClientError) as refused:
        anonymous.get_object(Bucket=BUCKET, Key="a")
    assert code(refused) == ("AccessDenied", 403)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("rate_limit", ("SlowDown", 429)),
        ("conflict", ("ConditionalRequestConflict", 409)),
        ("error_before", ("InternalError", 500)),
    ],
)
def test_faults_are_worded_as_s3_words_them(sandbox, kind, expected):
    sandbox.fault("s3", kind)
    with pytest.raises(ClientError) as refused:
        sandbox.s3().put_object(Bucket=BUCKET, Key="a", Body=BODY)
    assert code(refused) == expected
    assert sandbox.ledger() == []


def test_a_retried_conditional_put_loses_against_itself(sandbox):
    sandbox.fault("s3", "drop_after", route="objects.put", times=1)
    s3 = sandbox.s3(retries={"total_max_attempts": 2})
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=BUCKET, Key="a", Body=BODY, IfNoneMatch="*")
    assert code(refused) == ("PreconditionFailed", 412)
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == BODY
    assert [entry["client_saw_answer"] for entry in sandbox.ledger()] == [False]
