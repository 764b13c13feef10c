"""A real S3 server, and a bucket of the test's own."""

from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from gql_server.files.bucket import BucketStore, open_bucket


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Address of the server."""
    # slow to import: only the tests that ask for a bucket wait for it
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def bucket_at(endpoint: str, name: str) -> BucketStore:
    return open_bucket(
        f"s3://{name}/uploads", endpoint=endpoint, region="us-east-1", access_key_id="key", secret_access_key="secret"
    )


@pytest.fixture
def bucket(s3: str) -> BucketStore:
    """An empty bucket, used under a prefix."""
    name = f"files-{uuid4().hex}"
    assert httpx.put(f"{s3}/{name}").status_code == 200
    return bucket_at(s3, name)
