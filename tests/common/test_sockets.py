"""The sockets of a session after a fork: pools of its own, the same settings."""

import pytest
import requests
from aliyunsdkcore.vendored import requests as vendored_requests

from aliyun_sdk_secretsmanager_common_plugin.sockets import fresh_sockets


@pytest.mark.parametrize("library", [requests, vendored_requests], ids=["requests", "vendored"])
class TestFreshSockets:
    def test_pools_are_new(self, library):
        session = library.Session()
        former = {prefix: adapter.poolmanager for prefix, adapter in session.adapters.items()}

        fresh_sockets(session)

        assert set(session.adapters) == set(former)
        for prefix, adapter in session.adapters.items():
            assert adapter.poolmanager is not former[prefix]

    def test_settings_and_the_order_of_adapters_stay(self, library):
        session = library.Session()
        session.mount("https://example.com/", library.adapters.HTTPAdapter(3, 7, max_retries=2, pool_block=True))
        prefixes = list(session.adapters)

        fresh_sockets(session)

        assert list(session.adapters) == prefixes
        adapter = session.get_adapter("https://example.com/")
        assert adapter.max_retries.total == 2
        assert (adapter._pool_connections, adapter._pool_maxsize, adapter._pool_block) == (3, 7, True)

    def test_parents_pools_are_not_closed(self, library):
        session = library.Session()
        adapter = session.get_adapter("https://example.com/")
        pool = adapter.poolmanager.connection_from_url("https://example.com/")

        fresh_sockets(session)

        assert adapter.poolmanager.connection_from_url("https://example.com/") is pool

    def test_adapter_of_the_users_is_kept_and_told_to_close(self, library):
        class Adapter(library.adapters.BaseAdapter):
            closed = 0

            def send(self, request, **options):
                raise NotImplementedError

            def close(self):
                self.closed += 1

        session = library.Session()
        adapter = Adapter()
        session.mount("https://", adapter)

        fresh_sockets(session)

        assert session.get_adapter("https://example.com/") is adapter
        assert adapter.closed == 1
