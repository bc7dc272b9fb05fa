"""Masked ids, and the filter for the SDKs' log lines, with the SDKs themselves."""

import copy
import io
import json
import logging

import pytest
from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest
from aliyunsdkcore.vendored import requests as vendored_requests
from hypothesis import assume, given
from hypothesis import strategies as st
from urllib3.exceptions import HeaderParsingError

from aliyun_sdk_secretsmanager_common_plugin.secrecy import SensitiveFilter, filter_loggers, mask_access_key_id

from .fakes import quick

ID = "LTAI5tExample0123456789"
SECRET = "TheSecretThatNobodyMaySee42"
TOKEN = "CAIS+The/Token==That.Nobody_May-See42"
QUOTED = "CAIS%2BThe%2FToken%3D%3DThat.Nobody_May-See42"
TWICE_QUOTED = "CAIS%252BThe%252FToken%253D%253DThat.Nobody_May-See42"
SIGNATURE = "c2lnbmF0dXJlIG9mIG91cnM="
STARS = "******"


def record(message, *args):
    return logging.LogRecord("oss2.http", logging.DEBUG, __file__, 1, message, args, None)


def filtered(message, *args):
    one = record(message, *args)
    assert SensitiveFilter().filter(one) is True
    return one.getMessage()


class TestMaskedId:
    def test_shows_first_and_last_four(self):
        assert mask_access_key_id("LTAI5tAAAAAAAAAAwxyz") == "LTAI********wxyz"

    @pytest.mark.parametrize("short", ["", "a", "LTAIwxyz"])
    def test_short_ids_are_stars(self, short):
        assert mask_access_key_id(short) == "********"

    @quick
    @given(st.text(max_size=60))
    def test_shows_no_more_than_eight_characters(self, access_key_id):
        masked = mask_access_key_id(access_key_id)

        shown = masked.replace("*" * 8, "", 1)
        assert len(shown) in (0, 8)
        assert not shown or (access_key_id.startswith(shown[:4]) and access_key_id.endswith(shown[4:]))


