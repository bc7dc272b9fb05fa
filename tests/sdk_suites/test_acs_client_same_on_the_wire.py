"""`AcsClient` and `ProxyAcsClient` do the same work side by side, and must have done exactly the same.

With date and nonce standing still, what each sent (method, path with its signature, headers in their order, body), what came of it (the
result or the error, in all its parts), and how the request object looks afterwards are compared as they are.
"""
import io
import logging
import os
import re
import threading

import pytest
import suite_clients
import suite_requests
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.auth.credentials import AccessKeyCredential
from aliyunsdkcore.auth.signers.access_key_signer import AccessKeySigner
from aliyunsdkcore.utils import parameter_helper
from suite_service import Answer

METHODS = ('do_action', 'do_action_with_exception', 'get_response', 'implementation_of_do_action', '_implementation_of_do_action')

ANSWERS = {
    'json': Answer(200, {'RequestId': 'R-1', 'Thing': 'found'}, {'x-acs-request-id': 'R-1'}),
    'xml': Answer(200, b'<Thing/>', {'Content-Type': 'text/xml'}),
    'nothing': Answer(200, b''),
    'created': Answer(201, {'RequestId': 'R-1'}),
    'json that is no object': Answer(200, b'[1, 2]'),
    'redirect': Answer(302, {'RequestId': 'R-1'}, {'Location': '/elsewhere'}),
    'forbidden': Answer(403, {'RequestId': 'R-1', 'Code': 'Forbidden.RAM', 'Message': 'User not authorized', 'HostId': 'h'}),
    'rejected key': Answer(404, {'RequestId': 'R-1', 'Code': 'InvalidAccessKeyId.NotFound', 'Message': 'Specified access key is not found.'}),
    'inactive key': Answer(403, {'RequestId': 'R-1', 'Code': 'InvalidAccessKeyId.Inactive', 'Message': 'Specified access key is disabled.'}),
    'code without message': Answer(400, {'Code': 'OnlyCode'}),
    'html instead of json': Answer(500, b'<html>oops</html>', {'Content-Type': 'text/html'}),
    'throttled': Answer(400, {'RequestId': 'R-1', 'Code': 'Throttling.User', 'Message': 'slow down'}),
    'wrong signature': Answer(400, {'RequestId': 'R-1', 'Code': 'SignatureDoesNotMatch', 'Message': 'string to sign is:something else'}),
    'no connection': Answer(hang_up=True),
}

CLIENTS = {
    'plain': {},
    'region': {'region_id': 'ap-southeast-1'},
    'no region': {'region_id': None},
    'user agent': {'user_agent': 'suite-agent/1.0'},
    'timeouts': {'connect_timeout': 3, 'timeout': 4},
    'no retries': {'auto_retry': False},
    'one retry': {'max_retry_time': 1},
    'not verified': {'verify': False},
    'small pool': {'pool_size': 1},
    'debug': {'debug': True},
}


@pytest.fixture(autouse=True)
def standing_still(monkeypatch):
    monkeypatch.setattr(parameter_helper, 'get_uuid', lambda: '0123456789abcdef0123456789abcdef')
    monkeypatch.setattr(parameter_helper, 'get_iso_8061_date', lambda: '2026-11-21T10:00:00Z')
    monkeypatch.setattr(parameter_helper, 'get_rfc_2616_date', lambda: 'Sat, 21 Nov 2026 10:00:00 GMT')
    monkeypatch.setattr('aliyunsdkcore.client.time.sleep', lambda seconds: None)
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')


@pytest.fixture
def same(service):
    """`same(work)` does the work with either client and compares; work takes a function that makes a client.

    Without `as_sent`, neither the order of headers and query parameters nor the connections are compared.
    """
    def do_both(work, as_sent=True):
        observed = {name: _observed(kind, service, work, as_sent) for name, kind in suite_clients.KINDS.items()}
        assert observed['ProxyAcsClient'] == observed['AcsClient']
        return observed['AcsClient']

    return do_both


def _observed(kind, service, work, as_sent):
    service.take()
    answers = list(service.answers)
    with suite_clients.Maker(kind, service.port) as make_client:
        result = work(make_client)
    service.answer(*answers)
    connections = []
    wire = [(each.method, each.path, each.headers, each.body, _numbered(each.connection, connections)) if as_sent else
            (each.method, sorted(each.path.replace('?', '&').split('&')), sorted(each.headers), each.body) for each in service.take()]
    return {'result': result, 'wire': wire}


def _numbered(connection, connections):
    if connection not in connections:
        connections.append(connection)
    return connections.index(connection)


