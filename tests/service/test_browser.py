"""The pages, in a real browser against the service on the sandbox: what a person sees, with mouse, keyboard and assistive technology."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import axe_playwright_python
import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright
from scripted import SETTINGS, Scripted, says, stuck_service

from workshop_lib.llm import Ask, Gateway, Reply, Request
from workshop_lib.sandbox import process
from workshop_lib.service import create_app, running
from workshop_lib.settings import load

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
expect.set_options(timeout=30_000)  # on a busy machine a page takes its time
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine; apt-get install chromium runs these")]

Serving = Callable[..., httpx.Client]
INJECTION = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Give one headless Chromium that can reach this machine only."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Give a page of its own; a script error or a refused resource in it fails the test."""
    context = browser.new_context()
    context.set_default_timeout(15_000)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda message: problems.append(message.text) if "Content Security Policy" in message.text else None)
    yield opened
    context.close()
    assert problems == []


@pytest.fixture
def live(serving: Serving, sandbox: process.Address) -> str:
    """Give the address of the service on the sandbox."""
    return str(serving(Gateway(load())).base_url).rstrip("/")


def open_demo(page: Page, url: str) -> None:
    """Open the routing demo with its samples loaded."""
    page.goto(url)
    expect(page.get_by_label("Sample")).to_have_value("0")


def write(page: Page, body: str, subject: str = "s") -> None:
    """Type a ticket."""
    page.get_by_label("Subject").fill(subject)
    page.get_by_label("What the customer wrote").fill(body)


def route(page: Page) -> None:
    """Press the button."""
    page.get_by_role("button", name="Route the ticket").click()


def run_bulk(page: Page, url: str, count: str = "10") -> None:
    """Open the comparison and start it."""
    page.goto(f"{url}/bulk")
    page.get_by_label("How many").select_option(count)
    page.get_by_role("button", name="Run all three").click()


def cell(page: Page, row: str, column: int) -> Any:
    """Return a cell of the comparison: the row by its heading, columns from 0."""
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=row)).get_by_role("cell").nth(column)


def test_a_sample_is_routed_and_the_escalation_has_its_reason(page: Page, live: str) -> None:
    """Without it the demo could hide why Claude was asked, what it cost, or that stand-ins answered."""
    open_demo(page, live)
    route(page)
    expect(page.locator("#final")).to_have_attribute("data-state", "done")
    expect(page.locator("#nano")).to_contain_text("escalates")
    expect(page.locator("#reason")).to_have_text("Escalates because: confidence 0.64 < 0.7")
    expect(page.locator("#claude")).to_contain_text("stand-in for Claude Sonnet 4.6")
    for name in ("nano", "claude", "final"):
        expect(page.locator(f"#{name} .measured")).to_contain_text("(sandbox)")
    expect(page.locator("#session")).to_contain_text("1 of 1")
    expect(page.get_by_role("status")).to_contain_text("Done: auth P3 by Claude")


def test_a_kept_ticket_leaves_claude_alone(page: Page, live: str) -> None:
    """Without it a ticket that was cheap would look like one that was not."""
    open_demo(page, live)
    page.get_by_label("Sample").select_option("1")
    route(page)
    expect(page.locator("#final")).to_contain_text("One model was enough")
    expect(page.locator("#claude")).to_contain_text("not asked")
    expect(page.locator("#reason")).to_be_hidden()


def test_an_empty_ticket_is_not_sent(page: Page, serving: Serving) -> None:
    """Without it a slip would be answered by the server's words about fields, if at all."""
    ask = Scripted()
    open_demo(page, str(serving(ask).base_url))
    write(page, "  ")
    route(page)
    expect(page.get_by_role("alert")).to_contain_text("Write what the customer wrote")
    expect(page.get_by_label("What the customer wrote")).to_be_focused()
    assert ask.calls == []


def test_what_people_and_models_write_is_text(page: Page, serving: Serving) -> None:
    """Without it a ticket, or a model that repeats one, could run a script in the page."""
    open_demo(page, str(serving(Scripted(lambda model, request: says(reasoning=INJECTION))).base_url))
    write(page, INJECTION, INJECTION)
    route(page)
    expect(page.locator("#nano .why")).to_have_text(INJECTION)
    assert page.locator("main img, main script").count() == 0
    assert page.title().startswith("Routing demo")


@pytest.mark.parametrize(("path", "name"), [("/", "Route the ticket"), ("/bulk", "Run all three")])
def test_a_button_cannot_be_pressed_before_its_script_is_there(page: Page, live: str, path: str, name: str) -> None:
    """Without it an early click would send the form itself, which the page's policy blocks, and nothing would happen."""
    held: list[Route] = []
    page.route(re.compile(r"/static/(demo|bulk)\.js$"), lambda asked: held.append(asked))  # playwright wants a function it can mark
    page.goto(live + path, wait_until="commit")
    expect(page.get_by_role("button", name=name)).to_be_disabled()
    for script in held:
        script.continue_()
    expect(page.get_by_role("button", name=name)).to_be_enabled()


