"""The roles, the temporary credentials given out for them, and the tokens of the OIDC provider."""
import base64
import json
import secrets
import threading
from typing import Any, Dict, List, NamedTuple, Optional

from ..access_key import AccessKeyPair, masked, new_access_key
from ..clock import SystemClock, utc
from ..keyring import IDENTITY, UNPRIVILEGED, Keyring, Owner

ACCOUNT = "1234567890123456"
SHORTEST_SESSION, LONGEST_SESSION = 900, 43200

ISSUER = "https://oidc.example.com"
CLIENT_ID = "local-cloud"
SUBJECT = "system:serviceaccount:default:local-cloud"


class Role(NamedTuple):
    """A role, which whoever may use STS may assume.

    Attributes:
        arn: ``acs:ram::1234567890123456:role/NAME``.
        external_id: which callers must name; None for roles that ask for none.
        owner: of the keys that are made for it.
    """

    name: str
    arn: str
    role_id: str
    external_id: Optional[str]
    max_session_seconds: int
    owner: Owner


class TemporaryCredentials(NamedTuple):
    """A key with a token and an end.

    Attributes:
        issued: seconds since 1970.
        expires: seconds since 1970.
    """

    access_key: AccessKeyPair
    issued: float
    expires: float

    def __repr__(self) -> str:
        return "TemporaryCredentials({})".format(masked(self.access_key.access_key_id))

    def document(self) -> Dict[str, Any]:
        """As all services write them."""
        key = self.access_key
        return {"AccessKeyId": key.access_key_id, "AccessKeySecret": key.access_key_secret,
                "SecurityToken": key.security_token, "Expiration": utc(self.expires)}


class Roles:
    """All roles of a cloud; it also tells the services which temporary credentials are valid."""

    def __init__(self, clock: SystemClock, keyring: Keyring) -> None:
        self._clock = clock
        self._keyring = keyring
        self._lock = threading.Lock()
        self._roles: Dict[str, Role] = {}
        self._issued: List[str] = []

    def create(self, name: str, external_id: Optional[str], max_session_seconds: int, may_read_secrets: bool) -> Role:
        """Make a role, as ``LocalCloud.create_role`` says."""
        if not SHORTEST_SESSION <= max_session_seconds <= LONGEST_SESSION:
            raise ValueError("max_session_seconds is {} to {}, not {!r}".format(
                SHORTEST_SESSION, LONGEST_SESSION, max_session_seconds))
        owner = Owner(IDENTITY if may_read_secrets else UNPRIVILEGED)
        arn = "acs:ram::{}:role/{}".format(ACCOUNT, name)
        role_id = "3" + "".join(secrets.choice("0123456789") for _ in range(17))
        with self._lock:
            if name in self._roles:
                raise ValueError("there is a role {!r} already".format(name))
            role = self._roles[name] = Role(name, arn, role_id, external_id, max_session_seconds, owner)
            return role

    def find(self, name: str) -> Role:
        """A role by name.

        Raises:
            KeyError: there is none.
        """
        with self._lock:
            try:
                return self._roles[name]
            except KeyError:
                raise KeyError("no role {!r}; there are {}".format(name, sorted(self._roles))) from None

    def with_arn(self, arn: str) -> Optional[Role]:
        """A role by ARN; None where there is none."""
        with self._lock:
            return next((role for role in self._roles.values() if role.arn == arn), None)

    def issue(self, role: Role, seconds: float) -> TemporaryCredentials:
        """Make temporary credentials for a role.

        Args:
            seconds: until they end.
        """
        pair = new_access_key(token=True)
        now = self._clock.monotonic()
        self._keyring.add(pair, role.owner, now, now + seconds)
        with self._lock:
            self._issued.append(pair.access_key_id)
        issued = self._clock.time()
        return TemporaryCredentials(pair, issued, issued + seconds)

    def revoke(self) -> None:
        """Let the services refuse the token of all temporary credentials given out so far."""
        with self._lock:
            issued, self._issued = self._issued, []
        for access_key_id in issued:
            self._keyring.revoke_token(access_key_id)


class OidcToken(NamedTuple):
    """What the OIDC provider knows of a token that it gave out.

    Attributes:
        issued: seconds since 1970.
        expires: seconds since 1970.
    """

    issued: float
    expires: float


class OidcProvider:
    """An OIDC provider that the roles trust, and the tokens that it gave out."""

    arn = "acs:ram::{}:oidc-provider/local-cloud".format(ACCOUNT)

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: Dict[str, OidcToken] = {}

    def issue(self, expires_in: float) -> str:
        """Give out a token, which looks like a JWT."""
        now = self._clock.time()
        expires = now + expires_in
        claims = {"iss": ISSUER, "aud": CLIENT_ID, "sub": SUBJECT, "iat": int(now), "exp": int(expires),
                  "jti": secrets.token_hex(8)}
        parts = [json.dumps({"alg": "RS256", "typ": "JWT"}).encode("ascii"), json.dumps(claims).encode("ascii"),
                 secrets.token_bytes(64)]
        token = ".".join(base64.urlsafe_b64encode(part).decode("ascii").rstrip("=") for part in parts)
        with self._lock:
            self._tokens[token] = OidcToken(now, expires)
        return token

    def revoke(self, token: str) -> None:
        """Take a token back.

        Raises:
            ValueError: it was never given out, or taken back before.
        """
        with self._lock:
            if self._tokens.pop(token, None) is None:
                raise ValueError("the provider knows no such token")

    def find(self, token: str) -> Optional[OidcToken]:
        """What is known of a token; None where it is not one of the provider's."""
        with self._lock:
            return self._tokens.get(token)
