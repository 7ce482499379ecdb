"""Storage errors in Azure's format, where Azurite differs.

https://learn.microsoft.com/rest/api/storageservices/status-and-error-codes2
"""

import json
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web


@dataclass(frozen=True)
class StorageResponse:
    """One error.

    Attributes:
        table: whether it is the table service's, in JSON; the others use XML.
        batch: the error is that of one operation of a batch, inside a response of status 202.
        index: which operation of the batch it is.
    """

    status: int
    code: str
    table: bool = False
    batch: bool = False
    index: int = 0

    def build(self) -> web.Response:
        """Build the HTTP response."""
        if self.batch:
            return self._batch_response()
        headers = {"x-ms-error-code": self.code, "Content-Type": self._media_type}
        return web.Response(status=self.status, headers=headers, body=self._text().encode())

    @property
    def _media_type(self) -> str:
        return "application/json;odata=minimalmetadata;charset=utf-8" if self.table else "application/xml"

    def _text(self) -> str:
        message = f"{self.code} in words.\nRequestId:1\nTime:2026-11-23T12:00:00Z"
        if self.table:
            if self.batch:
                message = f"{self.index}:{message}"
            error = {"code": self.code, "message": {"lang": "en-US", "value": message}}
            return json.dumps({"odata.error": error})
        xml = f"<Error><Code>{self.code}</Code><Message>{message}</Message></Error>"
        return f"\ufeff<?xml version='1.0' encoding='utf-8'?>{xml}"

    def _batch_response(self) -> web.Response:
        text = self._text()
        phrase = HTTPStatus(self.status).phrase
        part = "\r\n".join(
            (
                "--batchresponse_1",
                "Content-Type: multipart/mixed; boundary=changesetresponse_1",
                "",
                "--changesetresponse_1",
                "Content-Type: application/http",
                "Content-Transfer-Encoding: binary",
                "",
                f"HTTP/1.1 {self.status} {phrase}",
                "X-Content-Type-Options: nosniff",
                "DataServiceVersion: 3.0;",
                f"Content-Type: {self._media_type}",
                "",
                text,
                "--changesetresponse_1--",
                "--batchresponse_1--",
                "",
            )
        )
        headers = {"Content-Type": "multipart/mixed; boundary=batchresponse_1"}
        return web.Response(status=202, headers=headers, body=part.encode())


def table_error(status: int, code: str) -> StorageResponse:
    """Return the error of a single call of the table service."""
    return StorageResponse(status, code, table=True)


def batch_error(status: int, code: str, index: int = 0) -> StorageResponse:
    """Return the error of a batch of the table service."""
    return StorageResponse(status, code, table=True, batch=True, index=index)
