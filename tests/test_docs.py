"""The pages on the ways to Secrets Manager, the example file and the READMEs: what they show is so."""

import ast
import json
import pathlib
import re
import sys
import textwrap

import pytest

import aliyun_sdk_secretsmanager_common_plugin
from aliyun_sdk_secretsmanager_common_plugin.settings import CREDENTIALS_TYPES, KEYS, load_settings
from aliyun_sdk_secretsmanager_testing.certificates import ca_pem

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENGLISH, CHINESE = ROOT / "docs/secrets-manager", ROOT / "docs/zh-cn/secrets-manager"
EXAMPLE = ROOT / "managed_credentials_providers.properties.example"
READMES = [ROOT / "README.rst", ROOT / "README.zh-cn.rst"]

NAMES = sorted(page.name for page in ENGLISH.glob("*.rst"))
PAGES = sorted(ENGLISH.glob("*.rst")) + sorted(CHINESE.glob("*.rst"))
# What the add-on of ACK sets, and the password that a file may name.
VARIABLES = {
    "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/a",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/a",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/token",
}
PASSWORD = {"CLIENT_KEY_PASSWORD": "a password"}


def text_of(path):
    return path.read_text(encoding="utf-8")


def blocks(path, *lexers):
    """The code blocks of a page, of all languages or some."""
    found = re.findall(r"^\.\. code-block:: (\w+)\n\n((?:   .*\n|\n)+)", text_of(path), re.M)
    return [textwrap.dedent(block).strip() for lexer, block in found if not lexers or lexer in lexers]


def blocks_of_pages(lexer):
    return [pytest.param(page, block, id="{}-{}-{}".format(page.parent.parent.name, page.stem, at))
            for page in PAGES for at, block in enumerate(blocks(page, lexer))]


def name_of(path):
    return "{}/{}".format(path.parent.parent.name, path.name)


@pytest.fixture
def load(tmp_path, monkeypatch, caplog):
    """Call it with the text of a properties file: loads it, with the files that it names beside it, without a warning."""
    (tmp_path / "client-key-password.txt").write_text("a password\n")
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


@pytest.mark.parametrize(("page", "block"), blocks_of_pages("python"))
def test_python_of_a_page_compiles(page, block):
    compile(block, str(page), "exec")


def test_both_languages_have_the_same_pages():
    assert sorted(page.name for page in CHINESE.glob("*.rst")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_code(name):
    assert blocks(CHINESE / name) == blocks(ENGLISH / name)


@pytest.fixture(scope="module")
def texts_of_the_program():
    """All strings in the sources of the common plugin, put together as the interpreter does."""
    field = "value" if sys.version_info >= (3, 8) else "s"
    source = pathlib.Path(aliyun_sdk_secretsmanager_common_plugin.__file__).parent
    constants = [getattr(node, field, None) for module in source.glob("*.py")
                 for node in ast.walk(ast.parse(text_of(module)))]
    return "\n".join(text for text in constants if isinstance(text, str))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_errors_of_a_page_are_those_of_the_program(page, texts_of_the_program):
    first_cells = "\n".join(re.findall(r"^   \* - (.*)", text_of(page), re.M))
    quoted = [text for text in re.findall(r"``(.+?)``", first_cells) if " " in text]  # without one it is a code

    assert [text for text in quoted if text not in texts_of_the_program] == []


@pytest.mark.parametrize("path", PAGES + READMES, ids=name_of)
def test_links_lead_to_files(path):
    targets = re.findall(r"<([\w./-]+\.rst)>`_", text_of(path))

    assert targets
    assert [target for target in targets if not (path.parent / target).exists()] == []


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
        load(re.sub("^#(?={}=)".format(key), "", text_of(EXAMPLE), flags=re.M))

    @pytest.mark.parametrize("credentials_type", CREDENTIALS_TYPES)
    def test_loads_with_all_comment_signs_taken_off_for_each_type(self, credentials_type, load):
        everything = re.sub(r"^#(?=[a-z_]+=)", "", text_of(EXAMPLE), flags=re.M)

        settings = load(everything.replace("credentials_type=ak", "credentials_type=" + credentials_type))

        assert settings.identity.credentials_type == credentials_type
        assert settings.dedicated_gateways
