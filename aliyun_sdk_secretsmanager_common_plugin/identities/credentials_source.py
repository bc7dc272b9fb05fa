"""A source of credentials that are not in the settings: how they are retrieved, and why there are none."""

import copy
import json
import re
import threading
from typing import Any, Callable, Optional

from ..access_key import AccessKey, can_be_sent
from ..secrecy import json_object, mask_access_key_ids, reason, shown_path
from ..settings.settings import CA_VARIABLE

# The name of the threads that ask sources. Whatever the library does in another thread is the program's own use of it.
ASKING_THREAD = "managed-credentials-identity"

# status: that of the last HTTP answer in this thread since ``CredentialsSource.retrieve`` began, or 0.
last_answer = threading.local()

_RETRYABLE_CODES = ("Throttling", "ServiceUnavailable", "InternalError", "InternalFailure")
# What to do, by the beginning of STS's code.
_REMEDIES = (
    ("EntityNotExist.Role", "check the ARN of the role (credentials_role_arn)"),
    ("InvalidParameter.RoleArn", "check the ARN of the role (credentials_role_arn)"),
    ("EntityNotExist.OIDCProvider", "check the ARN of the OIDC provider (credentials_oidc_provider_arn)"),
    ("AuthenticationFail.OIDCToken", "check that the token file (credentials_oidc_token_file_path) holds a token of "
                                     "the OIDC provider that has not expired"),
    ("NoPermission", "let the role's trust policy name this identity, with the external ID (credentials_external_id) "
                     "if it wants one, and grant sts:AssumeRole to the identity"),
    ("InvalidParameter.DurationSeconds", "lower credentials_duration_seconds, or raise the role's longest session"),
    ("InvalidParameter.Policy", "write credentials_policy as a RAM policy, in JSON"),
    ("InvalidParameter.RoleSessionName", "write 2 to 64 letters, digits and . @ - _ as credentials_role_session_name"),
    ("InvalidAccessKeyId", "check credentials_access_key_id"),
    ("SignatureDoesNotMatch", "check credentials_access_secret"),
    ("Throttling", "ask less often"),
)
# The beginnings of texts of the library's errors, what they mean, and what to do.
_KNOWN_TEXTS = (
    ("No cached value", "the credentials given have expired already",
     "set the clock of this machine, or of the machine that gives them"),
    ("failed to parse credential form cli", "the file is no JSON", "configure the CLI again"),
    ("failed to get credential from credentials file", "the file has no such profile",
     "set ALIBABA_CLOUD_PROFILE to a section of it"),
)
_NOTHING = "no credentials in the answer"


class NoCredentials(Exception):
    """No credentials could be retrieved. The message is our own and shows no secret.

    Args:
        what: what went wrong.
        remedy: what to do.
        retryable: whether another attempt may succeed soon.
    """

    def __init__(self, what: str, remedy: str = "", retryable: bool = False) -> None:
        super().__init__("; ".join(filter(None, (what, remedy))))
        self.retryable = retryable


