"""The answers of the console."""
import pkgutil
import re
from typing import Callable

from ..home import is_from_own_page
from ..http import Answer, Request, json_answer
from .routes import FILES, OPERATIONS, PAGE, STATE
from .state import View

_HEADERS = {
    "Content-Security-Policy":
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Console:
    """A handler of the console's paths; the controls answer all others.

    Args:
        control: the controls, which also do what the console's buttons say.
        view: describes the cloud.
    """

    def __init__(self, control: Callable[[Request], Answer], view: View) -> None:
        self._control = control
        self._view = view

    def __call__(self, request: Request) -> Answer:
        if not (request.path + "/").startswith(PAGE):
            return self._control(request)
        answer = self._answer(request) if is_from_own_page(request) else json_answer(403, {
            "error": "the console answers only its own page: open it at console_url, with port {}".format(
                request.sock.getsockname()[1])})
        answer.headers.update(_HEADERS)
        return answer

    def _answer(self, request: Request) -> Answer:
        if request.method == "POST" and request.path in OPERATIONS:
            request.method, request.path = OPERATIONS[request.path]
            answer = self._control(request)
            # The controls answer the ids of keys, which the console does not show.
            return json_answer(200, {}) if answer.status == 200 else answer
        if request.method == "GET" and request.path == STATE:
            return self._state(request)
        if request.method == "GET" and request.path in FILES:
            file, content_type = FILES[request.path]
            return Answer(200, pkgutil.get_data(__package__, file) or b"", {"Content-Type": content_type})
        if request.method == "GET" and request.path + "/" == PAGE:
            return Answer(308, headers={"Location": PAGE})
        return json_answer(404, {"error": "the console has no {} {}".format(request.method, request.path)})

    def _state(self, request: Request) -> Answer:
        cursor = request.parameter("cursor") or "0"
        if not re.match(r"[0-9]{1,15}\Z", cursor):
            return json_answer(400, {"error": "cursor is a whole number of 0 or more, not {!r}".format(cursor)})
        return json_answer(200, self._view.since(int(cursor)))
