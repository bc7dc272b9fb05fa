"""What sdk-core's client does, said outright, for `AcsClient` and for `ProxyAcsClient` in its place.

sdk-core's own test suite is in no package on PyPI (none of the sdists has it), so this stands in for it: the constructor, getters and
setters, user agents, timeouts, retries, endpoint resolution, errors, loggers and the private methods that its users and its own modules
patch or call.  `test_acs_client_same_on_the_wire` compares the two side by side as well.
"""
import inspect
import json
import logging
import platform
from unittest import mock

import aliyunsdkcore
import pytest
import suite_clients
import suite_requests
from aliyunsdkcore.acs_exception import error_code
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.endpoint.default_endpoint_resolver import DefaultEndpointResolver
from aliyunsdkcore.endpoint.location_service_endpoint_resolver import LocationServiceEndpointResolver
from aliyunsdkcore.http.http_response import HttpResponse
from aliyunsdkcore.profile import region_provider
from aliyunsdkcore.request import CommonRequest, RpcRequest
from aliyunsdkcore.retry import retry_policy
from suite_service import Answer

DEFAULTS = {'ak': None, 'secret': None, 'region_id': 'cn-hangzhou', 'auto_retry': True, 'max_retry_time': None, 'user_agent': None, 'port': 80,
            'connect_timeout': None, 'timeout': None, 'public_key_id': None, 'private_key': None, 'session_period': 3600,
            'credential': None, 'debug': False, 'verify': None, 'pool_size': 10, 'proxy': None}


def ecs_request(action='DescribeInstances'):
    """A request of the product for which sdk-core has timeouts, retries and endpoints in its data."""
    request = RpcRequest('Ecs', '2014-05-26', action, 'ecs')
    return request


def answering(*answers):
    """In the place of the network: every call takes the next answer, the last again and again."""
    left = list(answers)
    calls = []

    def get_response_object(response):
        calls.append(response)
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    patched = mock.patch.object(HttpResponse, 'get_response_object', get_response_object)
    patched.calls = calls
    return patched


def ok(body=b'{"RequestId": "R-1"}'):
    return 200, {}, body


def failed(status, code, message='said by the service', **others):
    return status, {}, json.dumps(dict({'Code': code, 'Message': message, 'RequestId': 'R-1'}, **others)).encode('utf-8')


class TestClass(object):
    """What the class is, before anything is called."""

    def test_is_an_acs_client(self, client):
        assert isinstance(client, AcsClient)

    def test_constructor_takes_every_parameter_of_the_original_in_its_order(self, kind):
        taken = list(inspect.signature(kind.client_class().__init__).parameters)
        assert [name for name in taken if name in DEFAULTS] == list(inspect.signature(AcsClient.__init__).parameters)[1:]

    def test_defaults(self, kind):
        parameters = inspect.signature(kind.client_class().__init__).parameters
        assert {name: parameters[name].default for name in DEFAULTS} == DEFAULTS

    @pytest.mark.parametrize('name', sorted(name for name, value in vars(AcsClient).items() if not name.startswith('__')))
    def test_every_member_is_there_and_is_called_alike(self, kind, name):
        ours, theirs = getattr(kind.client_class(), name), getattr(AcsClient, name)
        if not callable(theirs):
            assert ours == theirs
            return
        required = [each for each in inspect.signature(ours).parameters.values() if each.default is each.empty and each.kind == each.POSITIONAL_OR_KEYWORD]
        names = list(inspect.signature(theirs).parameters)
        assert list(inspect.signature(ours).parameters)[:len(names)] == names
        assert len(required) <= len(names)


