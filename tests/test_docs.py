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
from aliyun_sdk_secretsmanager_testing.control.routes import ROUTES
from aliyun_sdk_secretsmanager_testing.control.state import _FAULTS
from aliyun_sdk_secretsmanager_testing.network import SERVICES
from tests.conftest import forget_other_tests

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENGLISH, CHINESE = ROOT / "docs/secrets-manager", ROOT / "docs/zh-cn/secrets-manager"
EXAMPLE = ROOT / "aliyun_sdk_secretsmanager_common_plugin/managed_credentials_providers.properties.example"
READMES = [ROOT / "README.rst", ROOT / "README.zh-cn.rst"]
CONFIGURATION = [ROOT / "docs/configuration.rst", ROOT / "docs/zh-cn/configuration.rst"]
ARCHITECTURE = ROOT / "docs/architecture.rst"
CONTRIBUTING = ROOT / "CONTRIBUTING.rst"
SITE = sorted((ROOT / "docs").glob("**/*.rst")) + READMES
TRANSLATIONS = {page: ROOT / "docs" / page.relative_to(ROOT / "docs/zh-cn") for page in SITE if "zh-cn/" in str(page)}
PACKAGES = sorted(ROOT.glob("aliyun_sdk_secretsmanager_*_plugin"))
# In reStructuredText and in Markdown, and the pictures.
LINK = re.compile(r"<([\w./#-]+)>`_|\]\(([\w./#-]+)\)|^ *\.\. image:: (\S+)", re.M)

NAMES = sorted(page.name for page in ENGLISH.glob("*.rst"))
PAGES = sorted(ENGLISH.glob("*.rst")) + sorted(CHINESE.glob("*.rst"))
# What the add-on of ACK sets, and the password that a file may name.
VARIABLES = {
    "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/a",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1:oidc-provider/a",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/token",
}
PASSWORD = dict.fromkeys(
    ("CLIENT_KEY_PASSWORD", "CACHE_FILE_PASSWORD", "SHARED_STORE_PASSWORD", "SHARED_STORE_AUTH"), "a password")
# Keys that go with another.
NEEDS = {
    "cache_file_path": "cache_file_password_from_file_path",
    "cache_file_password_from_env_variable": "cache_file_path",
    "cache_file_password_from_file_path": "cache_file_path",
    "shared_store_url": "shared_store_password_from_file_path",
    "shared_store_password_from_env_variable": "shared_store_url",
    "shared_store_password_from_file_path": "shared_store_url",
    "shared_store_auth_from_env_variable": "shared_store_url|shared_store_password_from_file_path",
    "shared_store_auth_from_file_path": "shared_store_url|shared_store_password_from_file_path",
    "shared_store_prefix": "shared_store_url|shared_store_password_from_file_path",
    "shared_store_timeout_milliseconds": "shared_store_url|shared_store_password_from_file_path",
}


def text_of(path):
    return path.read_text(encoding="utf-8")


def blocks(path, *lexers, options="(?: +:.*\\n)*"):
    """The code blocks of a page, of all languages or some."""
    found = re.findall(
        r"^( *)\.\. code-block:: (\w+)\n" + options + r"\n((?:\1   .*\n|\n)+)", text_of(path), re.M)
    return [textwrap.dedent(block).strip() for _, lexer, block in found if not lexers or lexer in lexers]


def python_blocks(path):
    """Those that are Python, and those after a "::" that import something; tests/examples runs those with a name."""
    found = re.findall(r"^\S.*::\n\n((?:    .*\n|\n)+)", text_of(path), re.M)
    return blocks(path, "python", options="") + [
        textwrap.dedent(block).strip() for block in found if re.search("^ +(?:from|import) ", block, re.M)]


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
    for name in ("client-key-password.txt", "cache-file-password.txt", "shared-store-password.txt",
                 "shared-store-auth.txt"):
        (tmp_path / name).write_text("a password\n")
    (tmp_path / "client-key.json").write_text("{}")
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


def uncommented(code):
    """Blocks without their comments, which are translated, and without drawings."""
    return [re.sub(" *#.*", "", block) for block in code if "<----" not in block]


@pytest.mark.parametrize("page", TRANSLATIONS, ids=name_of)
def test_both_languages_have_the_same_code(page):
    assert uncommented(blocks(page)) == uncommented(blocks(TRANSLATIONS[page]))


@pytest.mark.parametrize("page", TRANSLATIONS, ids=name_of)
def test_chinese_page_leads_to_chinese_pages_where_there_are_any(page):
    targets = {(page.parent / file).resolve() for file in re.findall(r"<([\w./-]+\.rst)(?:#[\w-]+)?>`_", text_of(page))}
    translated = {english for english in TRANSLATIONS.values() if english != TRANSLATIONS[page]}

    assert targets & translated == set()