# Lines as the SDKs format them: the format, the arguments, and the masked line.
LINES = [
    # aliyunsdkcore/client.py: dict repr of the parameters
    ("Request received. Product:%s Endpoint:%s Params: %s",
     ("Ecs", "ecs.aliyuncs.com", {"SecurityToken": TOKEN, "Signature": SIGNATURE, "SignatureMethod": "HMAC-SHA1"}),
     "Request received. Product:Ecs Endpoint:ecs.aliyuncs.com Params: {'SecurityToken': '******', "
     "'Signature': '******', 'SignatureMethod': 'HMAC-SHA1'}"),
    # aliyunsdkcore/http/http_response.py: a header a line
    ("\n> GET /?SecurityToken=" + QUOTED + "&Signature=c2ln%3D&A=b HTTP/1.1\n> Host : ecs.aliyuncs.com"
     "\n> x-acs-security-token : " + TOKEN + "\n> Authorization : acs " + ID + ":" + SIGNATURE + "\n> Accept : */*", (),
     "\n> GET /?SecurityToken=******&Signature=******&A=b HTTP/1.1\n> Host : ecs.aliyuncs.com"
     "\n> x-acs-security-token : ******\n> Authorization : ******\n> Accept : */*"),
    # tablestore: dict repr of the headers
    ("headers: %s", ({"x-ots-ststoken": TOKEN, "x-ots-apiversion": "2015-12-31"},),
     "headers: {'x-ots-ststoken': '******', 'x-ots-apiversion': '2015-12-31'}"),
    # darabonba/core.py: the same, with version 3 of the signature
    ("\n> Authorization : ACS3-HMAC-SHA256 Credential=" + ID + ",SignedHeaders=host;x-acs-date,Signature=" + SIGNATURE
     + "\n> accept : */*", (),
     "\n> Authorization : ******\n> accept : */*"),
    # aliyunsdkcore/client.py: an answer, as bytes
    ("Response received. Product:%s Response-body: %s",
     ("Sts", ('{"RequestId":"1","Credentials":{"SecurityToken":"' + TOKEN + '","Expiration":"x"}}').encode()),
     "Response received. Product:Sts Response-body: "
     "b'{\"RequestId\":\"1\",\"Credentials\":{\"SecurityToken\":\"******\",\"Expiration\":\"x\"}}'"),
    # the same, as a JSON text within JSON: SecretData of GetSecretValue
    ("Response received. Product:%s Response-body: %s",
     ("Kms", json.dumps({"SecretData": json.dumps({"SecurityToken": TOKEN, "A": 1}), "B": 2}).encode()),
     "Response received. Product:Kms Response-body: "
     "b'{\"SecretData\": \"******\", \"B\": 2}'"),
    # the same of another secret, which has a quotation mark
    ("Response-body: %s", (json.dumps({"SecretData": 'sensitive" and \\ more', "B": 2}),),
     'Response-body: {"SecretData": "******", "B": 2}'),
    # urllib3/connection.py: malformed headers, which may be the body
    ("Failed to parse headers (url=%s): %s", ("https://x/", HeaderParsingError([], "x\r\n\r\n" + TOKEN)),
     "Failed to parse headers (url=https://x/): Unknown, unparsed data: ******"),
    # alibabacloud_credentials: the answer of STS, and the URL of the request
    ("result: %s", (json.dumps({"AccessKeyId": ID, "AccessKeySecret": TOKEN}),),
     'result: {"AccessKeyId": "' + ID + '", "AccessKeySecret": "******"}'),
    ('https://sts.aliyuncs.com:443 "GET /?Action=AssumeRoleWithOIDC&OIDCToken=' + QUOTED + '&RoleArn=x HTTP/1.1" 200', (),
     'https://sts.aliyuncs.com:443 "GET /?Action=AssumeRoleWithOIDC&OIDCToken=******&RoleArn=x HTTP/1.1" 200'),
    # aliyunsdkcore/client.py: the service repeats the string that it signed
    ("ServerException occurred. Host:ecs.aliyuncs.com SDK-Version:2.16.1 ServerException:HTTP Status: 400 "
     "Error:SignatureDoesNotMatch Specified signature is not matched with our calculation. server string to sign is:"
     "GET&%2F&AccessKeyId%3D" + ID + "%26SecurityToken%3D" + TWICE_QUOTED + "%26Version%3D2014-05-26 RequestID: 1", (),
     "ServerException occurred. Host:ecs.aliyuncs.com SDK-Version:2.16.1 ServerException:HTTP Status: 400 "
     "Error:SignatureDoesNotMatch Specified signature is not matched with our calculation. server string to sign is:"
     "GET&%2F&AccessKeyId%3D" + ID + "%26SecurityToken%3D******%26Version%3D2014-05-26 RequestID: 1"),
    # urllib3 of the SDK
    ('%s://%s:%s "%s %s %s" %s %s',
     ("https", "ecs", 443, "POST", "/?SecurityToken=" + QUOTED + "&Version=1", "HTTP/1.1", 200, 5),
     'https://ecs:443 "POST /?SecurityToken=******&Version=1 HTTP/1.1" 200 5'),
    # oss2/http.py: repr of a CaseInsensitiveDict (V1)
    ("Send request, method: GET, url: http://b.oss.com/k, params: {}, "
     "headers: {'date': 'Sat, 21 Nov 2026 10:00:00 GMT', "
     "'x-oss-security-token': '" + TOKEN + "', 'authorization': 'OSS " + ID + ":" + SIGNATURE + "', 'x': 'y'}, "
     "timeout: 60", (),
     "Send request, method: GET, url: http://b.oss.com/k, params: {}, "
     "headers: {'date': 'Sat, 21 Nov 2026 10:00:00 GMT', "
     "'x-oss-security-token': '******', 'authorization': '******', 'x': 'y'}, timeout: 60"),
    # V2
    ("headers: {'authorization': 'OSS2 AccessKeyId:" + ID + ",AdditionalHeaders:range,Signature:" + SIGNATURE + "'}",
     (),
     "headers: {'authorization': '******'}"),
    # a signed URL: V1, V4
    ("sign_url: http://b.oss.com/k?OSSAccessKeyId=" + ID + "&Expires=1&Signature=c2ln%3D&security-token=" + QUOTED
     + ", headers: {}", (),
     "sign_url: http://b.oss.com/k?OSSAccessKeyId=" + ID + "&Expires=1&Signature=******&security-token=******"
     ", headers: {}"),
    ("sign_url: http://b.oss.com/k?x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-signature=abc123&x-oss-expires=60"
     "&x-oss-security-token=" + QUOTED, (),
     "sign_url: http://b.oss.com/k?x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-signature=******&x-oss-expires=60"
     "&x-oss-security-token=******"),
    # oss2/auth.py: bytes to sign, text to sign
    ("Make signature: string to be signed = {0}".format(
        ("GET\n\n\nSat\nx-oss-security-token:" + TOKEN + "\n/b/k?acl").encode()), (),
     "Make signature: string to be signed = b'GET\\n\\n\\nSat\\nx-oss-security-token:******\\n/b/k?acl'"),
    ("Make signature: string to be signed = GET\n\n\nSat\nx-oss-security-token:" + TOKEN + "\n/b/k?acl", (),
     "Make signature: string to be signed = GET\n\n\nSat\nx-oss-security-token:******\n/b/k?acl"),
    ("Make signature: string to be signed = {0}".format(("GET\n\n\n1\n/b/k?security-token=" + TOKEN).encode()), (),
     "Make signature: string to be signed = b'GET\\n\\n\\n1\\n/b/k?security-token=******'"),
    ("Sign Rtmp url: string to be signed = 1\nsecurity-token:" + TOKEN + "\n/b/channel", (),
     "Sign Rtmp url: string to be signed = 1\nsecurity-token:******\n/b/channel"),
]


