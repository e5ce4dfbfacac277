"use strict";
// Everything here is a convenience: without it the page shows the same content.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const original = [...table.tBodies[0].rows];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = head.classList.contains("num");
      const order = { none: numeric ? "descending" : "ascending", ascending: numeric ? "none" : "descending", descending: numeric ? "ascending" : "none" };
      const next = order[head.getAttribute("aria-sort") ?? "none"];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      const rows = [...original];
      if (next !== "none") {
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        const value = (row) => {
          const cell = row.cells[column];
          return numeric ? parseFloat(cell.dataset.sort ?? "NaN") : cell.textContent;
        };
        rows.sort((a, b) => {
          const [x, y] = [value(a), value(b)];
          if (!numeric) return sign * x.localeCompare(y, undefined, { numeric: true });
          // Cells without a number stay last whichever way.
          return Number.isNaN(x) - Number.isNaN(y) || sign * (x - y) || 0;
        });
      }
      table.tBodies[0].append(...rows);
    });
  });
}

for (const legend of document.querySelectorAll(".legend")) {
  const scope = legend.closest(".panel") ?? legend.closest("figure");
  if (!scope.querySelector("path[data-series]")) continue;
  for (const item of legend.children) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...item.childNodes);
    button.setAttribute("aria-pressed", "false");
    item.append(button);
    button.addEventListener("click", () => {
      const chosen = button.getAttribute("aria-pressed") === "false";
      for (const other of legend.querySelectorAll("button")) other.setAttribute("aria-pressed", String(chosen && other === button));
      for (const path of scope.querySelectorAll("path[data-series]")) path.classList.toggle("dimmed", chosen && path.dataset.series !== item.dataset.series);
    });
  }
}

const links = new Map([...document.querySelectorAll("nav a[href^='#']")].map((link) => [link.hash.slice(1), link]));
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get(entry.target.id)?.setAttribute("aria-current", "true");
  }
}, { rootMargin: "-10% 0px -80% 0px" });
for (const id of links.keys()) {
  const section = document.getElementById(id);
  if (section) seen.observe(section);
}

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
