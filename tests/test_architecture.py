"""The rooms of the packages: who may import whom, and how long a function may be.

All imports count, those in functions and under TYPE_CHECKING too: a type that leads back is a circle for readers.
"""

import ast
import pathlib
import re
import sys

import pytest

from tests import instance

ROOT = pathlib.Path(instance.ROOT)
PREFIX = "aliyun_sdk_secretsmanager_"
COMMON = "common_plugin"
PLUGINS = ("sdk_core_plugin", "oss_plugin", "openapi_plugin", "oss_v2_plugin")
PACKAGES = (COMMON,) + PLUGINS + ("testing", "cli")

# The order of imports: a module imports from its own room and from those above it here. Each room has the modules and
# packages of the common plugin that are in it.
ROOMS = (
    ("basics", "exceptions version clock secrecy secret_info access_key threads sockets"),
    ("settings", "settings"),
    ("identities", "identities"),
    ("secrets_manager", "secrets_manager"),
    ("keeper", "keeper"),
    ("stores", "stores"),
    ("runtime", "runtime"),
    ("lease", "ak_expire_handler default_ak_expire_handler lease"),
    ("managed_credentials", "managed_credentials"),
    ("plugin_kit", "__init__ plugin_kit bodies check metrics prometheus opentelemetry rotation_events"),
    ("compat", "compat auth model service utils aliyun_sdk_secretsmanager_plugins_manager credentials_provider "
               "secretsmanager_plugin_builder secretsmanager_plugin_credential_updater backoff_strategy "
               "refresh_strategy secret_store cache_hook"),
    ("plugins", ""),
    ("testing", ""),
    ("cli", ""),
)
ORDER = [room for room, _ in ROOMS]
ROOM_OF_MODULE = {module: room for room, modules in ROOMS for module in modules.split()}

# The module paths of the existing plugin stay. In the common plugin they are doors to compat; in the plugins, to compat
# or to one of the rooms that every plugin has.
DOORS = ("auth", "model", "service", "utils")
PLUGIN_ROOMS = ("__init__", "client", "signing", "bodies", "errors", "provider", "answer_log", "compat")
DOORS_OF_PLUGINS = re.compile(r"proxy_\w+|\w+_ak_expire_handler|secretsm\w+")
DOORS_OF_PLUGINS_TO_COMPAT = re.compile(r"secretsm\w+")

SDK = re.compile(r"(aliyunsdk|alibaba|oss2|Tea|darabonba)")
SDKS = {
    "sdk_core_plugin": {"aliyunsdkcore"},
    "oss_plugin": {"oss2"},
    "openapi_plugin": {"alibabacloud_tea_openapi", "alibabacloud_credentials", "alibabacloud_credentials_api", "Tea",
                       "darabonba"},
    "oss_v2_plugin": {"alibabacloud_oss_v2"},
}
# Clients of extras, which give identities and ask Secrets Manager: imported in functions, in these rooms.
OPTIONAL = {
    "identities": {"alibabacloud_credentials", "Tea"},
    "secrets_manager": {"alibaba_cloud_secretsmanager_client", "alibabacloud_dkms_transfer", "aliyunsdkkms"},
}

# Modules of the testing package that run the product; the cloud itself must be able to judge it.
RUN_THE_PRODUCT = ("demo", "pytest_plugin", "plugin_contract")

LONGEST_FUNCTION = 50


class Module:
    """A module of ours: its package (without the prefix), its path in it, and its syntax tree."""

    def __init__(self, file):
        parts = file.relative_to(ROOT).with_suffix("").parts
        self.is_package = parts[-1] == "__init__"
        self.full_name = ".".join(parts[:-1] if self.is_package else parts)
        self.package = parts[0][len(PREFIX):]
        self.path = ".".join(parts[1:])
        self.tree = ast.parse(file.read_text(encoding="utf-8"))

    def __repr__(self):
        return "{}.{}".format(self.package, self.path)

    @property
    def top(self):
        return self.path.split(".")[0]

    @property
    def room(self):
        if self.package != COMMON:
            return "plugins" if self.package in PLUGINS else self.package
        assert self.top in ROOM_OF_MODULE, "give {} a room in ROOMS".format(self)
        return ROOM_OF_MODULE[self.top]

    @property
    def is_compat(self):
        return self.room == "compat" or self.room == "plugins" and (
            self.top == "compat" or bool(DOORS_OF_PLUGINS_TO_COMPAT.fullmatch(self.top)))

    def imports(self, tree=None):
        """The full names that it imports; of ``from a import b``, ``a.b``."""
        for node in ast.walk(tree or self.tree):
            if isinstance(node, ast.Import):
                for name in node.names:
                    yield name.name
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    above = self.full_name.split(".")
                    above = above[:len(above) - node.level + self.is_package]
                    base = ".".join(above + ([base] if base else []))
                for name in node.names:
                    yield "{}.{}".format(base, name.name)

    def imports_at_its_start(self):
        """The full names that its import imports, outside of functions."""
        for statement in self.tree.body:
            if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from self.imports(statement)

    def ours(self):
        """The modules of ours that it imports."""
        for name in self.imports():
            if name.startswith(PREFIX):
                # A module, or something in it.
                yield MODULES.get(name) or MODULES[name.rpartition(".")[0]]

    def sdks(self, names):
        return {name.split(".")[0] for name in names if SDK.match(name) and not name.startswith(PREFIX)}