class TestConstructor(object):

    def test_key(self, client):
        assert (client.get_access_key(), client.get_access_secret()) == (suite_clients.KEY_ID, suite_clients.KEY_SECRET)

    def test_what_is_not_given(self, make_client):
        client = make_client(port=80)
        assert client.get_region_id() == 'cn-hangzhou'
        assert client.is_auto_retry() is True
        assert client.get_max_retry_num() is None
        assert client.get_user_agent() is None
        assert client.get_verify() is None
        assert client.get_port() == 80
        assert client.get_location_service() is None
        assert client.proxy is None

    def test_what_is_given_by_name(self, make_client):
        client = make_client(region_id='eu-west-1', auto_retry=False, max_retry_time=5, user_agent='suite', port=8443, connect_timeout=1, timeout=2,
                             session_period=1800, debug=True, verify=False, pool_size=3, proxy={'http': 'http://p'})
        assert (client.get_region_id(), client.is_auto_retry(), client.get_max_retry_num()) == ('eu-west-1', False, 5)
        assert (client.get_user_agent(), client.get_port(), client.get_verify()) == ('suite', 8443, False)
        assert (client._connect_timeout, client._read_timeout) == (1, 2)
        assert client.proxy == {'http': 'http://p'}

    def test_what_is_given_by_place(self, make_client):
        client = make_client('eu-west-1', False, 5, 'suite', 8443, 1, 2)
        assert (client.get_region_id(), client.is_auto_retry(), client.get_max_retry_num()) == ('eu-west-1', False, 5)
        assert (client.get_user_agent(), client.get_port(), client._connect_timeout, client._read_timeout) == ('suite', 8443, 1, 2)

    @pytest.mark.parametrize('scheme', ['http://', 'https://'])
    def test_pool_size(self, make_client, scheme):
        adapter = make_client(pool_size=3).session.get_adapter(scheme)
        assert (adapter._pool_maxsize, adapter._pool_connections) == (3, 10)

    def test_retry_policies(self, make_client):
        assert make_client(auto_retry=False)._retry_policy is retry_policy.NO_RETRY_POLICY
        assert isinstance(make_client()._retry_policy, retry_policy.RetryPolicy)

    @pytest.mark.parametrize('wrong', [-1, 'three'])
    def test_wrong_max_retry_time(self, make_client, wrong):
        with pytest.raises(ClientException) as raised:
            make_client(max_retry_time=wrong)
        assert raised.value.get_error_code() == 'SDK.InvalidParameter'

    def test_endpoint_resolver(self, client):
        assert isinstance(client._endpoint_resolver, DefaultEndpointResolver)

    def test_environment_does_not_replace_the_key(self, make_client, monkeypatch):
        monkeypatch.setenv('ALIYUN_ACCESS_KEY_ID', 'LTAI5tOfTheEnvironment')
        monkeypatch.setenv('ALIYUN_ACCESS_KEY_SECRET', 'of the environment')
        client = make_client()
        made = client._make_http_response(suite_clients.ENDPOINT, suite_requests.rpc_get(), 1, 1)
        assert suite_clients.KEY_ID in made.get_url()


class TestSetters(object):

    def test_each_is_read_back(self, client):
        client.set_region_id('eu-west-1')
        client.set_max_retry_num(7)
        client.set_auto_retry(False)
        client.set_user_agent('suite')
        client.set_verify('/some/ca.pem')
        assert (client.get_region_id(), client.get_max_retry_num(), client.is_auto_retry()) == ('eu-west-1', 7, False)
        assert (client.get_user_agent(), client.get_verify()) == ('suite', '/some/ca.pem')


class TestUserAgent(object):

    def test_header_names_the_platform(self, client):
        assert client.user_agent_header() == 'AlibabaCloud ({} {};{})'.format(platform.system(), platform.release(), platform.machine())

    def test_default_names_python_and_core(self, client):
        agent = client.default_user_agent()
        assert list(agent)[:2] == ['Python', 'Core']
        assert (agent['python'], agent['CORE']) == (platform.python_version(), aliyunsdkcore.__version__)

    def test_client_agent_takes_the_place_of_what_was_appended(self, client):
        assert dict(client.client_user_agent()) == {}
        client.append_user_agent('suite', '1.0')
        assert dict(client.client_user_agent()) == {'suite': '1.0'}
        client.set_user_agent('whole')
        assert dict(client.client_user_agent()) == {'client': 'whole'}

    def test_request_agent_goes_before_the_client_agent(self, client):
        client.append_user_agent('suite', 'client')
        client.append_user_agent('other', 'client')
        request = suite_requests.rpc_get()
        request.append_user_agent('suite', 'request')
        assert dict(client.handle_extra_agent(request)) == {'other': 'client', 'suite': 'request'}

    def test_extra_does_not_replace_the_default(self, client):
        assert client.merge_user_agent({'a': '1'}, {'a': '2', 'b': '3'}) == {'a': '1', 'b': '3'}
        assert client.merge_user_agent(None, {'b': '3'}) == {'b': '3'}
        assert client.merge_user_agent({'a': '1'}, None) == {'a': '1'}

    def test_what_is_sent(self, client, service):
        client.append_user_agent('suite', '1.0')
        client.do_action_with_exception(suite_requests.rpc_get())
        sent = dict(service.take()[0].headers)
        expected = client.user_agent_header() + ''.join(' {}/{}'.format(*item) for item in client.default_user_agent().items()) + ' suite/1.0'
        assert (sent['User-Agent'], sent['x-sdk-client']) == (expected, 'python/2.0.0')


