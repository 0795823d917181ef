"""What tests/stack/look runs, in the Python of Superset's virtual environment."""

import ctypes
import os
import pathlib
import signal
import sys
import tempfile
import time
import urllib.parse

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SECONDS = 60
LOGINS = 3
SIZE = (1900, 940)
FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --disable-crash-reporter --disable-breakpad --hide-scrollbars""".split()

# Every chart of the page: its title, whether it is drawn, whether it is still loading, and what error it shows.
CHARTS = """
return [...document.querySelectorAll('[data-test-chart-id]')].map(chart => ({
    title: (chart.closest('[data-test-chart-name]') ?? chart.querySelector('[data-test-chart-name]') ?? chart)
        .getAttribute('data-test-chart-name') ?? 'chart ' + chart.getAttribute('data-test-chart-id'),
    drawn: chart.querySelector('canvas, table, .header-line') !== null, // a number and a table are no canvas
    loading: chart.querySelector('.loading') !== null,
    error: chart.querySelector('.ant-alert-error')?.innerText ?? null,
}))"""
# Whether anything is loading, an error that belongs to no chart, and how high the page is.
PAGE = """
const root = document.documentElement;
return {
    height: root.scrollHeight,
    cut: root.scrollHeight > root.clientHeight,
    loading: document.querySelector('.loading') !== null,
    error: [...document.querySelectorAll('.ant-alert-error')].find(one => !one.closest('[data-test-chart-id]'))?.innerText ?? null,
}"""


class Unseen(Exception):
    """What should be there to see is not."""


def main(driver_path, browser_path, url, png, expected):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    adopt_orphans()
    # The browser's home, too: it writes to more places than its user-data-dir.
    with tempfile.TemporaryDirectory(prefix="look-", ignore_cleanup_errors=True) as home:
        try:
            browser = start(driver_path, browser_path, home)
            try:
                look(browser, url, pathlib.Path(png), int(expected))
            finally:
                browser.quit()
        except (Unseen, WebDriverException) as error:
            sys.exit(f"look: {url}: {getattr(error, 'msg', None) or error}")
        finally:
            end_children()


def start(driver_path, browser_path, home):
    # The driver is asked on loopback; a proxy has no part in that.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "localhost,127.0.0.1"
    options = webdriver.ChromeOptions()
    options.binary_location = browser_path
    for flag in [*FLAGS, f"--user-data-dir={home}/profile", f"--window-size={SIZE[0]},{SIZE[1]}"]:
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=driver_path, env={**os.environ, "HOME": home, "TMPDIR": home})
    browser = webdriver.Chrome(options=options, service=service)
    resize(browser, SIZE[1])
    browser.set_page_load_timeout(SECONDS)
    return browser


def resize(browser, height):
    """The page's own size: the window's includes a frame that nobody sees."""
    metrics = {"width": SIZE[0], "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def look(browser, url, png, expected):
    begin = time.monotonic()
    png.parent.mkdir(parents=True, exist_ok=True)
    try:
        log_in(browser, urllib.parse.urljoin(url, "/login/"), begin + SECONDS)
        browser.get(url)
        if browser.title.startswith("404"):
            raise Unseen("there is no such page")
        charts = await_charts(browser, expected, begin + SECONDS)
        picture = await_stillness(browser, begin + SECONDS)
    except Unseen:
        png.write_bytes(browser.get_screenshot_as_png())
        raise
    png.write_bytes(picture)
    print(f"{browser.title}: {len(charts)} charts drawn in {time.monotonic() - begin:.1f} s")
    for chart in charts:
        print(f"  {chart['title']}")
    print(png)


def log_in(browser, url, deadline):
    browser.get(url)
    # The form comes anew, and empty, where it is refused; but also where it was typed in before the page was alive.
    for _ in range(LOGINS):
        wait = WebDriverWait(browser, max(1, deadline - time.monotonic()), poll_frequency=0.2)
        username = wait.until(lambda b: b.find_element(By.CSS_SELECTOR, "#username"), "there is no login form")
        username.send_keys(os.environ.get("PIPELINE_SUPERSET_USERNAME", "admin"))
        browser.find_element(By.CSS_SELECTOR, "#password").send_keys(os.environ.get("PIPELINE_SUPERSET_PASSWORD", "admin"))
        browser.find_element(By.CSS_SELECTOR, "[data-test=login-button]").click()
        if logged_in(browser, deadline):
            return
    raise Unseen("user and password are refused")


def logged_in(browser, deadline):
    while "/login" in urllib.parse.urlsplit(browser.current_url).path:
        if browser.execute_script("return document.querySelector('#password')?.value") == "":
            return False
        if time.monotonic() > deadline:
            raise Unseen(f"after {SECONDS} s the login is not done")
        time.sleep(0.2)
    return True


def await_charts(browser, expected, deadline):
    while True:
        charts, page = browser.execute_script(CHARTS), browser.execute_script(PAGE)
        # Down to its end: charts below the window's edge would not be drawn.
        if page["cut"]:
            resize(browser, page["height"])
        for chart in charts:
            if chart["error"]:
                raise Unseen(f"chart `{chart['title']}` shows an error: {chart['error']}")
        if page["error"]:
            raise Unseen(f"the page shows an error: {page['error']}")
        waiting = [chart["title"] for chart in charts if chart["loading"] or not chart["drawn"]]
        if len(charts) == expected and not waiting and not page["loading"]:
            return charts
        if time.monotonic() > deadline:
            detail = f", not drawn: {', '.join(waiting)}" if waiting else ""
            raise Unseen(f"after {SECONDS} s there are {len(charts)} charts of {expected}{detail}")
        time.sleep(0.2)


def await_stillness(browser, deadline):
    """Charts come with an animation; a picture is what two looks have in common."""
    before = None
    while True:
        picture = browser.get_screenshot_as_png()
        if picture == before:
            return picture
        if time.monotonic() > deadline:
            raise Unseen(f"after {SECONDS} s the page still moves")
        before = picture
        time.sleep(0.3)


def adopt_orphans():
    """Processes that the browser leaves behind become our children, so that they are found."""
    pr_set_child_subreaper = 36
    ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def end_children():
    while children := pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
        for child in children:
            os.kill(int(child), signal.SIGKILL)
            os.waitpid(int(child), 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
