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
# A browser's window is wider than a phone, this frame is not. It gives back what is shown in it.
PHONE = """<iframe src="index.html" width="400"></iframe>
<script>onmessage = (event) => { document.body.innerHTML = event.data; }</script>"""
IN_FRAME = """<script>setTimeout(() => {
  document.title = Math.max(...[...document.querySelectorAll("body *")].map((each) =>
    each.getBoundingClientRect().left + Math.max(each.clientWidth, each.scrollWidth)));
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
        ("show", ".", 3, 3),
        ("diff HEAD~1 HEAD", ".", 3, 3),
        pytest.param("show", "zoo", 0, 2, marks=needs_zoo),
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
    assert 300 < float(re.findall("<title>(.*)</title>", dom)[0]) <= 400  # fits a phone
    assert not re.search(r"<h2>\S*\.png|type=.range", dom)  # names for people, and no slider
    if command == "show" and charts:
        val = json.loads((clone / "metrics" / "accuracy.json").read_text())["val"]
        shown = [float(cell) for cell in re.findall("<td title.*?>(.*?)</td>", dom)]
        assert shown == [val["accuracy"], *val["per_class"].values()]


@needs_browser
def test_runs_of_different_classes_are_shown_side_by_side(tidy: Path, tmp_path: Path) -> None:
    (tidy / "plots/predictions.csv").write_text("actual,predicted\ncat,bird\nbird,bird\n")
    for series in (tidy / "plots" / "training").rglob("*.tsv"):
        series.write_text(series.read_text() + "2\t0.6\n3\t0.5\n")
    run("dvc", "plots", "diff", "HEAD", "--out", tmp_path, cwd=tidy)
    dom = look(tmp_path / "index.html")[0]
    cells = re.findall('<td title="(.*?)">(.*?)</td>', dom)  # of the workspace, then of HEAD
    workspace = [("all", "0.5000"), ("airplane", "–"), ("bird", "1.0000"), ("cat", "0.0000")]
    assert (cells[:4], cells[7]) == (workspace, ("cat", "–"))
    assert re.findall("<td style.*?>(.*?)</td>", dom)[:4] == ["1", "0", "1", "0"]
    epochs = re.findall("titled 'epoch'.*?>epoch<", dom)[0]
    assert re.findall(">([0-9.]+)<", epochs) == ["1", "2", "3"]


def look(page: Path) -> tuple[str, list[str], list[str]]:
    """Open a page in a browser without a network, as wide as a phone.

    Return its elements without scripts, its console, and the addresses that it asked for.
    """
    netlog, phone = page.with_name("requests.json"), page.with_name("phone.html")
    page.write_text(page.read_text(encoding="utf-8") + IN_FRAME, encoding="utf-8")
    phone.write_text(PHONE)
    words = [str(browser), *OPTIONS.split(), "--host-resolver-rules=MAP * ~NOTFOUND"]
    words += ["--enable-logging=stderr", f"--log-net-log={netlog}"]
    words += [f"--user-data-dir={page.parent / 'browser'}", phone.as_uri()]
    done = subprocess.run(words, env=environment(), capture_output=True, timeout=120, check=True)
    errors = [line for line in done.stderr.decode().splitlines() if "CONSOLE" in line]
    events = [event.get("params", {}) for event in json.loads(netlog.read_text())["events"]]
    # The browser's own requests, for its updates say, have no origin.
    own = "not an origin"
    requests = [event["url"] for event in events if event.get("initiator", own) != own]
    dom = re.sub("<script.*?</script>", "", done.stdout.decode(), flags=re.DOTALL)
    return dom, errors, [url for url in requests if not url.startswith("file:")]