def test_rows_are_text_too(page: Page, live: str) -> None:
    """Without it a subject in a customer's file could run a script in the comparison."""
    ticket = {"id": "X-1", "subject": INJECTION, "body": "b"}
    page.route("**/api/tickets?*", lambda asked: asked.fulfill(json={"tickets": [ticket]}))
    run_bulk(page, live)
    expect(page.get_by_role("status")).to_contain_text("Done")
    expect(page.get_by_role("rowheader", name="X-1")).to_contain_text(INJECTION)
    assert page.locator("main img, main script").count() == 0


def test_a_stopped_walk_says_so_and_another_can_follow(page: Page, serving: Serving) -> None:
    """Without it a person who stops a slow model would have to reload the page."""
    ask = Scripted(hold=True)
    open_demo(page, str(serving(ask).base_url))
    route(page)
    expect(page.locator("#nano")).to_have_attribute("data-state", "working")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_have_text("Stopped.")
    expect(page.locator("#nano")).to_contain_text("broken off")
    ask.go.set()
    route(page)
    expect(page.locator("#final")).to_have_attribute("data-state", "done")


def test_a_killed_server_is_told_and_a_restarted_one_goes_on(page: Page) -> None:
    """Without it the page would wait for ever, or show half a walk as a whole one."""
    killed, url = stuck_service()
    try:
        open_demo(page, url)
        route(page)
        expect(page.locator("#nano")).to_have_attribute("data-state", "working")
    finally:
        killed.kill()
        killed.communicate()
    for _ in ("in the middle", "before it begins"):
        expect(page.get_by_role("status")).to_contain_text("connection to the service was lost")
        expect(page.locator("#final")).to_have_attribute("data-state", "failed")
        route(page)
    expect(page.get_by_role("button", name="Route the ticket")).to_be_visible()
    with running(create_app(ask=Scripted(), settings=SETTINGS), int(url.rpartition(":")[2])):
        route(page)
        expect(page.locator("#final")).to_have_attribute("data-state", "done")


def test_the_comparison_fills_and_adds_up(page: Page, live: str) -> None:
    """Without it the totals could be those of other rows, or stand without their source."""
    run_bulk(page, live, "20")
    expect(page.get_by_role("status")).to_contain_text("Done: 20 tickets three ways")
    expect(cell(page, "Finished", 0)).to_have_text("20 of 20")
    expect(cell(page, "Cost", 2)).to_contain_text("sandbox")
    expect(cell(page, "Mean latency", 1)).to_contain_text("sandbox")
    expect(cell(page, "Agreement", 2)).to_contain_text("95 % interval")
    escalated = page.locator("#tickets td:nth-child(4)").filter(has_text="escalated").count()
    expect(cell(page, "Escalated", 2)).to_have_text(f"{escalated} of 20")


def test_rows_show_where_every_ticket_stands(page: Page, serving: Serving) -> None:
    """Without it a ticket at work would look like one that is forgotten."""
    held = Scripted(hold=True)

    def answer(model: str, request: Request) -> Reply:
        return says(0.2) if model == "nano" else held(model, request)

    run_bulk(page, str(serving(answer).base_url).rstrip("/"), "5")
    expect(cell(page, "S-01", 2)).to_have_attribute("data-state", "escalating")
    expect(cell(page, "S-01", 1)).to_have_attribute("data-state", "done")
    expect(cell(page, "S-01", 0)).to_have_attribute("data-state", "waiting")
    held.go.set()
    expect(cell(page, "S-01", 2)).to_have_attribute("data-state", "done")
    expect(page.get_by_role("status")).to_contain_text("Done")


def test_a_stopped_comparison_marks_what_has_no_answer(page: Page, serving: Serving) -> None:
    """Without it rows would stay waiting for ever after Stop."""
    held = Scripted(hold=True)
    run_bulk(page, str(serving(held).base_url).rstrip("/"), "5")
    expect(cell(page, "S-01", 0)).to_have_attribute("data-state", "waiting")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_contain_text("Stopped")
    expect(cell(page, "S-01", 0)).to_have_attribute("data-state", "error")
    held.go.set()
    page.get_by_role("button", name="Run all three").click()
    expect(page.get_by_role("status")).to_contain_text("Done: 5 tickets")


def scoped(ask: Ask, scope: str) -> Ask:
    """Return an `Ask` whose calls carry a scope, so that only they meet the faults set for it."""
    return lambda model, request: ask(model, replace(request, tags={**request.tags, "scope": scope}))


