"""Where an extra is missing, an error names it and says how to install it."""

import os
import subprocess
import sys
import textwrap

import pytest

from aliyun_sdk_secretsmanager_common_plugin.plugin_kit import extra
from tests.instance import ROOT

REMEDY = '{0} needs the extra "{1}": pip install "aliyun-sdk-managed-credentials-providers[{1}]"'
BLOCKED = "import sys; sys.modules.update(dict.fromkeys({!r})); "
PLUGINS = [
    ("aliyun_sdk_secretsmanager_oss_plugin", "oss"),
    ("aliyun_sdk_secretsmanager_openapi_plugin", "openapi"),
    ("aliyun_sdk_secretsmanager_oss_v2_plugin", "oss-v2"),
]
# Extras with a module of their own, and what it imports.
METRICS = [("prometheus", "prometheus_client.core"), ("opentelemetry", "opentelemetry.metrics")]
SDKS = ["oss2", "alibabacloud_tea_openapi", "Tea", "alibabacloud_credentials", "alibabacloud_oss_v2"]


def python(*arguments, **more):
    return subprocess.run([sys.executable, "-W", "ignore"] + list(arguments), cwd=str(more.get("cwd", ROOT)),
                          env=dict(os.environ, PYTHONPATH=str(ROOT)), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=60)


def test_importing_a_plugin_names_its_extra():
    shown = python("-c", BLOCKED.format(SDKS) + textwrap.dedent("""
        import importlib
        for module in sys.argv[1:]:
            try:
                importlib.import_module(module)
            except ImportError as error:
                print(error)
    """), *[name for name, _ in PLUGINS] + ["aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket"])

    expected = [REMEDY.format(*plugin) for plugin in PLUGINS]
    if sys.version_info < (3, 8):
        expected[1:] = [name + " needs Python 3.8 or newer" for name, _ in PLUGINS[1:]]
    assert shown.stdout.splitlines() == expected + [REMEDY.format(*PLUGINS[0])]


@pytest.mark.parametrize(("name", "imported"), METRICS)
def test_importing_metrics_names_their_extra(name, imported, monkeypatch):
    module = "aliyun_sdk_secretsmanager_common_plugin." + name
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, imported, None)

    with pytest.raises(ImportError) as caught:
        __import__(module)

    assert str(caught.value) == REMEDY.format(module, name)


def test_metrics_are_imported_only_where_they_are_used():
    loaded = python("-c", "import sys, aliyun_sdk_secretsmanager_common_plugin; print(*sys.modules)")

    assert not {"prometheus_client", "opentelemetry"} & set(loaded.stdout.split())


def test_error_is_of_the_class_of_the_imports_own_and_names_what_is_missing():
    with pytest.raises(ModuleNotFoundError, match="my_plugin needs the extra \"mine\"") as missing:
        with extra("mine", "my_plugin"):
            import no_such_module_anywhere  # noqa: F401
    with pytest.raises(ImportError) as old:
        with extra("mine", "my_plugin"):
            from email import no_such_name  # noqa: F401

    assert missing.value.name == "no_such_module_anywhere"
    assert str(missing.value.__cause__) == "No module named 'no_such_module_anywhere'"
    assert type(old.value) is ImportError
    assert "no_such_name" in str(old.value.__cause__)


def test_an_older_python_is_named_before_an_extra():
    with pytest.raises(ImportError, match="^my_plugin needs Python 4.2 or newer$"):
        with extra("mine", "my_plugin", python=(4, 2)):
            raise AssertionError("nothing is imported")


@pytest.mark.parametrize("missing", ["cheroot", "trustme", "crcmod"])
def test_local_cloud_names_its_extra_when_it_is_made(missing):
    shown = python("-c", BLOCKED.format([missing]) + textwrap.dedent("""
        from aliyun_sdk_secretsmanager_testing import LocalCloud
        try:
            LocalCloud()
        except ImportError as error:
            print(error, error.name.split(".")[0])
    """))

    assert shown.stdout == REMEDY.format("LocalCloud", "testing") + " {}\n".format(missing)


def test_fixture_fails_with_that_line_alone(tmp_path):
    (tmp_path / "conftest.py").write_text(BLOCKED.format(["cheroot", "cheroot.server"]))
    (tmp_path / "test_it.py").write_text("def test_it(managed_credentials_config):\n    pass\n")

    shown = python("-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), cwd=tmp_path)

    assert shown.returncode == 1
    assert REMEDY.format("LocalCloud", "testing") in shown.stdout
    assert "cloud.py" not in shown.stdout


@pytest.mark.parametrize("package, command, missing, name", [
    ("cli", "demo", "cheroot", "testing"),
    ("cli", "demo", "oss2", "testing"),
    ("cli", "demo", "jaraco", "testing"),
    ("cli", "check", "click", "cli"),
    ("cli", "--help", "click", "cli"),
    ("testing", "", "trustme", "testing"),
])
def test_commands_say_it_in_one_line_and_end_with_1(package, command, missing, name):
    process = python("-c", BLOCKED.format([missing]) + textwrap.dedent("""
        import runpy
        runpy.run_module("aliyun_sdk_secretsmanager_{}", run_name="__main__")
    """.format(package)), *filter(None, [command]))

    assert process.returncode == 1
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1
    assert 'pip install "aliyun-sdk-managed-credentials-providers[{}]"\n'.format(name) in process.stderr
