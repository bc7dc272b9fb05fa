"""The console in a real browser: ``nox -s browser``."""
import shutil

import pytest
from aliyunsdkcore.request import CommonRequest

from aliyun_sdk_secretsmanager_sdk_core_plugin import ProxyAcsClient
from aliyun_sdk_secretsmanager_testing.access_key import masked
from tests.conftest import wait_until

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: nox -s browser")
Select = pytest.importorskip("selenium.webdriver.support.select").Select
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    not (BROWSER and DRIVER), reason="needs chromium and chromedriver, Debian's packages chromium and chromium-driver")]

HTML = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Page:
    """The console, open in the browser, as its user sees it."""

    def __init__(self, browser, url):
        self.browser = browser
        browser.get(url)
        wait_until(lambda: self.text("header").endswith("Live"))

    def elements(self, selector):
        return self.browser.find_elements("css selector", selector)

    def text(self, selector):
        # In one step, since the page may replace an element between two.
        return self.browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText).join('\\n')", selector)

    def press(self, name):
        """Press the button that is shown with this name."""
        wait_until(lambda: self.browser.execute_script(
            "return [...document.querySelectorAll('button')].find((button) => button.offsetParent && "
            "(button.ariaLabel || button.innerText.replace(/\\s+/g, ' ')) === arguments[0])", name)).click()

    def choose(self, label, option):
        """Choose an option of the list with this label."""
        field, = [field for field in self.elements("select") if field.accessible_name == label]
        Select(field).select_by_visible_text(option)

    def has(self, selector, *texts):
        """Wait until all these texts are shown, and return what is shown with them."""
        def shown():
            text = self.text(selector)
            return all(part in text for part in texts) and text

        return wait_until(shown)


@pytest.fixture
def page(browser, local_cloud):
    local_cloud.create_secret("app/key")
    local_cloud.create_secret(HTML)
    yield Page(browser, local_cloud.console_url)
    assert [entry["message"] for entry in browser.get_log("browser") if local_cloud.control_url in entry["message"]] == []


@pytest.fixture
def call(local_cloud, managed_credentials_config):
    """Make a call as an application does; return how it failed, if it did."""
    request = CommonRequest(domain=local_cloud.api_endpoint, version="2014-05-26", action_name="DescribeRegions")
    with ProxyAcsClient("app/key") as client:
        def do():
            try:
                client.do_action_with_exception(request)
            except Exception as error:
                return error.get_error_code()

        yield do


def test_a_rotation_and_the_calls_around_it_are_shown_live(page, local_cloud, call):
    old = masked(local_cloud.secret("app/key").current.access_key_id)
    assert call() is None
    page.has("#calls tr:first-child", "DescribeRegions", "app/key", old, "version 1", "200")
    page.press("Rotate app/key")
    page.has("#message", "app/key has a new key.")
    new = masked(local_cloud.secret("app/key").current.access_key_id)
    page.has("#secrets > li:first-child", "Version 2", new, "ACSCurrent", old, "no longer accepted")
    assert call() is None
    page.has("#calls tr:first-child", "version 2", "200")
    first, second, third = [page.text("#calls tr:nth-child({})".format(at)) for at in (1, 2, 3)]
    assert new in first and "200" in first
    assert "GetSecretValue" in second and "identity" in second and "gave " + new in second
    assert old in third and "404 InvalidAccessKeyId.NotFound" in third
    for key in (local_cloud.identity, local_cloud.secret("app/key").current):
        assert key.access_key_id not in page.browser.page_source
        assert key.access_key_secret not in page.browser.page_source


def test_a_name_that_looks_like_html_is_text(page, local_cloud):
    assert page.text("#secrets h3") == "app/key\n" + HTML
    page.press("Rotate " + HTML)
    page.has("#message", HTML + " has a new key.")
    page.has("#secrets > li:last-child", "Version 2")
    assert page.elements("img") == []


def test_a_disabled_key_is_rejected_until_it_is_enabled(page, call):
    page.press("Disable version 1 of app/key")
    page.has("#secrets > li:first-child", "disabled")
    assert call() == "InvalidAccessKeyId.Inactive"
    page.has("#calls", "InvalidAccessKeyId.Inactive")
    page.press("Enable version 1 of app/key")
    page.has("#secrets > li:first-child", "accepted")
    assert call() is None


def test_an_outage_is_shown_with_its_end_and_a_button_ends_it(page, call):
    page.choose("Service", "RPC and ROA APIs")
    page.choose("Ends", "after 5 minutes")
    page.press("Outage Every request fails with 503.")
    shown = page.has("#faults", "RPC and ROA APIs", "outage (503 ServiceUnavailableTemporary) until ")
    assert shown.split("until ")[1].split("\n")[0].count(":") == 2
    assert call() == "ServiceUnavailableTemporary"
    page.has("#calls tr:first-child", "503 ServiceUnavailableTemporary")
    page.press("End the faults of RPC and ROA APIs")
    page.has("section", "All services work.")
    assert page.text("#faults") == ""
    assert call() is None


def test_slow_and_throttled_services(page, call, local_cloud):
    page.choose("Service", "RPC and ROA APIs")
    page.choose("Ends", "when you end it")
    page.press("Throttle Every request is refused: too many.")
    page.has("#faults", "throttled")
    assert call() == "Throttling.User"
    page.press("Slow Every answer comes 3 seconds late.")
    assert "until" not in page.has("#faults", "throttled; then slow by 3 s")
    local_cloud.clear()  # elsewhere, as a test does
    page.has("section", "All services work.")


def test_the_keyboard_is_enough_and_the_focus_stays(page):
    page.has("#secrets", "app/key")
    page.browser.execute_script("document.querySelector('button').focus()")
    for version in ("Version 2", "Version 3"):
        page.browser.switch_to.active_element.send_keys(webdriver.Keys.ENTER)
        page.has("#secrets > li:first-child", version)
        assert page.browser.switch_to.active_element.accessible_name == "Rotate app/key"
    page.browser.switch_to.active_element.send_keys(webdriver.Keys.TAB)
    assert page.browser.switch_to.active_element.accessible_name == "Disable version 3 of app/key"
    assert "" not in [field.accessible_name for field in page.elements("button, select, table")
                      if field.is_displayed()]


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off_and_nothing_comes_from_elsewhere(page, call, local_cloud, width):
    local_cloud.create_secret("a-name-without-a-space-" * 10)
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == 390})
    try:
        assert call() is None
        page.has("#calls", "DescribeRegions")
        page.has("#secrets", "a-name-without-a-space-")
        assert page.browser.execute_script("return document.documentElement.scrollWidth") <= width
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    loaded = page.browser.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in loaded if not name.startswith(local_cloud.console_url)] == []


def test_the_page_tells_when_the_cloud_has_ended(browser, local_cloud):
    page = Page(browser, local_cloud.console_url)
    local_cloud.stop()
    page.has("header", "The local cloud does not answer.")