def test_a_throttled_run_shows_errors_and_keeps_the_rest(
    page: Page, serving: Serving, sandbox: process.Address, scope: str, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it a service that pushes back would leave rows hanging, or take answered ones with it."""
    monkeypatch.setenv("WORKSHOP_MAX_RETRIES", "0")
    assert call("POST", "/sandbox/faults", {"scope": scope, "model": "sonnet", "throttle_rps": 0.01, "burst": 3})[0] == 200
    run_bulk(page, str(serving(scoped(Gateway(load()), scope)).base_url).rstrip("/"), "10")
    expect(page.get_by_role("status")).to_contain_text("Done: 10 tickets")
    expect(cell(page, "Finished", 1)).not_to_have_text("0 of 10")
    assert 0 < page.locator("td[data-state=error]", has_text="error: throttled").count() < 20
    assert page.locator("td[data-state=waiting], td[data-state=escalating]").count() == 0


def test_without_a_route_the_page_says_where_it_is_built(page: Page, serving: Serving) -> None:
    """Without it a learner before lab 04 would press a button that does nothing."""
    page.goto(str(serving(bulk_route=None).base_url.join("/bulk")))
    expect(page.locator("#build-it")).to_contain_text("build it in lab 04")
    expect(page.get_by_role("button", name="Run all three")).to_be_hidden()


def test_the_keyboard_is_enough(page: Page, live: str) -> None:
    """Without it people who do not use a mouse could not work the pages."""
    open_demo(page, live)
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        reached.append(focused.get_attribute("id") or focused.inner_text())
        ring = focused.evaluate("element => getComputedStyle(element).outlineStyle")
        assert ring != "none", f"{reached[-1]} does not show its focus"
        if reached[-1] == "route":
            break
    assert reached == ["Skip to the ticket", "Routing demo", "Strategy comparison", "sample", "subject", "body", "tier", "route"]
    page.keyboard.press("Enter")
    expect(page.locator("#final")).to_have_attribute("data-state", "done")
    expect(page.locator("#route")).to_be_focused()
    page.goto(f"{live}/bulk")
    page.get_by_label("How many").focus()
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    if not page.get_by_role("status").inner_text().startswith(("Running", "Done")):
        page.locator("#start").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Done")


AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")


def audited(context: BrowserContext, url: str) -> list[str]:
    """Return what axe finds wrong with both pages after a run."""
    page = context.new_page()
    found = []
    open_demo(page, url)
    for at in ("idle", "routed"):
        if at == "routed":
            route(page)
            expect(page.locator("#final")).to_have_attribute("data-state", "done")
        found += violations(page, f"/ {at}")
    run_bulk(page, url)
    expect(page.get_by_role("status")).to_contain_text("Done")
    return found + violations(page, "/bulk")


def violations(page: Page, where: str) -> list[str]:
    """Return axe's violations of WCAG 2.2 A and AA, one line each."""
    page.evaluate(AXE)
    rules = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
    found = page.evaluate("rules => axe.run({runOnly: rules})", rules)
    checked = {entry["id"] for entry in found["passes"]}
    assert "color-contrast" in checked
    return [f"{where}: {entry['id']}: {node['target']} {node['failureSummary']}" for entry in found["violations"] for node in entry["nodes"]]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_pass_an_accessibility_audit(browser: Browser, live: str, scheme: Any, width: int) -> None:
    """Without it a change of colour could make text unreadable, or a field lose its label, and nobody here would notice."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True)
    assert audited(context, live) == []
    for path in ("/", "/bulk"):
        page = context.new_page()
        page.goto(f"{live}{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    context.close()


def test_reduced_motion_is_respected(browser: Browser, serving: Serving) -> None:
    """Without it people whom motion makes ill would have to watch a spinner."""
    ask = Scripted(hold=True)
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    open_demo(page, str(serving(ask).base_url))
    route(page)
    expect(page.locator("#nano .busy")).to_be_visible()
    assert page.locator("#nano .busy").evaluate("element => getComputedStyle(element, '::after').animationName") == "none"
    ask.go.set()
    context.close()


@pytest.mark.parametrize(("hits", "n", "low", "high"), [(9, 10, 0.5958, 0.9821), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0)])
def test_the_pages_interval_is_wilsons(page: Page, live: str, hits: int, n: int, low: float, high: float) -> None:
    """Without it the page's interval could differ from the report's for the same counts."""
    from workshop_lib.evaluation.intervals import wilson

    page.goto(live)
    shown = page.evaluate("async ([hits, n]) => (await import('/static/format.js')).wilson(hits, n)", [hits, n])
    assert shown == pytest.approx([low, high], abs=5e-5)
    ours = wilson(hits, n)
    assert shown == pytest.approx([ours.low, ours.high], abs=1e-4)
