"""The pages Getting started, Why and the guides: their programs are those of ``examples/``, in both languages."""

import json
import re

import pytest

from aliyun_sdk_secretsmanager_common_plugin.settings import load_settings

from .pages import DOCS, EXAMPLES, blocks, text_of

GUIDES = sorted((DOCS / "guides").glob("*.rst"))
PAGES = [DOCS / "getting-started.rst", DOCS / "why.rst"] + GUIDES
BLOCKS = [pytest.param(page, block, id="{}-{}".format(page.stem, at))
          for page in PAGES for at, block in enumerate(blocks(page))]


def names(page):
    return str(page.relative_to(DOCS))


def of_language(language):
    return [case for case in BLOCKS if case.values[1].language == language]


def test_both_languages_have_the_same_guides():
    assert [page.name for page in sorted((DOCS / "zh-cn/guides").glob("*.rst"))] == [page.name for page in GUIDES]


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_both_languages_have_the_same_code(page):
    assert blocks(DOCS / "zh-cn" / page.relative_to(DOCS)) == blocks(page)


@pytest.mark.parametrize("directory", [DOCS / "guides", DOCS / "zh-cn/guides"], ids=["english", "chinese"])
def test_index_leads_to_every_guide(directory):
    index = text_of(directory / "index.rst")
    guides = {page.stem for page in GUIDES} - {"index"}

    assert set(re.findall(r"<([\w-]+)\.rst>", index)) == guides
    assert set(re.findall(r"^   ([\w-]+)$", index.partition(".. toctree::")[2], re.M)) == guides


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_code_fits_into_the_column(page, block):
    assert [line for line in block.code.splitlines() if len(line) > 88] == []


@pytest.mark.parametrize(("page", "block"), [case for case in BLOCKS if "/" in case.values[1].name])
def test_program_of_a_guide_is_that_of_the_examples(page, block):
    assert "\n" + block.code in "\n" + text_of(EXAMPLES / block.name)


@pytest.mark.parametrize("guide", [page for page in GUIDES if page.name != "index.rst"], ids=names)
def test_a_guide_has_a_program_of_the_examples_to_run(guide):
    run = re.findall(r"^python examples/(\w+\.py)$", "".join(block.code for block in blocks(guide)), re.M)

    assert run
    assert [name for name in run if not (EXAMPLES / name).exists()] == []


@pytest.mark.parametrize(("page", "block"), of_language("python"))
def test_python_compiles(page, block):
    compile(block.code, str(page), "exec")


@pytest.mark.parametrize(("page", "block"), of_language("json"))
def test_json_is_valid(page, block):
    assert json.loads(block.code)


@pytest.mark.parametrize(("page", "block"), of_language("properties"))
def test_properties_file_loads_without_a_warning(page, block, tmp_path, caplog):
    path = tmp_path / "managed_credentials_providers.properties"
    path.write_text(re.sub(r"<[^<>\n]+>", "placeholder", block.code), encoding="utf-8")

    load_settings(str(path), identity="credentials_type" in block.code)

    assert caplog.records == []


def commands_of_aliyun():
    """Product, action and parameters of each command of ``aliyun`` on the pages."""
    for page in PAGES:
        for block in blocks(page):
            for command in block.code.replace("\\\n", "").splitlines():
                if block.language == "bash" and command.startswith("aliyun "):
                    _, product, action = command.split()[:3]
                    yield product, action, re.findall(r"--(\w+)", command)


@pytest.mark.parametrize(("product", "action", "parameters"), list(commands_of_aliyun()))
def test_commands_of_aliyun_have_parameters_of_the_api(product, action, parameters):
    package = {"kms": "alibabacloud_kms20160120", "ram": "alibabacloud_ram20150501"}[product]
    models = pytest.importorskip(package + ".models", reason="needs {}: nox -s examples".format(package))
    given = dict.fromkeys(set(parameters) - {"region"}, "a value")

    assert getattr(models, action + "Request")().from_map(given).to_map().keys() >= given.keys()
