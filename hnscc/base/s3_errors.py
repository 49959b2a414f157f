"""The errors of S3-compatible storage, in the words of this project: no answer, no right, no room, no bucket, a wrong
clock, a storage that lacks a needed function."""

import os
import re

from hnscc.base.errors import InputError, StorageError

ENDPOINT_URL = "AWS_ENDPOINT_URL"
# These codes say that the credentials are wrong. Any other refusal means that they lack a right.
REFUSED = {
    *("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AuthorizationHeaderMalformed"),
    *("InvalidAccessKeyId", "SignatureDoesNotMatch"),
}
_AGAIN = "then give the same command again: it continues"
FULL = {"QuotaExceeded", "InsufficientStorage"}


class NoAnswer(StorageError):
    """The storage does not answer now, but may when it is asked again."""


def error_of(where: str, bucket: str, text: str) -> InputError | StorageError:
    """Return the error that a message of the S3 client stands for. Only the code in the message is told, since the
    message may hold a key's id."""
    code = re.search(r"<Code>(\w+)</Code>", text)
    status = re.search(r"status code: (\d+)", text)
    found = code[1] if code else f"HTTP status {status[1]}" if status else "no answer"
    if found == "NoSuchBucket":
        return _refused(
            "There is no such bucket.",
            bucket,
            "a bucket that exists at the endpoint",
            "none of that name",
            "make the bucket, or check its name and AWS_ENDPOINT_URL",
        )
    if "/latest/api/token" in text or "/latest/meta-data" in text:
        return misconfigured(bucket, "credentials", "none, and this machine has no role of its own")
    if found in FULL or (status and status[1] == "507"):
        return StorageError(
            "The S3 storage is full.",
            where=where,
            expected="room to write",
            found=found,
            do=f"make room there, {_AGAIN}",
        )
    if found == "RequestTimeTooSkewed":
        return _refused(
            "The clock of this machine is wrong: the S3 storage refuses its requests.",
            bucket,
            "a clock within 15 minutes of the storage's",
            found,
            "have this machine's clock set by a time server (chrony), then give the same command again",
        )
    if found in REFUSED or (status and status[1] == "401"):
        return misconfigured(bucket, "credentials that may list, read, write and delete there", found)
    if status and status[1] == "403":
        return _refused(
            "The S3 storage refuses this to the credentials that are in use.",
            bucket,
            "credentials that may list, read, write and delete there",
            found,
            "give their owner, the user of AWS_ACCESS_KEY_ID or else the role of this machine, these rights in the "
            "bucket; if it is not the owner that you meant, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if status and status[1] == "501":
        return _refused(
            "The S3 storage cannot do what is asked of it.",
            bucket,
            "a storage that writes on a condition (If-None-Match, If-Match), and does all else that S3 does",
            found,
            "use another storage or a newer version of its server, or a folder that all machines share",
        )
    stated = f"AWS_REGION: {os.environ.get('AWS_REGION') or 'none'}"
    if "redirect without LOCATION" in text or (status and status[1].startswith("3")):
        return misconfigured(bucket, "the region of the bucket", f"another ({stated})", "AWS_REGION")
    if status and status[1].startswith("4") and status[1] not in ("408", "409", "429"):
        return misconfigured(bucket, "a storage that does what S3 does", found, ENDPOINT_URL)
    return NoAnswer(
        "The S3 storage does not answer.",
        where=where,
        expected="an answer",
        found=found,
        do=f"check the storage and the network, {_AGAIN}",
    )


def _refused(problem: str, bucket: str, expected: str, found: str, do: str) -> InputError:
    return InputError(problem, where=f"s3://{bucket}", expected=expected, found=found, do=do)


def misconfigured(bucket: str, expected: str, found: str, variable: str | None = None) -> InputError:
    """Return the error that `variable` is missing from the environment, or wrong. Where it is None, the credentials
    are meant."""
    return _refused(
        "The S3 storage cannot be used as it is configured.",
        bucket,
        expected,
        found,
        f"set {variable or 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'} in the environment, on every machine that "
        "takes part (profiles in ~/.aws are not read)",
    )
