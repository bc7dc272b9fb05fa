"""What oss2's own unit tests leave out of `oss2.Bucket`, for `Bucket` and `ProxyBucket` alike: the constructor, the members, signed URLs,
the caller's headers and parameters after a call, and errors."""
import inspect
from unittest import mock

import pytest

oss2 = pytest.importorskip('oss2')

import suite_clients  # noqa: E402
import suite_credentials  # noqa: E402

ENDPOINT = 'http://oss-cn-hangzhou.aliyuncs.com'
DATE = 'Sat, 21 Nov 2026 10:00:00 GMT'


def original(*args, token=None, **kwargs):
    if token:
        return oss2.Bucket(oss2.StsAuth(suite_clients.KEY_ID, suite_clients.KEY_SECRET, token), *args, **kwargs)
    return oss2.Bucket(oss2.Auth(suite_clients.KEY_ID, suite_clients.KEY_SECRET), *args, **kwargs)


def proxy(*args, token=None, **kwargs):
    from aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket import ProxyBucket
    secrets = suite_credentials.SecretsInMemory()
    name = secrets.add(suite_clients.KEY_ID, suite_clients.KEY_SECRET, token)
    return ProxyBucket(name, *args, managed_credentials=suite_credentials.facade_of(secrets), **kwargs)


@pytest.fixture(params=[original, proxy], ids=['Bucket', 'ProxyBucket'])
def make_bucket(request):
    return request.param


@pytest.fixture(autouse=True)
def standing_still(monkeypatch):
    real = oss2.utils.http_date
    monkeypatch.setattr(oss2.utils, 'http_date', lambda timeval=None: real(timeval) if timeval else DATE)
    monkeypatch.setattr('oss2.auth.time.time', lambda: 1795255200)


class Answered(object):
    """An answer as `oss2.Session.do_request` gives it."""

    def __init__(self, status=200, body=b'', headers=()):
        self.status = status
        self.headers = oss2.CaseInsensitiveDict(dict({'x-oss-request-id': 'R', 'content-length': str(len(body)), 'ETag': '"E"'}, **dict(headers)))
        self.request_id = 'R'
        self._body = body

    def read(self, amt=None):
        body, self._body = self._body, b''
        return body

    def __iter__(self):
        return iter([self.read()])


def error(status, code):
    body = '<Error><Code>{}</Code><Message>said by OSS</Message><RequestId>R</RequestId></Error>'.format(code)
    return Answered(status, body.encode('ascii'))


def observed(make, work, *answers, **options):
    """What the work with a bucket came to, and the requests that it sent."""
    sent = []
    left = list(answers or [Answered()])

    def do_request(request, timeout):
        headers = sorted(request.headers.items(), key=str)
        sent.append((request.method, request.url, dict(request.params), headers, _read(request.data), timeout))
        return left.pop(0) if len(left) > 1 else left[0]

    bucket = make(ENDPOINT, 'suite-bucket', **options)
    with mock.patch('oss2.Session.do_request', side_effect=do_request):
        try:
            result = work(bucket)
        except oss2.exceptions.OssError as raised:
            result = (type(raised).__name__, raised.status, raised.code, raised.message, raised.request_id, raised.details)
    return result, sent


def _read(body):
    if isinstance(body, (bytes, type(None))):
        return body
    return b''.join(iter(lambda: body.read(7), b'') if hasattr(body, 'read') else body)


def same(work, *answers, **options):
    expected = observed(original, work, *answers, **options)
    assert observed(proxy, work, *answers, **options) == expected
    return expected


CONSTRUCTOR = {'is_cname': True, 'connect_timeout': 7, 'app_name': 'suite', 'enable_crc': False, 'proxies': {'http': 'http://p'},
               'region': 'cn-hangzhou', 'cloudbox_id': 'cb-1', 'is_path_style': True, 'is_verify_object_strict': False}


def _attributes(bucket):
    names = ('endpoint', 'bucket_name', 'timeout', 'app_name', 'enable_crc', 'proxies', 'region', 'cloudbox_id', 'product', 'is_verify_object_strict')
    return {name: getattr(bucket, name, 'none') for name in names}


def test_is_a_bucket(make_bucket):
    assert isinstance(make_bucket(ENDPOINT, 'suite-bucket'), oss2.Bucket)


def _taken():
    """What the installed version takes; `is_cname`, which needs an endpoint of its own, is given by place below."""
    return [name for name in CONSTRUCTOR if name != 'is_cname' and name in inspect.signature(oss2.Bucket.__init__).parameters]


@pytest.mark.parametrize('name', _taken())
def test_every_parameter_of_the_constructor(name):
    options = {name: CONSTRUCTOR[name]}
    assert _attributes(proxy(ENDPOINT, 'suite-bucket', **options)) == _attributes(original(ENDPOINT, 'suite-bucket', **options))
    same(lambda bucket: bucket.get_object_meta('key').headers, **options)
    same(lambda bucket: bucket.put_object('key', b'body').status, Answered(headers={'x-oss-hash-crc64ecma': '1'}), **options)


def test_parameters_by_place():
    given = (True, None, 7, 'suite', False, {'http': 'http://p'}, 'cn-hangzhou', 'cb-1')
    buckets = [make('http://cname.example', 'suite-bucket', *given) for make in (original, proxy)]
    assert _attributes(buckets[0]) == _attributes(buckets[1])
    assert buckets[0]._make_url('suite-bucket', 'key') == buckets[1]._make_url('suite-bucket', 'key') == 'http://cname.example/key'


