"""The page of `dvc plots`, as a browser without a network shows it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pages import plots
from tests.conftest import environment, needs_zoo, run

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
browser = next(filter(None, map(shutil.which, BROWSERS)), None)
OPTIONS = "--headless=new --no-sandbox --disable-gpu --virtual-time-budget=10000 --dump-dom"
# A browser's window is wider than a phone's. A frame may be as narrow. It gives the page back, with
# how far to the right its elements reach as its title.
PHONE = """<iframe src="index.html" style="border: 0; width: 400px"></iframe><template></template>
<script>onmessage = ({ data }) => { document.querySelector("template").innerHTML = data; }</script>
"""
IN_FRAME = """<script>setTimeout(() => {
  const ends = [...document.querySelectorAll("body *")].map((each) =>
    each.getBoundingClientRect().left + Math.max(each.clientWidth, each.scrollWidth));
  document.title = `${innerWidth} ${Math.max(...ends)}`;
  parent.postMessage(document.documentElement.outerHTML, "*");
}, 5000)</script>"""
needs_browser = pytest.mark.skipif(not browser, reason=f"no browser: none of {', '.join(BROWSERS)}")


def test_page_is_the_source_with_the_library_and_keeps_what_dvc_replaces() -> None:
    page = plots.PAGE.read_text(encoding="utf-8")
    library = page.partition("\n*/\n")[2].partition("\n</script>")[0]
    assert len(library) > 100_000
    assert page == plots.with_library(library), "`make page` builds it"
    assert page.count("{plot_divs}") == 1 and "{scripts}" not in page


@needs_browser
@pytest.mark.parametrize(
    "command, folder, charts, pictures",
    [
        ("show", ".", 3, 2),
        ("diff HEAD~1 HEAD", ".", 3, 2),
        pytest.param("show", "zoo", 0, 4, marks=needs_zoo),
    ],
)
def test_charts_are_drawn_without_a_network(
    command: str, folder: str, charts: int, pictures: int, clone: Path, tmp_path: Path
) -> None:
    run("dvc", "plots", *command.split(), "--out", tmp_path, cwd=clone / folder)
    dom, errors, requests = look(tmp_path / "index.html")
    assert errors == requests == []
    assert len(re.findall(r'<svg [^>]*class="marks"', dom)) == charts
    assert dom.count("<img") == pictures
    assert ("<section hidden" in dom) == (charts == 0)
    assert not re.search(r"<h2>\S*\.png|type=.range", dom)  # names for people, and no slider
    if command == "show" and charts:
        val = json.loads((clone / "metrics" / "accuracy.json").read_text())["val"]
        shown = [float(cell) for cell in re.findall("<td title.*?>(.*?)</td>", dom)]
        assert shown == [val["accuracy"], *val["per_class"].values()]


@needs_browser
def test_runs_of_other_classes_fit_a_phone(tidy: Path, tmp_path: Path) -> None:
    predictions = tidy / "plots" / "predictions.csv"
    predictions.write_text("image,actual,predicted,confidence\n0,cat,bird,0.9\n1,bird,bird,0.8\n")
    for series in (tidy / "plots" / "training").rglob("*.tsv"):
        series.write_text(series.read_text() + "2\t0.6\n3\t0.5\n")
    run("dvc", "plots", "diff", "HEAD", "--out", tmp_path, cwd=tidy)
    with (tmp_path / "index.html").open("a") as page:
        page.write(IN_FRAME)
    (tmp_path / "phone.html").write_text(PHONE)
    dom, errors, _ = look(tmp_path / "phone.html")
    assert errors == []
    window, end = map(float, re.findall("<title>(.*) (.*)</title>", dom)[0])
    assert window == 400 and end <= 400
    cells = re.findall('<td title="(.*?)">(.*?)</td>', dom)  # of the workspace, then of HEAD
    assert cells[:3] == [("all", "0.5000"), ("airplane", "–"), ("bird", "1.0000")]
    assert (cells[3], cells[7]) == (("cat", "0.0000"), ("cat", "–"))
    matrix = re.findall('<table style="--classes: 2;?">(.*?)</table>', dom)[0]
    assert re.findall("<td.*?>(.*?)</td>", matrix) == ["1", "0", "1", "0"]
    axis = re.findall("X-axis titled 'epoch'.*?>epoch<", dom)[0]
    assert re.findall(">([0-9.]+)<", axis) == ["1", "2", "3"]


@needs_browser
def test_requests_and_errors_are_seen(tmp_path: Path) -> None:
    page, script = tmp_path / "index.html", "https://example.com/vega.js"
    page.write_text(f'<!DOCTYPE html><script src="{script}"></script><script>unknown()</script>')
    _, errors, requests = look(page)
    assert requests == [script] and "unknown is not defined" in errors[0]


def look(page: Path) -> tuple[str, list[str], list[str]]:
    """Open a page in a browser without a network.

    Return its elements without scripts, its console, and the addresses that it asked for.
    """
    netlog = page.parent / "requests.json"
    words = [str(browser), *OPTIONS.split(), "--host-resolver-rules=MAP * ~NOTFOUND"]
    words += ["--enable-logging=stderr", f"--log-net-log={netlog}"]
    words += [f"--user-data-dir={page.parent / 'browser'}", page.as_uri()]
    done = subprocess.run(words, env=environment(), capture_output=True, timeout=120, check=True)
    errors = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
    events = [event.get("params", {}) for event in json.loads(netlog.read_text())["events"]]
    # The browser's own requests, for its updates say, have no origin.
    own = "not an origin"
    requests = [event["url"] for event in events if event.get("initiator", own) != own]
    dom = re.sub("<script.*?</script>", "", done.stdout.decode(), flags=re.DOTALL)
    return dom, errors, [url for url in requests if not url.startswith("file:")]
