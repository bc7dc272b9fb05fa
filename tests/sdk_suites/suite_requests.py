"""Requests of every kind that sdk-core knows, made anew on each call: a client changes the request it is given."""
import suite_clients
from aliyunsdkcore.http import format_type
from aliyunsdkcore.request import CommonRequest, RoaRequest, RpcRequest
from aliyunsdkkms.request.v20160120.DescribeKeyRequest import DescribeKeyRequest


def rpc_get():
    request = RpcRequest('Suite', '2026-11-21', 'DescribeThings')
    request.add_query_param('PageSize', 10)
    request.add_query_param('Name', u'caf\xe9 * ~/+ &=')
    return _to_service(request)


def rpc_post_form():
    request = RpcRequest('Suite', '2026-11-21', 'CreateThing', format='JSON')
    request.set_method('POST')
    request.add_query_param('InQuery', 'yes')
    request.add_body_params('InBody', u'\u4e2d\u6587 text')
    request.add_body_params('Number', 7)
    return _to_service(request)


def rpc_post_json():
    request = RpcRequest('Suite', '2026-11-21', 'CreateThing')
    request.set_method('POST')
    request.set_content_type(format_type.APPLICATION_JSON)
    request.add_body_params('Thing', 'of json')
    return _to_service(request)


def rpc_post_xml():
    request = RpcRequest('Suite', '2026-11-21', 'CreateThing')
    request.set_method('POST')
    request.set_content_type(format_type.APPLICATION_XML)
    request.set_body_params({'Thing': {'Of': 'xml'}})
    return _to_service(request)


def rpc_post_content():
    request = RpcRequest('Suite', '2026-11-21', 'CreateThing')
    request.set_method('POST')
    request.set_content(b'\x00\x01 plain bytes')
    return _to_service(request)


def rpc_own_region():
    request = rpc_get()
    request.add_query_param('RegionId', 'eu-central-1')
    return request


def rpc_xml_answer():
    request = rpc_get()
    request.set_accept_format('XML')
    return request


def roa_get():
    request = RoaRequest('Suite', '2026-11-21', 'GetThing', method='GET', uri_pattern='/things/[Id]', path_params={'Id': 'seven'})
    request.add_query_param('Verbose', 'true')
    return _to_service(request)


def roa_put_content():
    request = RoaRequest('Suite', '2026-11-21', 'PutThing', method='PUT', uri_pattern='/things/[Id]', path_params={'Id': 'seven'})
    request.set_content(b'{"a": 1}')
    request.set_content_type(format_type.APPLICATION_JSON)
    request.add_header('x-acs-suite', 'extra')
    return _to_service(request)


def roa_post_body_params():
    request = RoaRequest('Suite', '2026-11-21', 'PostThing', method='POST', uri_pattern='/things')
    request.add_body_params('Thing', 'of a form')
    return _to_service(request)


def roa_delete():
    request = RoaRequest('Suite', '2026-11-21', 'DeleteThing', method='DELETE', uri_pattern='/things/seven')
    return _to_service(request)


def common_rpc():
    request = CommonRequest(domain=suite_clients.ENDPOINT, version='2026-11-21', action_name='DescribeThings')
    request.add_query_param('PageSize', 10)
    return request


def common_rpc_post():
    request = CommonRequest(version='2026-11-21', action_name='CreateThing', product='Suite')
    request.set_domain(suite_clients.ENDPOINT)
    request.set_method('POST')
    request.add_body_params('Thing', 'of a common request')
    return request


def common_roa():
    request = CommonRequest(domain=suite_clients.ENDPOINT, version='2026-11-21', uri_pattern='/things/[Id]')
    request.add_path_param('Id', 'seven')
    request.add_header('x-acs-suite', 'extra')
    return request


def common_roa_put():
    request = CommonRequest(domain=suite_clients.ENDPOINT, version='2026-11-21', uri_pattern='/things')
    request.set_method('PUT')
    request.set_content(b'<thing/>')
    request.set_content_type(format_type.APPLICATION_XML)
    return request


def product_request():
    request = DescribeKeyRequest()
    request.set_KeyId('key-1')
    request.set_protocol_type('http')
    return _to_service(request)


def with_user_agent():
    request = rpc_get()
    request.append_user_agent('suite-request', '1.0')
    return request


def with_its_own_user_agent():
    request = rpc_get()
    request.set_user_agent('suite-request-agent')
    return request


def _to_service(request):
    request.set_endpoint(suite_clients.ENDPOINT)
    return request


ALL = {make.__name__: make for make in (
    rpc_get, rpc_post_form, rpc_post_json, rpc_post_xml, rpc_post_content, rpc_own_region, rpc_xml_answer, roa_get,
    roa_put_content, roa_post_body_params, roa_delete, common_rpc, common_rpc_post, common_roa, common_roa_put, product_request,
    with_user_agent, with_its_own_user_agent)}