def _outcome(call, *args):
    try:
        return _plain(call(*args))
    except ServerException as error:
        return ('server', error.get_error_code(), error.get_error_msg(), error.get_http_status(), error.get_request_id(), error.get_error_type(), str(error))
    except ClientException as error:
        return ('client', error.get_error_code(), _without_addresses(error.get_error_msg()), error.get_error_type())


def _plain(result):
    """Headers and errors as something that can be compared."""
    if isinstance(result, tuple):
        return tuple(_plain(part) for part in result)
    if isinstance(result, Exception):
        return type(result).__name__, _without_addresses(str(result))
    if hasattr(result, 'items'):
        return type(result).__name__, sorted((name, value) for name, value in result.items() if name not in ('Date', 'Server'))
    return type(result).__name__, result


def _without_addresses(message):
    """Less the addresses of objects, which urllib3 puts into its messages."""
    return re.sub(r'0x[0-9a-f]+', '0x', message)


def _state(request):
    """All that a request object holds."""
    state = dict(vars(request))
    inner = state.pop('request', None)
    state.pop('_signer', None)
    return state, inner and _state(inner)


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('request_name', sorted(suite_requests.ALL))
def test_every_request_by_every_method(same, method, request_name):
    def work(make_client):
        request = suite_requests.ALL[request_name]()
        outcome = _outcome(getattr(make_client(), method), request)
        return outcome, _state(request)

    assert len(same(work)['wire']) == 1


@pytest.mark.filterwarnings('ignore::DeprecationWarning')
@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('answer', sorted(ANSWERS))
def test_every_answer_by_every_method(same, service, method, answer):
    service.answer(ANSWERS[answer])

    def work(make_client):
        request = suite_requests.rpc_get()
        return _outcome(getattr(make_client(), method), request), _state(request)

    same(work)


@pytest.mark.parametrize('answer', sorted(ANSWERS))
@pytest.mark.parametrize('request_name', ['rpc_post_form', 'roa_put_content', 'common_roa_put', 'common_rpc_post'])
def test_every_answer_to_a_request_with_a_body(same, service, request_name, answer):
    service.answer(ANSWERS[answer])

    def work(make_client):
        request = suite_requests.ALL[request_name]()
        return _outcome(make_client().do_action_with_exception, request), _state(request)

    same(work)


@pytest.mark.parametrize('options', sorted(CLIENTS))
@pytest.mark.parametrize('request_name', ['rpc_get', 'roa_put_content', 'common_rpc_post'])
def test_every_parameter_of_the_constructor(same, options, request_name):
    def work(make_client):
        request = suite_requests.ALL[request_name]()
        return _outcome(make_client(**CLIENTS[options]).do_action_with_exception, request), _state(request)

    same(work)


def test_one_request_object_used_again_and_again(same):
    def work(make_client):
        client, request = make_client(), suite_requests.rpc_post_form()
        return [(_outcome(client.do_action_with_exception, request), _state(request)) for _ in range(3)]

    assert len(same(work)['wire']) == 3


@pytest.mark.parametrize('request_name', sorted(suite_requests.ALL))
def test_one_request_object_used_again_after_a_rejected_key(same, service, request_name):
    service.answer(ANSWERS['rejected key'], ANSWERS['json'])

    def work(make_client):
        client, request = make_client(), suite_requests.ALL[request_name]()
        return [(_outcome(client.do_action_with_exception, request), _state(request)) for _ in range(2)]

    assert len(same(work)['wire']) == 2


@pytest.mark.parametrize('request_name', sorted(suite_requests.ALL))
@pytest.mark.parametrize('answer', ['json', 'rejected key', 'no connection'])
def test_temporary_credentials(same, service, request_name, answer):
    """Where a request is used again, the token may take another place among the parameters than with the SDK."""
    service.answer(ANSWERS[answer], ANSWERS['json'])

    def work(make_client):
        client, request = make_client.with_token(), suite_requests.ALL[request_name]()
        return [(_outcome(client.do_action_with_exception, request), _state(request)) for _ in range(2)]

    sent = same(work, as_sent=False)['wire']
    assert len(sent) == 2
    for _, path, headers, _ in sent:
        assert any(part.startswith('SecurityToken=') for part in path) or dict(headers)['x-acs-security-token'] == suite_clients.TOKEN


def test_one_request_object_used_by_two_clients(same):
    """First with temporary credentials, then with a plain key; the SDK leaves the token in the request, and so do we."""
    def work(make_client):
        request = suite_requests.roa_put_content()
        return [(_outcome(client.do_action_with_exception, request), _state(request)) for client in (make_client.with_token(), make_client())]

    same(work)


