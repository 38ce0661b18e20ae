"""What a page does behind one's back is seen."""

from pathlib import Path

from tests.support.browser import chromium, visit

PAGE = """<title>Page</title><script>
console.error("said");
const ask = `fetch("http://127.0.0.1:8/WHO").catch(() => 0).then(() => postMessage("done", "*"))`;
new Worker(URL.createObjectURL(new Blob([ask.replace("WHO", "worker").replace(', "*"', "")])))
  .onmessage = () => { setTimeout(() => { document.title = "Done"; throw Error("thrown") }) };
eval(ask.replace("WHO", "page"));
</script>"""


def test_requests_elsewhere_and_errors_are_seen(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE)
    with chromium() as browser, visit(browser, (tmp_path / "page.html").as_uri(), 390, 844) as seen:
        seen.until("document.title === 'Done'")
        assert seen.page.evaluate("innerWidth") == 390
        asked = {url.rsplit("/", 1)[1] for url in seen.elsewhere}
        assert asked == {"page", "worker"}
        assert {"said", "thrown"} <= set(seen.errors)


def test_a_page_that_does_nothing_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<h1>Nothing</h1>")
    with chromium() as browser, visit(browser, (tmp_path / "page.html").as_uri(), 390, 844) as seen:
        seen.page.get_by_text("Nothing").wait_for()
        assert (seen.elsewhere, seen.errors) == ([], [])
