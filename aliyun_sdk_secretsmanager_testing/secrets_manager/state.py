"""The secrets, their versions, and which version ``GetSecretValue`` gives when."""
import json
import math
import threading
import uuid
from typing import Dict, List, NamedTuple, Optional, Tuple

from ..access_key import AccessKeyPair, masked, new_access_key
from ..clock import SystemClock, utc
from ..keyring import MANAGED, Keyring, Owner

ROTATION_INTERVAL_SECONDS = 604800


class SecretVersion(NamedTuple):
    """One version of a secret's value.

    Attributes:
        version_id: Secrets Manager's name for it.
        access_key: the key in it; None for arbitrary data.
        data: SecretData.
        created: seconds since 1970.
        next_rotation: seconds since 1970; None where it is not rotated.
    """

    version_id: str
    access_key: Optional[AccessKeyPair]
    data: str
    created: float
    next_rotation: Optional[float]

    def __repr__(self) -> str:
        key = masked(self.access_key.access_key_id) if self.access_key else "no key"
        return "SecretVersion({}, {})".format(self.version_id, key)


class Secret:
    """A secret and its history.

    Attributes:
        name: as applications ask for it.
        secret_type: ``RAMCredentials`` for managed keys.
        created: seconds since 1970.
    """

    def __init__(self, name: str, secret_type: str, clock: SystemClock) -> None:
        self.name = name
        self.secret_type = secret_type
        self.created = clock.time()
        self._clock = clock
        self._published: List[Tuple[float, SecretVersion]] = []
        self._versions: List[SecretVersion] = []

    def __repr__(self) -> str:
        return "Secret({!r}, {} versions)".format(self.name, len(self._versions))

    @property
    def versions(self) -> Tuple[SecretVersion, ...]:
        """All versions, oldest first."""
        return tuple(self._versions)

    @property
    def current(self) -> AccessKeyPair:
        """The key that GetSecretValue gives now.

        Raises:
            ValueError: the secret's value is arbitrary data.
        """
        key = self.given().access_key
        if key is None:
            raise ValueError("the secret {!r} holds arbitrary data, no managed AccessKey".format(self.name))
        return key

    def given(self, at: Optional[float] = None) -> SecretVersion:
        """The version that ACSCurrent names.

        Args:
            at: monotonic seconds; None is now.
        """
        return self._published_by(at)[-1]

    def given_key(self, at: float) -> Optional[str]:
        """The id of the AccessKey that GetSecretValue would give at a time; None where it gives none."""
        stages = self._published_by(at)
        key = stages[-1].access_key if stages else None
        return key.access_key_id if key else None

    def previous(self) -> Optional[SecretVersion]:
        """The version that ACSPrevious names."""
        stages = self._published_by(None)
        return stages[-2] if len(stages) > 1 else None

    def version(self, stage: str, version_id: str) -> Optional[SecretVersion]:
        """The version that a request asks for; None where there is none.

        Args:
            stage: empty is ACSCurrent.
            version_id: empty is the one that the stage names.
        """
        if version_id:
            return next((version for version in self._versions if version.version_id == version_id), None)
        if stage in ("", "ACSCurrent"):
            return self.given()
        return self.previous() if stage == "ACSPrevious" else None

    def stages(self, version: SecretVersion) -> List[str]:
        """The stages that name a version."""
        named = {"ACSCurrent": self.given(), "ACSPrevious": self.previous()}
        return [stage for stage, its in named.items() if its is version]

    def changes(self) -> List[float]:
        """When GetSecretValue began to give another version, monotonic seconds."""
        return [moment for moment, _ in self._published]

    def publish(self, version: SecretVersion, at: float) -> None:
        """Let GetSecretValue give a version from a time on; of those whose time has come it gives the last said."""
        if version not in self._versions:
            self._versions.append(version)
        self._published.append((at, version))

    def _published_by(self, at: Optional[float]) -> List[SecretVersion]:
        now = self._clock.monotonic() if at is None else at
        return [version for moment, version in self._published if moment <= now]


