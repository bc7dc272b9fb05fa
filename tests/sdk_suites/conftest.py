"""Fixtures for the sdk-core suite: the original client and the proxy, by the same name, against a service on loopback."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import suite_clients  # noqa: E402
import suite_service  # noqa: E402


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No proxy, key, CA or debug switch of the machine's reaches the clients."""
    for name in list(os.environ):
        if name.upper().startswith(('ALIBABA_CLOUD_', 'ALIYUN_')) or name.lower().endswith('_proxy') or name == 'DEBUG':
            monkeypatch.delenv(name)


@pytest.fixture(scope='session')
def running_service():
    with suite_service.RecordingService() as running:
        yield running


@pytest.fixture
def service(running_service):
    running_service.start_anew()
    return running_service


@pytest.fixture(params=sorted(suite_clients.KINDS))
def kind(request):
    return suite_clients.KINDS[request.param]


@pytest.fixture
def make_client(kind, service):
    """Makes clients of the kind under test, which reach the service on its port."""
    with suite_clients.Maker(kind, service.port) as maker:
        yield maker


@pytest.fixture
def client(make_client):
    return make_client()
