"""The pages, the example file and the READMEs: what they show is so."""

import ast
import json
import logging
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

import aliyun_sdk_secretsmanager_common_plugin
from aliyun_sdk_secretsmanager_common_plugin.settings import CREDENTIALS_TYPES, KEYS, load_settings
from aliyun_sdk_secretsmanager_testing import LocalCloud
from aliyun_sdk_secretsmanager_testing.certificates import ca_pem
from tests.conftest import forget_other_tests

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENGLISH, CHINESE = ROOT / "docs/secrets-manager", ROOT / "docs/zh-cn/secrets-manager"
EXAMPLE = ROOT / "managed_credentials_providers.properties.example"
READMES = [ROOT / "README.rst", ROOT / "README.zh-cn.rst"]
SITE = sorted((ROOT / "docs").glob("**/*.rst")) + READMES
PACKAGES = sorted(ROOT.glob("aliyun_sdk_secretsmanager_*_plugin"))
LINK = re.compile(r"<([\w./-]+\.rst)>`_")

NAMES = sorted(page.name for page in ENGLISH.glob("*.rst"))
PAGES = sorted(ENGLISH.glob("*.rst")) + sorted(CHINESE.glob("*.rst"))
# What the add-on of ACK sets, and the password that a file may name.
VARIABLES = {
    "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/a",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/a",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/token",
}
PASSWORD = {"CLIENT_KEY_PASSWORD": "a password", "CACHE_FILE_PASSWORD": "a password"}
# Keys that go with another.
NEEDS = {
    "cache_file_path": "cache_file_password_from_file_path",
    "cache_file_password_from_env_variable": "cache_file_path",
    "cache_file_password_from_file_path": "cache_file_path",
}


def text_of(path):
    return path.read_text(encoding="utf-8")


def blocks(path, *lexers):
    """The code blocks of a page, of all languages or some."""
    found = re.findall(r"^\.\. code-block:: (\w+)\n\n((?:   .*\n|\n)+)", text_of(path), re.M)
    return [textwrap.dedent(block).strip() for lexer, block in found if not lexers or lexer in lexers]


def python_blocks(path):
    """Those that are named so, and those after a "::" that import something."""
    found = re.findall(r"^(\.\. code-block:: python|.*::)\n\n((?:   .*\n|\n)+)", text_of(path), re.M)
    return [textwrap.dedent(block).strip() for opening, block in found
            if opening.endswith("python") or re.search("^ +(?:from|import) ", block, re.M)]


def python_blocks_of(paths):
    return [pytest.param(path, block, id="{}-{}".format(name_of(path), at))
            for path in paths for at, block in enumerate(python_blocks(path))]


def blocks_of_pages(lexer):
    return [pytest.param(page, block, id="{}-{}-{}".format(page.parent.parent.name, page.stem, at))
            for page in PAGES for at, block in enumerate(blocks(page, lexer))]


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.fixture
def load(tmp_path, monkeypatch, caplog):
    """Call it with the text of a properties file: loads it, with the files that it names beside it, without a warning."""
    for name in ("client-key-password.txt", "cache-file-password.txt"):
        (tmp_path / name).write_text("a password\n")
    (tmp_path / "kms-instance-ca.pem").write_bytes(ca_pem())
    for variable, value in PASSWORD.items():
        monkeypatch.setenv(variable, value)

    def load_text(text, **handed_in):
        path = tmp_path / "managed_credentials_providers.properties"
        path.write_text(re.sub(r"<[^<>\n]+>", "placeholder", text), encoding="utf-8")
        settings = load_settings(str(path), **handed_in)
        assert [record.getMessage() for record in caplog.records] == []
        return settings

    return load_text


@pytest.mark.parametrize(("page", "block"), blocks_of_pages("properties"))
def test_properties_file_of_a_page_loads(page, block, load, monkeypatch):
    if page.name == "oidc-role-arn.rst":
        for variable, value in VARIABLES.items():
            monkeypatch.setenv(variable, value)

    gateways = page.name != "official-client.rst" or "cache_client_" in block
    settings = load(block, identity=page.name != "own-identity.rst", gateways=gateways)

    type_of_page = re.search(r"^credentials_type=(.*)", block, re.M)
    assert settings.identity.credentials_type == (type_of_page.group(1) if type_of_page else "")