class CredentialsSource:
    """A source of credentials.

    Args:
        address: its address, for messages.
        make: returns a provider of the library, or another object that ``program_identity`` takes.
        if_silent: what to do if the source does not answer.
        if_refused: what to do if it gives no credentials and the reason is not known.
    """

    def __init__(self, address: str, make: Callable[[], Any], if_silent: str = "", if_refused: str = "") -> None:
        self.address = address
        self._make = make
        self._if_silent = if_silent
        self._if_refused = if_refused
        self._provider: Any = None

    def retrieve(self) -> AccessKey:
        """Return the credentials. Two threads must not call this at once. Errors are for ``explain``."""
        last_answer.status = 0
        # The provider is kept because it keeps credentials while they are valid.
        if self._provider is None:
            self._provider = self._make()
        return _key_from(self._provider)

    def afresh(self) -> "CredentialsSource":
        """Return a copy with a new provider. The library's providers cannot drop their credentials in another way."""
        source = copy.copy(self)
        source._provider = None
        return source

    def explain(self, error: BaseException) -> NoCredentials:
        """Return the reason for an error of ``retrieve`` in this thread.

        The error's own text is not shown, because it may hold signed URLs and whole answers.
        """
        from urllib3.exceptions import HTTPError

        if isinstance(error, NoCredentials):
            return error
        kind = type(error).__name__
        if isinstance(error, OSError) and error.filename:
            return NoCredentials(
                "cannot read {}: {}".format(shown_path(str(error.filename)), error.strerror), "check the file")
        if isinstance(error, (OSError, HTTPError)) or kind == "RetryError":
            return self._no_connection(error)
        status = getattr(last_answer, "status", 0)
        if kind == "CredentialException" or status >= 400:
            return self._refusal(str(error) if kind == "CredentialException" else "", status)
        if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError, RecursionError)):
            return NoCredentials("the answer is no JSON", self._if_refused, retryable=True)
        return NoCredentials(_NOTHING if status else "{} was raised".format(kind), self._if_refused)

    def no_answer(self, why: str) -> NoCredentials:
        """Return the reason for a source that does not answer."""
        return NoCredentials("no answer " + why, self._if_silent, retryable=True)

    def _no_connection(self, error: BaseException) -> NoCredentials:
        why = reason(error)
        if "CERTIFICATE_VERIFY_FAILED" in why or why.startswith("CertificateError"):
            return NoCredentials("the certificate is not trusted ({})".format(why),
                                 "set the environment variable {} to the CA's PEM file".format(CA_VARIABLE))
        return self.no_answer("({})".format(why))

    def _refusal(self, text: str, status: int) -> NoCredentials:
        """Return the reason that an error text of the library gives, which may hold the status and the answer."""
        for beginning, what, remedy in _KNOWN_TEXTS:
            if text.startswith(beginning):
                return NoCredentials(what, remedy)
        match = re.search(r"(?i)http_?code[=:] ?([0-9]{3})", text)
        status = int(match.group(1)) if match else status
        if status == 200:
            status = 0  # it says nothing about what is wrong
        fields = json_object(text.partition("result: ")[2] or text) or {}
        answer = {name: value for name, value in fields.items() if isinstance(value, str)}
        code, request_id, message = (answer.get(name, "") for name in ("Code", "RequestId", "Message"))
        if code == "Success" or not re.match(r"[\w.-]{1,64}\Z", code):
            code = ""
        known = ["HTTP status {}".format(status)] if status else []
        if code:
            known.append("{}: {}".format(code, _without_secrets(message)))
        what = ", ".join(known) or _NOTHING
        if re.match(r"[0-9A-Fa-f-]{36}\Z", request_id):
            what += " (request id {})".format(request_id)
        remedy = next((remedy for prefix, remedy in _REMEDIES if code.startswith(prefix)), self._if_refused)
        if code.startswith("SignatureDoesNotMatch"):  # the message is long, so the remedy comes first
            what, remedy = remedy, what
        retryable = status >= 500 or status == 429 or code.startswith(_RETRYABLE_CODES) or not (status or answer)
        return NoCredentials(what, remedy, retryable)


class ProgramSource(CredentialsSource):
    """An object of the program that gives credentials."""

    def __init__(self, credentials: Any) -> None:
        super().__init__("", lambda: credentials, "see to it that the object gives credentials")

    def explain(self, error: BaseException) -> NoCredentials:
        # Nothing is known about its errors, so another attempt may succeed.
        return error if isinstance(error, NoCredentials) else NoCredentials(
            "{} was raised".format(type(error).__name__), self._if_silent, True)


def getter_of(credentials: Any) -> Optional[Callable[[], Any]]:
    """Return the function that gives an object's credentials, or None if it has none."""
    # A client of the library has both methods, and get_credentials() of it does something else.
    for name in ("get_credential", "get_credentials"):
        method = getattr(credentials, name, None)
        if callable(method):
            return method  # type: ignore[no-any-return]
    return (lambda: credentials.credentials) if hasattr(credentials, "credentials") else None


def _key_from(provider: Any) -> AccessKey:
    """Return the key that a provider gives now."""
    get = getter_of(provider)
    assert get is not None  # nosec B101  # for the type checker
    given = get()

    def part(name: str) -> Any:
        method = getattr(given, "get_" + name, None)
        return method() if callable(method) else getattr(given, name, None)

    pair, token = (part("access_key_id"), part("access_key_secret")), part("security_token") or None
    if not all(text and isinstance(text, str) for text in pair):
        raise NoCredentials("there is no access_key_id, or no access_key_secret, in what was given")
    if not isinstance(token, (str, type(None))):
        raise NoCredentials("the security_token in what was given is no text")
    if not all(map(can_be_sent, (*pair, token or ""))):
        raise NoCredentials("what was given has a line end, another control character, or one that is not ASCII, with "
                            "which no request can be signed")
    expires = part("expiration") or getattr(provider, "expiration", None)  # version 0.3 keeps it there
    return AccessKey(pair[0], pair[1], token, expires=expires if isinstance(expires, (int, float)) else None)


def _without_secrets(message: str) -> str:
    """Return a service's message with everything masked that is as long as a secret: some repeat what they got."""
    return re.sub(r"[\w+/=%.~-]{25,}", "******", mask_access_key_ids(message))[:200]
