"""The local cloud: its servers, and the controls over what they do."""
import json
import os
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple

from .access_key import AccessKeyPair, new_access_key
from .calls import Call
from .client_key import ClientKeyFile, new_client_key
from .clock import SystemClock
from .credentials_uri.routes import PATH
from .credentials_uri.state import Source
from .faults import Fault
from .judgement import Judgement
from .keyring import IDENTITY, Owner
from .metadata.state import BOTH, LONGEST_TOKEN, V1, V2, Instance
from .oss.state import Store
from .oss.uploads import Uploads
from .secrets_manager.state import Secret, Vault
from .service import Shared
from .sts.state import OidcProvider, Roles

if TYPE_CHECKING:
    from .server import Server

SERVICES = ("secrets_manager", "dedicated", "api", "oss", "location", "sts", "metadata", "credentials_uri")

_ROLE = "local-cloud"
_CLIENT_KEY_SECONDS = 5 * 365 * 24 * 60 * 60


class LocalCloud:
    """A cloud on this machine, over HTTP on 127.0.0.1: Secrets Manager, RPC and ROA APIs, OSS, STS, instance metadata.

    Every request's signature is checked. The servers run in daemon threads from ``start`` to ``stop``.

    Example::

        with LocalCloud() as cloud:
            cloud.create_secret("app/key")
            path = cloud.write_properties(directory)
            ...
            cloud.rotate("app/key")

    Args:
        regions: with a gateway of Secrets Manager each; all have the same secrets.
        clock: for tests that move time; see ``MovableClock``.
        dedicated: names of KMS instances, with a dedicated gateway each; all have the same secrets too.
        metadata_address: host and port of the metadata service; None is a free port of 127.0.0.1. An instance has
            it at ``("100.100.100.200", 80)``, an address that the machine must then have.

    Attributes:
        identity: the application's own AccessKey; it may call GetSecretValue and STS, and nothing else.
        role_arn: of the role ``local-cloud``, which is there from the start.
        oidc_provider_arn: of the OIDC provider that all roles trust.
    """

    def __init__(self, regions: Sequence[str] = ("cn-hangzhou",), clock: Optional[SystemClock] = None,
                 dedicated: Sequence[str] = (), metadata_address: Optional[Tuple[str, int]] = None) -> None:
        if not regions or isinstance(regions, str):
            raise ValueError("regions is a sequence of at least one region id, not {!r}".format(regions))
        if isinstance(dedicated, str):
            raise ValueError("dedicated is a sequence of names, not {!r}".format(dedicated))
        self.regions = tuple(regions)
        self.dedicated = tuple(dedicated)
        self._regions: Dict[str, Sequence[Optional[str]]] = dict.fromkeys(SERVICES, (None,))
        self._regions.update(secrets_manager=self.regions, dedicated=self.dedicated)
        self._metadata_address = metadata_address
        self._clock = clock or SystemClock()
        self._shared = Shared(self._clock)
        self._vault = Vault(self._clock, self._shared.keyring)
        self._store = Store(self._clock)
        self._uploads = Uploads()
        self._roles = Roles(self._clock, self._shared.keyring)
        self._oidc_provider = OidcProvider(self._clock)
        self._instance = Instance(self._clock, _ROLE)
        self._source = Source(_ROLE)
        self._lock = threading.RLock()
        self._servers: Dict[Tuple[str, Optional[str]], Server] = {}
        self._directory: Optional[str] = None
        self._client_keys = 0
        self.identity = self.add_identity()
        self.role_arn = self.create_role(_ROLE)
        self.oidc_provider_arn = self._oidc_provider.arn

    def __repr__(self) -> str:
        state = "started" if self._servers else "stopped"
        return "LocalCloud(regions={!r}, {})".format(self.regions, state)

    def __enter__(self) -> "LocalCloud":
        self.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()

    def start(self) -> None:
        """Open all servers, each on a free port.

        Raises:
            OSError: ``metadata_address`` cannot be had.
        """
        with self._lock:
            if self._servers:
                raise RuntimeError("the local cloud is started already")
            from .certificates import ca_pem
            self._servers = self._new_servers()
            self._directory = tempfile.mkdtemp(prefix="local-cloud-")
            with open(self.ca_file, "wb") as file:
                file.write(ca_pem())
            for server in self._servers.values():
                server.open()

    def stop(self) -> None:
        """Close all sockets, end all threads, delete the CA file. Idempotent; a stopped cloud may be started again."""
        with self._lock:
            servers, self._servers = self._servers, {}
            directory, self._directory = self._directory, None
        for server in servers.values():
            server.hang_up()
        # Only now, or hanging requests would still be answered.
        self._shared.faults.clear(None, None, self._clock.monotonic())
        for server in servers.values():
            server.join()
        if directory:
            shutil.rmtree(directory, ignore_errors=True)

    # Where the services are

    @property
    def ca_file(self) -> str:
        """Path of a PEM file with the certificate of the cloud's CA."""
        if self._directory is None:
            raise RuntimeError("the local cloud is not started: use it in a with statement, or call start()")
        return os.path.join(self._directory, "ca.pem")

    def gateway_endpoint(self, region: Optional[str] = None) -> str:
        """``127.0.0.1:PORT`` of Secrets Manager's shared gateway (HTTPS only).

        Args:
            region: None is the first.
        """
        return self._server("secrets_manager", self._regions_of("secrets_manager", region)[0]).address

    def dedicated_endpoint(self, name: Optional[str] = None) -> str:
        """``127.0.0.1:PORT`` of a dedicated gateway (HTTPS only).

        Args:
            name: of the instance; None is the first.

        Raises:
            ValueError: there is no such instance.
        """
        return self._server("dedicated", self._regions_of("dedicated", name)[0]).address

    @property
    def api_endpoint(self) -> str:
        """``127.0.0.1:PORT`` of all RPC and ROA APIs and of the location service; speaks HTTP and HTTPS."""
        return self._server("api").address

    @property
    def api_https_endpoint(self) -> str:
        """The same as ``api_endpoint``, for callers that use HTTPS."""
        return self.api_endpoint

    @property
    def oss_endpoint(self) -> str:
        """``http://127.0.0.1:PORT`` of OSS (which speaks HTTPS on that port too)."""
        return "http://" + self._server("oss").address

    @property
    def sts_endpoint(self) -> str:
        """``127.0.0.1:PORT`` of STS (HTTPS only)."""
        return self._server("sts").address

    @property
    def metadata_endpoint(self) -> str:
        """``127.0.0.1:PORT`` of the instance's metadata service, or ``metadata_address``; speaks HTTP."""
        return self._server("metadata").address

    @property
    def credentials_uri(self) -> str:
        """``http://127.0.0.1:PORT/credentials``, where new temporary credentials are (by HTTPS too)."""
        return "http://{}{}".format(self._server("credentials_uri").address, PATH)

    @property
    def control_url(self) -> str:
        """``http://127.0.0.1:PORT`` of these controls over HTTP."""
        return "http://" + self._server("control").address

    def endpoints(self) -> Dict[str, Any]:
        """All addresses, by name, as the controls over HTTP and the process mode give them."""
        return {
            "regions": {region: self.gateway_endpoint(region) for region in self.regions},
            "dedicated": {name: self.dedicated_endpoint(name) for name in self.dedicated},
            "api_endpoint": self.api_endpoint,
            "api_https_endpoint": self.api_https_endpoint,
            "oss_endpoint": self.oss_endpoint,
            "sts_endpoint": self.sts_endpoint,
            "metadata_endpoint": self.metadata_endpoint,
            "credentials_uri": self.credentials_uri,
            "control_url": self.control_url,
            "ca_file": self.ca_file,
        }

    def write_properties(self, directory: Any, **more: Any) -> str:
        """Write a ``managed_credentials_providers.properties`` for this cloud.

        Args:
            directory: where; it must exist.
            more: further keys, or other values for the usual ones; None leaves a key out.

        Returns:
            The file's path.
        """
        values: Dict[str, Any] = {
            "credentials_type": "ak",
            "credentials_access_key_id": self.identity.access_key_id,
            "credentials_access_secret": self.identity.access_key_secret,
            "cache_client_region_id": json.dumps([
                {"regionId": region, "endpoint": self.gateway_endpoint(region), "caFilePath": self.ca_file}
                for region in self.regions]),
        }
        values.update(more)
        path = os.path.join(str(directory), "managed_credentials_providers.properties")
        with open(path, "w", encoding="utf-8") as file:
            for key, value in values.items():
                if value is not None:
                    file.write("{}={}\n".format(key, value))
        return path

    # Secrets and keys

    def create_secret(self, name: str, next_rotation: Optional[float] = None, token: bool = False,
                      expires_in: Optional[float] = None, secret_data: Optional[str] = None,
                      secret_type: str = "RAMCredentials") -> Secret:
        """Make a secret: a managed RAM credential with a first key, or arbitrary data.

        Args:
            name: any text; slashes are usual.
            next_rotation: seconds from now until NextRotationDate (a week if None; may be negative).
            token: whether the key is a temporary one with a SecurityToken.
            expires_in: seconds until the services no longer accept the key; then SecretData has an ExpireTimestamp.
            secret_data: arbitrary SecretData instead of a key.
            secret_type: SecretType.

        Raises:
            ValueError: the name is empty or taken.
        """
        return self._vault.create(name, next_rotation, token, expires_in, secret_data, secret_type)

    def put_secret_value(self, name: str, secret_data: str) -> None:
        """Give a secret arbitrary SecretData at once; its keys stay valid. ``rotate`` brings a key again."""
        self._vault.put_value(name, secret_data)

    def delete_secret(self, name: str) -> None:
        """Take a secret away; its keys are no longer accepted."""
        self._vault.delete(name)

    def secret(self, name: str) -> Secret:
        """A secret by name.

        Raises:
            KeyError: there is none.
        """
        return self._vault.find(name)

    def rotate(self, name: str, grace: float = 0.0, propagation: float = 0.0, publish_delay: float = 0.0,
               token: Optional[bool] = None, expires_in: Optional[float] = None,
               next_rotation: Optional[float] = None) -> AccessKeyPair:
        """Replace a secret's key.

        Args:
            name: of the secret.
            grace: seconds the old keys live on in the services.
            propagation: seconds until the services know the new key.
            publish_delay: seconds until GetSecretValue gives the new key.
            token: whether the new key has a SecurityToken; None as the old one.
            expires_in: seconds until the services no longer accept the new key; None as the secret was created.
            next_rotation: seconds from now until NextRotationDate (a week if None).

        Returns:
            The new key.

        Raises:
            KeyError: there is no such secret.
            ValueError: it never had a key.
        """
        return self._vault.rotate(name, grace, propagation, publish_delay, token, expires_in, next_rotation)

    def rollback(self, name: str, grace: float = 0.0) -> AccessKeyPair:
        """Make the previous version ACSCurrent again, and its key valid again in the services.

        Args:
            grace: seconds the key rolled back from lives on in the services.

        Returns:
            The key that is current now.

        Raises:
            ValueError: there is no previous key.
        """
        return self._vault.rollback(name, grace)

    def add_identity(self, token: bool = False) -> AccessKeyPair:
        """Make another key that may call GetSecretValue and STS.

        Args:
            token: whether it is a temporary one with a SecurityToken.
        """
        pair = new_access_key(token)
        self._shared.keyring.add(pair, Owner(IDENTITY), self._clock.monotonic())
        return pair

    def disable_key(self, access_key_id: str) -> None:
        """Switch a key off: the services refuse it as inactive."""
        self._shared.keyring.disable(access_key_id, self._clock.monotonic())

    def enable_key(self, access_key_id: str) -> None:
        """Switch a disabled key on again."""
        self._shared.keyring.enable(access_key_id, self._clock.monotonic())

    # Other identities

    def create_client_key(self, directory: Any, password: str, valid: Optional[float] = None) -> ClientKeyFile:
        """Make a client key, which may call GetSecretValue on all gateways, shared and dedicated.

        Args:
            directory: where its file is written; it must exist.
            password: of the private key in the file.
            valid: seconds from now until it ends (five years if None); may be negative.

        Returns:
            Path and KeyId.
        """
        seconds = _CLIENT_KEY_SECONDS if valid is None else valid
        now = self._clock.time()
        with self._lock:
            self._client_keys += 1
            nth = self._client_keys
        file, public_key = new_client_key(directory, nth, password, now, now + seconds)
        started = self._clock.monotonic()
        self._shared.keyring.add_client_key(file.key_id, public_key, started, started + seconds)
        return file

    def revoke_client_key(self, key_id: str) -> None:
        """Let the gateways forget a client key."""
        self._shared.keyring.end(key_id, self._clock.monotonic())

    def create_role(self, name: str, external_id: Optional[str] = None, max_session_seconds: int = 3600,
                    may_read_secrets: bool = True) -> str:
        """Make a RAM role, which every identity, every role and the OIDC provider may assume.

        Args:
            name: of the role.
            external_id: which AssumeRole must name.
            max_session_seconds: the longest session, 900 to 43200.
            may_read_secrets: whether its temporary credentials may call GetSecretValue.

        Returns:
            Its ARN.

        Raises:
            ValueError: the name is taken, or ``max_session_seconds`` cannot be.
        """
        return self._roles.create(name, external_id, max_session_seconds, may_read_secrets).arn

    def revoke_temporary_credentials(self) -> None:
        """Let the services refuse the token of all credentials given out so far for roles, before they end."""
        self._roles.revoke()

    def oidc_token(self, expires_in: float = 3600.0) -> str:
        """A new token of the OIDC provider.

        Args:
            expires_in: seconds until it ends; may be negative.
        """
        return self._oidc_provider.issue(expires_in)

    def revoke_oidc_token(self, token: str) -> None:
        """Let STS refuse a token of the OIDC provider.

        Raises:
            ValueError: it is none, or is revoked already.
        """
        self._oidc_provider.revoke(token)

    def set_metadata(self, mode: str = BOTH, role: Optional[str] = _ROLE, expires_in: float = LONGEST_TOKEN) -> None:
        """Say how the metadata service answers, until said otherwise.

        Args:
            mode: ``v1``: there are no tokens; ``v2``: requests without one are refused; ``v1 and v2``: either way.
            role: name of the instance's role; None where it has none.
            expires_in: seconds until the credentials given out from now on end.

        Raises:
            ValueError: there is no such mode.
            KeyError: there is no such role.
        """
        if mode not in (V1, V2, BOTH):
            raise ValueError("the modes are {}, {} and {}, not {!r}".format(V1, V2, BOTH, mode))
        if role is not None:
            self._roles.find(role)
        self._instance.mode, self._instance.role, self._instance.expires_in = mode, role, expires_in

    def set_credentials_uri(self, role: str = _ROLE, expires_in: float = 3600.0) -> None:
        """Say what the credentials URI gives out, until said otherwise.

        Args:
            role: name of the role whose credentials they are.
            expires_in: seconds until they end.

        Raises:
            KeyError: there is no such role.
        """
        self._roles.find(role)
        self._source.role, self._source.expires_in = role, expires_in

    # OSS

    def create_bucket(self, name: str) -> None:
        """Make a bucket, which all managed keys may use.

        Raises:
            ValueError: the name is taken.
        """
        self._store.create_bucket(name)

    def object(self, bucket: str, key: str) -> bytes:
        """What is stored.

        Raises:
            KeyError: no such bucket or object.
        """
        content = self._store.content(bucket, key)
        return content.read(0, content.size)

    def object_sha256(self, bucket: str, key: str) -> str:
        """The SHA-256 of what is stored, in hexadecimal, without having it all in memory.

        Raises:
            KeyError: no such bucket or object.
        """
        return self._store.content(bucket, key).sha256()

    def refuse_uploads(self, how: str = "after the body", recheck: bool = False) -> None:
        """Say how OSS refuses a request with a body whose key or signature it does not accept, until said otherwise.

        Nothing of a refused request is ever stored. Other errors, and requests without a body, are answered as usual.

        Args:
            how: ``after the body``: it is read to its end, then answered, and the connection lives on.
                ``closed``: answered at once; the body is not read, the connection is closed (a RST may follow).
                ``drained``: answered at once; the body is read to its end, and the connection lives on.
                ``half-closed``: answered at once and closed in that direction; the body is read for a while still
                (until it ends, nothing comes for 5 s, or 30 s are over), then all is closed.
                ``without an answer``: the connection is closed at once, the body not read.
            recheck: check the key at the end of the body again, before anything is stored. OSS does not; a key that
                ceased to be valid meanwhile is refused then (``without an answer``, or with one).

        Raises:
            ValueError: there is no such way.
        """
        self._uploads.refuse(how, recheck)

    def when_received(self, received: int, action: Callable[[], Any]) -> None:
        """Have something done, once, in the middle of an upload.

        Example::

            cloud.when_received(1024, lambda: cloud.rotate("app/key"))

        Args:
            received: how many bytes of a request's body OSS has got, exactly, when it is done; 0 is when the headers
                have come and the key has been checked. The next body that is so long counts, and what is read of a
                refused one too.
            action: called in the server's thread, which reads on only then.

        Raises:
            ValueError: ``received`` is negative.
        """
        self._uploads.when_received(received, action)

    # Faults

    def inject(self, service: str, fault: Fault, region: Optional[str] = None, times: Optional[int] = None) -> None:
        """Let a service have a fault.

        Where it has several, the first injected acts first; one without ``times`` acts until it is cleared.

        Args:
            service: ``secrets_manager``, ``dedicated``, ``api``, ``oss``, ``location``, ``sts``, ``metadata`` or
                ``credentials_uri``.
            region: of Secrets Manager, or name of an instance with a dedicated gateway; None is all.
            times: how many requests meet it, all regions together; None is all until it is cleared.

        Raises:
            ValueError: there is no such service or region, or the service cannot have that fault.
        """
        regions = self._regions_of(service, region)
        if times is not None and times < 1:
            raise ValueError("times is 1 or more, or None for all requests, not {!r}".format(times))
        if fault.of_server and times is not None:
            raise ValueError("{} meets connections, not requests: it cannot be counted, leave times out".format(
                fault.kind))
        if fault.of_server and service == "location":
            raise ValueError("location shares its address with api: inject {} there".format(fault.kind))
        with self._lock:
            self._shared.faults.inject(fault, service, regions, times, self._clock.monotonic())
            if fault.of_server:
                self._settle(service, regions)

    def clear(self, service: Optional[str] = None, region: Optional[str] = None) -> None:
        """End faults and let hanging requests go.

        Args:
            service: None is all.
            region: of Secrets Manager, or name of an instance with a dedicated gateway; None is all.

        Raises:
            ValueError: there is no such service or region.
        """
        with self._lock:
            if service is None:
                places = [(name, where) for name, regions in self._regions.items() for where in regions
                          if region in (None, where)]
            else:
                places = [(service, where) for where in self._regions_of(service, region)]
            if not places:
                raise ValueError("no region {!r}; there are {}".format(
                    region, ", ".join(self.regions + self.dedicated)))
            down = [(name, where) for name, where in places if self._shared.faults.of_server(name, where)]
            self._shared.faults.clear(service, region, self._clock.monotonic())
            for name, where in down:
                self._settle(name, [where])

    # What happened

    def calls(self, service: Optional[str] = None, action: Optional[str] = None, region: Optional[str] = None,
              secret: Optional[str] = None, since: Optional[float] = None) -> List[Call]:
        """The requests that reached the cloud and match everything given, newest last.

        Args:
            since: monotonic seconds; only calls that started then or later.
        """
        return self._shared.log.select(service, action, region, secret, since)

    def could_have_succeeded(self, name: str, started: float, ended: float, cool_down: float = 0.0,
                             steady: float = 0.0) -> bool:
        """Whether a call with a secret's key could have succeeded, from the cloud's own log.

        It could if at some moment from ``started`` to ``ended`` the services accepted a key that Secrets Manager had
        already answered (so that the process held it), or would have given: the key is what GetSecretValue gives at
        that moment, and at least one gateway, shared or dedicated, has no fault then.

        Args:
            name: of the secret.
            started: when the call began, monotonic seconds of the cloud's clock.
            ended: when it failed.
            cool_down: seconds. If positive, "would have given" does not count during a request for this secret that
                Secrets Manager failed (an error, a hang, no answer) or answered with a key that the services did not
                accept then, nor within that time after it, for the process does not ask again that soon; a good
                answer ends the wait. A refused connection (or certificate) leaves no record: one is taken to have
                been refused just before such a fault ended.
            steady: seconds. A moment counts only if it could have succeeded all that time before and after it too: on
                a busy machine requests and answers are on their way meanwhile.

        Raises:
            KeyError: there is no such secret.
        """
        if ended < started:
            raise ValueError("the call ended ({}) before it started ({})".format(ended, started))
        gateways = [(service, region) for service in ("secrets_manager", "dedicated")
                    for region in self._regions[service]]
        return Judgement(self._shared, self.secret(name), gateways, cool_down).at_some_moment(started, ended, steady)

    def _new_servers(self) -> "Dict[Tuple[str, Optional[str]], Server]":
        # Only here: whoever imports the package for its names (pytest, at every start) needs no HTTP server.
        from .business_api.responses import BusinessApi
        from .certificates import server_context
        from .control.responses import Control
        from .credentials_uri.responses import CredentialsUri
        from .dedicated_gateway.responses import DedicatedGateway
        from .metadata.responses import Metadata
        from .oss.responses import Oss
        from .secrets_manager.responses import SecretsManager
        from .server import HOST, Server
        from .sts.responses import Sts
        shared, context = self._shared, server_context()
        servers: Dict[Tuple[str, Optional[str]], Server] = {}
        # First, for its address may not be free.
        servers["metadata", None] = Server(Metadata(shared, self._roles, self._instance), context,
                                           address=self._metadata_address or (HOST, 0))
        for region in self.regions:
            servers["secrets_manager", region] = Server(SecretsManager(shared, self._vault, region), context,
                                                        tls_only=True)
        for name in self.dedicated:
            servers["dedicated", name] = Server(DedicatedGateway(shared, self._vault, name), context, tls_only=True)
        servers["sts", None] = Server(Sts(shared, self._roles, self._oidc_provider), context, tls_only=True)
        servers["credentials_uri", None] = Server(CredentialsUri(shared, self._roles, self._source), context)
        servers["api", None] = Server(BusinessApi(shared, lambda: self.api_endpoint), context)
        servers["oss", None] = Server(Oss(shared, self._store, self.regions, self._uploads), context)
        servers["control", None] = Server(Control(self), context)
        return servers

    def _server(self, service: str, region: Optional[str] = None) -> "Server":
        try:
            return self._servers[service, region]
        except KeyError:
            raise RuntimeError("the local cloud is not started: use it in a with statement, or call start()") from None

    def _regions_of(self, service: str, region: Optional[str]) -> List[Optional[str]]:
        if service not in SERVICES:
            raise ValueError("no service {!r}; there are {}".format(service, ", ".join(SERVICES)))
        regions = self._regions[service]
        if not regions:
            raise ValueError("there is no dedicated gateway: name its instance with LocalCloud(dedicated=...)")
        if region is None:
            return list(regions)
        if None in regions:
            raise ValueError("{} has no regions here: leave region out".format(service))
        if region not in regions:
            raise ValueError("no region {!r}; there are {}".format(region, ", ".join(map(str, regions))))
        return [region]

    def _settle(self, service: str, regions: Sequence[Optional[str]]) -> None:
        """Bring listening sockets into the state that the faults in force ask for."""
        from .certificates import server_context
        for region in regions:
            server = self._server(service, region)
            kinds = self._shared.faults.of_server(service, region)
            server.close()
            if "refuse" not in kinds:
                server.open(server_context(kinds[0][:-len("_certificate")]) if kinds else None)