class TestFilter:
    def test_masks_the_traceback_too(self, caplog):
        logger = logging.getLogger("test.tracebacks")
        logger.addFilter(SensitiveFilter())
        try:
            raise ValueError("url: /?SecurityToken=" + QUOTED)
        except ValueError:
            logger.exception("failed")

        assert "url: /?SecurityToken=******" in caplog.text
        assert "Traceback" in caplog.text
        assert QUOTED not in caplog.text

    def test_leaves_other_tracebacks_alone(self, caplog):
        logger = logging.getLogger("test.tracebacks")
        logger.addFilter(SensitiveFilter())
        try:
            raise ValueError("of the test")
        except ValueError:
            logger.exception("failed")

        assert caplog.records[0].exc_info[0] is ValueError

    @pytest.mark.parametrize(("message", "args", "expected"), LINES)
    def test_masks_what_is_sensitive_and_nothing_else(self, message, args, expected):
        assert filtered(message, *args) == expected

    def test_v4_authorization(self):
        text = filtered("headers: {'authorization': 'OSS4-HMAC-SHA256 Credential=%s/20261121/cn-hangzhou/oss/"
                        "aliyun_v4_request, Signature=%s', 'x-oss-date': '20261121T100000Z'}" % (ID, "abc123"))

        assert "abc123" not in text
        assert text.endswith("{'authorization': '******', 'x-oss-date': '20261121T100000Z'}")

    @quick
    @given(
        token=st.text("ABCXYZabcxyz0189+/=._-~", min_size=1, max_size=80),
        line=st.sampled_from([
            "{{'SecurityToken': '{}', 'b': 'c'}}",
            '{{"SecurityToken": "{}", "b": 1}}',
            '{{"SecurityToken":"{}"}}',
            "/?SecurityToken={}&b=c",
            "\n> x-acs-security-token : {}\n> b : c",
            "{{'x-oss-security-token': '{}', 'b': 'c'}}",
            "x-oss-security-token:{}\n/bucket",
            "x-kms-security-token: {}",
            "?security-token={}&b=c",
            "?b=c&security-token={}",
            "Authorization: {}",
            "{{'authorization': 'acs {}'}}",
            "{{'Authorization': b'OSS {}'}}",
            "AUTHORIZATION={} b",
        ]),
    )
    def test_masks_any_token_and_leaves_the_rest_of_the_line(self, token, line):
        assert filtered("a " + line.format(token)) == "a " + line.format("TOKEN").replace("acs TOKEN", STARS).replace(
            "OSS TOKEN", STARS).replace("TOKEN", STARS)

    @quick
    @given(st.text())
    def test_other_records_pass_untouched(self, text):
        assume(not any(word in text.lower() for word in ("token", "authorization", "signature")))
        args = (text, 5)
        one = record("%s and %d", *args)

        assert SensitiveFilter().filter(one) is True
        assert one.msg == "%s and %d"
        assert one.args is args or one.args == args

    @pytest.mark.parametrize("prose", [
        "SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&SignatureNonce=5",
        "'x-acs-signature-method': 'HMAC-SHA1', 'x-acs-signature-version': '1.0'",
        "'x-oss-signature-version': 'OSS2'",
        "access_key_id: %s, access_key_secret: ******, security_token: ******" % ID,
        "Start to list objects, continuation token: a/b, max keys: 100",
        "Error:InvalidSecurityToken.Expired Specified SecurityToken is expired. RequestID: 1",
        "the user has no authorization, ask the owner",
        "a wrong signature, so it was refused",
    ])
    def test_words_that_only_sound_sensitive_stay(self, prose):
        assert filtered(prose.replace("%", "%%")) == prose

    def test_percent_signs_of_a_masked_message_are_no_format(self):
        assert filtered("100%% of SecurityToken=%s at %s", TOKEN, "%s %d") == "100% of SecurityToken=****** at %s %d"

    @pytest.mark.parametrize(("message", "args"), [
        ("%d", ("x",)), ("%s %s", ("x",)), ("%(name)s", ({"other": 1},)), ("%", ("x",))])
    def test_broken_record_is_left_to_logging(self, message, args):
        assert SensitiveFilter().filter(record(message, *args)) is True

    def test_argument_that_cannot_be_shown_is_left_to_logging(self):
        class Odd:
            def __str__(self):
                raise RuntimeError("cannot be shown")

        assert SensitiveFilter().filter(record("%s", Odd())) is True

    def test_filtered_twice_is_as_filtered_once(self):
        once = filtered("SecurityToken=%s&a=b", TOKEN)

        assert filtered(once) == once