class Vault:
    """All secrets of a cloud; it also tells the services which keys are valid."""

    def __init__(self, clock: SystemClock, keyring: Keyring) -> None:
        self._clock = clock
        self._keyring = keyring
        self._lock = threading.RLock()
        self._secrets: Dict[str, Secret] = {}
        self._expires_in: Dict[str, Optional[float]] = {}

    def find(self, name: str) -> Secret:
        """A secret by name.

        Raises:
            KeyError: there is none.
        """
        with self._lock:
            try:
                return self._secrets[name]
            except KeyError:
                raise KeyError("no secret {!r}; there are {}".format(name, sorted(self._secrets) or "none")) from None

    def create(self, name: str, next_rotation: Optional[float], token: bool, expires_in: Optional[float],
               secret_data: Optional[str], secret_type: str) -> Secret:
        """Make a secret, as ``LocalCloud.create_secret`` says."""
        if not name:
            raise ValueError("a secret needs a name")
        with self._lock:
            if name in self._secrets:
                raise ValueError("there is a secret {!r} already".format(name))
            secret = Secret(name, secret_type, self._clock)
            self._expires_in[name] = expires_in
            now = self._clock.monotonic()
            if secret_data is None:
                secret.publish(self._new_version(name, token, expires_in, next_rotation, now), now)
            else:
                secret.publish(self._arbitrary(secret_data), now)
            self._secrets[name] = secret
            return secret

    def put_value(self, name: str, secret_data: str) -> None:
        """Give a secret a new version of arbitrary data, at once."""
        with self._lock:
            self.find(name).publish(self._arbitrary(secret_data), self._clock.monotonic())

    def delete(self, name: str) -> None:
        """Take a secret away, and its keys from the services."""
        with self._lock:
            self.find(name)
            self._forget_keys(name, self._clock.monotonic())
            del self._secrets[name]

    def rotate(self, name: str, grace: float, propagation: float, publish_delay: float, token: Optional[bool],
               expires_in: Optional[float], next_rotation: Optional[float]) -> AccessKeyPair:
        """Replace a secret's key, as ``LocalCloud.rotate`` says."""
        with self._lock:
            secret = self.find(name)
            newest = self._newest_key(secret)
            now = self._clock.monotonic()
            if expires_in is None:
                expires_in = self._expires_in[name]
            wanted = newest.security_token is not None if token is None else token
            self._forget_keys(name, now + grace)
            version = self._new_version(name, wanted, expires_in, next_rotation, now + propagation)
            secret.publish(version, now + publish_delay)
            assert version.access_key is not None  # nosec B101  # for the type checker
            return version.access_key

    def rollback(self, name: str, grace: float) -> AccessKeyPair:
        """Make the previous version current again, as ``LocalCloud.rollback`` says."""
        with self._lock:
            secret = self.find(name)
            previous = secret.previous()
            if previous is None or previous.access_key is None:
                raise ValueError("the secret {!r} has no previous AccessKey to go back to".format(name))
            now = self._clock.monotonic()
            self._forget_keys(name, now + grace)
            self._keyring.revive(previous.access_key.access_key_id, now)
            secret.publish(previous, now)
            return previous.access_key

    def _forget_keys(self, name: str, at: float) -> None:
        for access_key_id in self._keyring.of_secret(name):
            self._keyring.end(access_key_id, at)

    @staticmethod
    def _newest_key(secret: Secret) -> AccessKeyPair:
        for version in reversed(secret.versions):
            if version.access_key is not None:
                return version.access_key
        raise ValueError("the secret {!r} holds arbitrary data: there is no AccessKey to rotate".format(secret.name))

    def _new_version(self, name: str, token: bool, expires_in: Optional[float], next_rotation: Optional[float],
                     valid_from: float) -> SecretVersion:
        now = self._clock.time()
        pair = new_access_key(token)
        expires = math.inf if expires_in is None else self._clock.monotonic() + expires_in
        self._keyring.add(pair, Owner(MANAGED, name), valid_from, expires)
        value = {"AccessKeyId": pair.access_key_id, "AccessKeySecret": pair.access_key_secret}
        if pair.security_token is not None:
            value["SecurityToken"] = pair.security_token
        if expires_in is not None:
            value.update(GenerateTimestamp=utc(now), ExpireTimestamp=utc(now + expires_in))
        due = ROTATION_INTERVAL_SECONDS if next_rotation is None else next_rotation
        return SecretVersion(str(uuid.uuid4()), pair, json.dumps(value), now, now + due)

    def _arbitrary(self, data: str) -> SecretVersion:
        return SecretVersion(str(uuid.uuid4()), None, data, self._clock.time(), None)
