"""Who we are when we ask Secrets Manager (``credentials_type``)."""

import importlib.util
import logging
import sys
import threading
import time
from typing import Any, Callable, Dict, Optional, Tuple, Union

from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException

from . import threads
from .access_key import AccessKey
from .client_key import ClientKey, load_client_key
from .exceptions import ConfigurationError
from .providers import (
    ASKING_THREAD,
    HandedIn,
    NoCredentials,
    Source,
    forget_sockets,
    getter,
    import_library,
    is_set,
    source_of,
)
from .secrecy import mask_access_key_id
from .settings import IdentitySettings

logger = logging.getLogger(__name__)

# Seconds after which an answer is not waited for any more, and after which the credentials in use are preferred to it.
LIMIT = 10.0
BRIEFLY = 0.5


class IdentityError(ClientException):  # type: ignore[misc]
    """No credentials for asking Secrets Manager could be got.

    Attributes:
        retryable: whether the same may work in a moment: there was no answer, or a failure of the other side's; not a
            refusal.
    """

    def __init__(self, message: str, retryable: bool = False) -> None:
        super().__init__(error_code.SDK_INVALID_CREDENTIAL, message)
        self.retryable = retryable


class Identity:
    """Who asks.

    Args:
        about: what messages say of it, such as ``credentials_type=ram_role, sts.aliyuncs.com``.
    """

    def __init__(self, about: str) -> None:
        self._about = about

    def signer(self) -> Any:
        """Return the SDK's signer for one request; may ask STS or the metadata service.

        Raises:
            IdentityError: there are no credentials.
        """
        from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
        from aliyunsdkcore.auth.signers.access_key_signer import AccessKeySigner
        from aliyunsdkcore.auth.signers.sts_token_signer import StsTokenSigner

        key = self._access_key()
        if key.security_token:
            return StsTokenSigner(StsTokenCredential(key.access_key_id, key.access_key_secret, key.security_token))
        return AccessKeySigner(AccessKeyCredential(key.access_key_id, key.access_key_secret))

    def access_key_id(self) -> str:
        """Return the id that it signs with; may ask STS or the metadata service.

        Raises:
            IdentityError: there are no credentials.
        """
        return self._access_key().access_key_id

    def renew(self) -> bool:
        """Forget the credentials that Secrets Manager refused to this thread; return whether others may be had."""
        return False

    def waiting_for(self) -> str:
        """Return what it waits for just now, else an empty text."""
        return ""

    def after_fork_in_child(self) -> None:
        """Let go of the sockets and locks of the parent process."""

    def _access_key(self) -> AccessKey:
        raise NotImplementedError

    def __repr__(self) -> str:
        return "Identity({})".format(self._about)


