"""A camera's answer over HTTP: the login, the certificate, and why there is no stream of pictures."""

from __future__ import annotations

import hashlib
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPMessage
from typing import IO, Any, Final
from urllib.parse import quote

from camera_demo.errors import SourceError
from edge.addresses import ENCODING_HINT, Address, redacted, split_address
from edge.errors import os_reason

__all__ = ["connect"]

_ESP32: Final = "An ESP32-CAM streams at http://HOST:81/stream."
_STREAM: Final = ("multipart/", "application/octet-stream", "video/x-motion-jpeg", "video/x-jpeg", "video/mjpeg")
_DIGESTS: Final[Mapping[str, Any]] = {"MD5": hashlib.md5, "SHA": hashlib.sha1, "SHA-256": hashlib.sha256}
_PATH_LETTERS: Final = "/%:@!$&'()*+,;=~?"


def connect(address: str, timeout_s: float) -> http.client.HTTPResponse:
    """The camera's answer, of which a stream of pictures is to be expected.

    Raises:
        SourceError: There is none.
    """
    name, parts = redacted(address), split_address(address)
    try:
        answer = _opener(parts).open(_url(parts), timeout=timeout_s)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        wants_token = _wants_token(refusal.headers)
        raise SourceError(_refusal(name, parts, refusal.code, wants_token=wants_token)) from None
    except urllib.error.URLError as failure:
        reason = failure.reason
        raise SourceError(_unreached(name, parts, reason if isinstance(reason, OSError) else OSError(reason))) from None
    except OSError as reason:
        raise SourceError(_unreached(name, parts, reason)) from None
    except http.client.HTTPException as reason:
        raise SourceError(_unreached(name, parts, reason)) from None
    except ValueError:  # a way to log in that urllib does not know
        raise SourceError(_refusal(name, parts, 401)) from None
    if not isinstance(answer, http.client.HTTPResponse):
        answer.close()
        raise SourceError(f"{name} leads elsewhere, and not to a web server.")
    kind = answer.headers.get_content_type().lower()
    if not kind.startswith(_STREAM) and "Content-Type" in answer.headers:
        answer.close()
        raise SourceError(_other(name, kind))
    return answer


class _Bearer(urllib.request.BaseHandler):
    """Sends the password as a token to who asks for one, as the page of this program does."""

    handler_order = 480
    """Before the others, which know no such way to log in."""

    def __init__(self, origin: str, token: str) -> None:
        self._origin, self._token = origin, token

    def http_error_401(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, message: str, headers: HTTPMessage
    ) -> Any:
        if not _wants_token(headers):
            return None
        is_here = req.full_url.startswith(f"{self._origin}/")
        if not (self._token and is_here) or req.has_header("Authorization"):
            raise urllib.error.HTTPError(req.full_url, code, message, headers, fp)
        fp.close()
        again = urllib.request.Request(req.full_url)
        again.add_unredirected_header("Authorization", f"Bearer {self._token}")
        return self.parent.open(again, timeout=req.timeout)


def _wants_token(headers: Message) -> bool:
    return str(headers.get("WWW-Authenticate", "")).lower().startswith("bearer")


class _Basic(urllib.request.HTTPBasicAuthHandler):
    """Closes the refusal before it asks again, which urllib leaves to chance."""

    def http_error_401(self, req: urllib.request.Request, fp: IO[bytes], *rest: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, *rest)


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Answers the first challenge that it can, of those that a camera offers: MD5, SHA or SHA-256 (RFC 7616)."""

    def http_error_401(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, message: str, headers: HTTPMessage
    ) -> Any:
        for challenge in headers.get_all("WWW-Authenticate", []):
            algorithm = re.search(r'algorithm="?([\w-]+)', challenge, re.IGNORECASE)
            if challenge.lower().startswith("digest ") and (algorithm is None or algorithm[1].upper() in _DIGESTS):
                fp.close()
                chosen = HTTPMessage()
                chosen["WWW-Authenticate"] = challenge
                return super().http_error_401(req, fp, code, message, chosen)
        return None

    def get_algorithm_impls(self, algorithm: str) -> Any:
        digest = _DIGESTS[algorithm.upper()]

        def hashed(text: str) -> str:
            return str(digest(text.encode(), usedforsecurity=False).hexdigest())

        return hashed, lambda secret, data: hashed(f"{secret}:{data}")


def _opener(parts: Address) -> urllib.request.OpenerDirector:
    """Without the environment's proxies, which know no camera, and with the login for this very host."""
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.user is not None:
        passwords.add_password(None, _origin(parts), parts.user, parts.password or "")
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        _Bearer(_origin(parts), parts.password or ""),
        _Basic(passwords),
        _Digest(passwords),
    )


def _origin(parts: Address) -> str:
    host = parts.host if ":" in parts.host else parts.host.encode("idna").decode()
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}" + ("" if parts.port is None else f":{parts.port}")


def _url(parts: Address) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return _origin(parts) + quote((parts.path or "/") + query, safe=_PATH_LETTERS)


def _refusal(name: str, parts: Address, status: int, *, wants_token: bool = False) -> str:
    if status in (401, 403) and wants_token:
        return f"{name} refuses access ({status}): give its token as the password, as in http://:TOKEN@HOST/PATH."
    if status in (401, 403) and parts.user is None:
        return f"{name} refuses access ({status}): give user and password, as in http://USER:PASSWORD@HOST/PATH."
    if status in (401, 403):
        return f"{name} refuses access ({status}): check user and password. {ENCODING_HINT}."
    if status in (404, 405, 410):
        return f"{name} is not there ({status}): the camera answers, but has no such path. {_ESP32}"
    if status == 503:
        return f"{name} is busy (503): many cameras serve one viewer at a time. Close the others."
    return f"{name} refuses the stream: it answers with HTTP status {status}."


def _unreached(name: str, parts: Address, reason: OSError | http.client.HTTPException) -> str:
    if isinstance(reason, http.client.HTTPException):
        return f"{name} answers, but not as a web server does. Check the port. {_ESP32}"
    if isinstance(reason, TimeoutError):
        return f"{name} does not answer in time. Is the camera on, and on this network?"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"{name} cannot be trusted: {reason.verify_message}. Use http://, or set SSL_CERT_FILE to the camera's "
            "certificate."
        )
    hint = ""
    if not parts.path.strip("/") and not parts.query and not isinstance(reason, socket.gaierror):
        hint = f" For the page it is an output: name the input before it, e.g. camera-demo 0 {name}."
    return f"{name} cannot be reached: {os_reason(reason)}. Check the address and that the camera is on.{hint}"


def _other(name: str, kind: str) -> str:
    if kind.startswith("image/"):
        return f"{name} sends one picture ({kind}), not a stream. {_ESP32}"
    if kind == "text/html":
        return f"{name} is a web page, not a stream of pictures: find the address of the picture in it. {_ESP32}"
    return f"{name} sends {kind}, which is not a stream of JPEG pictures. Other streams are read by rtsp://. {_ESP32}"
