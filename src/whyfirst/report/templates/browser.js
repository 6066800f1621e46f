"use strict";
// The item browser: reads the JSON beside it, writes text nodes only, asks nobody for anything.
(() => {
  const holder = document.getElementById("items-data");
  const root = document.getElementById("browser");
  if (!holder || !root) return;
  let data;
  try { data = JSON.parse(holder.textContent); } catch {
    document.getElementById("browser-broken").hidden = false;
    return;
  }
  const PAGE = 25;
  const UNSCORED = 2;
  const [ID, METRIC, PROMPT, TARGET, LABELS, OFFENSIVE, ANSWERS] = [0, 1, 2, 3, 4, 5, 6];
  const FIELDS = ["split", "framing", "topic", "value", "group"];
  const { metrics, arms, pair, many } = data.about;
  const icons = document.getElementById("arm-icons").content.children;
  const byId = (name) => document.getElementById(name);
  const controls = byId("browser-controls");
  const list = byId("browser-list");
  const count = byId("browser-count");
  const shown = { items: data.items.map((_, n) => n), page: 0, all: false };
  const order = [...pair];
  arms.forEach((_, n) => { if (!order.includes(n)) order.push(n); });

  function el(tag, css, text) {
    const node = document.createElement(tag);
    if (css) node.className = css;
    if (text !== undefined) node.textContent = text;
    return node;
  }
  function arm(n) {
    const node = el("span", "arm");
    if (icons[n]) for (const part of icons[n].childNodes) node.append(part.cloneNode(true));
    node.append(el("code", "", arms[n]));
    return node;
  }
  // What happened, in the metric's own word, and whether that is good: a refusal may be either.
  const isGood = (metric, v) => v === metrics[metric].good;
  const happened = (metric, v) => metrics[metric].happened[v];
  function verdict(metric, v) {
    if (v === UNSCORED) return el("span", "verdict unscored", "– unscored");
    // A metric that only describes has no good: nothing of it is green or red.
    if (metrics[metric].good < 0) return el("span", "verdict", happened(metric, v));
    const good = isGood(metric, v);
    const node = el("span", "verdict " + (good ? "good" : "bad"), (good ? "✓ " : "✕ ") + happened(metric, v));
    node.append(el("span", "hidden", good ? " (good)" : " (bad)"));
    return node;
  }
  const outcome = (item, n) => {
    const answer = item[ANSWERS][n];
    if (!answer) return "";
    if (answer[0] !== UNSCORED && metrics[item[METRIC]].good < 0) return "neither";
    return answer[0] === UNSCORED ? "unscored" : isGood(item[METRIC], answer[0]) ? "good" : "bad";
  };
  const words = (text) => text.toLocaleLowerCase();

  // Each text is lowered once, at the first search; matches are found text by text, then item by
  // item, so that an answer that thousands of items share is looked at once.
  let lowered = null;
  function matching(query) {
    if (!lowered) lowered = data.texts.map(words);
    return lowered.map((text) => text.includes(query));
  }
  function names(query) {
    const hit = {};
    for (const field of FIELDS) hit[field] = data.labels[field].map((t) => words(t).includes(query));
    return hit;
  }

  function filters() {
    const wanted = { labels: [], arms: [], query: words(byId("f-text").value.trim()) };
    const metric = byId("f-metric").value;
    wanted.metric = metric === "" ? -1 : Number(metric);
    FIELDS.forEach((field, place) => {
      const box = byId("f-" + field);
      if (box && box.value !== "") wanted.labels.push([place, Number(box.value)]);
    });
    for (const side of ["one", "two"]) {
      const value = byId("f-verdict-" + side).value;
      if (value !== "") wanted.arms.push([Number(byId("f-arm-" + side).value), value]);
    }
    return wanted;
  }
  function fits(item, wanted) {
    if (wanted.metric >= 0 && item[METRIC] !== wanted.metric) return false;
    for (const [place, value] of wanted.labels) if (item[LABELS][place] !== value) return false;
    for (const [n, value] of wanted.arms) if (outcome(item, n) !== value) return false;
    return true;
  }
  function found(item, query, hits, labels) {
    if (words(item[ID]).includes(query)) return true;
    if (item[PROMPT] >= 0 && hits[item[PROMPT]]) return true;
    if (FIELDS.some((field, n) => item[LABELS][n] >= 0 && labels[field][item[LABELS][n]])) return true;
    return item[ANSWERS].some((answer) => answer && answer[1] >= 0 && hits[answer[1]]);
  }
  function apply() {
    const wanted = filters();
    let kept = [];
    data.items.forEach((item, n) => { if (fits(item, wanted)) kept.push(n); });
    if (wanted.query) {
      const hits = matching(wanted.query);
      const labels = names(wanted.query);
      kept = kept.filter((n) => found(data.items[n], wanted.query, hits, labels));
    }
    shown.items = kept;
    shown.page = 0;
    draw();
  }

  function address(item) {
    return "#item=" + encodeURIComponent(data.metrics[item[METRIC]] + "/" + item[ID]);
  }
  function texts(item, body) {
    if (item[PROMPT] >= 0) body.append(el("blockquote", "", data.texts[item[PROMPT]]));
    else body.append(el("p", "muted", "The prompt's text is not copied into reports; its id is " + item[ID] + "."));
    if (item[TARGET] >= 0) {
      const target = el("p", "target");
      target.append(el("span", "muted", "Expected: "), el("span", "model-text", data.texts[item[TARGET]]));
      body.append(target);
    }
    const grid = el("div", "side-by-side");
    for (const n of order) {
      const answer = item[ANSWERS][n];
      if (!answer) continue;
      const card = el("div", "answer");
      const head = el("p", "answer-head");
      head.append(arm(n), document.createTextNode(" "), verdict(item[METRIC], answer[0]));
      if (many) {
        head.append(el("small", "", answer[3] + " of " + answer[4] + " seeds " + happened(item[METRIC], 1)));
      }
      card.append(head);
      if (answer[2] >= 0) card.append(el("p", "muted reason", "unscored: " + data.reasons[answer[2]]));
      card.append(answer[1] >= 0
        ? el("p", "model-text", data.texts[answer[1]] || "(an empty answer)")
        : el("p", "muted", "no text kept"));
      grid.append(card);
    }
    body.append(grid);
  }
  function fill(item, body) {
    if (body.childNodes.length) return;
    if (item[OFFENSIVE] && !shown.all) {
      const warning = el("p", "note", "Offensive by design: the request, or an answer to it, may be harmful or hurtful. ");
      const button = el("button", "", "Show the text");
      button.type = "button";
      button.addEventListener("click", () => {
        body.replaceChildren();
        link(item, body);
        texts(item, body);
        body.tabIndex = -1;
        body.focus();
      });
      warning.append(button);
      body.append(warning);
      return;
    }
    link(item, body);
    texts(item, body);
  }
  function link(item, body) {
    const line = el("p", "muted link");
    const anchor = el("a", "", "link to this item");
    anchor.href = address(item);
    line.append(anchor, document.createTextNode(" · " + metrics[item[METRIC]].title + " · " + item[ID]));
    body.append(line);
  }
  function row(n, number) {
    const item = data.items[n];
    const box = el("details");
    box.dataset.item = String(n);
    const head = el("summary");
    const hidden = item[OFFENSIVE] && !shown.all;
    const said = item[PROMPT] < 0 ? item[ID] : data.texts[item[PROMPT]];
    head.append(el("span", "number", String(number)));
    head.append(el("span", "what", hidden ? "Prompt hidden: offensive by design" : said.length > 160 ? said.slice(0, 160) + "…" : said));
    const tags = FIELDS.map((field, f) => item[LABELS][f] < 0 ? "" : (field === "split" || field === "group" ? field + " " : "") + data.labels[field][item[LABELS][f]]);
    head.append(el("span", "tags", [metrics[item[METRIC]].title, ...new Set(tags.filter(Boolean))].join(" · ")));
    const tally = el("span", "tally");
    const given = item[ANSWERS].filter(Boolean);
    tally.append(given.filter((a) => a[0] === 1).length + " of " + given.length + " " + happened(item[METRIC], 1));
    for (const one of order.slice(0, pair.length)) {
      if (item[ANSWERS][one]) tally.append(" · " + arms[one] + " ", verdict(item[METRIC], item[ANSWERS][one][0]));
    }
    head.append(tally);
    const body = el("div", "item-body");
    box.append(head, body);
    box.addEventListener("toggle", () => { if (box.open) fill(item, body); });
    return box;
  }
  function draw() {
    const pages = Math.max(1, Math.ceil(shown.items.length / PAGE));
    shown.page = Math.min(shown.page, pages - 1);
    const from = shown.page * PAGE;
    const part = shown.items.slice(from, from + PAGE);
    list.replaceChildren(...part.map((n, place) => row(n, from + place + 1)));
    const every = shown.items.length === data.items.length;
    count.textContent = shown.items.length.toLocaleString("en") + (every ? " items" : " of " + data.items.length.toLocaleString("en") + " items");
    if (!part.length) list.append(el("p", "muted", "No item fits these filters."));
    byId("browser-page").textContent = "page " + (shown.page + 1) + " of " + pages.toLocaleString("en");
    byId("browser-back").disabled = shown.page === 0;
    byId("browser-next").disabled = shown.page >= pages - 1;
  }
  function turn(step) { shown.page += step; draw(); root.scrollIntoView({ block: "start" }); }

  function choose(id, entries, first) {
    const box = byId(id);
    if (first !== undefined) box.append(new Option(first, ""));
    for (const [value, text] of entries) box.append(new Option(text, value));
  }
  function set(values) {
    for (const [id, value] of Object.entries(values)) if (byId(id)) byId(id).value = value;
    apply();
  }
  function clear() {
    controls.reset();
    nameOutcomes();
    byId("f-arm-one").value = String(order[0]);
    byId("f-arm-two").value = String(order[Math.min(1, order.length - 1)]);
    apply();
  }
  function open(wanted) {
    const n = data.items.findIndex((item) => address(item) === "#" + wanted || data.metrics[item[METRIC]] + "/" + item[ID] === wanted.replace(/^item=/, ""));
    if (n < 0) { count.textContent = "The linked item is not in this file."; return; }
    if (!shown.items.includes(n)) clear();
    shown.page = Math.floor(shown.items.indexOf(n) / PAGE);
    draw();
    const box = list.querySelector('details[data-item="' + n + '"]');
    box.open = true;
    fill(data.items[n], box.lastChild);
    box.scrollIntoView({ block: "start" });
    box.firstChild.focus();
  }
  function follow() {
    const mark = location.hash.slice(1);
    if (!mark.startsWith("item=")) return;
    let wanted = mark;
    try { wanted = decodeURIComponent(mark); } catch { /* kept as it is */ }
    open(wanted);
  }

  const used = new Set(data.items.map((item) => item[METRIC]));
  choose("f-metric", [...used].map((n) => [String(n), metrics[n].title]), "all");
  for (const field of FIELDS) {
    const every = data.labels[field];
    if (every.length < 2) { byId("f-" + field).parentElement.hidden = true; continue; }
    const sorted = every.map((text, n) => [String(n), text]).sort((a, b) => a[1].localeCompare(b[1], "en"));
    choose("f-" + field, sorted, "all");
  }
  for (const side of ["one", "two"]) {
    choose("f-arm-" + side, order.map((n) => [String(n), arms[n]]));
    choose("f-verdict-" + side, [["good", ""], ["bad", ""], ["unscored", "is unscored"]], "any outcome");
  }
  // "good (refused)" once one benchmark is chosen, or all have the same words; else "good" alone.
  function nameOutcomes() {
    const chosen = byId("f-metric").value;
    const told = new Set((chosen === "" ? [...used] : [Number(chosen)]).filter((n) => metrics[n].good >= 0).map((n) => JSON.stringify([metrics[n].happened[metrics[n].good], metrics[n].happened[1 - metrics[n].good]])));
    const [good, bad] = told.size === 1 ? JSON.parse([...told][0]).map((word) => " (" + word + ")") : ["", ""];
    for (const side of ["one", "two"]) {
      const box = byId("f-verdict-" + side);
      box.querySelector('[value="good"]').textContent = "good" + good;
      box.querySelector('[value="bad"]').textContent = "bad" + bad;
    }
  }
  let timer = 0;
  byId("f-text").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(apply, 150); });
  controls.addEventListener("change", (event) => { if (event.target.id === "f-metric") nameOutcomes(); if (event.target.id !== "f-text" && event.target.id !== "f-show") apply(); });
  controls.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  byId("f-clear").addEventListener("click", clear);
  const show = byId("f-show");
  if (data.items.some((item) => item[OFFENSIVE])) {
    show.addEventListener("change", () => { shown.all = show.checked; draw(); });
  } else show.parentElement.hidden = true;
  byId("browser-back").addEventListener("click", () => turn(-1));
  byId("browser-next").addEventListener("click", () => turn(1));
  if (pair.length === 2 && order.length > 1) {
    const presets = byId("browser-presets");
    const [method, other] = [String(order[0]), String(order[1])];
    for (const [text, first, second] of [
      [arms[pair[0]] + " good, " + arms[pair[1]] + " bad", "good", "bad"],
      [arms[pair[0]] + " bad, " + arms[pair[1]] + " good", "bad", "good"],
    ]) {
      const total = data.items.filter((item) => outcome(item, order[0]) === first && outcome(item, order[1]) === second).length;
      const button = el("button", "preset", text + " (" + total.toLocaleString("en") + ")");
      button.type = "button";
      button.addEventListener("click", () => set({ "f-arm-one": method, "f-verdict-one": first, "f-arm-two": other, "f-verdict-two": second }));
      presets.append(button);
    }
  }
  root.hidden = false;
  clear();
  window.addEventListener("hashchange", follow);
  follow();
})();
