"""The bytes of uploads: in the database by default, in a bucket when there is one, and gone when nothing needs them."""

from gql_server.files.store import BUCKET, FileMissing, FileStore, StoreUnavailable
from gql_server.files.uploads import Files, NewUpload

__all__ = ["BUCKET", "FileMissing", "FileStore", "Files", "NewUpload", "StoreUnavailable"]