class TestTimeouts(object):

    def test_request_then_client_then_product_then_default(self, make_client):
        request = ecs_request('AddTags')
        assert make_client()._get_request_read_timeout(request) == 61
        assert make_client(timeout=4)._get_request_read_timeout(request) == 4
        request.set_read_timeout(3)
        assert make_client(timeout=4)._get_request_read_timeout(request) == 3
        assert make_client()._get_request_read_timeout(suite_requests.rpc_get()) == 10

    def test_connect_timeout(self, make_client):
        request = ecs_request()
        assert make_client()._get_request_connect_timeout(request) == 5
        assert make_client(connect_timeout=4)._get_request_connect_timeout(request) == 4
        request.set_connect_timeout(3)
        assert make_client(connect_timeout=4)._get_request_connect_timeout(request) == 3

    def test_they_reach_the_session(self, make_client):
        client = make_client(connect_timeout=4, timeout=6)
        with mock.patch.object(client.session, 'send', wraps=client.session.send) as send:
            client.do_action_with_exception(suite_requests.rpc_get())
        assert send.call_args[1]['timeout'] == (4, 6)
        assert send.call_args[1]['allow_redirects'] is False


class TestRetries(object):
    """As sdk-core's own suite does: `_handle_single_request` is wrapped and counted."""

    @pytest.fixture(autouse=True)
    def no_sleep(self, monkeypatch):
        self.slept = []
        monkeypatch.setattr('aliyunsdkcore.client.time.sleep', self.slept.append)

    def _calls(self, client, request, *answers):
        with mock.patch.object(client, '_handle_single_request', wraps=client._handle_single_request) as single, answering(*answers):
            try:
                client.do_action_with_exception(request)
            except (ClientException, ServerException) as error:
                return single.call_count, error.get_error_code()
        return single.call_count, None

    def test_no_retry_for_an_unknown_product(self, client):
        assert self._calls(client, suite_requests.rpc_get(), failed(503, 'ServiceUnavailable')) == (1, 'ServiceUnavailable')

    def test_three_retries_for_a_known_api(self, client):
        assert self._calls(client, ecs_request(), failed(503, 'ServiceUnavailable')) == (4, 'ServiceUnavailable')
        assert self.slept == [0.1, 0.2, 0.4]

    def test_no_retry_when_turned_off(self, make_client):
        assert self._calls(make_client(auto_retry=False), ecs_request(), failed(503, 'ServiceUnavailable')) == (1, 'ServiceUnavailable')

    def test_number_of_retries(self, make_client):
        assert self._calls(make_client(max_retry_time=8), ecs_request(), failed(500, 'InternalError')) == (9, 'InternalError')

    def test_lost_connection_is_tried_again(self, client):
        assert self._calls(client, ecs_request(), IOError('lost'), ok()) == (2, None)

    def test_lost_connection_surfaces_in_the_end(self, client):
        assert self._calls(client, ecs_request(), IOError('lost')) == (4, error_code.SDK_HTTP_ERROR)

    def test_throttling_is_tried_again_later(self, client):
        assert self._calls(client, ecs_request(), failed(400, 'Throttling'), failed(400, 'Throttling'), ok()) == (3, None)
        assert 0.25 <= self.slept[0] <= 0.5 <= self.slept[1] <= 1

    def test_other_errors_are_not(self, client):
        assert self._calls(client, ecs_request(), failed(403, 'Forbidden.RAM')) == (1, 'Forbidden.RAM')

    def test_policy_put_in_by_hand(self, client):
        client._retry_policy = retry_policy.NO_RETRY_POLICY
        assert self._calls(client, ecs_request(), failed(503, 'ServiceUnavailable')) == (1, 'ServiceUnavailable')

    def test_client_token_is_added_where_a_retry_needs_one(self, client):
        request = mock.Mock()
        request.get_ClientToken.return_value = None
        client._add_request_client_token(request)
        assert len(request.set_ClientToken.call_args[0][0]) == 32
        request.get_ClientToken.return_value = 'mine'
        request.set_ClientToken.reset_mock()
        client._add_request_client_token(request)
        request.set_ClientToken.assert_not_called()


