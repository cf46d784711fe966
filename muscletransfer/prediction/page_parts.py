"""Style and script of the page; both stand in the page itself, so that no server is needed."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #59636e; --line: #d8dee4; --paper: #f6f8fa;
  --warn: #9a3412; --warn-bg: #ffedd5; --ok: #166534; --ok-bg: #dcfce7; --link: #0b5cad; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 1.5rem 1.25rem 4rem; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .4rem 0; } .soft { color: var(--soft); }
.tiles { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: .5rem 1rem; min-width: 8.5rem; }
.tile b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.tile.warn { background: var(--warn-bg); border-color: #fdba74; }
.scroll { overflow: auto; max-height: 34rem; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
td.text, th.text { text-align: left; } td.flags { white-space: normal; min-width: 15rem; }
td.name { max-width: 16rem; overflow: hidden; text-overflow: ellipsis; }
thead th { white-space: normal; vertical-align: bottom; position: sticky; top: 0;
  background: var(--paper);
  border-bottom: 2px solid var(--ink); }
thead button { font: inherit; font-weight: 600; background: none; border: 0; padding: 0;
  cursor: pointer; color: inherit; text-align: inherit; }
thead button::after { content: " \\2195"; color: #9aa4af; }
th[aria-sort=ascending] button::after { content: " \\2191"; color: var(--ink); }
th[aria-sort=descending] button::after { content: " \\2193"; color: var(--ink); }
a { color: var(--link); } tbody tr:hover { background: var(--paper); }
.flag { display: inline-block; border-radius: 1rem; padding: 0 .6rem;
  margin: .08rem .15rem .08rem 0; font-size: .82rem; background: var(--warn-bg);
  color: var(--warn); white-space: nowrap; }
.flag.none { background: var(--ok-bg); color: var(--ok); }
.cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1rem; }
.case { border: 1px solid var(--line); border-radius: 8px; padding: .8rem;
  scroll-margin-top: 1rem; }
.case:target { outline: 3px solid var(--link); }
.case header { display: flex; justify-content: space-between; gap: .5rem; align-items: baseline; }
.case img { width: 100%; height: auto; display: block; margin: .5rem 0; border-radius: 4px;
  background: #000; }
.case dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem .8rem; margin: .5rem 0 0;
  font-size: .92rem; } dt { color: var(--soft); } dd { margin: 0;
  font-variant-numeric: tabular-nums; }
.case ul { margin: .3rem 0 0; padding-left: 1.1rem; font-size: .92rem; }
.controls { display: flex; gap: 1.2rem; flex-wrap: wrap; align-items: center; margin: .75rem 0; }
.controls input[type=search] { font: inherit; padding: .25rem .5rem; border: 1px solid var(--line);
  border-radius: 6px; min-width: 14rem; } [hidden] { display: none !important; }
.problems { background: #fef2f2; border: 1px solid #fca5a5; border-radius: 8px;
  padding: .6rem 1rem; } .problems td { white-space: normal; overflow-wrap: anywhere; }
.problems td:first-child { min-width: 9rem; } details { margin: .75rem 0; }
@media print { .controls { display: none; } .scroll { max-height: none; }
  .case { break-inside: avoid; } }
"""

SCRIPT = """
"use strict";
const table = document.getElementById("cases");
const body = table.tBodies[0];
const gallery = document.getElementById("gallery");
const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
table.querySelectorAll("thead button").forEach((button) => button.addEventListener("click", () => {
  const head = button.closest("th"), column = head.cellIndex;
  const number = !head.classList.contains("text");
  const fresh = number ? "descending" : "ascending", other = number ? "ascending" : "descending";
  const order = head.getAttribute("aria-sort") === fresh ? other : fresh;
  table.querySelectorAll("thead th").forEach((th) => th.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...body.rows].sort((a, b) => {
    const x = value(a, column), y = value(b, column);
    if (!number) return sign * x.localeCompare(y, undefined, { numeric: true });
    if (x === "" || y === "") return (x === "") - (y === "");
    return sign * (parseFloat(x) - parseFloat(y));
  });
  rows.forEach((row) => {
    body.append(row);
    gallery.append(document.getElementById(row.dataset.card));
  });
}));
const search = document.getElementById("search"), only = document.getElementById("flagged");
const shown = document.getElementById("shown");
const filter = () => {
  const wanted = search.value.trim().toLowerCase();
  let count = 0;
  [...body.rows].forEach((row) => {
    const hide = (only.checked && row.dataset.flagged === "0") ||
      !row.textContent.toLowerCase().includes(wanted);
    row.hidden = hide;
    document.getElementById(row.dataset.card).hidden = hide;
    count += hide ? 0 : 1;
  });
  shown.textContent = count + " of " + body.rows.length + " shown";
};
search.addEventListener("input", filter);
only.addEventListener("change", filter);
filter();
"""
