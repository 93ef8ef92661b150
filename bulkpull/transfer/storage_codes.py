"""
The storage host's error codes: what each means for the file that is fetched. Pure.

Source: behaviours 124 and 133, and Azure Storage's lists of error codes for blobs and for all services.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from bulkpull.transport.http_messages import AnswerKind


class Remedy(Enum):
    """What the transfer does about a code."""

    FRESH_LINK = "fresh link"
    WAIT = "wait"
    NEW_REPORT = "new report"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class StorageCode:
    remedy: Remedy
    meaning: str

    @property
    def description(self) -> str:
        """The kind as the page of errors shows it."""
        if self.remedy is Remedy.FRESH_LINK:
            return f"{AnswerKind.PASSING}: {self.remedy.value}"
        kind = AnswerKind.PASSING if self.remedy is Remedy.WAIT else AnswerKind.FINAL
        return f"{kind}: {self.remedy.value}" if self.remedy is Remedy.NEW_REPORT else str(kind)


REFUSED = StorageCode(Remedy.FRESH_LINK, "the link is refused: it has ended, or clocks differ")
BUSY = StorageCode(Remedy.WAIT, "the storage host is busy or at fault")
GONE = StorageCode(Remedy.NEW_REPORT, "the report's file is gone from the storage host")


def _forbidden(meaning: str) -> StorageCode:
    return StorageCode(Remedy.NOTHING, meaning)


STORAGE_CODES: Mapping[str, StorageCode] = {
    "AccountBeingCreated": BUSY,
    "AccountIsDisabled": _forbidden("the service's storage account is disabled"),
    "AuthenticationFailed": REFUSED,
    "AuthorizationFailure": REFUSED,
    "AuthorizationPermissionMismatch": REFUSED,
    "AuthorizationProtocolMismatch": _forbidden("the link does not allow this protocol"),
    "AuthorizationResourceTypeMismatch": _forbidden("the link is for another kind of object"),
    "AuthorizationServiceMismatch": _forbidden("the link is for another storage service"),
    "AuthorizationSourceIPMismatch": _forbidden("the link does not allow this machine's network address"),
    "BlobArchived": StorageCode(
        Remedy.NEW_REPORT, "the report's file was moved to the archive, from where it cannot be read"
    ),
    "BlobBeingRehydrated": StorageCode(Remedy.WAIT, "the report's file is being brought back from the archive"),
    "BlobNotFound": GONE,
    "ContainerBeingDeleted": GONE,
    "ContainerBeingDisabled": GONE,
    "ContainerDisabled": GONE,
    "ContainerNotFound": GONE,
    "InsufficientAccountPermissions": _forbidden("the service's storage account does not allow reading"),
    "InternalError": BUSY,
    "InvalidAuthenticationInfo": REFUSED,
    "InvalidQueryParameterValue": REFUSED,
    "InvalidUri": REFUSED,
    "KeyBasedAuthenticationNotPermitted": _forbidden("the service's storage account takes no links"),
    "NoAuthenticationInformation": REFUSED,
    "OperationTimedOut": BUSY,
    "PublicAccessNotPermitted": _forbidden("the storage host took the link for none: something on the way cut it"),
    "ResourceNotFound": GONE,
    "ServerBusy": BUSY,
}