def test_every_type_has_a_page():
    shown = {re.sub("credentials_type=", "", line) for page in PAGES[:len(NAMES)]
             for block in blocks(page, "properties") for line in block.splitlines()
             if line.startswith("credentials_type=")}

    assert shown == set(CREDENTIALS_TYPES) - {"sts"}  # the older name of ram_role


@pytest.mark.parametrize(("page", "block"), blocks_of_pages("json"))
def test_json_of_a_page_is_valid(page, block):
    assert json.loads(block)


@pytest.mark.parametrize(("path", "block"), python_blocks_of(SITE))
def test_python_of_a_page_compiles(path, block):
    compile(block, str(path), "exec")


# In Chinese they are the same. These two need another client, and have tests of their own.
RUN = [path for path in SITE if "zh-cn" not in str(path) and path.name not in (
    "official-client.rst", "writing-a-plugin.rst")]


@pytest.fixture
def my_cloud(tmp_path):
    """What the blocks speak of, on a local cloud; the process is afterwards as it was."""
    logger = logging.getLogger(aliyun_sdk_secretsmanager_common_plugin.__name__)
    level = logger.level
    with LocalCloud() as cloud:
        shutil.copy(cloud.write_properties(tmp_path), str(tmp_path / "account-b.properties"))
        yield cloud
        forget_other_tests()
    logger.setLevel(level)