@pytest.fixture
def logged():
    """Return a function that takes a logger's name, and returns the text that it and the loggers below it write."""
    undo = []

    def start(name):
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
        logger = logging.getLogger(name)
        undo.append((logger, handler, logger.level))
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
        return stream

    yield start
    for logger, handler, level in undo:
        logger.removeHandler(handler)
        logger.setLevel(level)


class TestFilterLoggers:
    def test_covers_the_logger_and_those_below_it_only(self):
        names = ["suite_sdk", "suite_sdk.a", "suite_sdk.a.b", "suite_sdk_other"]
        for name in names:
            logging.getLogger(name)

        filter_loggers("suite_sdk")

        has = [any(isinstance(one, SensitiveFilter) for one in logging.getLogger(name).filters) for name in names]
        assert has == [True, True, True, False]

    def test_twice_is_once(self):
        filter_loggers("suite_sdk")
        filter_loggers("suite_sdk")

        assert len(logging.getLogger("suite_sdk").filters) == 1

    def test_logger_that_does_not_exist_yet(self):
        filter_loggers("suite_sdk_later")

        assert logging.getLogger("suite_sdk_later").filters

    def test_record_of_a_logger_below_reaches_the_handlers_above_masked(self, logged):
        stream = logged("suite_sdk_deep")
        logger = logging.getLogger("suite_sdk_deep.http.client")
        filter_loggers("suite_sdk_deep")

        logger.debug("SecurityToken=%s", TOKEN)

        assert "SecurityToken=******" in stream.getvalue()


