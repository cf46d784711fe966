"""The report in a real browser, from the file system."""

import pytest


def column(page, table, number):
    return page.execute_script(
        "return [...document.querySelectorAll(`#${arguments[0]} tbody tr`)]"
        ".filter(r => !r.hidden).map(r => r.cells[arguments[1]])"
        ".map(cell => cell.dataset.value ?? cell.textContent)",
        table,
        number,
    )


def click(page, table, title):
    page.execute_script(
        "[...document.querySelectorAll(`#${arguments[0]} thead button`)]"
        ".find(b => b.textContent.startsWith(arguments[1])).click()",
        table,
        title,
    )


@pytest.fixture
def page(browser, good):
    browser.get(good.page.as_uri())
    return browser


def test_figures_are_there_and_drawn(page, good):
    sizes = page.execute_script(
        "return [...document.querySelectorAll('figure > svg')]"
        ".map(s => [s.parentNode.id, s.getBoundingClientRect().width, s.querySelectorAll('path')"
        ".length])"
    )
    files = {p.stem for p in (good.results / "figures").glob("*.svg")}
    drawn = {name for name in files if not name.startswith("overlays")}
    assert {name.removeprefix("figure-") for name, _, _ in sizes} == drawn
    assert all(width > 150 and paths > 5 for _, width, paths in sizes)
    pictures = page.execute_async_script(
        "const done = arguments[0], images = [...document.images];"
        "Promise.all(images.map((i) => i.decode().catch(() => null)))"
        ".then(() => done(images.map((i) => i.naturalWidth)));"
    )
    assert len(pictures) == 10  # five percentiles of the chosen model and of the one from scratch
    assert min(pictures) > 100


def test_a_click_sorts_and_a_word_filters(page):
    click(page, "summary-dice", "Mean")
    means = [float(value) for value in column(page, "summary-dice", 5)]
    assert means == sorted(means, reverse=True)
    click(page, "summary-dice", "Mean")
    assert [float(value) for value in column(page, "summary-dice", 5)] == sorted(means)
    click(page, "summary-dice", "Source")
    names = column(page, "summary-dice", 0)
    assert names == sorted(names)
    page.execute_script(
        "const box = document.querySelector('input[data-table=paired-dice]');"
        "box.value = 'jigsaw random'; box.dispatchEvent(new Event('input'))"
    )
    shown = list(zip(*(column(page, "paired-dice", i) for i in (1, 2)), strict=True))
    assert shown
    assert all("jigsaw" in pair for pair in shown)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page, width):
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        wide = page.execute_script(
            "document.querySelectorAll('details').forEach((d) => { d.open = true; });"
            "return [document.documentElement.scrollWidth, window.innerWidth]"
        )
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide[0] <= wide[1]


def test_it_is_read_in_the_dark_too(page):
    def colours():
        return page.execute_script(
            "const text = document.querySelector('figure svg text');"
            "return [document.body, text].map((e, i) =>"
            " getComputedStyle(e)[i ? 'fill' : 'backgroundColor'])"
        )

    light = colours()
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        dark = colours()
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def brightness(colour):
        return sum(float(part) for part in colour.split("(")[1].rstrip(")").split(",")[:3])

    assert brightness(light[0]) > brightness(light[1]) + 400
    assert brightness(dark[1]) > brightness(dark[0]) + 400


def test_nothing_is_fetched_and_nothing_goes_wrong(browser, good, odd):
    for made in (good, odd):
        browser.get(made.page.as_uri())
        fetched = browser.execute_script(
            "return performance.getEntriesByType('resource').map((r) => r.name)"
        )
        assert [name for name in fetched if not name.startswith("data:")] == []
        twice = browser.execute_script(
            "const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);"
            "return ids.filter((id, i) => ids.indexOf(id) !== i)"
        )
        assert twice == []
        errors = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
        assert errors == []
    assert browser.title.startswith("Study odd <img")  # no script of a name has run
