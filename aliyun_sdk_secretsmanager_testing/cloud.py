"""``LocalCloud``: everything in the local cloud, and the methods by which tests control it."""
import importlib
import itertools
import json
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Sequence, Tuple

from .access_key import AccessKeyPair, new_access_key
from .calls import Call
from .certificates import server_context
from .client_key import ClientKeyFile, new_client_key
from .clock import SystemClock
from .console.routes import PAGE
from .credentials_uri.routes import PATH
from .credentials_uri.state import Source
from .faults import Fault
from .home import NAMES, AtHome, host_name
from .judgement import Judgement
from .keyring import IDENTITY, Owner
from .metadata.routes import ADDRESS
from .metadata.state import BOTH, LONGEST_TOKEN, V1, V2, Instance
from .network import Network
from .oss.state import Store
from .oss.uploads import Uploads
from .secrets_manager.state import Secret, Vault
from .service import Shared
from .sts.state import OidcProvider, Roles

if TYPE_CHECKING:
    from .server import Server

# The modules of the extra "testing", which are imported when the servers start, or later.
_EXTRA = ("cheroot.server", "crcmod", "trustme")

_ROLE = "local-cloud"
_CLIENT_KEY_SECONDS = 5 * 365 * 24 * 60 * 60


class LocalCloud:
    """A cloud on this machine, over HTTP on 127.0.0.1: Secrets Manager, RPC and ROA APIs, OSS, STS, instance metadata.

    The signature of every request is checked, and its nonce must be new. The servers run in daemon threads from
    ``start`` to ``stop``.

    Example::

        with LocalCloud() as cloud:
            cloud.create_secret("app/key")
            path = cloud.write_properties(directory)
            ...
            cloud.rotate("app/key")

    Args:
        regions: the regions of Secrets Manager. Each has a shared gateway, and all have the same secrets.
        clock: the clock of the cloud; a ``MovableClock`` for tests that move time.
        dedicated: the names of KMS instances. Each has a dedicated gateway, with the same secrets.
        metadata_address: host and port of the metadata service; None is a free port of ``host``. On an ECS instance it
            is ``("100.100.100.200", 80)``, which works here only if the machine has that address.
        host: the address to listen at; ``0.0.0.0`` or ``::`` is every address of the machine. Whoever reaches it can
            read all secrets of this cloud and control it.
        allow_hosts: further names and addresses of this machine. Certificates are valid for them, too. Requests to the
            controls, the metadata service and the credentials URI are refused (403) if they name another host, or
            come from a web page of another host or port.

    Attributes:
        identity: the AccessKey of the application. It may call GetSecretValue and STS, and nothing else.
        role_arn: the ARN of the role ``local-cloud``, which exists from the start.
        oidc_provider_arn: the ARN of the OIDC provider, which all roles trust.

    Raises:
        ImportError: the extra ``testing`` is not installed.
        ValueError: an argument cannot be used.
    """

    def __init__(self, regions: Sequence[str] = ("cn-hangzhou",), clock: Optional[SystemClock] = None,
                 dedicated: Sequence[str] = (), metadata_address: Optional[Tuple[str, int]] = None,
                 host: str = "127.0.0.1", allow_hosts: Sequence[str] = ()) -> None:
        if not regions or isinstance(regions, str):
            raise ValueError("regions is a sequence of at least one region id, not {!r}".format(regions))
        if isinstance(dedicated, str):
            raise ValueError("dedicated is a sequence of names, not {!r}".format(dedicated))
        if isinstance(allow_hosts, str):
            raise ValueError("allow_hosts is a sequence of names, not {!r}".format(allow_hosts))
        _require_extra()
        self.regions = tuple(regions)
        self.dedicated = tuple(dedicated)
        self._host = host_name(host)
        self._metadata_address = metadata_address or (self._host, 0)
        self._names = tuple(dict.fromkeys(NAMES + (self._host,) + tuple(host_name(name) for name in allow_hosts)))
        self._clock = clock or SystemClock()
        self._shared = Shared(self._clock)
        self._network = Network(self._shared, self.regions, self.dedicated, self._names)
        self._vault = Vault(self._clock, self._shared.keyring)
        self._store = Store(self._clock)
        self._uploads = Uploads()
        self._roles = Roles(self._clock, self._shared.keyring)
        self._oidc_provider = OidcProvider(self._clock)
        self._instance = Instance(self._clock, _ROLE)
        self._source = Source(_ROLE)
        self._client_keys = itertools.count(1)
        self.identity = self.add_identity()
        self.role_arn = self.create_role(_ROLE)
        self.oidc_provider_arn = self._oidc_provider.arn

    def __repr__(self) -> str:
        state = "started" if self._network.is_open else "stopped"
        return "LocalCloud(regions={!r}, {})".format(self.regions, state)

    def __enter__(self) -> "LocalCloud":
        self.start()
        return self

    def __exit__(self, *exc: Any) -> None:
        self.stop()

    def start(self) -> None:
        """Start all servers, each on a free port.

        Raises:
            OSError: nobody can listen at ``host`` or ``metadata_address``.
            RuntimeError: the cloud is started already.
            ValueError: no certificate can be made for one of the names.
        """
        self._network.open(self._new_servers)

    def stop(self) -> None:
        """Close all sockets, end all threads and delete the CA file. A stopped cloud can be started again."""
        self._network.close()

    @property
    def ca_file(self) -> str:
        """The path of a PEM file with the certificate of the cloud's CA."""
        return self._network.ca_file

    def gateway_endpoint(self, region: Optional[str] = None) -> str:
        """Return ``127.0.0.1:PORT`` of a shared gateway of Secrets Manager, which speaks HTTPS.

        Args:
            region: the region; None is the first.

        Raises:
            ValueError: there is no such region.
        """
        return self._network.address("secrets_manager", region)

    def dedicated_endpoint(self, name: Optional[str] = None) -> str:
        """Return ``127.0.0.1:PORT`` of a dedicated gateway, which speaks HTTPS.

        Args:
            name: the name of the KMS instance; None is the first.

        Raises:
            ValueError: there is no such instance.
        """
        return self._network.address("dedicated", name)

    @property
    def api_endpoint(self) -> str:
        """``127.0.0.1:PORT`` of all RPC and ROA APIs and of the location service; HTTP and HTTPS."""
        return self._network.address("api")

    @property
    def api_https_endpoint(self) -> str:
        """The same as ``api_endpoint``, for callers that use HTTPS."""
        return self.api_endpoint

    @property
    def oss_endpoint(self) -> str:
        """``http://127.0.0.1:PORT`` of OSS; HTTPS works on that port, too."""
        return "http://" + self._network.address("oss")

    @property
    def sts_endpoint(self) -> str:
        """``127.0.0.1:PORT`` of STS, which speaks HTTPS."""
        return self._network.address("sts")

    @property
    def metadata_endpoint(self) -> str:
        """``127.0.0.1:PORT`` of the instance's metadata service, or ``metadata_address``; HTTP."""
        return self._network.address("metadata")

    @property
    def credentials_uri(self) -> str:
        """``http://127.0.0.1:PORT/credentials``, which gives new temporary credentials; HTTPS works, too."""
        return "http://{}{}".format(self._network.address("credentials_uri"), PATH)

    @property
    def control_url(self) -> str:
        """``http://127.0.0.1:PORT`` of the controls over HTTP."""
        return "http://" + self._network.control_address

    @property
    def console_url(self) -> str:
        """``http://127.0.0.1:PORT/console/`` of a page that shows this cloud, for a browser."""
        return self.control_url + PAGE

    def endpoints(self) -> Dict[str, Any]:
        """Return all addresses by name, as the controls over HTTP and the process mode show them."""
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
            "console_url": self.console_url,
            "ca_file": self.ca_file,
        }

    def write_properties(self, directory: Any, **more: Any) -> str:
        """Write a ``managed_credentials_providers.properties`` for this cloud.

        Args:
            directory: the directory to write it in, which must exist.
            more: further keys, or other values of the usual ones; None leaves a key out.

        Returns:
            The path of the file.
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

    def create_secret(self, name: str, next_rotation: Optional[float] = None, token: bool = False,
                      expires_in: Optional[float] = None, secret_data: Optional[str] = None,
                      secret_type: str = "RAMCredentials") -> Secret:
        """Make a secret: a managed RAM credential with a first key, or other data.

        Args:
            name: any text; slashes are usual.
            next_rotation: seconds from now until NextRotationDate, which may be negative; None is a week.
            token: whether the key is a temporary one, with a SecurityToken.
            expires_in: seconds until the services reject the key. SecretData then has an ExpireTimestamp.
            secret_data: SecretData instead of a key.
            secret_type: SecretType.

        Returns:
            The secret.

        Raises:
            ValueError: the name is empty or taken.
        """
        return self._vault.create(name, next_rotation, token, expires_in, secret_data, secret_type)

    def put_secret_value(self, name: str, secret_data: str) -> None:
        """Give a secret other SecretData than a key, at once. Its keys stay valid, and ``rotate`` makes a new one.

        Args:
            name: the name of the secret.
            secret_data: the new SecretData.

        Raises:
            KeyError: there is no such secret.
        """
        self._vault.put_value(name, secret_data)

    def delete_secret(self, name: str) -> None:
        """Delete a secret; the services reject its keys from now on.

        Raises:
            KeyError: there is no such secret.
        """
        self._vault.delete(name)

    def secret(self, name: str) -> Secret:
        """Return a secret by its name.

        Raises:
            KeyError: there is no such secret.
        """
        return self._vault.find(name)

    def rotate(self, name: str, grace: float = 0.0, propagation: float = 0.0, publish_delay: float = 0.0,
               token: Optional[bool] = None, expires_in: Optional[float] = None,
               next_rotation: Optional[float] = None) -> AccessKeyPair:
        """Replace the key of a secret.

        Args:
            name: the name of the secret.
            grace: seconds for which the services go on accepting the old keys.
            propagation: seconds until the services accept the new key.
            publish_delay: seconds until GetSecretValue answers the new key.
            token: whether the new key has a SecurityToken; None is as before.
            expires_in: seconds until the services reject the new key; None is what the secret was made with.
            next_rotation: seconds from now until NextRotationDate; None is a week.

        Returns:
            The new key.

        Raises:
            KeyError: there is no such secret.
            ValueError: it never had a key, or ``grace``, ``propagation`` or ``publish_delay`` is negative.
        """
        return self._vault.rotate(name, grace, propagation, publish_delay, token, expires_in, next_rotation)

    def accepts(self, key: AccessKeyPair) -> bool:
        """Whether the services accept a key now."""
        return self._shared.keyring.accepted(key.access_key_id, self._clock.monotonic())

    def rollback(self, name: str, grace: float = 0.0) -> AccessKeyPair:
        """Make the previous version ACSCurrent again. The services accept its key again.

        Args:
            name: the name of the secret.
            grace: seconds for which the services go on accepting the other keys.

        Returns:
            The key that is current now.

        Raises:
            KeyError: there is no such secret.
            ValueError: there is no previous key, or ``grace`` is negative.
        """
        return self._vault.rollback(name, grace)

    def add_identity(self, token: bool = False) -> AccessKeyPair:
        """Make one more AccessKey that may call GetSecretValue and STS.

        Args:
            token: whether it is a temporary one, with a SecurityToken.
        """
        pair = new_access_key(token)
        self._shared.keyring.add(pair, Owner(IDENTITY), self._clock.monotonic())
        return pair

    def disable_key(self, access_key_id: str) -> None:
        """Disable a key: the services reject it as inactive."""
        self._shared.keyring.disable(access_key_id, self._clock.monotonic())

    def enable_key(self, access_key_id: str) -> None:
        """Enable a disabled key."""
        self._shared.keyring.enable(access_key_id, self._clock.monotonic())

    def create_client_key(self, directory: Any, password: str, valid: Optional[float] = None) -> ClientKeyFile:
        """Make a client key, which may call GetSecretValue on all gateways, shared and dedicated.

        Args:
            directory: the directory to write its file in, which must exist.
            password: the password of the private key in the file.
            valid: seconds from now until its certificate expires, which may be negative; None is five years.

        Returns:
            The path of the file, and the KeyId.
        """
        seconds = _CLIENT_KEY_SECONDS if valid is None else valid
        now = self._clock.time()
        file, public_key = new_client_key(directory, next(self._client_keys), password, now, now + seconds)
        started = self._clock.monotonic()
        self._shared.keyring.add_client_key(file.key_id, public_key, started, started + seconds)
        return file

    def revoke_client_key(self, key_id: str) -> None:
        """Delete a client key: the gateways reject it from now on."""
        self._shared.keyring.end([key_id], self._clock.monotonic())

    def create_role(self, name: str, external_id: Optional[str] = None, max_session_seconds: int = 3600,
                    may_read_secrets: bool = True) -> str:
        """Make a RAM role. Every identity, every role and the OIDC provider may assume it.

        Args:
            name: the name of the role.
            external_id: the ExternalId that AssumeRole must name; None asks for none.
            max_session_seconds: seconds of the longest session, 900 to 43200.
            may_read_secrets: whether its temporary credentials may call GetSecretValue.

        Returns:
            The ARN of the role.

        Raises:
            ValueError: the name is taken, or ``max_session_seconds`` is out of range.
        """
        return self._roles.create(name, external_id, max_session_seconds, may_read_secrets).arn

    def revoke_temporary_credentials(self) -> None:
        """Make the services reject the temporary credentials of all roles that were issued so far."""
        self._roles.revoke()

    def oidc_token(self, expires_in: float = 3600.0) -> str:
        """Return a new token of the OIDC provider.

        Args:
            expires_in: seconds until it expires, which may be negative.
        """
        return self._oidc_provider.issue(expires_in)

    def revoke_oidc_token(self, token: str) -> None:
        """Make STS reject a token of the OIDC provider.

        Raises:
            ValueError: it is no token of the provider, or is revoked already.
        """
        self._oidc_provider.revoke(token)

    def set_metadata(self, mode: str = BOTH, role: Optional[str] = _ROLE, expires_in: float = LONGEST_TOKEN) -> None:
        """Set how the metadata service answers from now on.

        Args:
            mode: ``v1``: there are no tokens; ``v2``: a request without a token is refused; ``v1 and v2``: both work.
            role: the name of the instance's role; None where it has none.
            expires_in: seconds until the credentials expire that are issued from now on.

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
        """Set which credentials the credentials URI gives from now on.

        Args:
            role: the name of their role.
            expires_in: seconds until they expire.

        Raises:
            KeyError: there is no such role.
        """
        self._roles.find(role)
        self._source.role, self._source.expires_in = role, expires_in

    def create_bucket(self, name: str) -> None:
        """Make a bucket, which the keys of all secrets may use.

        Raises:
            ValueError: the name is taken, or is no name of a bucket.
        """
        self._store.create_bucket(name)

    def object(self, bucket: str, key: str) -> bytes:
        """Return the content of an object.

        Args:
            bucket: the name of the bucket.
            key: the name of the object.

        Raises:
            KeyError: there is no such bucket or object.
        """
        content = self._store.content(bucket, key)
        return content.read(0, content.size)

    def object_sha256(self, bucket: str, key: str) -> str:
        """Return the SHA-256 of an object in hexadecimal, without holding the whole object in memory.

        Args:
            bucket: the name of the bucket.
            key: the name of the object.

        Raises:
            KeyError: there is no such bucket or object.
        """
        return self._store.content(bucket, key).sha256()

    def refuse_uploads(self, how: str = "after the body", recheck: bool = False) -> None:
        """Set how OSS refuses a request with a body whose key or signature it does not accept, from now on.

        Nothing of a refused request is stored. Other errors, and requests without a body, are answered as usual.

        Args:
            how: ``after the body``: OSS reads the body to its end, then answers; the connection stays open.
                ``closed``: it answers at once, does not read the body, and closes the connection (a RST may follow).
                ``drained``: it answers at once, and reads the body to its end; the connection stays open.
                ``half-closed``: it answers at once and closes its direction of the connection. It goes on reading the
                body until that ends, until nothing comes for 5 s, or for 30 s; then it closes the connection.
                ``without an answer``: it closes the connection at once, and does not read the body.
            recheck: whether the key is checked again at the end of the body, before anything is stored. The real OSS
                does not do that. A key that is no longer valid then is rejected as ``how`` says.

        Raises:
            ValueError: there is no such way.
        """
        self._uploads.refuse(how, recheck)

    def when_received(self, received: int, action: Callable[[], Any]) -> None:
        """Call a function once, in the middle of an upload.

        Example::

            cloud.when_received(1024, lambda: cloud.rotate("app/key"))

        Args:
            received: the exact number of bytes that OSS has received of a body when it calls the function; 0 is after
                the headers came and the key was checked. It is the next body of at least that length; what is read
                of a refused body counts, too.
            action: the function. It runs in the server's thread, which does not read on before it returns.

        Raises:
            ValueError: ``received`` is negative.
        """
        self._uploads.when_received(received, action)

    def inject(self, service: str, fault: Fault, region: Optional[str] = None, times: Optional[int] = None,
               duration: Optional[float] = None) -> None:
        """Make a service have a fault.

        Where a service has several faults, the one that was injected first acts first.

        Args:
            service: ``secrets_manager``, ``dedicated``, ``api``, ``oss``, ``location``, ``sts``, ``metadata`` or
                ``credentials_uri``.
            fault: the fault.
            region: a region of Secrets Manager, or the name of a KMS instance; None is all.
            times: how many requests meet the fault, in all regions together; None is all until it is cleared.
            duration: real seconds, whatever the cloud's clock says, after which the fault is cleared; None is never.

        Raises:
            ValueError: there is no such service or region, the service cannot have that fault, or ``duration`` is not
                more than 0.
        """
        self._network.inject(service, fault, region, times, duration)

    def clear(self, service: Optional[str] = None, region: Optional[str] = None) -> None:
        """End faults, and let the requests go on that hang in them.

        Args:
            service: a service; None is all.
            region: a region of Secrets Manager, or the name of a KMS instance; None is all.

        Raises:
            ValueError: there is no such service or region.
        """
        self._network.clear(service, region)

    def calls(self, service: Optional[str] = None, action: Optional[str] = None, region: Optional[str] = None,
              secret: Optional[str] = None, since: Optional[float] = None) -> List[Call]:
        """Return the requests that reached the cloud and match every argument that is not None, the oldest first.

        Args:
            service: the service.
            action: the action, such as ``GetSecretValue``.
            region: the region, as in ``Call``.
            secret: the secret, as in ``Call``.
            since: monotonic seconds of the cloud's clock; only requests that started then or later.
        """
        return self._shared.log.select(service, action, region, secret, since)

    def could_have_succeeded(self, name: str, started: float, ended: float, cool_down: float = 0.0,
                             steady: float = 0.0) -> bool:
        """Whether a call with the key of a secret could have succeeded, judged by the cloud's own log.

        It could if, at some moment from ``started`` to ``ended``, the services accepted a key that the client held or
        could have read. It held a key that Secrets Manager had answered before. It could have read a key that
        GetSecretValue answers at that moment, if at least one gateway, shared or dedicated, has no fault then.

        Args:
            name: the name of the secret.
            started: when the call began, in monotonic seconds of the cloud's clock.
            ended: when it failed.
            cool_down: seconds for which a client does not ask Secrets Manager again after a failure; 0 for one that
                always asks. A failure is an error, a hang, no answer, or a key that the services did not accept. While
                the failing request lasts and during the cool-down the client could not have read a key; a good answer
                ends the cool-down. A refused connection or certificate leaves no record, so the last one is taken to
                be at the end of the fault.
            steady: seconds. A moment counts only if the call could have succeeded all that time before and after it:
                on a busy machine, requests and answers take that long on their way.

        Raises:
            KeyError: there is no such secret.
            ValueError: the call ended before it started.
        """
        if ended < started:
            raise ValueError("the call ended ({}) before it started ({})".format(ended, started))
        judgement = Judgement(self._shared, self.secret(name), self._network.gateways(), cool_down)
        return judgement.at_some_moment(started, ended, steady)

    def _new_servers(self) -> "Dict[Tuple[str, Optional[str]], Server]":
        # Imported here, since they need the extra "testing", which _require_extra checks first.
        from .business_api.responses import BusinessApi
        from .console.responses import Console
        from .console.state import View
        from .control.responses import Control
        from .credentials_uri.responses import CredentialsUri
        from .dedicated_gateway.responses import DedicatedGateway
        from .metadata.responses import Metadata
        from .oss.responses import Oss
        from .secrets_manager.responses import SecretsManager
        from .server import Server
        from .sts.responses import Sts
        shared, context, address = self._shared, server_context(names=self._names), (self._host, 0)
        control = Control(shared.log, self._vault, self._store, self._uploads, self._network, self.endpoints)
        servers: Dict[Tuple[str, Optional[str]], Server] = {}
        # The metadata service comes first, since its address may be taken.
        metadata_names = self._names + (ADDRESS, host_name(self._metadata_address[0]))
        servers["metadata", None] = Server(
            AtHome(Metadata(shared, self._roles, self._instance), metadata_names), context, self._metadata_address)

        def add(service: str, region: Optional[str], handler: Callable[[Any], Any], tls_only: bool = False) -> None:
            servers[service, region] = Server(handler, context, address, tls_only)

        for region in self.regions:
            add("secrets_manager", region, SecretsManager(shared, self._vault, region), tls_only=True)
        for name in self.dedicated:
            add("dedicated", name, DedicatedGateway(shared, self._vault, name), tls_only=True)
        add("sts", None, Sts(shared, self._roles, self._oidc_provider), tls_only=True)
        add("credentials_uri", None, AtHome(CredentialsUri(shared, self._roles, self._source), self._names))
        add("api", None, BusinessApi(shared, lambda: self.api_endpoint))
        add("oss", None, Oss(shared, self._store, self.regions, self._uploads))
        add("control", None, AtHome(Console(control, View(shared, self._vault, self._network)), self._names))
        return servers


def _require_extra() -> None:
    try:
        for name in _EXTRA:
            importlib.import_module(name)
    except ImportError as error:
        raise type(error)(
            'LocalCloud needs the extra "testing": pip install "aliyun-sdk-managed-credentials-providers[testing]"',
            name=error.name, path=error.path) from error
