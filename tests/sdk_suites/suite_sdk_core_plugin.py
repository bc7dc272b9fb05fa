"""A pytest plugin for the one test of sdk-core's own that is on PyPI, `integration/test_ecs.py` in aliyun-python-sdk-core-v3 2.8.9.

The test makes an `AcsClient` from two environment variables, creates an ECS instance, starts, stops and deletes it, and waits for each.
Here another class may stand in the client's place (`--suite-variant`), and a stand-in for ECS answers on loopback.
"""
import contextlib
import json
import types
from urllib.parse import parse_qsl, urlsplit

import suite_clients
import suite_recorder
import suite_service
from suite_service import Answer

DEMO_INSTANCE = 'i-demo'
NOW = 1795255200
VARIANTS = {'original': suite_clients.Original(), 'proxy': suite_clients.Proxy()}


def pytest_addoption(parser):
    suite_recorder.add_options(parser, VARIANTS)


def pytest_configure(config):
    from aliyunsdkcore import client
    from aliyunsdkcore.profile import region_provider
    from aliyunsdkcore.utils import parameter_helper
    variant = config.getoption('--suite-variant')
    census = suite_recorder.Census()
    service = suite_service.RecordingService()
    service.__enter__()
    config.add_cleanup(lambda: service.__exit__())
    VARIANTS[variant].client_class()  # before the name AcsClient is taken
    client.AcsClient = _in_place_of_acs_client(VARIANTS[variant], variant, service.port, census)
    region_provider.modify_point('Ecs', 'cn-hangzhou', suite_clients.ENDPOINT)
    parameter_helper.get_uuid = lambda: '0123456789abcdef0123456789abcdef'
    parameter_helper.get_iso_8061_date = lambda: '2026-11-21T10:00:00Z'
    recorder = suite_recorder.Recorder(config.getoption('--suite-record'), census, lambda listener: _ecs(service, listener))
    config.pluginmanager.register(recorder, 'sdk-suite-recorder')


def pytest_collection_modifyitems(items):
    for item in items:
        item.module.time = types.SimpleNamespace(time=lambda: NOW, sleep=lambda seconds: None)


def _in_place_of_acs_client(kind, variant, port, census):
    """What the test calls as `AcsClient(key id, key secret, region)`."""
    def make(ak, secret, region_id):
        assert (ak, secret) == (suite_clients.KEY_ID, suite_clients.KEY_SECRET)
        census.add(variant)
        return kind.make(region_id, port=port)

    return make


@contextlib.contextmanager
def _ecs(service, listener):
    """For one test: a new stand-in for ECS behind the service; what it received goes to the listener."""
    service.answer_by(Ecs().answer)
    yield
    for received in service.take():
        address = urlsplit(received.path)
        listener({'method': received.method, 'url': address.path, 'params': dict(parse_qsl(address.query, keep_blank_values=True)),
                  'headers': {name.lower(): value for name, value in received.headers if name.lower() != 'host'},
                  'body': received.body.decode('utf-8'), 'arguments': ''})


class Ecs(object):
    """One instance, whose status changes when asked for the second time after a command."""

    def __init__(self):
        self._status = None
        self._coming = None

    def answer(self, received):
        parameters = dict(parse_qsl(urlsplit(received.path).query))
        parameters.update(parse_qsl(received.body.decode('utf-8')))
        return getattr(self, parameters['Action'])(parameters)

    def CreateInstance(self, parameters):
        assert (parameters['ImageId'], parameters['SecurityGroupId']) == ('image', 'group')
        self._status, self._coming = 'Pending', 'Stopped'
        return Answer(200, {'InstanceId': 'i-new', 'RequestId': 'R'})

    def StartInstance(self, parameters):
        return self._command('Starting', 'Running')

    def StopInstance(self, parameters):
        return self._command('Stopping', 'Stopped')

    def DeleteInstance(self, parameters):
        return self._command('Stopped', None)

    def DescribeInstanceAttribute(self, parameters):
        if parameters['InstanceId'] == DEMO_INSTANCE:
            return Answer(200, {'ImageId': 'image', 'SecurityGroupIds': {'SecurityGroupId': ['group']}, 'RequestId': 'R'})
        status, self._status = self._status, self._coming
        if status is None:
            return Answer(404, {'Code': 'InvalidInstanceId.NotFound', 'Message': 'The specified instance does not exist.', 'RequestId': 'R'})
        return Answer(200, {'InstanceId': 'i-new', 'Status': status, 'RequestId': 'R'})

    def DescribeInstances(self, parameters):
        left = {'InstanceId': 'i-left', 'InstanceName': 'SdkIntegrationTestInstance{}'.format(NOW - 60), 'Status': 'Running'}
        return Answer(200, {'TotalCount': 1, 'Instances': {'Instance': [left]}, 'RequestId': 'R'})

    def _command(self, now, later):
        self._status, self._coming = now, later
        return Answer(200, json.dumps({'RequestId': 'R'}).encode('ascii'))