class SdkCoreAdapter(vendored_requests.adapters.BaseAdapter):
    """Answers without a network."""

    def __init__(self, status, body):
        super(SdkCoreAdapter, self).__init__()
        self.status = status
        self.body = body
        self.requests = []

    def send(self, request, **options):
        self.requests.append(request)
        if isinstance(self.body, Exception):
            raise self.body
        response = vendored_requests.models.Response()
        response.status_code = self.status
        response._content = self.body.encode("utf-8") if not callable(self.body) else self.body(request)
        response.headers["x-acs-security-token"] = TOKEN
        response.request = request
        response.url = request.url
        return response

    def close(self):
        pass


class TestSdkCore:
    @pytest.fixture
    def call(self, logged, monkeypatch):
        """Make a call with a token and all debugging on. Return the request and the log."""
        monkeypatch.setenv("DEBUG", "sdk")
        filter_loggers("aliyunsdkcore")
        stream = logged("aliyunsdkcore")

        def make(status=200, body='{"RequestId": "1"}', uri=None):
            credential = StsTokenCredential(ID, SECRET, TOKEN)
            client = AcsClient(region_id="cn-hangzhou", credential=credential, auto_retry=False)
            adapter = SdkCoreAdapter(status, body)
            client.session.mount("http://", adapter)
            client.session.mount("https://", adapter)
            request = CommonRequest(domain="ecs.aliyuncs.com", version="2014-05-26", action_name="DescribeRegions",
                                    uri_pattern=uri)
            request.set_method("POST")
            request.set_protocol_type("http")
            try:
                client.do_action_with_exception(request)
            except Exception as error:
                stream.write("raised {}".format(type(error).__name__))
            (sent,) = adapter.requests
            return sent, stream.getvalue()

        return make

    @pytest.mark.parametrize("uri", [None, "/clusters"])
    def test_request_and_answer(self, call, uri):
        sent, text = call(uri=uri)

        assert TOKEN in str(sent.headers) or QUOTED in sent.url
        assert "Request received." in text
        assert "> POST /" in text
        assert "Response received." in text
        assert TOKEN not in text
        assert QUOTED not in text

    @pytest.mark.parametrize("uri", [None, "/clusters"])
    def test_signature_or_authorization(self, call, uri):
        sent, text = call(uri=uri)

        if uri is None:
            signature = sent.url.split("Signature=")[1].split("&")[0]
        else:
            signature = str(sent.headers["Authorization"]).split(":")[1].rstrip("'")
        assert len(signature) > 20
        assert signature not in text

    def test_answer_with_credentials(self, call):
        _, text = call(body=json.dumps({"Credentials": {"SecurityToken": TOKEN, "AccessKeyId": ID}}))

        assert "Response received." in text
        assert TOKEN not in text

    def test_answer_that_is_no_json(self, call):
        _, text = call(body="<html>SecurityToken=" + TOKEN + "</html>")

        assert "Failed to parse response" in text
        assert TOKEN not in text

    def test_refusal_that_tells_what_the_service_signed(self, call):
        def refuse(request):
            quoted = QUOTED.replace("%", "%25")
            return json.dumps({
                "Code": "SignatureDoesNotMatch", "RequestId": "1",
                "Message": "Specified signature is not matched with our calculation. server string to sign is:"
                           "POST&%2F&Action%3DDescribeRegions%26SecurityToken%3D" + quoted + "%26Version%3D2014-05-26",
            }).encode("utf-8")

        _, text = call(403, refuse)

        assert "ServerException occurred" in text
        assert "raised ServerException" in text
        assert TOKEN not in text
        assert TWICE_QUOTED not in text

    def test_connection_error(self, call):
        url = "/?SecurityToken=" + QUOTED + "&a=b"
        error = vendored_requests.exceptions.ConnectionError("no connection for url: " + url)

        _, text = call(body=error)

        assert "HttpError occurred" in text
        assert QUOTED not in text

    def test_without_a_token_lines_are_as_they_were_but_for_the_signature(self, logged, monkeypatch):
        def lines(with_filter):
            stream = logged("aliyunsdkcore")
            client = AcsClient(region_id="cn-hangzhou", credential=AccessKeyCredential(ID, SECRET), auto_retry=False)
            client.session.mount("http://", SdkCoreAdapter(404, '{"Code": "InvalidAccessKeyId.NotFound", "Message": '
                                                                '"Specified access key %s is not found."}' % ID))
            request = CommonRequest(domain="ecs.aliyuncs.com", version="2014-05-26", action_name="DescribeRegions")
            request.set_protocol_type("http")
            with pytest.raises(Exception, match="InvalidAccessKeyId.NotFound"):
                client.do_action_with_exception(request)
            return [line for line in stream.getvalue().splitlines() if "occurred" in line]

        filter_loggers("aliyunsdkcore")

        (line,) = lines(True)
        assert line.count("Specified access key %s is not found." % ID) == 1