def test_both_languages_have_the_same_faults():
    def cells(path):
        return [re.findall("``[^`]+``", cell) for cell in re.findall(r"^   [* ] - (.*)", text_of(path), re.M)]

    english, chinese = (cells(ROOT / "docs" / page) for page in ("faults.rst", "zh-cn/faults.rst"))

    assert any(english)
    assert [sorted(cell) for cell in chinese] == [sorted(cell) for cell in english]


class TestReadmes:
    CODE = [re.findall(r"::\n\n((?:    .*\n|\n)+)", text_of(readme)) for readme in READMES]

    def test_both_have_the_same_code(self):
        assert self.CODE[1] == self.CODE[0]

    def test_begin_with_the_two_commands_that_ci_runs(self):
        assert [block.rstrip().endswith(end) for block, end in zip(
            self.CODE[0], ("/managed-credentials demo", "/python -m pytest -q -n auto"))] == [True, True]

    def test_install_from_a_repository(self):
        requirements = pytest.importorskip("packaging.requirements")
        commands = [block.strip().replace("pip install", "").strip(' "') for block in self.CODE[0][2:4]]

        for command in commands:
            requirement = requirements.Requirement(command.replace("REPOSITORY", "https://example.com/suite.git"))
            assert requirement.url == "git+https://example.com/suite.git"
            assert requirement.name == "aliyun-sdk-managed-credentials-providers"

    def test_fit_on_a_screen(self):
        assert [len(text_of(readme).splitlines()) < 120 for readme in READMES] == [True, True]
        assert len(text_of(READMES[0]).split()) < 620


@pytest.mark.parametrize("path", SITE, ids=name_of)
def test_installs_extras_that_exist(path):
    metadata = pytest.importorskip("importlib.metadata", reason="needs Python 3.8")
    name = "aliyun-sdk-managed-credentials-providers"
    named = re.findall(r"(?:{}|[\"'`]\.)\[([a-z0-9,-]+)\]".format(name), text_of(path))

    assert {extra for extras in named for extra in extras.split(",")} <= set(
        metadata.metadata(name).get_all("Provides-Extra"))


def texts_in(tree):
    """All strings in a syntax tree, put together as the interpreter does."""
    field = "value" if sys.version_info >= (3, 8) else "s"
    constants = [getattr(node, field, None) for node in ast.walk(tree)]
    return "\n".join(text for text in constants if isinstance(text, str))


