"""Style and script of the page; both stand in the page itself, so that no server is needed."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d8dee4;
  --paper: #ffffff; --shade: #f6f8fa; --link: #0b5cad; --band: #b6bec8;
  --good: #166534; --good-bg: #dcfce7; --bad: #9a3412; --bad-bg: #ffedd5;
  --open: #4b5563; --open-bg: #eceff3; --note-bg: #fff4d6;
  --s1: #0072b2; --s2: #d55e00; --s3: #009e73; --s4: #b0588f; --s5: #b87900; --s6: #2f8fc4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4af; --line: #343b44;
  --paper: #14171b; --shade: #1d2126; --link: #7ab8f5; --band: #5b6570;
  --good: #86efac; --good-bg: #12351f; --bad: #fdba74; --bad-bg: #43230d;
  --open: #b6bec8; --open-bg: #2a3038; --note-bg: #3a3113;
  --s1: #56b4e9; --s2: #ff8c42; --s3: #2fc79b; --s4: #e59cc8; --s5: #f0b429; --s6: #8fd3ff; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 3.2rem; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem 1.25rem 4rem; color: var(--ink);
  background: var(--paper);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .5rem; padding-top: .4rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.02rem; margin: 1.4rem 0 .3rem; }
p { margin: .5rem 0; max-width: 48rem; } a { color: var(--link); } .soft { color: var(--soft); }
li { max-width: 48rem; } ul, ol { margin: .4rem 0; padding-left: 1.3rem; }
nav { position: sticky; top: 0; z-index: 3; background: var(--paper); margin: 1rem -1.25rem 0;
  padding: .5rem 1.25rem; border-bottom: 1px solid var(--line); display: flex; gap: .2rem 1.1rem;
  overflow-x: auto; white-space: nowrap; font-size: .92rem; }
nav a { text-decoration: none; }
.answers { display: grid; gap: .9rem; margin: 1.2rem 0 .6rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.answer { border: 1px solid var(--line); border-left: 5px solid var(--open); border-radius: 8px;
  padding: .8rem 1.1rem; background: var(--shade); overflow-wrap: anywhere; }
.answer.good { border-left-color: var(--s3); } .answer.bad { border-left-color: var(--s2); }
.answer h2 { border: 0; margin: 0; padding: 0; font-size: .95rem; color: var(--soft);
  font-weight: 600; }
.answer p.lead { font-size: 1.12rem; line-height: 1.4; font-weight: 600; margin: .25rem 0 .4rem; }
.answer p, .answer li { font-size: .95rem; }
.note { background: var(--note-bg); padding: .7rem 1rem; border-radius: 8px; max-width: none; }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0 0; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: .4rem .9rem; min-width: 7rem;
  font-size: .9rem; color: var(--soft); }
.tile b { display: block; font-size: 1.35rem; color: var(--ink);
  font-variant-numeric: tabular-nums; }
.tile.bad { background: var(--bad-bg); color: var(--bad); } .tile.bad b { color: inherit; }
.grid { display: grid; gap: 1rem; margin: .8rem 0; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); }
.grid.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 15.5rem), 1fr)); }
.grid.pictures { grid-template-columns: repeat(auto-fill, minmax(min(100%, 13.5rem), 1fr)); }
figure { margin: 0; min-width: 0; } .wide { max-width: 38rem; margin: .8rem 0; }
figure svg { width: 100%; height: auto; display: block; fill: currentColor; }
figure img { width: 100%; height: auto; display: block; border-radius: 6px; background: #000; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .3rem; line-height: 1.4;
  overflow-wrap: anywhere; } figcaption b { color: var(--ink); }
.missing { border: 1px dashed var(--line); border-radius: 6px; padding: 1rem; color: var(--soft);
  font-size: .9rem; overflow-wrap: anywhere; }
.key { display: inline-block; width: 1.4rem; height: 0; border-top: 3px solid;
  vertical-align: middle;
  margin: 0 .3rem 0 .6rem; }
.scroll { overflow: auto; max-height: 30rem; border: 1px solid var(--line); border-radius: 8px;
  margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { padding: .32rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
td.text, th.text { text-align: left; }
td.prose { text-align: left; white-space: normal; min-width: 15rem; overflow-wrap: anywhere; }
tbody tr:last-child td { border-bottom: 0; } tbody tr:hover td { background: var(--shade); }
thead th { position: sticky; top: 0; background: var(--shade); vertical-align: bottom; z-index: 1;
  border-bottom: 2px solid var(--soft); white-space: normal; min-width: 4.4rem; }
thead button { font: inherit; font-weight: 600; background: none; border: 0; padding: 0;
  cursor: pointer;
  color: inherit; text-align: inherit; }
thead button::after { content: "\\00a0\\2195"; color: var(--soft); font-weight: 400; }
th[aria-sort=ascending] button::after { content: "\\00a0\\2191"; color: var(--ink); }
th[aria-sort=descending] button::after { content: "\\00a0\\2193"; color: var(--ink); }
td .range { color: var(--soft); font-size: .94em; }
.pill { display: inline-block; border-radius: 1rem; padding: 0 .6rem; font-size: .86rem;
  background: var(--open-bg); color: var(--open); white-space: nowrap; }
.pill.good { background: var(--good-bg); color: var(--good); }
.pill.bad { background: var(--bad-bg); color: var(--bad); }
table.matrix td, table.matrix th { text-align: center; }
table.matrix td:first-child, table.matrix th:first-child { text-align: left; }
details { margin: .6rem 0; } summary { cursor: pointer; font-weight: 600; }
details details { margin-left: .8rem; } details details summary { font-weight: 400; }
pre { background: var(--shade); border: 1px solid var(--line); border-radius: 8px;
  padding: .75rem 1rem;
  overflow-x: auto; font-size: .82rem; line-height: 1.45; }
code { background: var(--shade); border-radius: 4px; padding: .05rem .3rem; font-size: .88em; }
pre code { background: none; padding: 0; font-size: inherit; }
.find { font: inherit; font-size: .92rem; padding: .25rem .6rem; border: 1px solid var(--line);
  border-radius: 6px; background: var(--paper); color: inherit; width: 100%; max-width: 22rem; }
[hidden] { display: none !important; }
figure img { cursor: zoom-in; }
figure img.near { position: fixed; inset: 0; z-index: 9; width: 100vw; height: 100vh;
  object-fit: contain; border-radius: 0; background: #000d; cursor: zoom-out; }
@media (max-width: 40rem) { table { font-size: .82rem; } th, td { padding: .28rem .45rem; }
  td.text { white-space: normal; min-width: 5.5rem; overflow-wrap: anywhere; }
  .pill { white-space: nowrap; } thead th { min-width: 3.2rem; } }
@media print { nav, .find { display: none; } .scroll { max-height: none; overflow: visible; }
  figure, .answer { break-inside: avoid; } }
"""