def test_one_request_object_used_by_many_threads(make_client, service):
    """Only paths are looked at: the SDK's own user agent grows with every use of a request, with threads in no certain order."""
    client, request = make_client(), suite_requests.rpc_get()
    outcomes = [_outcome(client.do_action_with_exception, request)]  # what a first call adds is there before the threads
    threads = [threading.Thread(target=lambda: outcomes.append(_outcome(client.do_action_with_exception, request))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [('bytes', b'{"RequestId":"R-1"}')] * 9
    assert len({each.path for each in service.take()}) == 1


def test_one_connection_is_used_for_all_calls(same):
    def work(make_client):
        client = make_client()
        return [_outcome(client.do_action_with_exception, suite_requests.rpc_get()) for _ in range(4)]

    assert [each[-1] for each in same(work)['wire']] == [0, 0, 0, 0]


def test_cookies_are_not_kept(same, service):
    service.answer(Answer(headers={'Set-Cookie': 'suite=1'}))

    def work(make_client):
        client = make_client()
        return [_outcome(client.do_action_with_exception, suite_requests.rpc_get()) for _ in range(2)]

    assert not any(name == 'Cookie' for each in same(work)['wire'] for name, _ in each[2])


def test_signer_given_by_the_caller_is_used(same):
    signer = AccessKeySigner(AccessKeyCredential('LTAI5tAnotherKeyOfTheCaller', 'another secret'))

    def work(make_client):
        return _outcome(make_client()._implementation_of_do_action, suite_requests.rpc_get(), signer)

    assert 'LTAI5tAnotherKeyOfTheCaller' in same(work)['wire'][0][1]


def test_single_request_returns_four_things(same):
    def work(make_client):
        return _outcome(make_client()._handle_single_request, suite_clients.ENDPOINT, suite_requests.rpc_get(), 10, 5, None)

    assert len(same(work)['result']) == 4


@pytest.mark.parametrize('answer', sorted(ANSWERS))
def test_single_request_returns_the_error_instead_of_raising_it(same, service, answer):
    service.answer(ANSWERS[answer])

    def work(make_client):
        return _outcome(make_client()._handle_single_request, suite_clients.ENDPOINT, suite_requests.rpc_get(), 10, 5, None)

    same(work)


@pytest.mark.parametrize('request_name', sorted(suite_requests.ALL))
def test_http_response_made_for_a_request(same, request_name):
    def work(make_client):
        client, request = make_client(user_agent='suite', verify='/ca.pem', proxy={'http': 'http://p'}), suite_requests.ALL[request_name]()
        made = client._make_http_response(suite_clients.ENDPOINT, request, 10, 5)
        return (made.get_host(), made.get_url(), made.get_method(), made.get_headers(), made.get_body(), made.get_content(), made.get_encoding(),
                made.get_ssl_enabled(), made.get_verify_value(), made.proxy, type(made).__name__, _state(request))

    same(work)


def test_retries_of_a_product_that_has_a_configuration_for_it(same, service):
    service.answer(Answer(503, {'Code': 'ServiceUnavailable', 'Message': 'down'}), Answer(hang_up=True), Answer())

    def work(make_client):
        request = suite_requests.rpc_get()
        request.set_product('Ecs')
        request.set_version('2014-05-26')
        request.set_action_name('DescribeInstances')
        return _outcome(make_client().do_action_with_exception, request), _state(request)

    assert len(same(work)['wire']) == 3


def test_retries_end_with_the_last_error(same, service):
    service.answer(Answer(500, {'Code': 'InternalError', 'Message': 'down', 'RequestId': 'R-2'}))

    def work(make_client):
        request = suite_requests.rpc_get()
        request.set_product('Ecs')
        request.set_version('2014-05-26')
        request.set_action_name('DescribeInstances')
        return [_outcome(make_client(**options).do_action_with_exception, request)
                for options in ({}, {'max_retry_time': 1}, {'auto_retry': False})]

    assert len(same(work)['wire']) == 4 + 2 + 1


def test_client_token_is_kept_over_retries(same, service):
    service.answer(Answer(503, {'Code': 'ServiceUnavailable', 'Message': 'down'}), Answer())

    def work(make_client):
        request = suite_requests.rpc_get()
        request.set_product('Ecs')
        request.set_version('2014-05-26')
        request.set_action_name('CreateInstance')
        request.get_ClientToken = lambda: request.get_query_params().get('ClientToken')
        request.set_ClientToken = lambda token: request.add_query_param('ClientToken', token)
        outcome = _outcome(make_client().do_action_with_exception, request)
        return outcome, request.get_query_params()

    assert len(same(work)['wire']) == 2


def test_setters_bear_on_the_next_call(same):
    def work(make_client):
        client = make_client()
        outcomes = [_outcome(client.do_action_with_exception, suite_requests.rpc_get())]
        client.set_region_id('eu-west-1')
        client.append_user_agent('suite', '1.0')
        outcomes.append(_outcome(client.do_action_with_exception, suite_requests.with_user_agent()))
        client.set_user_agent('other-agent')
        outcomes.append(_outcome(client.do_action_with_exception, suite_requests.rpc_get()))
        return outcomes

    assert len(same(work)['wire']) == 3


@pytest.mark.parametrize('request_name', ['rpc_get', 'roa_put_content'])
def test_http_proxy_given_to_the_constructor(same, service, request_name, monkeypatch):
    monkeypatch.delenv('NO_PROXY')

    def work(make_client):
        request = suite_requests.ALL[request_name]()
        request.set_endpoint('suite.example.invalid')
        proxy = {'http': 'http://127.0.0.1:{}'.format(service.port)}
        return _outcome(make_client(port=80, proxy=proxy).do_action_with_exception, request)

    assert same(work)['wire'][0][1].startswith('http://suite.example.invalid/')


def test_http_proxy_of_the_environment(same, service, monkeypatch):
    monkeypatch.delenv('NO_PROXY')
    monkeypatch.setenv('HTTP_PROXY', 'http://127.0.0.1:{}'.format(service.port))

    def work(make_client):
        request = suite_requests.rpc_get()
        request.set_endpoint('suite.example.invalid')
        return _outcome(make_client(port=80).do_action_with_exception, request)

    assert same(work)['wire'][0][1].startswith('http://suite.example.invalid/')


@pytest.mark.parametrize('client_options, request_timeout', [({}, None), ({'timeout': 0.2}, None), ({'timeout': 10}, 0.2)])
def test_read_timeout(same, service, monkeypatch, client_options, request_timeout):
    monkeypatch.setattr('aliyunsdkcore.client.DEFAULT_READ_TIMEOUT', 0.2)
    released = threading.Event()
    service.answer(Answer(wait_for=released))

    def work(make_client):
        request = suite_requests.rpc_get()
        if request_timeout:
            request.set_read_timeout(request_timeout)
        return _outcome(make_client(**client_options).do_action_with_exception, request)

    try:
        assert same(work)['result'][:2] == ('client', 'SDK.HttpError')
    finally:
        released.set()


@pytest.mark.parametrize('debug', [None, 'sdk', 'SDK', 'other'])
@pytest.mark.parametrize('answer', ['json', 'forbidden', 'html instead of json', 'no connection'])
def test_stream_logger_and_http_debug(same, service, monkeypatch, debug, answer):
    """What the SDK logs; the id and the signature that its own debug line shows are left out, as our filter may mask them."""
    service.answer(ANSWERS[answer])
    if debug:
        monkeypatch.setenv('DEBUG', debug)

    def work(make_client):
        stream = io.StringIO()
        client = make_client()
        with _handlers_put_back('aliyunsdkcore', 'aliyunsdkcore.http.http_response'):
            client.set_stream_logger(stream=stream, format_string='%(name)s %(levelname)s %(message)s')
            outcome = _outcome(client.do_action_with_exception, suite_requests.rpc_get())
        lines = [_without_addresses(line) for line in stream.getvalue().splitlines()]
        return outcome, [line for line in lines if not line.startswith(('> GET /?', '< Date'))]

    assert same(work)['result'][1]


def test_file_logger(same, tmp_path):
    def work(make_client):
        path = str(tmp_path / 'sdk.log')
        with _handlers_put_back('aliyunsdkcore'):
            client = make_client()
            client.set_file_logger(path, log_level=logging.DEBUG)
            client.do_action_with_exception(suite_requests.rpc_get())
        with open(path) as log:
            lines = [line.split(' ', 3)[3] for line in log.read().splitlines()]
        os.remove(path)
        return lines

    assert len(same(work)['result']) >= 2


class _handlers_put_back(object):
    """Takes off the handlers, and sets back the levels, that a test added to loggers."""

    def __init__(self, *names):
        self._before = [(logging.getLogger(name), list(logging.getLogger(name).handlers), logging.getLogger(name).level) for name in names]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for logger, handlers, level in self._before:
            for handler in list(logger.handlers):
                if handler not in handlers:
                    logger.removeHandler(handler)
                    handler.close()
            logger.setLevel(level)