class TestResults(object):

    def test_do_action_with_exception_returns_bytes(self, client, service):
        service.answer(Answer(200, b'{"Thing": 1}'))
        assert client.do_action_with_exception(suite_requests.rpc_get()) == b'{"Thing": 1}'

    def test_do_action_with_exception_asks_for_json(self, client):
        request = suite_requests.rpc_xml_answer()
        client.do_action_with_exception(request)
        assert request.get_accept_format() == 'JSON'

    def test_do_action_returns_the_body_of_an_error_and_warns(self, client, service):
        service.answer(Answer(404, {'Code': 'InvalidThing', 'Message': 'none'}))
        with pytest.warns(DeprecationWarning):
            body = client.do_action(suite_requests.rpc_get())
        assert json.loads(body.decode('utf-8'))['Code'] == 'InvalidThing'

    @pytest.mark.parametrize('method', ['get_response', 'implementation_of_do_action'])
    def test_get_response_returns_status_headers_and_body(self, client, service, method):
        service.answer(Answer(404, {'Code': 'InvalidThing'}, {'x-suite': 'yes'}))
        with pytest.warns(DeprecationWarning):
            status, headers, body = getattr(client, method)(suite_requests.rpc_get())
        assert (status, headers['X-Suite'], json.loads(body.decode('utf-8'))) == (404, 'yes', {'Code': 'InvalidThing'})

    def test_what_is_no_request(self, client):
        with pytest.raises(ClientException) as raised:
            client.do_action_with_exception(mock.Mock())
        assert raised.value.get_error_code() == 'SDK.InvalidRequest'

    @pytest.mark.filterwarnings('ignore::DeprecationWarning')
    @pytest.mark.parametrize('method', ['do_action', 'do_action_with_exception', 'get_response'])
    def test_the_one_method_beneath_may_be_replaced(self, client, method):
        """As sdk-core's own suite does with `patch` on the class and by assignment."""
        replaced = mock.Mock(return_value=(200, {}, b'replaced', None))
        with mock.patch.object(type(client), '_implementation_of_do_action', replaced):
            result = getattr(client, method)(suite_requests.rpc_get())
        assert result in (b'replaced', (200, {}, b'replaced'))
        assert replaced.call_count == 1

    @pytest.mark.filterwarnings('ignore::DeprecationWarning')
    @pytest.mark.parametrize('method', ['do_action', 'do_action_with_exception', 'get_response'])
    def test_the_one_method_beneath_may_be_replaced_on_the_object(self, client, method):
        client._implementation_of_do_action = lambda request, signer=None: (200, {}, b'replaced', None)
        assert getattr(client, method)(suite_requests.rpc_get()) in (b'replaced', (200, {}, b'replaced'))