SCRIPT = """
"use strict";
const shownValue = (row, column) =>
  row.cells[column].dataset.value ?? row.cells[column].textContent;
document.querySelectorAll("table.sortable").forEach((table) => {
  const body = table.tBodies[0];
  const buttons = table.querySelectorAll("thead button");
  buttons.forEach((button) => button.addEventListener("click", () => {
    const head = button.closest("th"), column = head.cellIndex;
    const number = !head.classList.contains("text");
    const fresh = number ? "descending" : "ascending";
    const other = number ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === fresh ? other : fresh;
    table.querySelectorAll("thead th").forEach((th) => th.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [shownValue(row, column), row]);
    rows.sort(([x], [y]) => {
      if (!number) return sign * x.localeCompare(y, undefined, { numeric: true });
      if (x === "" || y === "") return (x === "") - (y === "");
      return x === y ? 0 : sign * (Number(x) < Number(y) ? -1 : 1);
    });
    body.append(...rows.map(([, row]) => row));
  }));
});
document.querySelectorAll("figure img").forEach((image) => {
  image.addEventListener("click", () => image.classList.toggle("near"));
});
document.querySelectorAll("input.find").forEach((box) => {
  const rows = [...document.getElementById(box.dataset.table).tBodies[0].rows];
  box.addEventListener("input", () => {
    const words = box.value.trim().toLowerCase().split(/\\s+/);
    rows.forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    });
  });
});
"""