class TestOss:
    @pytest.fixture
    def oss2(self):
        return pytest.importorskip("oss2")

    @pytest.fixture
    def bucket(self, oss2, logged):
        """Make a bucket that answers without a network, and has the requests and the log."""
        import requests

        class Adapter(requests.adapters.BaseAdapter):
            def __init__(self):
                super(Adapter, self).__init__()
                self.sent = []

            def send(self, request, **options):
                self.sent.append(request)
                response = requests.models.Response()
                response.status_code = 200
                response.raw = io.BytesIO(b"")
                response.headers["x-oss-request-id"] = "1"
                response.headers["x-oss-security-token"] = TOKEN
                response.request = request
                response.url = request.url
                return response

            def close(self):
                pass

        filter_loggers("oss2")
        stream = logged("oss2")

        def make(version):
            provider = oss2.credentials.StaticCredentialsProvider(ID, SECRET, TOKEN)
            auth = {"v1": oss2.ProviderAuth, "v2": oss2.ProviderAuthV2, "v4": oss2.ProviderAuthV4}[version](provider)
            adapter = Adapter()
            made = oss2.Bucket(auth, "http://oss-cn-hangzhou.aliyuncs.com", "bucket", region="cn-hangzhou",
                               session=oss2.Session(adapter=adapter), enable_crc=False)
            made.sent = adapter.sent
            made.logged = stream.getvalue
            return made

        return make

    @pytest.mark.parametrize("version", ["v1", "v2", "v4"])
    def test_call(self, bucket, version):
        one = bucket(version)

        one.put_object("key", b"body", headers={"x-oss-meta-a": "b"})

        (sent,) = one.sent
        assert sent.headers["x-oss-security-token"] == TOKEN
        authorization = sent.headers["authorization"]
        signature = authorization.rpartition(":" if version != "v4" else "Signature=")[2]
        assert len(signature) > 20
        text = one.logged()
        assert "Send request, method: PUT" in text
        assert "Make signature: " in text
        assert "Get response headers" in text
        assert TOKEN not in text
        assert QUOTED not in text
        assert signature not in text

    @pytest.mark.parametrize("version", ["v1", "v2", "v4"])
    def test_signed_url(self, bucket, version):
        one = bucket(version)

        url = one.sign_url("GET", "key", 60)
        one.put_object_with_url(url, b"body")

        assert QUOTED in url
        signature = url.split("ignature=")[1].split("&")[0]
        assert len(signature) > 20
        text = one.logged()
        assert "sign_url: http://" in text
        assert TOKEN not in text
        assert QUOTED not in text
        assert signature not in text

    @pytest.mark.parametrize("version", ["v1", "v2", "v4"])
    def test_resource_that_is_signed_stays_readable(self, bucket, version):
        one = bucket(version)

        one.put_object("the-key", b"body")

        lines = [line for line in one.logged().splitlines() if "Make signature: " in line]
        assert "the-key" in lines[0]

    def test_rtmp_url(self, bucket):
        one = bucket("v1")

        one.sign_rtmp_url("channel", "playlist.m3u8", 60)

        assert "Sign Rtmp url" in one.logged()
        assert TOKEN not in one.logged()


def test_filter_survives_copies_of_the_record():
    one = record("SecurityToken=%s", TOKEN)
    SensitiveFilter().filter(one)

    assert TOKEN not in repr(vars(copy.copy(one)))
