"""The servers of a local cloud: their addresses, and the faults that close them or change their certificates."""
import logging
import os
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Sequence, Tuple

from .certificates import ca_pem, server_context
from .faults import Fault, Injection
from .guarded import Guarded
from .service import Shared

if TYPE_CHECKING:
    from .server import Server

SERVICES = ("secrets_manager", "dedicated", "api", "oss", "location", "sts", "metadata", "credentials_uri")

_log = logging.getLogger(__name__)

_NOT_STARTED = "the local cloud is not started: use it in a with statement, or call start()"


class Network(Guarded):
    """The servers of one cloud by service and region, and their faults.

    Args:
        shared: what all services of the cloud share.
        regions: the regions of Secrets Manager.
        dedicated: the names of the KMS instances.
        names: the names and addresses that the certificates are valid for.
    """

    def __init__(self, shared: Shared, regions: Sequence[str], dedicated: Sequence[str],
                 names: Tuple[str, ...]) -> None:
        super().__init__()
        self._shared = shared
        self._names = names
        self._regions: Dict[str, Sequence[Optional[str]]] = dict.fromkeys(SERVICES, (None,))
        self._regions.update(secrets_manager=regions, dedicated=dedicated)
        self._servers: "Dict[Tuple[str, Optional[str]], Server]" = {}
        self._directory: Optional[str] = None
        self._timers: List[threading.Timer] = []

    @property
    def is_open(self) -> bool:
        """Whether the servers were started."""
        return bool(self._servers)

    def open(self, new_servers: "Callable[[], Dict[Tuple[str, Optional[str]], Server]]") -> None:
        """Start the servers, and write the CA file.

        Args:
            new_servers: makes the servers by service and region; the service of the controls is ``control``.

        Raises:
            RuntimeError: they are started already.
        """
        with self.lock:
            if self._servers:
                raise RuntimeError("the local cloud is started already")
            self._servers = new_servers()
            self._directory = tempfile.mkdtemp(prefix="local-cloud-")
            with open(self.ca_file, "wb") as file:
                file.write(ca_pem())
            control = self._server("control")
            if not control.is_loopback:
                _log.warning("the local cloud listens on %s: whoever reaches it there can read its secrets and control "
                             "it", control.host)
            for server in self._servers.values():
                server.open()

    def close(self) -> None:
        """Stop all servers, end all faults, and delete the CA file. Calling it again does nothing."""
        with self.lock:
            servers, self._servers = self._servers, {}
            directory, self._directory = self._directory, None
            timers, self._timers = self._timers, []
        for timer in timers:
            timer.cancel()
            timer.join()
        for server in servers.values():
            server.hang_up()
        # Before the connections were closed, this would let hanging requests be answered.
        self._shared.faults.clear(None, None, self._shared.clock.monotonic())
        for server in servers.values():
            server.join()
        if directory:
            shutil.rmtree(directory, ignore_errors=True)

    @property
    def ca_file(self) -> str:
        """The path of a PEM file with the certificate of the cloud's CA."""
        if self._directory is None:
            raise RuntimeError(_NOT_STARTED)
        return os.path.join(self._directory, "ca.pem")

    @property
    def control_address(self) -> str:
        """``HOST:PORT`` of the controls."""
        return self._server("control").address

    def address(self, service: str, region: Optional[str] = None) -> str:
        """Return ``HOST:PORT`` of a service.

        Args:
            service: one of ``SERVICES``, except ``location``, which is at the address of ``api``.
            region: a region of Secrets Manager, or the name of a KMS instance; None is the first.

        Raises:
            RuntimeError: the cloud is not started.
            ValueError: there is no such region.
        """
        return self._server(service, self._regions_of(service, region)[0]).address

    def gateways(self) -> List[Tuple[str, Optional[str]]]:
        """Return service and region of all gateways."""
        return [(service, region) for service in ("secrets_manager", "dedicated") for region in self._regions[service]]

    def places(self) -> List[Tuple[str, Optional[str]]]:
        """Return service and region of everything that can have a fault."""
        return [(service, region) for service, regions in self._regions.items() for region in regions]

    def inject(self, service: str, fault: Fault, region: Optional[str] = None, times: Optional[int] = None,
               duration: Optional[float] = None) -> None:
        """Make a service have a fault; see ``LocalCloud.inject``."""
        regions = self._regions_of(service, region)
        if times is not None and times < 1:
            raise ValueError("times is 1 or more, or None for all requests, not {!r}".format(times))
        if duration is not None and not 0 < duration <= threading.TIMEOUT_MAX:
            raise ValueError("duration is more than 0 seconds, or None until it is cleared, not {!r}".format(duration))
        if fault.of_server and times is not None:
            raise ValueError("{} meets connections, not requests: it cannot be counted, leave times out".format(
                fault.kind))
        if fault.of_server and service == "location":
            raise ValueError("location shares its address with api: inject {} there".format(fault.kind))
        with self.lock:
            clock = self._shared.clock
            until = None if duration is None else clock.time() + duration
            injected = self._shared.faults.inject(fault, service, regions, times, clock.monotonic(), until)
            if fault.of_server:
                self._settle(service, regions)
            if duration is not None:
                timer = threading.Timer(duration, self._end, [injected])
                timer.daemon = True
                timer.start()
                self._timers = [other for other in self._timers if other.is_alive()] + [timer]

    def clear(self, service: Optional[str] = None, region: Optional[str] = None) -> None:
        """End faults; see ``LocalCloud.clear``."""
        with self.lock:
            if service is None:
                places = [(name, where) for name, where in self.places() if region in (None, where)]
            else:
                places = [(service, where) for where in self._regions_of(service, region)]
            if not places:
                raise ValueError("no region {!r}; there are {}".format(
                    region, ", ".join(str(where) for _, where in self.gateways())))
            down = [(name, where) for name, where in places if self._shared.faults.of_server(name, where)]
            self._shared.faults.clear(service, region, self._shared.clock.monotonic())
            for name, where in down:
                self._settle(name, [where])

    def _end(self, injections: List[Injection]) -> None:
        with self.lock:
            if not self._servers:
                return
            ending = [injection for injection in injections if injection.active]
            self._shared.faults.end(ending, self._shared.clock.monotonic())
            for injection in ending:
                if injection.fault.of_server:
                    self._settle(injection.service, [injection.region])

    def _server(self, service: str, region: Optional[str] = None) -> "Server":
        try:
            return self._servers[service, region]
        except KeyError:
            raise RuntimeError(_NOT_STARTED) from None

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
        """Close servers and open them again as their active faults require."""
        for region in regions:
            server = self._server(service, region)
            kinds = self._shared.faults.of_server(service, region)
            server.close()
            if "refuse" not in kinds:
                server.open(server_context(kinds[0][:-len("_certificate")], self._names) if kinds else None)