MODULES = {module.full_name: module for module in (
    Module(file) for package in PACKAGES for file in sorted((ROOT / (PREFIX + package)).rglob("*.py")))}


def of(package):
    return [module for module in MODULES.values() if module.package == package]


def circles(modules):
    """The groups of modules that import each other, directly or by way of others."""
    imported = {module: {other for other in module.ours() if other is not module} for module in modules}
    reached = {}
    for module in modules:
        reached[module], waiting = set(), [module]
        while waiting:
            for other in imported.get(waiting.pop(), ()):
                if other not in reached[module]:
                    reached[module].add(other)
                    waiting.append(other)
    return {tuple(sorted(map(repr, (other for other in reached[module] if module in reached.get(other, ())))))
            for module in modules if module in reached[module]}


def test_all_packages_are_seen():
    assert sorted(file.name[len(PREFIX):] for file in ROOT.glob(PREFIX + "*") if file.is_dir()) == sorted(PACKAGES)
    assert all(of(package) for package in PACKAGES)


@pytest.mark.parametrize("room", ORDER)
def test_imports_go_one_way(room):
    allowed = ORDER[:ORDER.index(room) + 1]

    assert [(module, other) for module in MODULES.values() if module.room == room
            for other in module.ours() if other.room not in allowed] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_each_other(package):
    assert circles(of(package)) == set()


def test_only_compat_imports_compat():
    assert [(module, other) for module in MODULES.values() if not module.is_compat
            for other in module.ours() if other.is_compat] == []


def test_doors_are_thin():
    doors = [module for module in of(COMMON) if module.top in DOORS]
    doors_of_plugins = [module for plugin in PLUGINS for module in of(plugin)
                        if DOORS_OF_PLUGINS.fullmatch(module.top)]

    assert {module.top for module in doors} == set(DOORS)
    assert {module.package for module in doors_of_plugins} == {"sdk_core_plugin", "oss_plugin"}
    for module in doors + doors_of_plugins:
        for statement in module.tree.body:
            assert isinstance(statement, (ast.ImportFrom, ast.Assign, ast.Expr)), (module, statement.lineno)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugins_have_the_same_rooms(plugin):
    modules = [module for module in of(plugin) if not DOORS_OF_PLUGINS.fullmatch(module.top)]

    assert {module.top for module in modules} <= set(PLUGIN_ROOMS)
    assert {"client", "errors"} <= {module.top for module in modules}


def test_common_plugin_imports_no_sdk_but_sdk_core():
    for module in of(COMMON):
        assert module.sdks(module.imports_at_its_start()) <= {"aliyunsdkcore"}, module
        assert module.sdks(module.imports()) <= (
            {"aliyunsdkcore"} | OPTIONAL.get(module.room, set())), module


@pytest.mark.parametrize("plugin", PLUGINS)
def test_plugin_imports_the_common_plugin_and_its_sdk(plugin):
    for module in of(plugin):
        assert {other.package for other in module.ours()} <= {plugin, COMMON}, module
        assert module.sdks(module.imports()) <= SDKS[plugin], module


def test_local_cloud_imports_nothing_of_the_product_and_no_sdk():
    cloud = [module for module in of("testing") if module.top not in RUN_THE_PRODUCT]

    for module in cloud:
        assert {other.package for other in module.ours()} <= {"testing"}, module
        assert [other for other in module.ours() if other.top in RUN_THE_PRODUCT] == [], module
        assert module.sdks(module.imports()) == set(), module


def test_command_alone_imports_the_demo():
    assert {module for module in MODULES.values() for other in module.ours()
            if repr(other).startswith("testing.demo") and not repr(module).startswith("testing.demo")
            } == {MODULES[PREFIX + "cli.demo"]}


@pytest.mark.skipif(sys.version_info < (3, 8), reason="the syntax tree does not tell where a function ends")
@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_is_long(package):
    functions = [(module, function) for module in of(package) for function in ast.walk(module.tree)
                 if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))]

    assert [(module, function.name) for module, function in functions
            if function.end_lineno - function.lineno + 1 > LONGEST_FUNCTION] == []