def identity_of(settings: IdentitySettings) -> Identity:
    """Return the identity that the settings describe.

    Raises:
        ConfigurationError: a client key cannot be opened, an extra is missing, or what is wanted cannot be had here.
    """
    credentials_type = settings.credentials_type
    about = "credentials_type=" + credentials_type
    if settings.client_key is not None:
        return _ClientKeyIdentity(about, load_client_key(settings.client_key))
    if credentials_type in ("ak", "token", "sts_token"):
        return _KeyIdentity(about, AccessKey(
            settings.access_key_id, settings.access_key_secret, settings.security_token or None))
    if importlib.util.find_spec("alibabacloud_credentials") is None:
        raise ConfigurationError(
            '{} needs the extra "identities": pip install '
            '"aliyun-sdk-managed-credentials-providers[identities]"'.format(about))
    if credentials_type == "ecs_ram_role" and is_set("ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
        raise ConfigurationError("{} cannot work where the environment variable ALIBABA_CLOUD_ECS_METADATA_DISABLED is "
                                 "true; unset it, or choose another credentials_type".format(about))
    source = source_of(settings)
    import_library()
    return _ProvidedIdentity(", ".join(filter(None, (about, source.where))), source)


def identity_from(credentials: Any) -> Identity:
    """Return the identity behind an object of the program's own.

    Args:
        credentials: a client or provider of ``alibabacloud_credentials``, the context of a Function Compute function,
            or anything with ``get_credentials()`` or ``credentials``; what these give has an access_key_id, an
            access_key_secret and perhaps a security_token, as attributes or with getters.

    Raises:
        ConfigurationError: it is none of these.
    """
    name = type(credentials).__name__
    if getter(credentials) is None:
        raise ConfigurationError(
            "cannot get credentials from a {}; give a client or provider of alibabacloud_credentials, or anything with "
            "get_credentials() or credentials".format(name))
    if "alibabacloud_credentials" in sys.modules:
        import_library()
    return _ProvidedIdentity("the program's {}".format(name), HandedIn(credentials))


class _KeyIdentity(Identity):
    """``ak``, ``token`` and ``sts_token``: a key of our own."""

    def __init__(self, about: str, key: AccessKey) -> None:
        super().__init__("{}, {}".format(about, mask_access_key_id(key.access_key_id)))
        self._key = key

    def _access_key(self) -> AccessKey:
        return self._key


class _ClientKeyIdentity(Identity):
    """``client_key``: a client key of an application access point."""

    def __init__(self, about: str, client_key: ClientKey) -> None:
        super().__init__("{}, {}".format(about, client_key.key_id))
        self._client_key = client_key

    def signer(self) -> Any:
        return _ClientKeySigner(self._client_key)

    def access_key_id(self) -> str:
        return self._client_key.key_id


class _ClientKeySigner:
    """Has a request of the SDK sign itself with RSA and SHA-256, as ``aliyun-secret-manager-client`` 1.1.6 does."""

    def __init__(self, client_key: ClientKey) -> None:
        self._client_key = client_key

    def sign(self, region_id: str, request: Any) -> Tuple[Dict[str, str], str]:
        from aliyunsdkcore.auth.algorithm import sha_hmac256

        request._signer = sha_hmac256  # only its constructor takes it, and those of the requests do not
        key_id, private_key = self._client_key.key_id, self._client_key.pkcs8()
        return request.get_signed_header(region_id, key_id, private_key), request.get_url(
            region_id, key_id, private_key)


class _ProvidedIdentity(Identity):
    """Credentials that others give, for a while."""

    def __init__(self, about: str, source: Source) -> None:
        super().__init__(about)
        # Guards what is below: which question is the current one, and of which the last credentials are. It is held for
        # no I/O and no waiting.
        self._lock = threading.Lock()
        self._source = source
        self._question: Optional[_Question] = None
        self._asked = 0
        self._answered = 0  # the number of the last question whose answer counts: those of former ones come too late
        self._last: Optional[AccessKey] = None
        self._of_thread = threading.local()  # key: the one that this thread signed with

    def renew(self) -> bool:
        with self._lock:
            # Others may have been had meanwhile, by a thread whose request was refused earlier.
            if getattr(self._of_thread, "key", self._last) == self._last:
                self._answered, self._last = self._asked, None
                self._start_afresh()
        return True

    def waiting_for(self) -> str:
        question = self._question
        waits = question is not None and not question.has_ended() and self._in_hand() is None
        return "the identity ({})".format(self._about) if waits else ""

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._start_afresh()  # the thread that asks is the parent's, and so are locks in the provider
        forget_sockets()

    def _access_key(self) -> AccessKey:
        question = self._current_question()
        answer = question.wait(LIMIT if self._in_hand() is None else BRIEFLY)
        if isinstance(answer, NoCredentials):
            failure, in_hand = answer, self._in_hand()  # anew: others may have got some, or had these refused
            if in_hand is None:
                raise IdentityError("identity ({}): {}".format(self._about, failure), failure.retryable)
            # The library asks a good while before the end of those that it has.
            logger.warning("identity (%s): %s; going on with the credentials in use", self._about, failure)
            answer = in_hand
        self._of_thread.key = answer
        return answer

    def _in_hand(self) -> Optional[AccessKey]:
        """Return the last credentials while they are good; where their end is not known, Secrets Manager says so."""
        last = self._last
        return None if last is None or last.expires is not None and last.expires <= time.time() else last

    def _current_question(self) -> "_Question":
        """Return the single flight: the question under way, or else a new one."""
        with self._lock:
            question = self._question
            if question is not None and not question.has_ended():
                if question.age() < LIMIT:
                    return question
                self._start_afresh()  # no provider is called by two threads
            self._asked += 1
            question = self._question = _Question(self._asked, self._source, self._take)
        question.start()
        return question

    def _start_afresh(self) -> None:
        """Leave a question that is under way to itself."""
        self._source, self._question = self._source.afresh(), None

    def _take(self, number: int, key: AccessKey) -> None:
        with self._lock:
            if number > self._answered:
                self._answered, self._last = number, key


class _Question:
    """A question to a source, in a daemon thread of its own: it may hang, or be answered by drips.

    Args:
        number: which one of its identity.
        source: who is asked.
        take: called with the number and with the credentials, before those who wait are told.
    """

    def __init__(self, number: int, source: Source, take: Callable[[int, AccessKey], None]) -> None:
        self._number = number
        self._source = source
        self._take = take
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._answer: Union[AccessKey, NoCredentials, None] = None

    def start(self) -> None:
        try:
            threads.start(threading.Thread(target=self._run, name=ASKING_THREAD, daemon=True))
        except RuntimeError as error:
            self._end(NoCredentials("cannot ask: {}".format(error), retryable=True))

    def has_ended(self) -> bool:
        return self._ended.is_set()

    def age(self) -> float:
        """Return the seconds since it began."""
        return time.monotonic() - self._began

    def wait(self, seconds: float) -> Union[AccessKey, NoCredentials]:
        """Return the answer, or why there is none, at latest when it is as many seconds old."""
        self._ended.wait(max(0.0, seconds - self.age()))
        return self._answer or self._source.no_answer("within {:g} s".format(seconds))

    def _run(self) -> None:
        try:
            answer: Union[AccessKey, NoCredentials] = self._source.ask()
        except BaseException as error:
            answer = self._source.explain(error)
        self._end(answer)

    def _end(self, answer: Union[AccessKey, NoCredentials]) -> None:
        if isinstance(answer, AccessKey):
            self._take(self._number, answer)
        self._answer = answer
        self._ended.set()
