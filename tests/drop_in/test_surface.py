"""Every name of the plugins 0.1.4 is at its old path, with the old parameters, defaults and bases."""

import importlib
import inspect
import json
import os
import re
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

with open(os.path.join(HERE, "surface.json")) as file:
    SURFACE = json.load(file)

NAMES = [(module, name) for module in sorted(SURFACE) for name in sorted(SURFACE[module])]


def types_of_the_official_client():
    """Return where docs/migrating.rst says that programs find types of the official client: (module, name) pairs."""
    with open(os.path.join(ROOT, "docs", "migrating.rst"), encoding="utf-8") as page:
        table = page.read().partition("- In ``alibaba_cloud_secretsmanager_client``")[2].partition("\n\n")[0]
    for row in table.split("\n   * - ")[1:]:
        theirs, _, ours = row.partition("\n     - ")
        for name in re.findall(r"``([A-Z]\w+)``", theirs):
            yield "aliyun_sdk_secretsmanager_common_plugin." + ours.strip("`\n"), name


def found(module, name):
    return getattr(importlib.import_module(module), name)


def parameters(function):
    """Return the parameters of a function in the format of surface.json."""
    return [
        name if parameter.default is parameter.empty else "{}={!r}".format(name, parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    ]


def unbound(method):
    return getattr(method, "__func__", method)


def test_the_surface_has_27_modules_and_30_names():
    assert len(SURFACE) == 27
    assert len(NAMES) == 30


def test_modules_are_imported_without_a_warning_of_ours_and_without_the_secret_manager_client():
    program = """if True:
        import importlib, sys, warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for module in sys.argv[1:]:
                importlib.import_module(module)
        print([str(each.message) for each in caught if "aliyun_sdk_secretsmanager" in each.filename])
        print([each for each in sys.modules if each.startswith("alibaba_cloud_secretsmanager_client")])
    """
    printed = subprocess.check_output([sys.executable, "-c", program] + sorted(SURFACE), universal_newlines=True,
                                      env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)))
    assert printed.split("\n") == ["[]", "[]", ""]


@pytest.mark.parametrize("module, name", list(types_of_the_official_client()))
def test_types_of_the_official_client_are_where_the_page_says(module, name):
    assert inspect.isclass(found(module, name))


@pytest.mark.parametrize("module, name", NAMES)
def test_methods_take_the_old_parameters_with_the_old_defaults(module, name):
    surface = SURFACE[module][name]
    functions = {"": surface["function"]} if "function" in surface else surface["class"]
    for method, expected in functions.items():
        function = found(module, name) if not method else inspect.getattr_static(found(module, name), method)
        actual = parameters(unbound(function))
        assert actual[:len(expected)] == expected, method
        assert all("=" in more or more in ("args", "more") for more in actual[len(expected):]), method


@pytest.mark.parametrize("module, name", [each for each in NAMES if "bases" in SURFACE[each[0]][each[1]]])
def test_class_has_the_old_bases(module, name):
    bases = [each.__name__ for each in found(module, name).__mro__[1:]]
    assert set(SURFACE[module][name]["bases"]) <= set(bases)
