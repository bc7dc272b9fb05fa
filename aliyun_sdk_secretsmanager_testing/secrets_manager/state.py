"""The secrets, their versions, and when ``GetSecretValue`` answers which version."""
import json
import math
import uuid
from typing import Dict, List, NamedTuple, Optional, Tuple

from ..access_key import AccessKeyPair, masked, new_access_key
from ..clock import SystemClock, utc
from ..guarded import Guarded
from ..keyring import MANAGED, Keyring, Owner

ROTATION_INTERVAL_SECONDS = 604800


class SecretVersion(NamedTuple):
    """One version of a secret.

    Attributes:
        version_id: VersionId.
        access_key: the key in it; None for other data.
        data: SecretData.
        created: seconds since 1970.
        next_rotation: NextRotationDate in seconds since 1970; None where it is not rotated.
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
    """A secret and all its versions.

    Attributes:
        name: SecretName.
        secret_type: SecretType; ``RAMCredentials`` for managed keys.
        created: seconds since 1970.
    """

    def __init__(self, name: str, secret_type: str, clock: SystemClock) -> None:
        self.name = name
        self.secret_type = secret_type
        self.created = clock.time()
        self._clock = clock
        # From the first number of a pair on, in monotonic seconds, its version is current.
        self._published: List[Tuple[float, SecretVersion]] = []
        self._versions: List[SecretVersion] = []

    def __repr__(self) -> str:
        return "Secret({!r}, {} versions)".format(self.name, len(self._versions))

    @property
    def versions(self) -> Tuple[SecretVersion, ...]:
        """All versions, the oldest first."""
        return tuple(self._versions)

    @property
    def current(self) -> AccessKeyPair:
        """The key that GetSecretValue answers now.

        Raises:
            ValueError: the secret has other data than a key.
        """
        key = self.given().access_key
        if key is None:
            raise ValueError("the secret {!r} holds arbitrary data, no managed AccessKey".format(self.name))
        return key

    def given(self, at: Optional[float] = None) -> SecretVersion:
        """Return the version with the stage ACSCurrent.

        Args:
            at: when, in monotonic seconds; None is now.
        """
        return self._published_by(self._clock.monotonic() if at is None else at)[-1]

    def given_key(self, at: float) -> Optional[str]:
        """Return the id of the key that GetSecretValue answers at a time; None where it answers none."""
        published = self._published_by(at)
        key = published[-1].access_key if published else None
        return key.access_key_id if key else None

    def previous(self) -> Optional[SecretVersion]:
        """Return the version with the stage ACSPrevious; None where there is none."""
        published = self._published_by(self._clock.monotonic())
        return published[-2] if len(published) > 1 else None

    def version(self, stage: str, version_id: str) -> Optional[SecretVersion]:
        """Return the version that a request asks for; None where there is none.

        Args:
            stage: VersionStage; empty is ACSCurrent.
            version_id: VersionId; empty is the version with the stage.
        """
        if version_id:
            return next((version for version in self._versions if version.version_id == version_id), None)
        if stage in ("", "ACSCurrent"):
            return self.given()
        return self.previous() if stage == "ACSPrevious" else None

    def stages(self, version: SecretVersion) -> List[str]:
        """Return the stages of a version."""
        staged = {"ACSCurrent": self.given(), "ACSPrevious": self.previous()}
        return [stage for stage, its in staged.items() if its is version]

    def changes(self) -> List[float]:
        """Return when GetSecretValue began to answer another version, in monotonic seconds."""
        return [moment for moment, _ in self._published]

    def publish(self, version: SecretVersion, at: float) -> None:
        """Make a version current from a time on.

        Of several versions whose time has come, the one that was published last is current.

        Args:
            version: the version.
            at: monotonic seconds.
        """
        if version not in self._versions:
            self._versions.append(version)
        self._published.append((at, version))

    def _published_by(self, at: float) -> List[SecretVersion]:
        return [version for moment, version in self._published if moment <= at]


class Vault(Guarded):
    """All secrets of a cloud. It adds their keys to the keyring and ends them there."""

    def __init__(self, clock: SystemClock, keyring: Keyring) -> None:
        super().__init__()
        self._clock = clock
        self._keyring = keyring
        self._secrets: Dict[str, Secret] = {}
        self._expires_in: Dict[str, Optional[float]] = {}

    def find(self, name: str) -> Secret:
        """Return a secret by its name.

        Raises:
            KeyError: there is no such secret.
        """
        with self.lock:
            try:
                return self._secrets[name]
            except KeyError:
                raise KeyError("no secret {!r}; there are {}".format(name, sorted(self._secrets) or "none")) from None

    def all(self) -> List[Secret]:
        """Return all secrets, the oldest first."""
        with self.lock:
            return list(self._secrets.values())

    def create(self, name: str, next_rotation: Optional[float] = None, token: bool = False,
               expires_in: Optional[float] = None, secret_data: Optional[str] = None,
               secret_type: str = "RAMCredentials") -> Secret:
        """Make a secret; see ``LocalCloud.create_secret``."""
        if not name:
            raise ValueError("a secret needs a name")
        with self.lock:
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
        """Give a secret other data than a key; see ``LocalCloud.put_secret_value``."""
        with self.lock:
            self.find(name).publish(self._arbitrary(secret_data), self._clock.monotonic())

    def delete(self, name: str) -> None:
        """Delete a secret, and make its keys invalid."""
        with self.lock:
            self.find(name)
            self._keyring.end(self._keyring.of_secret(name), self._clock.monotonic())
            del self._secrets[name]

    def rotate(self, name: str, grace: float = 0.0, propagation: float = 0.0, publish_delay: float = 0.0,
               token: Optional[bool] = None, expires_in: Optional[float] = None,
               next_rotation: Optional[float] = None) -> AccessKeyPair:
        """Replace the key of a secret; see ``LocalCloud.rotate``."""
        _check_not_negative(grace=grace, propagation=propagation, publish_delay=publish_delay)
        with self.lock:
            secret = self.find(name)
            newest = self._newest_key(secret)
            now = self._clock.monotonic()
            if expires_in is None:
                expires_in = self._expires_in[name]
            wanted = newest.security_token is not None if token is None else token
            old_keys = self._keyring.of_secret(name)
            version = self._new_version(name, wanted, expires_in, next_rotation, now + propagation)
            self._keyring.end(old_keys, now + grace)
            secret.publish(version, now + publish_delay)
            assert version.access_key is not None  # nosec B101  # for the type checker
            return version.access_key

    def rollback(self, name: str, grace: float = 0.0) -> AccessKeyPair:
        """Make the previous version current again; see ``LocalCloud.rollback``."""
        _check_not_negative(grace=grace)
        with self.lock:
            secret = self.find(name)
            previous = secret.previous()
            if previous is None or previous.access_key is None:
                raise ValueError("the secret {!r} has no previous AccessKey to go back to".format(name))
            now = self._clock.monotonic()
            self._keyring.end(self._keyring.of_secret(name), now + grace)
            self._keyring.revive(previous.access_key.access_key_id, now)
            secret.publish(previous, now)
            return previous.access_key

    def disable(self, name: str, version_id: str = "") -> AccessKeyPair:
        """Disable the key of a version, which is returned: the services reject it as inactive.

        Args:
            name: the name of the secret.
            version_id: VersionId; empty is the current version.

        Raises:
            KeyError: there is no such secret.
            ValueError: there is no such version, or it has no key.
        """
        key = self._key(name, version_id)
        self._keyring.disable(key.access_key_id, self._clock.monotonic())
        return key

    def enable(self, name: str, version_id: str = "") -> AccessKeyPair:
        """Enable a disabled key again; arguments, result and errors are those of ``disable``."""
        key = self._key(name, version_id)
        self._keyring.enable(key.access_key_id, self._clock.monotonic())
        return key

    def _key(self, name: str, version_id: str) -> AccessKeyPair:
        version = self.find(name).version("", version_id)
        if version is None or version.access_key is None:
            raise ValueError("the secret {!r} has no AccessKey in its version {!r}".format(
                name, version_id or "ACSCurrent"))
        return version.access_key

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
        value = {"AccessKeyId": pair.access_key_id, "AccessKeySecret": pair.access_key_secret}
        if pair.security_token is not None:
            value["SecurityToken"] = pair.security_token
        if expires_in is not None:
            value.update(GenerateTimestamp=utc(now), ExpireTimestamp=utc(now + expires_in))
        due = ROTATION_INTERVAL_SECONDS if next_rotation is None else next_rotation
        expires = math.inf if expires_in is None else self._clock.monotonic() + expires_in
        self._keyring.add(pair, Owner(MANAGED, name), valid_from, expires)
        return SecretVersion(str(uuid.uuid4()), pair, json.dumps(value), now, now + due)

    def _arbitrary(self, data: str) -> SecretVersion:
        return SecretVersion(str(uuid.uuid4()), None, data, self._clock.time(), None)


def _check_not_negative(**seconds: float) -> None:
    for name, value in seconds.items():
        if not value >= 0:  # NaN is refused too
            raise ValueError("{} must be 0 seconds or more, not {!r}".format(name, value))