class TestErrors(object):

    def _raised(self, client, *answers):
        with answering(*answers), pytest.raises((ClientException, ServerException)) as raised:
            client.do_action_with_exception(suite_requests.rpc_get())
        return raised.value

    def test_server_error(self, client):
        error = self._raised(client, failed(403, 'Forbidden.RAM', 'not you'))
        assert (error.get_error_code(), error.get_error_msg(), error.get_http_status(), error.get_request_id()) == ('Forbidden.RAM', 'not you', 403, 'R-1')
        assert error.get_error_type() == 'Server'
        assert str(error) == 'HTTP Status: 403 Error:Forbidden.RAM not you RequestID: R-1'

    def test_rejected_key_for_which_there_is_no_newer(self, client):
        error = self._raised(client, failed(404, 'InvalidAccessKeyId.NotFound', 'Specified access key is not found.'))
        assert (type(error), error.get_error_code(), error.get_http_status()) == (ServerException, 'InvalidAccessKeyId.NotFound', 404)

    def test_body_that_is_no_json(self, client):
        error = self._raised(client, (502, {}, b'<html>bad gateway</html>'))
        assert (error.get_error_code(), error.get_request_id()) == (error_code.SDK_UNKNOWN_SERVER_ERROR, None)
        assert '<html>bad gateway</html>' in error.get_error_msg()

    def test_code_or_message_missing(self, client):
        assert self._raised(client, (400, {}, b'{"Code": "Only"}')).get_error_msg() == 'ServerResponseBody: {"Code": "Only"}'
        assert self._raised(client, (400, {}, b'{"Message": "only"}')).get_error_code() == error_code.SDK_UNKNOWN_SERVER_ERROR

    def test_redirect_is_an_error(self, client):
        assert self._raised(client, (301, {}, b'{}')).get_http_status() == 301

    def test_lost_connection(self, client):
        error = self._raised(client, IOError('lost'))
        assert (error.get_error_code(), error.get_error_msg(), error.get_error_type()) == ('SDK.HttpError', 'lost', 'Client')

    def test_wrong_secret_is_told_from_a_wrong_signature(self, client):
        request = suite_requests.rpc_get()

        def answer_with_the_string_to_sign(response):
            return failed(400, 'SignatureDoesNotMatch', 'server string to sign is:' + request.string_to_sign)

        with mock.patch.object(HttpResponse, 'get_response_object', answer_with_the_string_to_sign), pytest.raises(ServerException) as raised:
            client.do_action_with_exception(request)
        assert raised.value.get_error_code() == 'InvalidAccessKeySecret'

    def test_error_info_of_a_body(self, client):
        assert client._parse_error_info_from_response_body('{"Code": "C", "Message": "M"}') == ('C', 'M')
        assert client._parse_error_info_from_response_body('none')[0] == error_code.SDK_UNKNOWN_SERVER_ERROR

    def test_no_error_of_a_good_answer(self, client):
        assert client._get_server_exception(200, b'{"RequestId": "R"}', 'e', '') is None

    @pytest.mark.parametrize('common', [
        CommonRequest(domain='e', action_name='A'), CommonRequest(domain='e', version='v'), CommonRequest(version='v', action_name='A', product='')])
    def test_incomplete_common_request(self, client, common):
        if not common.endpoint:
            client._resolve_endpoint = lambda request: 'e'
        with pytest.raises(ClientException) as raised:
            client.do_action_with_exception(common)
        assert raised.value.get_error_code() == error_code.SDK_INVALID_PARAMS


LOCATION_ANSWER = json.dumps({'Endpoints': {'Endpoint': [
    {'Type': 'innerAPI', 'SerivceCode': 'suite', 'Endpoint': 'inner.suite.example'},
    {'Type': 'openAPI', 'SerivceCode': 'suite', 'Endpoint': 'found.suite.example'}]}, 'Success': True, 'RequestId': 'R-1'}).encode('utf-8')


def located_request():
    return RpcRequest('SuiteLocated', '2026-11-21', 'DescribeThings', 'suite')


