"""A place by its address: a folder, or a bucket in S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbookd.store.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path

    from runbookd.actions.aws.config import AwsConfig
    from runbookd.ports import Place


def place_at(location: Path | str, aws: AwsConfig) -> Place:
    """Return the place at a folder or at `s3://BUCKET/PREFIX`; nothing is touched before it is used.

    Raises ValueError for a text that is no address in S3.
    """
    if not isinstance(location, str):
        return Folder(location)
    from runbookd.actions.aws.bucket import Bucket  # noqa: PLC0415 - costs a fifth of a second

    return Bucket(location, aws)
