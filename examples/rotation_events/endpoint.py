"""A WSGI application that receives the events of rotations over HTTP."""

import hmac
import os
import urllib.parse

from aliyun_sdk_secretsmanager_common_plugin import (
    ManagedCredentials,
    handle_rotation_event,
)

MOST_BYTES = 64 * 1024

TOKEN = os.environ.get("ROTATION_EVENTS_TOKEN", "").encode("utf-8")
if len(TOKEN) < 32:
    raise SystemExit(
        "ROTATION_EVENTS_TOKEN is not set, or is short. "
        "Set it to what this prints: openssl rand -hex 32")

# A wrong configuration shows at start.
ManagedCredentials.default()


def application(environ, start_response):
    status = receive(environ)
    is_wrong_method = status.startswith("405")
    start_response(status, [("Allow", "POST")] if is_wrong_method else [])
    return []


def receive(environ):
    if environ["REQUEST_METHOD"] != "POST":
        return "405 Method Not Allowed"
    if not hmac.compare_digest(token_of(environ), TOKEN):
        return "401 Unauthorized"
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > MOST_BYTES:
            return "413 Content Too Large"
        handle_rotation_event(environ["wsgi.input"].read(max(length, 0)))
    except ValueError:
        return "400 Bad Request"
    return "204 No Content"


def token_of(environ):
    # EventBridge sends it in a header. CloudMonitor has only a URL to put it in.
    header = environ.get("HTTP_X_EVENTBRIDGE_SIGNATURE_TOKEN", "")
    query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
    return (header or query.get("token", [""])[0]).encode("utf-8")