class TestEndpoints(object):

    @pytest.fixture(autouse=True)
    def predefined_as_it_was(self):
        predefined = DefaultEndpointResolver.predefined_endpoint_resolver
        before = dict(predefined.endpoints_data)
        yield
        predefined.endpoints_data.clear()
        predefined.endpoints_data.update(before)

    def _hosts(self, client, request, *answers):
        """The hosts that one call goes to, in their order."""
        patched = answering(*(answers or [ok()]))
        with patched:
            client.do_action_with_exception(request)
        return [response.get_host() for response in patched.calls]

    def test_endpoint_of_the_request_goes_first(self, client):
        client.add_endpoint('cn-hangzhou', 'Ecs', 'added.example')
        request = ecs_request()
        request.set_endpoint('own.example')
        assert self._hosts(client, request) == ['own.example']

    def test_endpoint_added_to_the_client(self, make_client):
        one, other = make_client(), make_client()
        one.add_endpoint('cn-hangzhou', 'Ecs', 'added.example')
        assert self._hosts(one, ecs_request()) == ['added.example']
        assert self._hosts(other, ecs_request()) == ['ecs-cn-hangzhou.aliyuncs.com']

    @pytest.mark.parametrize('add', [region_provider.modify_point, region_provider.add_endpoint])
    def test_endpoint_of_the_whole_process_goes_before_the_clients(self, client, add):
        client.add_endpoint('cn-hangzhou', 'Ecs', 'added.example')
        add('Ecs', 'cn-hangzhou', 'process.example')
        assert self._hosts(client, ecs_request()) == ['process.example']

    def test_endpoint_of_the_region(self, make_client):
        assert self._hosts(make_client(region_id='eu-central-1'), ecs_request()) == ['ecs.eu-central-1.aliyuncs.com']

    def test_endpoint_follows_the_region_of_the_client(self, client):
        client.set_region_id('eu-central-1')
        assert self._hosts(client, ecs_request()) == ['ecs.eu-central-1.aliyuncs.com']

    @pytest.mark.parametrize('network, suffix, regional, host', [
        ('public', '', 'regional', 'suitelocated.cn-beijing.aliyuncs.com'),
        ('vpc', '', 'regional', 'suitelocated-vpc.cn-beijing.aliyuncs.com'),
        ('vpc', 'new', 'regional', 'suitelocated-new-vpc.cn-beijing.aliyuncs.com'),
        ('public', '', 'central', 'suitelocated.aliyuncs.com')])
    def test_endpoint_by_the_rules_of_the_request(self, make_client, network, suffix, regional, host):
        request = RpcRequest('SuiteLocated', '2026-11-21', 'DescribeThings')
        request.endpoint_map, request.endpoint_regional = {'cn-hangzhou': 'mapped.example'}, regional
        request.request_network, request.product_suffix = network, suffix
        assert self._hosts(make_client(region_id='cn-beijing'), request) == [host]

    def test_endpoint_in_the_map_of_the_request(self, client):
        request = RpcRequest('SuiteLocated', '2026-11-21', 'DescribeThings')
        request.endpoint_map, request.endpoint_regional = {'cn-hangzhou': 'mapped.example'}, 'regional'
        assert self._hosts(client, request) == ['mapped.example']

    def test_location_service_is_asked_once(self, client):
        assert self._hosts(client, located_request(), ok(LOCATION_ANSWER), ok()) == ['location-readonly.aliyuncs.com', 'found.suite.example']
        assert self._hosts(client, located_request()) == ['found.suite.example']

    def test_location_service_is_asked_with_the_key_over_tls(self, client):
        patched = answering(ok(LOCATION_ANSWER), ok())
        with patched:
            client.do_action_with_exception(located_request())
        asked = patched.calls[0]
        assert asked.get_ssl_enabled() and 'AccessKeyId=' + suite_clients.KEY_ID in asked.get_url()
        assert 'Action=DescribeEndpoints' in asked.get_url() and 'ServiceCode=suite' in asked.get_url()

    def test_location_service_that_refuses(self, client):
        with answering(failed(403, 'Forbidden', 'not you')), pytest.raises(ServerException) as raised:
            client.do_action_with_exception(located_request())
        assert raised.value.get_error_code() == 'Forbidden'

    def test_location_service_that_rejects_the_key(self, client):
        patched = answering(failed(404, 'InvalidAccessKeyId.NotFound'))
        with patched, pytest.raises(ServerException) as raised:
            client.do_action_with_exception(located_request())
        assert raised.value.get_error_code() == 'InvalidAccessKeyId.NotFound'
        assert len(patched.calls) == 1

    @pytest.mark.parametrize('code, message, told', [
        ('InvalidRegionId', 'The specified region does not exist.', "No endpoint in the region 'cn-nowhere'"),
        ('Illegal Parameter', 'Please check the parameters', "No endpoint for product 'SuiteLocated'")])
    def test_location_service_that_knows_no_such_thing(self, make_client, code, message, told):
        client = make_client(region_id='cn-nowhere')
        with answering(failed(400, code, message)), pytest.raises(ClientException) as raised:
            client.do_action_with_exception(located_request())
        assert (raised.value.get_error_code(), raised.value.get_error_msg().startswith(told)) == (error_code.SDK_ENDPOINT_RESOLVING_ERROR, True)

    def test_resolvers_may_be_wrapped(self, client):
        """As sdk-core's own suite does with the resolver of the location service."""
        resolver = [each for each in client._endpoint_resolver._resolver.endpoint_resolvers if isinstance(each, LocationServiceEndpointResolver)][0]
        resolver.set_location_service_endpoint('location.example')
        with mock.patch.object(resolver, '_call_location_service', wraps=resolver._call_location_service) as asked:
            assert self._hosts(client, located_request(), ok(LOCATION_ANSWER), ok()) == ['location.example', 'found.suite.example']
            self._hosts(client, located_request())
        assert asked.call_count == 1

    def test_location_resolver_of_ones_own_over_the_client(self, client):
        resolver = LocationServiceEndpointResolver(client)
        client._endpoint_resolver = resolver
        assert self._hosts(client, located_request(), ok(LOCATION_ANSWER), ok()) == ['location-readonly.aliyuncs.com', 'found.suite.example']

    def test_unknown_product_without_a_service_code(self, client):
        with answering(ok()), pytest.raises(ClientException) as raised:
            client.do_action_with_exception(RpcRequest('NoSuchProduct', '2026-11-21', 'Describe'))
        assert raised.value.get_error_code() == error_code.SDK_ENDPOINT_RESOLVING_ERROR
        assert raised.value.get_error_msg().startswith("No endpoint for product 'NoSuchProduct'")

    @pytest.mark.parametrize('region, network, suffix', [('cn/hangzhou', 'public', ''), ('cn-hangzhou', 'v.p.c', ''), ('cn-hangzhou', 'vpc', '@evil')])
    def test_what_could_lead_to_another_host_is_refused(self, make_client, region, network, suffix):
        request = ecs_request()
        request.request_network, request.product_suffix = network, suffix
        with answering(ok()), pytest.raises(ClientException):
            make_client(region_id=region).do_action_with_exception(request)

    def test_resolve_endpoint_by_itself(self, client):
        assert client._resolve_endpoint(ecs_request()) == 'ecs-cn-hangzhou.aliyuncs.com'