@pytest.fixture(scope="module")
def texts_of_the_program():
    return "\n".join(texts_in(ast.parse(text_of(module))) for module in PACKAGES[0].glob("**/*.py"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_errors_of_a_page_are_those_of_the_program(page, texts_of_the_program):
    first_cells = "\n".join(re.findall(r"^   \* - (.*)", text_of(page), re.M))
    quoted = [text for text in re.findall(r"``(.+?)``", first_cells) if " " in text]  # without one it is a code

    assert [text for text in quoted if text not in texts_of_the_program] == []


def log_lines_on_the_page():
    """Message, level and logger of each row of the page on observability."""
    rows = re.findall(r"^   \* - ``(.+)``\n     - (\w+), ``(.+)``$", text_of(ROOT / "docs/observability.rst"), re.M)
    return [(message, level, name if name.startswith("aliyun_") else "{}.{}".format(PACKAGES[0].name, name))
            for message, level, name in rows]


def logger_of(module, tree):
    """The name of a module's logger; without one of its own it is the core's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "logger":
            return texts_in(node) or ".".join(module.relative_to(ROOT).with_suffix("").parts)
    return "{}.keeper".format(PACKAGES[0].name)


def log_lines_of(module):
    """The same of each call of a logger, and of each line that is made for the core's logger: level, message ..."""
    tree = ast.parse(text_of(module))
    for node in ast.walk(tree):
        is_logged = isinstance(node, ast.Call) and getattr(getattr(node.func, "value", None), "id", "") == "logger"
        level = node.func.attr.upper().replace("EXCEPTION", "ERROR") if is_logged else ""
        if level in ("DEBUG", "INFO", "WARNING", "ERROR"):
            yield texts_in(node), level, logger_of(module, tree)
        parts = node.args if isinstance(node, ast.Call) else getattr(node, "elts", [])
        level = getattr(parts[0], "attr", "") if len(parts) > 1 else ""
        if level.isupper() and getattr(parts[0].value, "id", "") == "logging":
            yield texts_in(node), level, "{}.keeper".format(PACKAGES[0].name)


def log_lines_of_the_program():
    return [line for package in PACKAGES for module in package.glob("**/*.py") for line in log_lines_of(module)]


def test_log_lines_of_the_program_are_on_the_page_and_no_others():
    shown, logged = log_lines_on_the_page(), log_lines_of_the_program()

    def same(row, line):
        return row[0] in line[0] and row[1:] == line[1:]

    assert [line for line in logged if not any(same(row, line) for row in shown)] == []
    assert [row for row in shown if not any(same(row, line) for line in logged)] == []


def sections_of(path):
    """The ids that docutils and GitHub give to the sections of a page."""
    titles = re.findall(r"^(\S.*)\n([=~-])\2{2,}$", text_of(path), re.M)
    return {re.sub("[^a-z0-9]+", "-", title.lower()).strip("-") for title, _ in titles}


@pytest.mark.parametrize("path", SITE + sorted(ROOT.glob("[CS]*.rst")) + sorted(ROOT.glob("*.md")), ids=name_of)
def test_links_lead_to_files_and_their_sections(path):
    links = [target.partition("#") for found in LINK.findall(text_of(path)) for target in found if target]

    assert [file for file, _, _ in links if not (path.parent / file).exists()] == []
    assert [(file, section) for file, _, section in links
            if section and section not in sections_of(path.parent / file if file else path)] == []


def test_every_example_is_on_a_page():
    shown = "".join(text_of(ROOT / "docs" / page) for page in ("examples.rst", "writing-a-plugin.rst"))

    assert [example.name for example in (ROOT / "examples").glob("*.py") if example.name not in shown] == []


@pytest.mark.parametrize("directory", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_index_leads_to_every_page(directory):
    assert {name for name in NAMES if "<{}>`_".format(name) in text_of(directory / "index.rst")} == \
        set(NAMES) - {"index.rst"}


@pytest.mark.parametrize("page", CONFIGURATION, ids=name_of)
def test_configuration_has_a_row_for_every_key(page):
    first_cells = "\n".join(re.findall(r"^   \* - (.*(?:\n       .*)*)", text_of(page), re.M))

    assert [key for key in KEYS if "``{}``".format(key) not in first_cells] == []


def test_every_session_is_named_for_contributors():
    text = text_of(CONTRIBUTING)
    sessions = [(node, decorator) for node in ast.walk(ast.parse(text_of(ROOT / "noxfile.py")))
                if isinstance(node, ast.FunctionDef) for decorator in node.decorator_list
                if "session" in ast.dump(decorator)]
    names = [next((texts_in(keyword.value) for keyword in getattr(decorator, "keywords", []) if keyword.arg == "name"),
                  node.name) for node, decorator in sessions]

    assert names
    assert [name for name in names if "* - ``{}``\n".format(name) not in text] == []


class TestArchitecture:
    TEXT = text_of(ARCHITECTURE)

    def test_every_contract_that_a_test_cites_is_on_the_page(self):
        cited = {number for test in (ROOT / "tests").glob("**/*.py")
                 for numbers in re.findall(r"\b[cC]ontracts? ((?:\d+(?:, | to | and )?)+)", text_of(test))
                 for number in re.findall(r"\d+", numbers)}

        assert cited
        assert cited - set(re.findall(r"^Contract (\d+): ", self.TEXT, re.M)) == set()

    def test_both_languages_have_the_same_contracts(self):
        chinese = text_of(ROOT / "docs/zh-cn/architecture.rst")

        assert re.findall(r"^(\d+)\. \*\*", chinese, re.M) == re.findall(r"^Contract (\d+): ", self.TEXT, re.M)

    def test_both_languages_have_the_same_files_constants_and_words(self):
        def shown(path, glossary):
            text = text_of(path)
            first_cells = "".join(re.findall(r"^   \* - (``.*(?:\n       .*)*)", text, re.M))
            constants = re.findall(r"^   \* - ``([A-Z_]+)``\n     - (.*)\n     - ``(\w+)``$", text, re.M)
            terms = re.findall(r"^(\S.*)\n   \S", text.partition("\n{}\n=".format(glossary))[2], re.M)
            words = [re.sub("（.*", "", term).replace("、", ", ") for term in terms]
            return re.findall(r"``([\w-]+)``", first_cells), constants, words

        english, chinese = shown(ARCHITECTURE, "Glossary"), shown(ROOT / "docs/zh-cn/architecture.rst", "术语表")

        assert all(english)
        assert chinese == english

    def test_every_file_of_the_product_is_on_the_page(self):
        doors = {"auth", "compat", "model", "service", "utils"}
        files = {path.stem for package in PACKAGES for path in package.glob("**/[a-z]*.py")
                 if not doors & set(path.relative_to(package).parts)}
        named = set(re.findall(r"``(\w+)``", self.TEXT))

        assert files - named == set()

    def test_every_time_and_limit_of_the_core_is_on_the_page(self):
        rows = {(file, name, value) for name, value, file in re.findall(
            r"^   \* - ``([A-Z_]+)``\n     - ([\d., ]*\d)(?: s)?\n     - ``(\w+)``$", self.TEXT, re.M)}
        core = [PACKAGES[0] / "lease.py"] + [path for room in ("keeper", "runtime") for path in (
            PACKAGES[0] / room).glob("*.py")]

        assert {row for path in core for row in self.constants_of(path)} - rows == set()
        assert rows - {row for path in PACKAGES[0].glob("**/*.py") for row in self.constants_of(path)} == set()

    def constants_of(self, path):
        """File, name and value, as the page has it, of each constant that is a number or some."""
        for node in ast.parse(text_of(path)).body:
            if isinstance(node, ast.Assign) and re.match("[A-Z][A-Z_]+$", getattr(node.targets[0], "id", "")):
                try:
                    value = ast.literal_eval(node.value)
                except ValueError:  # a call
                    continue
                numbers = value if isinstance(value, tuple) else (value,)
                if all(isinstance(number, (int, float)) for number in numbers):
                    yield path.stem, node.targets[0].id, ", ".join("{:g}".format(number) for number in numbers)

    def test_pictures_are_as_they_are_drawn(self, tmp_path):
        shutil.copy(str(ROOT / "docs/architecture/draw.py"), str(tmp_path))

        subprocess.run([sys.executable, str(tmp_path / "draw.py")], check=True)

        drawn = sorted(path.name for path in tmp_path.glob("*.svg"))
        assert drawn == sorted(path.name for path in (ROOT / "docs/architecture").glob("*.svg"))
        for name in drawn:
            assert text_of(tmp_path / name) == text_of(ROOT / "docs/architecture" / name)


class TestControls:
    """Those of the local cloud over HTTP."""

    TEXT = text_of(ROOT / "docs/testing.rst").partition("The controls\n----")[2]

    def test_every_route_has_its_paragraph(self):
        assert re.findall(r"^``([A-Z]+) (/\S*)``$", self.TEXT, re.M) == list(ROUTES)

    def test_every_service_and_every_fault_with_its_settings_is_named(self):
        settings = {name for fields in _FAULTS.values() for part in fields for name in part}
        words = set(re.findall(r"``([a-z_]+)``", self.TEXT))

        assert set(SERVICES) | set(_FAULTS) | settings <= words

    @pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
    def test_every_command_gets_the_answer_that_is_shown(self, tmp_path):
        found = re.findall(r"^   \.\. code-block:: (bash|json)\n\n((?:      .*\n|\n)+)", self.TEXT, re.M)
        assert [lexer for lexer, _ in found] == ["bash", "json"] * len(ROUTES)
        with LocalCloud() as cloud:
            cloud.create_secret("my-secret")
            environment = dict(os.environ, CONTROL=cloud.control_url, CREDENTIALS_URI=cloud.credentials_uri)
            for (_, command), (_, answer) in zip(found[::2], found[1::2]):
                printed = subprocess.run(["sh", "-c", textwrap.dedent(command)], env=environment, cwd=str(tmp_path),
                                         stdout=subprocess.PIPE, check=True).stdout
                assert self.is_as_shown(json.loads(printed.decode()), json.loads(answer)), (command, printed)
            assert cloud.secret("other-secret").current.security_token

    def is_as_shown(self, value, shown):
        """Whether a value is what is shown, where "..." stands for anything, and one fraction for another."""
        if isinstance(shown, dict):
            return value.keys() == shown.keys() and all(self.is_as_shown(value[key], shown[key]) for key in shown)
        if isinstance(shown, list):
            return len(value) == len(shown) and all(map(self.is_as_shown, value, shown))
        if isinstance(shown, str):
            return re.match(re.escape(shown).replace(r"\.\.\.", ".+") + r"\Z", value) is not None
        return type(value) is type(shown) and (isinstance(shown, float) or value == shown)


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
        everything = re.sub(r"^#(?=[a-z_]+=)(?!cache_file_password_from_env|shared_store_password_from_env|shared_store_auth_from_env)", "", text_of(EXAMPLE), flags=re.M)

        settings = load(everything.replace("credentials_type=ak", "credentials_type=" + credentials_type))

        assert settings.identity.credentials_type == credentials_type
        assert settings.dedicated_gateways
