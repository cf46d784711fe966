"""The page, and what it does in a real browser, from the file system."""

import re

import pytest
from trained import phantom

from muscletransfer.prediction import predict_cases


@pytest.fixture(scope="module")
def run(checkpoint, tmp_path_factory):
    root = tmp_path_factory.mktemp("page")
    for number in range(3):
        phantom(root / "scans" / f"case {number}#.nii.gz", number)
    phantom(root / "scans" / "arms.nii.gz", 3, troubles=("arms",))
    phantom(root / "scans" / "metal.nii.gz", 4, troubles=("metal",))
    (root / "scans" / "<b>bad.nii.gz").write_text("no image")
    return predict_cases(root / "scans", checkpoint, root / "out", tta=True)


def test_pictures_are_named_relative_to_the_page(run):
    links = re.findall(r'src="([^"]+)"', run.page.read_text())
    assert len(links) == 5
    assert all((run.root / link.replace("%20", " ")).is_file() for link in links)
    assert not re.search(r'(src|href)="(https?:|/|file:)', run.page.read_text())


def test_names_of_files_cannot_be_markup(run):
    text = run.page.read_text()
    assert "&lt;b&gt;bad" in text
    assert "<b>bad" not in text


def test_a_page_without_cases(checkpoint, tmp_path):
    found = predict_cases(tmp_path / "gone.nii", checkpoint, tmp_path / "out")
    text = found.page.read_text()
    assert "does not exist" in text
    assert "<table id" not in text


@pytest.fixture
def page(browser, run):
    browser.get(run.page.as_uri())
    return browser


def column(page, number):
    return page.execute_script(
        "return [...document.querySelectorAll('#cases tbody tr')]"
        ".filter(r => !r.hidden).map(r => r.cells[arguments[0]])"
        ".map(cell => cell.dataset.value ?? cell.innerText)",
        number,
    )


def click(page, title):
    page.execute_script(
        "[...document.querySelectorAll('#cases thead button')]"
        ".find(b => b.innerText.startsWith(arguments[0])).click()",
        title,
    )


def test_every_picture_is_found_in_the_browser(page, run):
    widths = page.execute_async_script(
        """
        const done = arguments[arguments.length - 1], images = [...document.images];
        images.forEach((image) => { image.loading = "eager"; });
        Promise.all(images.map((image) => image.decode().catch(() => null)))
          .then(() => done(images.map((image) => image.naturalWidth)));
        """
    )
    assert len(widths) == len(run.outcomes) == 5
    assert min(widths) > 0


def test_worst_comes_first_and_a_click_sorts(page):
    scores = [float(value) for value in column(page, 1)]
    assert scores == sorted(scores, reverse=True)
    click(page, "SMA")
    areas = [float(value) for value in column(page, 3)]
    assert areas == sorted(areas, reverse=True)
    click(page, "SMA")
    assert [float(value) for value in column(page, 3)] == sorted(areas)
    click(page, "Case")
    names = column(page, 0)
    assert names == sorted(names)
    cards = page.execute_script(
        "return [...document.querySelectorAll('#gallery h3')].map(h => h.innerText)"
    )
    assert cards == names
    marked = page.execute_script(
        "return [...document.querySelectorAll('th[aria-sort]')].map(t => t.innerText.trim())"
    )
    assert len(marked) == 1
    assert marked[0].startswith("Case")


def test_the_table_filters(page):
    page.execute_script(
        "const box = document.getElementById('search'); box.value = 'arms';"
        "box.dispatchEvent(new Event('input'))"
    )
    shown = column(page, 0)
    assert "arms" in shown
    assert len(shown) < 5
    cards = page.execute_script(
        "return [...document.querySelectorAll('#gallery article')].filter(c => !c.hidden).length"
    )
    assert cards == len(shown)


def test_nothing_is_reported_to_the_console(page):
    assert [line for line in page.get_log("browser") if line["level"] == "SEVERE"] == []
