"""The pages about observability, in both languages."""

import json
import re

import pytest

from .prometheus import DASHBOARD, DIRECTORY

PAGES = [DIRECTORY.parent / "observability.rst", DIRECTORY.parent / "zh-cn/observability.rst"]
ALERTS = (DIRECTORY / "alerts.yml").read_text(encoding="utf-8")


@pytest.fixture(params=PAGES, ids=["english", "chinese"])
def page(request):
    return request.param.read_text(encoding="utf-8")


def test_has_each_alert_with_its_severity(page):
    assert re.findall(r"^   \* - ``(ManagedCredentials\w+)``\n     - (\w+)$", page, re.M) == re.findall(
        r"alert: (\w+)\n(?:.*\n)+?.*severity: (\w+)", ALERTS)


def test_panels_that_it_names_are_on_the_dashboard(page):
    titles = {panel["title"] for panel in DASHBOARD["panels"]}

    assert set(re.findall(r"\*([A-Z][a-z]+ [^*]+)\*", page)) <= titles


def test_example_of_a_line_is_json(page):
    (block,) = re.findall(r"code-block:: json\n\n((?:   .*\n|\n)+)", page)

    assert json.loads(block)["secret_name"] == "my-secret"


def test_both_languages_have_the_same_code_and_the_same_rows():
    def code_of(page):
        text = page.read_text(encoding="utf-8")
        return re.findall(r"code-block:: \w+\n\n((?:   .*\n|\n)+)", text), re.findall(r"^   \* - (``.+)", text, re.M)

    assert code_of(PAGES[1]) == code_of(PAGES[0])
