"""A view that calls ECS."""

from aliyunsdkcore.request import CommonRequest
from django.conf import settings
from django.http import HttpResponse

from . import ecs


def regions(request):
    ask = CommonRequest(
        domain=settings.ECS_ENDPOINT, version="2014-05-26",
        action_name="DescribeRegions")
    answer = ecs.client().do_action_with_exception(ask)
    return HttpResponse(answer, content_type="application/json")
