"""The modules that the import of a package loads."""

import subprocess
import sys
import textwrap

import pytest

from tests.instance import ROOT


@pytest.mark.slow
def test_legacy_plugins_import_nothing_of_the_v2_sdks_and_of_event_loops():
    program = """
        import sys
        import aliyun_sdk_secretsmanager_common_plugin
        import aliyun_sdk_secretsmanager_oss_plugin
        import aliyun_sdk_secretsmanager_sdk_core_plugin
        print(sorted(name for name in sys.modules if name.partition(".")[0] in (
            "alibabacloud_tea_openapi", "alibabacloud_credentials", "alibabacloud_credentials_api", "Tea", "darabonba",
            "alibabacloud_oss_v2", "aiohttp", "asyncio", "aliyun_sdk_secretsmanager_openapi_plugin",
            "aliyun_sdk_secretsmanager_oss_v2_plugin")))
    """

    imported = subprocess.check_output(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], cwd=ROOT, universal_newlines=True)

    assert imported == "[]\n"