@pytest.mark.parametrize(("path", "block"), python_blocks_of(RUN))
def test_python_of_a_page_runs(path, block, my_cloud, tmp_path):
    if "openapi_plugin" in block:
        pytest.importorskip("alibabacloud_ecs20140526", reason="needs alibabacloud-ecs20140526: nox -s openapi")
    if "oss_v2_plugin" in block:
        pytest.importorskip("alibabacloud_oss_v2.aio", reason="needs alibabacloud-oss-v2: nox -s oss-v2")
    key = my_cloud.identity
    if "create_secret" not in block:
        my_cloud.create_bucket("my-bucket")
        secret = my_cloud.create_secret("my-secret")
        key = key if path in PAGES else secret.current
    for shown, value in (
        ("ecs.cn-hangzhou.aliyuncs.com", my_cloud.api_endpoint),
        ("https://oss-cn-hangzhou.aliyuncs.com", my_cloud.oss_endpoint),
        ("Config(endpoint", 'Config(protocol="http", endpoint'),
        ("<access key id>", key.access_key_id),
        ("<access key secret>", key.access_key_secret),
    ):
        block = block.replace(shown, value)

    if "alibabacloud_credentials" in block:
        # In a process of its own: it reads the environment when it is imported, and starts a thread that stays.
        environment = {"PYTHONPATH": str(ROOT), "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
                       "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.access_key_secret}
        subprocess.run([sys.executable, "-c", block], env=dict(os.environ, **environment), check=True)
        return
    names = {}
    exec(compile(block, str(path), "exec"), names)

    for name, value in names.items():
        if name.startswith("test_"):
            value(my_cloud, os.path.join(str(tmp_path), "managed_credentials_providers.properties"))
        elif hasattr(value, "shutdown") and not isinstance(value, type):
            value.shutdown()


def test_both_languages_have_the_same_pages():
    assert sorted(page.name for page in CHINESE.glob("*.rst")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_code(name):
    assert blocks(CHINESE / name) == blocks(ENGLISH / name)


def test_both_readmes_have_the_same_code():
    def code(readme):
        found = re.findall(r"::\n\n((?:    .*\n|\n)+)", text_of(readme))
        return [re.sub(" *#.*", "", block) for block in found if "<----" not in block]  # a drawing

    assert code(READMES[1]) == code(READMES[0])


def texts_in(tree):
    """All strings in a syntax tree, put together as the interpreter does."""
    field = "value" if sys.version_info >= (3, 8) else "s"
    constants = [getattr(node, field, None) for node in ast.walk(tree)]
    return "\n".join(text for text in constants if isinstance(text, str))


@pytest.fixture(scope="module")
def texts_of_the_program():
    return "\n".join(texts_in(ast.parse(text_of(module))) for module in PACKAGES[0].glob("*.py"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_errors_of_a_page_are_those_of_the_program(page, texts_of_the_program):
    first_cells = "\n".join(re.findall(r"^   \* - (.*)", text_of(page), re.M))
    quoted = [text for text in re.findall(r"``(.+?)``", first_cells) if " " in text]  # without one it is a code

    assert [text for text in quoted if text not in texts_of_the_program] == []


def log_lines_on_the_page():
    """Message, level and logger of each row of the page on operations."""
    rows = re.findall(r"^   \* - ``(.+)``\n     - (\w+), ``(.+)``$", text_of(ROOT / "docs/operations.rst"), re.M)
    return [(message, level, name if "." in name else "{}.{}".format(PACKAGES[0].name, name))
            for message, level, name in rows]


def log_lines_of_the_program():
    """The same of each call of a logger."""
    calls = [(module, node) for package in PACKAGES for module in package.glob("**/*.py")
             for node in ast.walk(ast.parse(text_of(module)))
             if isinstance(node, ast.Call) and getattr(getattr(node.func, "value", None), "id", "") == "logger"]
    return [(texts_in(node), node.func.attr.upper().replace("EXCEPTION", "ERROR"),
             "{}.{}".format(module.parent.name, module.stem)) for module, node in calls]


def test_log_lines_of_the_program_are_on_the_page_and_no_others():
    shown, logged = log_lines_on_the_page(), log_lines_of_the_program()

    def same(row, line):
        return row[0] in line[0] and row[1:] == line[1:]

    assert [line for line in logged if not any(same(row, line) for row in shown)] == []
    assert [row for row in shown if not any(same(row, line) for line in logged)] == []


@pytest.mark.parametrize("path", [path for path in SITE if LINK.search(text_of(path))], ids=name_of)
def test_links_lead_to_files(path):
    assert [target for target in LINK.findall(text_of(path)) if not (path.parent / target).exists()] == []


def test_every_example_is_on_a_page():
    shown = "".join(text_of(ROOT / "docs" / page) for page in ("examples.rst", "writing-a-plugin.rst"))

    assert [example.name for example in (ROOT / "examples").glob("*.py") if example.name not in shown] == []


@pytest.mark.parametrize("directory", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_index_leads_to_every_page(directory):
    assert {name for name in NAMES if "<{}>`_".format(name) in text_of(directory / "index.rst")} == \
        set(NAMES) - {"index.rst"}


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.name)
def test_readme_names_every_key(readme):
    first_cells = "\n".join(re.findall(r"^   \* - (.*(?:\n       .*)*)", text_of(readme), re.M))

    assert [key for key in KEYS if "``{}``".format(key) not in first_cells] == []


class TestExample:
    def test_has_every_key_once(self):
        assert sorted(re.findall(r"^#?([a-z_]+)=", text_of(EXAMPLE), re.M)) == sorted(KEYS)

    def test_loads_as_it_is(self, load):
        assert load(text_of(EXAMPLE)).identity.credentials_type == "ak"

    @pytest.mark.parametrize("key", KEYS)
    def test_loads_with_the_comment_sign_of_a_key_taken_off(self, key, load):
        load(re.sub("^#(?=(?:{}|{})=)".format(key, NEEDS.get(key, key)), "", text_of(EXAMPLE), flags=re.M))

    @pytest.mark.parametrize("credentials_type", CREDENTIALS_TYPES)
    def test_loads_with_all_comment_signs_taken_off_for_each_type(self, credentials_type, load):
        everything = re.sub(r"^#(?=[a-z_]+=)(?!cache_file_password_from_env)", "", text_of(EXAMPLE), flags=re.M)

        settings = load(everything.replace("credentials_type=ak", "credentials_type=" + credentials_type))

        assert settings.identity.credentials_type == credentials_type
        assert settings.dedicated_gateways
