"use strict";
(() => {
  const known = JSON.parse(document.getElementById("provenance").textContent);
  const body = document.getElementById("origin-body");
  const dialog = document.getElementById("origin");

  // Every text goes in as text: nothing of a record is ever read as markup.
  const element = (name, text, parent) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };
  const shown = (value) => {
    if (value === null || value === undefined || value === "") return "–";
    if (Array.isArray(value)) return value.map(shown).join(", ");
    if (typeof value === "object") return Object.entries(value).map(([name, each]) => `${name}: ${shown(each)}`).join("; ");
    return String(value);
  };
  const facts = (title, pairs) => {
    if (title) element("h3", title, body);
    const rows = element("tbody", undefined, element("table", undefined, body));
    for (const [name, value] of pairs) {
      const row = element("tr", undefined, rows);
      element("th", name, row).scope = "row";
      element("td", shown(value), row);
    }
  };

  // Where a number stands among the published ones of its column, rounded as they are.
  const place = (table, metric, text) => {
    const own = parseFloat(text);
    const others = known.published[table].filter((each) => metric in each.values);
    if (!others.length || Number.isNaN(own)) return [];
    const value = (each) => parseFloat(each.values[metric]);
    const better = others.filter((each) => value(each) > own).sort((a, b) => value(a) - value(b));
    const next = better.length ? `; next better: ${better[0].name} with ${better[0].values[metric]}` : "";
    return [["among the published", `place ${better.length + 1} of ${others.length + 1}${next}`]];
  };
  const showOwn = ([table, row, column], text) => {
    const where = known.tables[table];
    const metric = where.metrics[column];
    const jobs = where.rows[row].map((number) => known.jobs[number]);
    const [label, protocolAt, dataAt, backboneAt] = jobs[0];
    const protocol = known.protocols[protocolAt];
    const data = known.data[dataAt];
    const backbone = known.backbones[backboneAt];
    document.getElementById("origin-title").textContent = `${label}: ${where.titles[column]}`;
    body.replaceChildren();
    facts("", [["as shown", `${text} %`], ...place(table, metric, text)]);
    for (const [, , , , settingsAt, key, seed, finished, seconds, config, values] of jobs) {
      const settings = known.settings[settingsAt];
      facts(seed === null ? "Number" : `Number of seed ${seed}`, [
        ["value, unrounded", values[metric] === null || values[metric] === undefined ? "no value" : `${values[metric]} %`],
        ["benchmark, metric", `${where.benchmark}, ${metric}`],
        ["job key", key],
        ["finished", `${finished} after ${seconds} s`],
        ["device", settings.device],
        ["numerics", settings.numerics],
        ["code", settings.git],
        ["versions", settings.versions],
        ...(config ? [["config digest", config]] : []),
      ]);
    }
    facts("Backbone", [
      ["digest", backbone.digest], ["source", backbone.source], ["format", backbone.format],
      ["encoder", backbone.encoder], ["input", backbone.input],
      ...(backbone.remarks.length ? [["remarks", backbone.remarks]] : []),
    ]);
    facts("Data", [
      ["name", data.name], ["fingerprint", data.fingerprint], ["counts", data.counts],
      ...(data.nonstandard.length ? [["non-standard", data.nonstandard]] : []),
    ]);
    facts("Protocol", [
      ["name, version", `${protocol.name}, version ${protocol.version}`], ["hash", protocol.hash],
      ["profile", protocol.profile],
      ...(protocol.modified.length ? [["modified", protocol.modified]] : []),
      ...Object.entries(protocol.fields),
    ]);
  };
  const showPublished = ([table, row, column]) => {
    const where = known.tables[table];
    const each = known.published[table][row];
    document.getElementById("origin-title").textContent = `${each.name}: ${where.titles[column]} (published)`;
    body.replaceChildren();
    facts("", [
      ["value, as published", `${each.values[where.metrics[column]]} %`], ["config", each.config],
      ["backbone", each.backbone], ["source", each.source],
    ]);
  };
  document.addEventListener("click", (event) => {
    const value = event.target.closest(".value");
    if (value) {
      if (value.dataset.at) showOwn(value.dataset.at.split("."), value.textContent);
      else showPublished(value.dataset.publishedAt.split("."));
      dialog.showModal();
      dialog.scrollTop = 0;
    } else if (event.target === dialog) dialog.close();
    const head = event.target.closest(".sort");
    if (head) sort(head.closest("th"));
  });

  const number = (cell) => {
    const found = parseFloat(cell.textContent);
    return Number.isNaN(found) ? null : found;
  };
  const sort = (head) => {
    const table = head.closest("table");
    const column = head.cellIndex;
    const rows = [...table.tBodies[0].rows];
    const numeric = column > 0 && rows.some((row) => number(row.cells[column]) !== null);
    const first = numeric ? "descending" : "ascending";
    const second = numeric ? "ascending" : "descending";
    const order = head.getAttribute("aria-sort") === first ? second : first;
    for (const each of head.parentNode.cells) each.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const keyed = rows.map((row, place) => ({
      row, place, key: numeric ? number(row.cells[column]) : row.cells[column].textContent.trim(),
    }));
    // Blanks stay last in either direction.
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
      const compared = numeric ? a.key - b.key : a.key.localeCompare(b.key, "en", { numeric: true });
      return sign * compared || a.place - b.place;
    });
    table.tBodies[0].append(...keyed.map((each) => each.row));
  };

  const filter = document.getElementById("filter");
  const published = document.getElementById("show-published");
  const marked = document.getElementById("show-marked");
  const apply = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const names = new Set();
    for (const each of document.querySelectorAll("[data-name]")) {
      const name = each.dataset.name;
      const matches = words.every((word) => name.toLowerCase().includes(word));
      // As an attribute, since an SVG element has no property `hidden`.
      each.toggleAttribute("hidden", !matches);
      if (matches && each.tagName === "TR") names.add(name);
    }
    for (const each of document.querySelectorAll("[data-published], circle.published")) {
      each.toggleAttribute("hidden", !published.checked);
    }
    for (const each of document.querySelectorAll("[data-marked]")) each.toggleAttribute("hidden", !marked.checked);
    document.getElementById("count").textContent = words.length ? `${names.size} models shown` : "";
  };
  for (const each of [filter, published, marked]) each.addEventListener("input", apply);
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());

  const theme = document.getElementById("theme");
  const setTheme = (name) => {
    if (name === "auto") document.documentElement.removeAttribute("data-theme");
    else document.documentElement.dataset.theme = name;
  };
  theme.addEventListener("input", () => {
    setTheme(theme.value);
    try {
      localStorage.setItem("harness-theme", theme.value);
    } catch {
      // Some browsers keep nothing for files; the choice then lasts as long as the page.
    }
  });
  try {
    const kept = localStorage.getItem("harness-theme");
    if (["light", "dark"].includes(kept)) {
      theme.value = kept;
      setTheme(kept);
    }
  } catch {
    // As above.
  }
  apply();
})();
