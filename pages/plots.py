"""Build .dvc/page.html, the page of `dvc plots show`: `make page`.

DVC's own page loads its chart library from the network. This one has it inside: pages/plots.html
with Vega, Vega-Lite and Vega-Embed, as vl-convert bundles them.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / ".dvc" / "page.html"
VEGA_LITE = "6.4"


def with_library(library: str) -> str:
    """Return the page with the chart library, a script, in it."""
    script = library.replace("</script", "<\\/script")  # it would end the script in HTML
    licence = (ROOT / "pages" / "vega-licence.txt").read_text(encoding="utf-8")
    page = (ROOT / "pages" / "plots.html").read_text(encoding="utf-8")
    return page.replace("{vega}", f"\n/*!\n{licence}*/\n{script.strip()}\n")


if __name__ == "__main__":
    import vl_convert

    page = with_library(vl_convert.javascript_bundle(vl_version=VEGA_LITE))
    PAGE.write_text(page, encoding="utf-8", newline="\n")