class TestHttpResponse(object):

    def test_port_of_the_client_and_protocol_of_the_request(self, make_client):
        request = ecs_request()
        request.set_protocol_type('https')
        made = make_client(port=8443)._make_http_response('e.example', request, 1, 1)
        assert made.get_ssl_enabled() is True and made.get_host() == 'e.example'

    @pytest.mark.parametrize('given, environment, expected', [(None, None, True), (None, '/ca.pem', '/ca.pem'), (False, '/ca.pem', False), ('/a', None, '/a')])
    def test_verify(self, make_client, monkeypatch, given, environment, expected):
        client = make_client(verify=given)
        if environment:
            monkeypatch.setenv('ALIBABA_CLOUD_CA_BUNDLE', environment)
        assert client._make_http_response('e', suite_requests.rpc_get(), 1, 1).get_verify_value() == expected

    def test_session_of_the_client_is_used(self, client):
        with mock.patch.object(client.session, 'send', wraps=client.session.send) as send:
            client.do_action_with_exception(suite_requests.rpc_get())
        assert send.call_count == 1

    def test_session_put_in_by_hand_is_used(self, client):
        from aliyunsdkcore.vendored.requests import Session
        client.session = Session()
        with mock.patch.object(client.session, 'send', wraps=client.session.send) as send:
            client.do_action_with_exception(suite_requests.rpc_get())
        assert send.call_count == 1

    def test_accept_encoding(self, client, service):
        client.do_action_with_exception(suite_requests.rpc_get())
        assert dict(service.take()[0].headers)['Accept-Encoding'] == 'identity'

    def test_session_is_closed_with_the_client(self, kind, service):
        with suite_clients.Maker(kind, service.port) as make_client:
            client = make_client()
            with mock.patch.object(client.session, 'close') as close:
                client.__del__()
        assert close.called


class TestLoggers(object):

    def test_debug_lines_of_a_call(self, client, caplog):
        with caplog.at_level(logging.DEBUG, 'aliyunsdkcore'):
            client.do_action_with_exception(ecs_request_to_service())
        messages = [record.getMessage() for record in caplog.records if record.name == 'aliyunsdkcore.client']
        assert messages[0].startswith('Request received. Product:Ecs Endpoint:127.0.0.1 Params: {')
        assert messages[-1].startswith('Response received. Product:Ecs Response-body: ')

    def test_error_lines(self, client, service, caplog):
        service.answer(Answer(403, {'Code': 'Forbidden.RAM', 'Message': 'not you', 'RequestId': 'R-1'}))
        with pytest.raises(ServerException):
            client.do_action_with_exception(suite_requests.rpc_get())
        errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert errors == ['ServerException occurred. Host:127.0.0.1 SDK-Version:{} ServerException:HTTP Status: 403 Error:Forbidden.RAM not you '
                          'RequestID: R-1'.format(aliyunsdkcore.__version__)]


def ecs_request_to_service():
    request = ecs_request()
    request.set_endpoint(suite_clients.ENDPOINT)
    return request