def test_session_of_the_caller_is_used(make_bucket):
    session = mock.Mock(spec=oss2.Session)
    session.do_request.return_value = Answered()
    make_bucket(ENDPOINT, 'suite-bucket', session=session).get_object_meta('key')
    assert session.do_request.call_count == 1


@pytest.mark.parametrize('name', ['Wrong_Name', 'x', ''])
def test_wrong_bucket_name(make_bucket, name):
    with pytest.raises(oss2.exceptions.ClientError):
        make_bucket(ENDPOINT, name)


@pytest.mark.parametrize('name', sorted(name for name, value in vars(oss2.Bucket).items() if not name.startswith('__')))
def test_every_member_is_there_and_is_called_alike(name):
    from aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket import ProxyBucket
    ours, theirs = getattr(ProxyBucket, name), getattr(oss2.Bucket, name)
    if callable(theirs):
        assert inspect.signature(ours) == inspect.signature(theirs)
    else:
        assert ours == theirs


TOKENS = [None, suite_clients.TOKEN]


@pytest.mark.parametrize('token', TOKENS)
@pytest.mark.parametrize('method, options', [
    ('GET', {}), ('PUT', {'headers': {'Content-Type': 'text/plain', 'x-oss-meta-a': 'b'}}), ('GET', {'params': {'versionId': '1'}, 'slash_safe': True})])
def test_signed_urls(token, method, options):
    result, sent = same(lambda bucket: bucket.sign_url(method, 'a/b c', 60, **options), token=token)
    assert 'Signature=' in result and not sent


@pytest.mark.parametrize('token', TOKENS)
def test_signed_rtmp_urls(token):
    result, _ = same(lambda bucket: bucket.sign_rtmp_url('channel', 'list.m3u8', 60), token=token)
    assert 'Signature=' in result


@pytest.mark.parametrize('token', TOKENS)
@pytest.mark.parametrize('headers', [None, {'x-oss-meta-a': 'b', 'Content-Type': 'text/plain'},
                                     oss2.CaseInsensitiveDict({'X-Oss-Meta-A': 'b', 'content-type': 'text/plain'})], ids=['none', 'dict', 'case insensitive'])
def test_headers_of_the_caller_after_calls(headers, token):
    """oss2 signs a CaseInsensitiveDict in place and leaves a dict alone."""
    def work(bucket):
        given = headers.copy() if headers is not None else None
        bucket.put_object('key', 'body', headers=given)
        bucket.put_object('key', 'body', headers=given)
        return sorted((given or {}).items(), key=str)

    assert len(same(work, token=token)[1]) == 2


@pytest.mark.parametrize('token', TOKENS)
def test_parameters_of_the_caller_after_calls(token):
    def work(bucket):
        given = {'versionId': '1'}
        bucket.get_object_meta('key', params=given)
        bucket.head_object('key', params=given)
        return given

    same(work, token=token)


@pytest.mark.parametrize('status, code', [(404, 'NoSuchKey'), (403, 'AccessDenied'), (403, 'InvalidAccessKeyId'), (403, 'SignatureDoesNotMatch'), (503, 'Busy')])
@pytest.mark.parametrize('work', [
    lambda bucket: bucket.get_object('key'), lambda bucket: bucket.put_object('key', b'body'), lambda bucket: bucket.delete_object('key'),
    lambda bucket: bucket.append_object('key', 0, b'body'), lambda bucket: bucket.list_objects(), lambda bucket: bucket.object_exists('key')],
    ids=['get', 'put', 'delete', 'append', 'list', 'exists'])
def test_errors(status, code, work):
    expected = observed(original, work, error(status, code))
    assert observed(proxy, work, error(status, code)) == expected
    assert len(expected[1]) == 1


def test_lost_connection_is_not_sent_again(make_bucket):
    bucket = make_bucket(ENDPOINT, 'suite-bucket')
    with mock.patch('oss2.Session.do_request', side_effect=oss2.exceptions.RequestError(OSError('lost'))) as do_request:
        with pytest.raises(oss2.exceptions.RequestError):
            bucket.put_object('key', b'body')
    assert do_request.call_count == 1


@pytest.mark.parametrize('body', [b'bytes', 'text', u'\u4e2d', b'', ['an', 'iterator'], 'a file'], ids=repr)
@pytest.mark.parametrize('enable_crc', [True, False])
def test_bodies(tmp_path, body, enable_crc):
    """Content, length and crc of each kind of body; the crc check itself fails alike, for the answer holds another."""
    path = tmp_path / 'file'
    path.write_bytes(b'of a file')

    def work(bucket):
        progress = []
        if body == 'a file':
            with path.open('rb') as given:
                status = bucket.put_object('key', given, progress_callback=lambda *done: progress.append(done)).status
        else:
            given = iter([part.encode() for part in body]) if isinstance(body, list) else body
            status = bucket.put_object('key', given, progress_callback=lambda *done: progress.append(done)).status
        return status, progress

    same(work, Answered(), enable_crc=enable_crc)


def test_crc_that_differs(make_bucket):
    bucket = make_bucket(ENDPOINT, 'suite-bucket')

    def do_request(request, timeout):
        request.data.read()
        return Answered(headers={'x-oss-hash-crc64ecma': '1'})

    with mock.patch('oss2.Session.do_request', side_effect=do_request), pytest.raises(oss2.exceptions.InconsistentError):
        bucket.put_object('key', b'body')
