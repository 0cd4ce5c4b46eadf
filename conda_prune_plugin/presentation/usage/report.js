"use strict";
const TOP = 50;
const element = id => document.getElementById(id);
const count = n => n.toLocaleString("en");
function bytes(size) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (size >= 1023.95 && unit < 4) { size /= 1024; unit++; }
  return (unit ? size.toFixed(1) : size) + " " + units[unit];
}

// A table that shows its first rows and sums up the others; it can be sorted and filtered.
function table(name, filter) {
  const body = element(name + "-rows"), others = element(name + "-others"), button = others.querySelector("button");
  const heads = [...element(name).tHead.rows[0].cells];
  const sizes = heads.findIndex(head => head.hasAttribute("aria-sort"));
  const value = (row, column) => {
    const cell = row.cells[column];
    return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent.toLowerCase();
  };
  let rows = [...body.rows], all = false;
  const words = new Map(filter ? rows.map(row => [row, row.textContent.toLowerCase()]) : []);

  function show() {
    const wanted = filter ? filter.value.trim().toLowerCase().split(/\s+/) : [];
    let shown = 0, found = 0, size = 0, rest = 0;
    for (const row of rows) {
      const fits = wanted.every(word => words.get(row).includes(word));
      row.hidden = !fits || (!all && shown >= TOP);
      if (!fits) continue;
      found++; size += value(row, sizes);
      if (row.hidden) rest += value(row, sizes); else shown++;
    }
    const filtered = wanted.some(word => word), unlisted = filtered ? 0 : Number(others.dataset.count);
    const hidden = found - shown + unlisted;
    others.hidden = !hidden;
    button.hidden = found === shown;
    others.cells[0].textContent = count(hidden) + (hidden === 1 ? " other" : " others");
    element(name + "-sum").textContent = bytes(rest + (unlisted ? Number(others.dataset.size) : 0));
    if (filter) element("filtered").textContent = filtered ? `${count(found)} of ${count(rows.length)}, ${bytes(size)}` : "";
  }
  button.addEventListener("click", () => { all = true; show(); });
  if (filter) filter.addEventListener("input", show);
  heads.forEach((head, column) => {
    const sort = document.createElement("button");
    sort.type = "button";
    sort.textContent = head.textContent;
    head.replaceChildren(sort);
    sort.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up === 1 ? "ascending" : "descending");
      const keys = new Map(rows.map(row => [row, value(row, column)]));
      rows.sort((a, b) => up * (keys.get(a) > keys.get(b) ? 1 : keys.get(a) < keys.get(b) ? -1 : 0));
      body.append(...rows);
      show();
    });
  });
  show();
}

// Shorten the labels of the treemap to the room that they have now.
const labels = [...document.querySelectorAll(".treemap text")].map(text => [text, text.textContent]);
function fit() {
  for (const [text, label] of labels) text.textContent = label;
  const fitting = labels.map(([text, label]) => {
    const room = text.parentNode.querySelector("rect").getBoundingClientRect().width - 10, length = text.getComputedTextLength();
    if (room <= 0 || length <= room) return label;
    const letters = Math.floor(label.length * room / length) - 1;
    return letters < 3 ? "" : label.slice(0, letters) + "…";
  });
  labels.forEach(([text], index) => { text.textContent = fitting[index]; });
}

// A rectangle leads to its row, which a filter or the end of the list may hide.
function reveal() {
  const row = location.hash && element(location.hash.slice(1) === "others" ? "parts-others" : location.hash.slice(1));
  if (!row || row.tagName !== "TR") return;
  row.hidden = false;
  row.tabIndex = -1;
  row.scrollIntoView({ block: "center" });
  row.focus({ preventScroll: true });
}

const copy = element("copy");
copy.hidden = !navigator.clipboard;
copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(element("command").textContent);
  element("copied").textContent = "Copied";
  setTimeout(() => { element("copied").textContent = ""; }, 2000);
});
table("parts", element("filter"));
table("locations", null);
fit();
addEventListener("resize", fit);
addEventListener("hashchange", reveal);
reveal();
