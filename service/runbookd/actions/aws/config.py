"""How AWS is reached.

Credentials are none of these settings: the SDK finds them, in the environment, a profile, or the role of the pod or
machine (https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html).
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from runbookd.actions.config import HttpUrl, Section
from runbookd.model.base import Duration

S3 = "s3://"
"""How the address of a bucket begins."""
_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([!-~]*?))?/?")
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html"""


def bucket_and_prefix(address: str) -> tuple[str, str]:
    """Take `s3://BUCKET/PREFIX` apart; the prefix ends with `/` unless it is empty. Raises ValueError."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        message = f"{address!r} is not an address in S3: s3://BUCKET or s3://BUCKET/PREFIX"
        raise ValueError(message)
    bucket, prefix = found.groups()
    return bucket, f"{prefix}/" if prefix else ""


def _in_s3(address: str) -> str:
    bucket_and_prefix(address)
    return address


def _location(value: object) -> object:
    if isinstance(value, str):
        return _in_s3(value) if value.startswith(S3) else Path(value)
    return value


S3Address: TypeAlias = Annotated[str, AfterValidator(_in_s3)]
"""`s3://BUCKET` or `s3://BUCKET/PREFIX`."""
Location: TypeAlias = Annotated[Path | str, BeforeValidator(_location)]
"""A folder, or as text an address in S3."""


class AwsConfig(Section):
    """How AWS is reached. Credentials are found as the AWS SDK finds them: environment, profile, role of the pod."""

    region: str | None = Field(
        default=None, description="The region, as `eu-central-1`. None: as the SDK finds it."
    )
    endpoint_url: HttpUrl | None = Field(
        default=None, description="A server that speaks AWS's protocols, such as MinIO. None: AWS itself."
    )
    timeout: Duration = Field(
        default=timedelta(seconds=30),
        description="The longest silence in one attempt of a call; there are three.",
    )
    s3_kms_key: str | None = Field(
        default=None,
        description="The KMS key (its ARN) that encrypts what is put into S3. None: S3's own keys (SSE-S3).",
    )
    s3_encrypt: bool = Field(
        default=True,
        description=(
            "Ask for that encryption with each object. False: as the bucket does by itself; for servers without keys."
        ),
    )
