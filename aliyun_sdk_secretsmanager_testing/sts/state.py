"""The roles, their temporary credentials, and the tokens of the OIDC provider."""
import base64
import json
import secrets
from typing import Any, Dict, List, NamedTuple, Optional

from ..access_key import AccessKeyPair, masked, new_access_key
from ..clock import SystemClock, utc
from ..guarded import Guarded
from ..keyring import IDENTITY, UNPRIVILEGED, Keyring, Owner

ACCOUNT = "1234567890123456"
SHORTEST_SESSION, LONGEST_SESSION = 900, 43200

ISSUER = "https://oidc.example.com"
CLIENT_ID = "local-cloud"
SUBJECT = "system:serviceaccount:default:local-cloud"


class Role(NamedTuple):
    """A role, which every caller of STS may assume.

    Attributes:
        name: the name of the role.
        arn: ``acs:ram::1234567890123456:role/NAME``.
        role_id: the id of the role.
        external_id: the ExternalId that callers must name; None asks for none.
        max_session_seconds: seconds of the longest session.
        owner: the owner of its temporary credentials.
    """

    name: str
    arn: str
    role_id: str
    external_id: Optional[str]
    max_session_seconds: int
    owner: Owner


class TemporaryCredentials(NamedTuple):
    """A key with a SecurityToken, with the times at which it was issued and expires.

    Attributes:
        access_key: the key.
        issued: seconds since 1970.
        expires: seconds since 1970.
    """

    access_key: AccessKeyPair
    issued: float
    expires: float

    def __repr__(self) -> str:
        return "TemporaryCredentials({})".format(masked(self.access_key.access_key_id))

    def document(self) -> Dict[str, Any]:
        """Return the fields by which all services describe the credentials."""
        key = self.access_key
        return {"AccessKeyId": key.access_key_id, "AccessKeySecret": key.access_key_secret,
                "SecurityToken": key.security_token, "Expiration": utc(self.expires)}


class Roles(Guarded):
    """All roles of a cloud. It adds their temporary credentials to the keyring."""

    def __init__(self, clock: SystemClock, keyring: Keyring) -> None:
        super().__init__()
        self._clock = clock
        self._keyring = keyring
        self._roles: Dict[str, Role] = {}
        self._issued: List[str] = []

    def create(self, name: str, external_id: Optional[str], max_session_seconds: int, may_read_secrets: bool) -> Role:
        """Make a role; see ``LocalCloud.create_role``."""
        if not SHORTEST_SESSION <= max_session_seconds <= LONGEST_SESSION:
            raise ValueError("max_session_seconds is {} to {}, not {!r}".format(
                SHORTEST_SESSION, LONGEST_SESSION, max_session_seconds))
        owner = Owner(IDENTITY if may_read_secrets else UNPRIVILEGED)
        arn = "acs:ram::{}:role/{}".format(ACCOUNT, name)
        role_id = "3" + "".join(secrets.choice("0123456789") for _ in range(17))
        with self.lock:
            if name in self._roles:
                raise ValueError("there is a role {!r} already".format(name))
            role = self._roles[name] = Role(name, arn, role_id, external_id, max_session_seconds, owner)
            return role

    def find(self, name: str) -> Role:
        """Return a role by its name.

        Raises:
            KeyError: there is no such role.
        """
        with self.lock:
            try:
                return self._roles[name]
            except KeyError:
                raise KeyError("no role {!r}; there are {}".format(name, sorted(self._roles))) from None

    def with_arn(self, arn: str) -> Optional[Role]:
        """Return a role by its ARN; None where there is none."""
        with self.lock:
            return next((role for role in self._roles.values() if role.arn == arn), None)

    def issue(self, role: Role, seconds: float) -> TemporaryCredentials:
        """Issue temporary credentials.

        Args:
            role: their role.
            seconds: seconds until they expire.
        """
        pair = new_access_key(token=True)
        now = self._clock.monotonic()
        self._keyring.add(pair, role.owner, now, now + seconds)
        with self.lock:
            self._issued.append(pair.access_key_id)
        issued = self._clock.time()
        return TemporaryCredentials(pair, issued, issued + seconds)

    def revoke(self) -> None:
        """Make the services reject the tokens of all temporary credentials that were issued so far."""
        with self.lock:
            issued, self._issued = self._issued, []
        for access_key_id in issued:
            self._keyring.revoke_token(access_key_id)


class OidcToken(NamedTuple):
    """The times of a token of the OIDC provider.

    Attributes:
        issued: seconds since 1970.
        expires: seconds since 1970.
    """

    issued: float
    expires: float


class OidcProvider(Guarded):
    """An OIDC provider that the roles trust, and its tokens."""

    arn = "acs:ram::{}:oidc-provider/local-cloud".format(ACCOUNT)

    def __init__(self, clock: SystemClock) -> None:
        super().__init__()
        self._clock = clock
        self._tokens: Dict[str, OidcToken] = {}

    def issue(self, expires_in: float) -> str:
        """Return a new token in the form of a JWT, which expires after that many seconds."""
        now = self._clock.time()
        expires = now + expires_in
        claims = {"iss": ISSUER, "aud": CLIENT_ID, "sub": SUBJECT, "iat": int(now), "exp": int(expires),
                  "jti": secrets.token_hex(8)}
        parts = [json.dumps({"alg": "RS256", "typ": "JWT"}).encode("ascii"), json.dumps(claims).encode("ascii"),
                 secrets.token_bytes(64)]
        token = ".".join(base64.urlsafe_b64encode(part).decode("ascii").rstrip("=") for part in parts)
        with self.lock:
            self._tokens[token] = OidcToken(now, expires)
        return token

    def revoke(self, token: str) -> None:
        """Revoke a token.

        Raises:
            ValueError: it is no token of the provider, or is revoked already.
        """
        with self.lock:
            if self._tokens.pop(token, None) is None:
                raise ValueError("the provider knows no such token")

    def find(self, token: str) -> Optional[OidcToken]:
        """Return the times of a token; None where it is no token of the provider, or is revoked."""
        with self.lock:
            return self._tokens.get(token)
