"use strict";
/* The gallery. Everything a model, a dataset or a file said enters the page as text, never as markup. */
(() => {
  const ROW = 66, EXTRA = 6;
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("gallery-data").textContent);
  const els = Object.fromEntries(
    ["search", "dataset", "who", "type", "sort", "pictured", "reset", "keys", "keys-help", "count",
      "cell-filter", "legend", "list", "spacer", "detail"].map((id) => [id, byId(id)]));
  const narrow = matchMedia("(max-width: 760px)");
  const pictures = new Map();
  const state = { set: 0, shown: [], at: -1, open: false, cell: null, terms: [] };

  const make = (tag, props = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), props);
    node.append(...children);
    return node;
  };
  const dataset = () => data.datasets[state.set];
  const letter = (run) => String.fromCharCode(65 + Number(run.key.slice(1)) % 26);
  const series = (run) => `s${Number(run.key.slice(1)) % 8}`;
  const count = (n) => n.toLocaleString("en");
  const isRight = (score) => score !== null && score >= data.right;
  const points = (score) => (score === null ? "no score" : String(Math.round(score * 100)));

  const said = (run, row) => (run.prediction[row] === 0 ? run.output[row] : run.prediction[row])
    .toLowerCase().split(/\s+/).filter(Boolean).join(" ");

  /* Which answers a choice of "Show" keeps: scores are the runs' at one question. */
  function choices() {
    const { runs } = dataset();
    const all = [["all", "all questions", () => true]];
    if (!runs.some((run) => run.score.some((score) => score !== null))) { // no golds
      const same = (row) => new Set(runs.map((run) => said(run, row))).size === 1;
      if (runs.length > 1) {
        all.push(["differ", "the answers differ", (row) => !same(row)]);
        all.push(["same", "the same answer", same]);
      }
      all.push(["failed", "no answer (failed)", (row) => runs.some((run) => run.failed[row])]);
      all.push(["cut", "answer cut off", (row) => runs.some((run) => run.cut[row])]);
      return all;
    }
    const at = (row) => runs.map((run) => run.score[row]);
    const some = (row, test) => at(row).some(test);
    if (runs.length > 1) {
      all.push(["disagree", "some right, some wrong", (row) => some(row, isRight) && some(row, (s) => s !== null && !isRight(s))]);
    }
    all.push(["right", runs.length > 1 ? "all right" : "right", (row) => at(row).every(isRight)]);
    all.push(["wrong", runs.length > 1 ? "all wrong" : "wrong", (row) => !some(row, isRight)]);
    if (runs.length > 1) {
      runs.forEach((run) => all.push([`only-${run.key}`, `only ${letter(run)} right: ${run.label}`,
        (row) => isRight(run.score[row]) && runs.every((other) => other === run || !isRight(other.score[row]))]));
    }
    if (runs.length > 2) {
      runs.forEach((run) => runs.forEach((other) => run !== other && all.push([`${run.key}-${other.key}`,
        `${letter(run)} right, ${letter(other)} wrong`, (row) => isRight(run.score[row]) && !isRight(other.score[row])])));
      runs.forEach((run) => all.push([`not-${run.key}`, `only ${letter(run)} wrong: ${run.label}`,
        (row) => !isRight(run.score[row]) && runs.every((other) => other === run || isRight(other.score[row]))]));
    }
    all.push(["failed", "no answer (failed)", (row) => runs.some((run) => run.failed[row])]);
    all.push(["cut", "answer cut off", (row) => runs.some((run) => run.cut[row])]);
    return all;
  }

  const sorts = {
    index: null,
    spread: (row) => { const s = scores(row); return s.length ? Math.min(...s) - Math.max(...s) : 0; },
    worst: (row) => mean(row),
    best: (row) => -mean(row),
    long: (row) => -Math.max(...dataset().runs.map((run) => run.output[row].length)),
  };
  const scores = (row) => dataset().runs.map((run) => run.score[row]).filter((score) => score !== null);
  const mean = (row) => { const s = scores(row); return s.length ? s.reduce((a, b) => a + b, 0) / s.length : -1; };

  function searchable(set) {
    if (!set.text) {
      set.text = set.question.map((question, row) => [question, set.id[row], ...set.golds[row], ...set.options[row],
        ...set.runs.map((run) => run.output[row])].join("\n").toLowerCase());
    }
    return set.text;
  }

  function fillDataset() {
    const set = dataset();
    els.who.replaceChildren(...choices().map(([value, label]) => make("option", { value, textContent: label })));
    const used = [...new Set([...set.type, ...set.answerType])].filter((number) => set.types[number]);
    els.type.replaceChildren(make("option", { value: "", textContent: "all types" }), ...typeNames(set, used));
    byId("type-label").hidden = used.length < 2;
    els.legend.replaceChildren(...set.runs.map((run) => make("span", {},
      make("span", { className: `badge ${series(run)}`, textContent: letter(run) }), run.label)),
    make("span", { textContent: "✓ right · ✗ wrong · number: partly right, of 100 · ! no answer" }));
  }

  /* A question with several types ("table/list, form") is found under each of them. */
  function typeNames(set, used) {
    const names = new Set(used.flatMap((number) => set.types[number].split(", ")));
    return [...names].sort().map((name) => make("option", { value: name, textContent: name }));
  }

  function apply(keep) {
    const set = dataset();
    const row = keep ? state.shown[state.at] : undefined;
    const test = choices().find(([value]) => value === els.who.value)[2];
    const type = els.type.value;
    const hasType = set.types.map((names) => names.split(", ").includes(type));
    state.terms = els.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = state.terms.length ? searchable(set) : null;
    const { cell } = state;
    const inCell = (at) => {
      const pair = [cell.run, cell.against].map((key) => set.runs.find((run) => run.key === key).score[at]);
      return pair.every((score, i) => score !== null && score >= cell.ranges[i][0] && score < cell.ranges[i][1]);
    };
    state.shown = set.index.map((_, at) => at).filter((at) => test(at)
      && (!type || hasType[set.type[at]] || hasType[set.answerType[at]])
      && (!els.pictured.checked || set.image[at].some((number) => number >= 0))
      && (!cell || inCell(at))
      && (!text || state.terms.every((term) => text[at].includes(term))));
    const key = sorts[els.sort.value];
    if (key) {
      const keys = new Map(state.shown.map((at) => [at, key(at)]));
      state.shown.sort((a, b) => keys.get(a) - keys.get(b) || a - b);
    }
    state.at = row === undefined ? -1 : state.shown.indexOf(row);
    const total = set.index.length;
    els.count.textContent = state.shown.length === total
      ? `${count(total)} questions` : `${count(state.shown.length)} of ${count(total)} questions`;
    els.spacer.style.height = `${Math.max(state.shown.length * ROW, 1)}px`;
    if (state.at < 0) els.list.scrollTop = 0;
    draw();
    if (state.at < 0) close(false);
  }

  function mark(run, row) {
    const score = run.score[row], failed = run.failed[row];
    const node = make("span", { className: `mark ${series(run)}` });
    const sign = failed ? "!" : score === null ? "–" : score === 1 ? "✓" : score === 0 ? "✗" : points(score);
    node.textContent = `${letter(run)} ${sign}`;
    if (failed || score === null) node.classList.add("none");
    else if (isRight(score)) node.classList.add("right");
    node.title = `${run.label}: ${failed ? "no answer" : points(score)}`;
    node.setAttribute("aria-label", node.title);
    return node;
  }

  function draw() {
    const set = dataset();
    const first = Math.max(0, Math.floor(els.list.scrollTop / ROW) - EXTRA);
    const last = Math.min(state.shown.length, first + Math.ceil(els.list.clientHeight / ROW) + 2 * EXTRA);
    const rows = [];
    for (let at = first; at < last; at += 1) {
      const row = state.shown[at];
      const node = make("div", { className: "row", id: `row-${at}` },
        make("p", { textContent: set.question[row] }),
        make("div", { className: "meta" },
          make("span", { className: "gold", textContent: set.golds[row].join(" · ") }),
          make("span", { className: "marks" }, ...set.runs.map((run) => mark(run, row)))));
      node.style.top = `${at * ROW}px`;
      node.dataset.at = at;
      node.setAttribute("role", "option");
      node.setAttribute("aria-selected", String(at === state.at));
      node.setAttribute("aria-posinset", at + 1);
      node.setAttribute("aria-setsize", state.shown.length);
      rows.push(node);
    }
    if (!rows.length) rows.push(make("p", { className: "row", textContent: "No question fits. Reset the filters to see all." }));
    els.spacer.replaceChildren(...rows);
    if (state.at >= first && state.at < last) els.list.setAttribute("aria-activedescendant", `row-${state.at}`);
    else els.list.removeAttribute("aria-activedescendant");
  }

  function choose(at, andOpen) {
    if (!state.shown.length) return;
    state.at = Math.max(0, Math.min(state.shown.length - 1, at));
    const top = state.at * ROW, { scrollTop, clientHeight } = els.list;
    if (top < scrollTop) els.list.scrollTop = top;
    else if (top + ROW > scrollTop + clientHeight) els.list.scrollTop = top + ROW - clientHeight;
    draw();
    if (andOpen || state.open || !narrow.matches) show(andOpen);
  }

  function show(focus) {
    const set = dataset(), row = state.shown[state.at];
    state.open = true;
    const button = (text, label, act) => {
      const node = make("button", { type: "button", textContent: text, onclick: act });
      node.setAttribute("aria-label", label);
      return node;
    };
    const back = button("Close", "Close the question", () => close(true));
    back.className = "close";
    const parts = [
      make("div", { className: "bar" }, back,
        make("span", { textContent: `${count(state.at + 1)} of ${count(state.shown.length)} · #${set.index[row]}${types(set, row)}` }),
        button("↑", "Previous question", () => choose(state.at - 1, true)),
        button("↓", "Next question", () => choose(state.at + 1, true))),
      make("h3", {}, ...marked(set.question[row])),
      ...(set.options[row].length ? [make("div", { className: "golds" }, make("b", { textContent: "Options" }),
        ...set.options[row].map((option) => make("span", {}, ...marked(option))))] : []),
      make("div", { className: "golds" }, make("b", { textContent: "Gold" }),
        ...(set.golds[row].length ? set.golds[row].map((gold) => make("span", {}, ...marked(gold)))
          : [make("span", { textContent: "not published" })])),
      ...set.runs.map((run) => answer(run, row)),
      ...gallery(set, row),
    ];
    els.detail.replaceChildren(...parts);
    els.detail.scrollTop = 0;
    els.detail.classList.add("open");
    if (narrow.matches) {
      els.detail.setAttribute("role", "dialog");
      els.detail.setAttribute("aria-modal", "true");
      document.body.style.overflow = "hidden";
    }
    if (focus) els.detail.focus({ preventScroll: true });
  }

  const types = (set, row) => [...new Set([set.types[set.type[row]], set.types[set.answerType[row]]])]
    .filter(Boolean).map((name) => ` · ${name}`).join("");

  function answer(run, row) {
    const node = make("div", { className: `answer ${series(run)}` });
    const score = run.score[row];
    const verdict = run.failed[row] ? "no answer" : score === null ? "not scored"
      : `${isRight(score) ? "✓" : "✗"} ${points(score)}`;
    node.append(make("div", { className: "who" }, make("span", { className: "badge", textContent: letter(run) }),
      make("b", { textContent: run.label }), make("span", { className: "score", textContent: verdict })));
    const text = run.output[row];
    if (run.failed[row]) node.append(make("p", { className: "what", textContent: run.error[row] || "failed" }));
    else node.append(make("pre", {}, ...(text ? marked(text) : [make("span", { className: "what", textContent: "(empty answer)" })])));
    if (run.prediction[row] !== 0 && !run.failed[row]) {
      node.append(make("p", { className: "what", textContent: `scored as: ${run.prediction[row] || "(empty)"}` }));
    }
    if (run.cut[row]) node.append(make("p", { className: "what", textContent: "cut off at the output limit" }));
    return node;
  }

  function images(set) {
    if (!pictures.has(set)) pictures.set(set, JSON.parse(byId(`images-${set}`).textContent)); // megabytes: parsed when first needed
    return pictures.get(set);
  }

  function gallery(set, row) {
    const paths = set.path[row];
    if (!paths.length) return [make("figure", {}, make("figcaption", { textContent: "This question has no image" }))];
    const figures = paths.map((path, at) => picture(set, row, path, at));
    if (set.more[row]) figures.push(make("figure", {}, make("figcaption", { textContent: `and ${count(set.more[row])} more images, which this page does not show` })));
    return figures;
  }

  function picture(set, row, path, at) {
    const number = set.image[row][at];
    const size = set.path[row].length === 1 ? `, ${set.size[row]} px` : "";
    const nth = set.path[row].length === 1 ? "" : `Image ${at + 1}: `;
    if (number < 0) {
      return make("figure", {}, make("figcaption", { textContent: `${nth}This page does not hold its image: ${path}${size} in the image store` }));
    }
    const image = make("img", { alt: "The image that the question is about", tabIndex: 0 });
    image.src = `data:image/webp;base64,${images(state.set)[number]}`;
    image.setAttribute("role", "button");
    image.setAttribute("aria-label", "The image that the question is about; activate to see it at full size");
    const zoom = () => image.classList.toggle("large");
    image.onclick = zoom;
    image.onkeydown = (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); zoom(); }
    };
    const name = path.split("/").pop();
    const short = name.length > 24 ? `${name.slice(0, 12)}…${name.slice(-5)}` : name;
    return make("figure", {}, make("div", { className: "picture" }, image),
      make("figcaption", { textContent: `${nth}Reduced copy of ${short}${size}`, title: path }));
  }

  /* The text with the search's words marked. */
  function marked(text) {
    if (!state.terms.length) return [text];
    const lower = text.toLowerCase(), parts = [];
    if (lower.length !== text.length) return [text]; // lower-casing moved the positions
    let at = 0;
    while (at < text.length) {
      let next = -1, length = 0;
      for (const term of state.terms) {
        const found = lower.indexOf(term, at);
        if (found >= 0 && (next < 0 || found < next)) { next = found; length = term.length; }
      }
      if (next < 0) break;
      parts.push(text.slice(at, next), make("mark", { textContent: text.slice(next, next + length) }));
      at = next + length;
    }
    return [...parts, text.slice(at)];
  }

  function close(focusList) {
    state.open = false;
    els.detail.classList.remove("open");
    els.detail.removeAttribute("role");
    els.detail.removeAttribute("aria-modal");
    document.body.style.overflow = "";
    if (!narrow.matches) {
      els.detail.replaceChildren(make("p", { className: "empty", textContent: "Choose a question: click it, or press j and Enter." }));
    }
    if (focusList) els.list.focus({ preventScroll: true });
  }

  function setCell(button) {
    document.querySelectorAll(".cell[aria-pressed]").forEach((other) => other.removeAttribute("aria-pressed"));
    if (!button) {
      state.cell = null;
      els["cell-filter"].hidden = true;
      return;
    }
    button.setAttribute("aria-pressed", "true");
    const { run, against, low, high } = button.dataset;
    state.cell = { run, against, ranges: [low, high].map((text) => text.split(" ").map(Number)) };
    const drop = make("button", { type: "button", textContent: "✕ chosen cell", onclick: () => { setCell(null); apply(true); } });
    drop.setAttribute("aria-label", "Drop the chosen cell");
    els["cell-filter"].replaceChildren(drop);
    els["cell-filter"].hidden = false;
  }

  function selectDataset(number) {
    state.set = number;
    els.dataset.value = String(number);
    fillDataset();
  }

  function reset() {
    els.search.value = "";
    els.who.value = "all";
    els.type.value = "";
    els.sort.value = "index";
    els.pictured.checked = false;
    setCell(null);
    apply(true);
  }

  els.dataset.replaceChildren(...data.datasets.map((set, value) => make("option", { value, textContent: set.title })));
  byId("dataset-label").hidden = data.datasets.length < 2;
  selectDataset(0);
  if (dataset().runs.length > 1) els.who.value = "disagree";
  apply(false);
  if (!state.shown.length) { els.who.value = "all"; apply(false); }

  els.dataset.onchange = () => { setCell(null); selectDataset(Number(els.dataset.value)); apply(false); };
  els.search.oninput = () => apply(true);
  for (const name of ["who", "type", "sort", "pictured"]) els[name].onchange = () => apply(true);
  els.reset.onclick = reset;
  els.keys.onclick = () => {
    els["keys-help"].hidden = !els["keys-help"].hidden;
    els.keys.setAttribute("aria-expanded", String(!els["keys-help"].hidden));
  };
  document.querySelector(".filters").onsubmit = (event) => event.preventDefault();
  els.list.onscroll = () => requestAnimationFrame(draw);
  els.list.onclick = (event) => {
    const row = event.target.closest("[data-at]");
    if (row) choose(Number(row.dataset.at), true);
  };
  addEventListener("resize", () => { if (!narrow.matches) document.body.style.overflow = ""; draw(); });
  document.querySelectorAll(".cell").forEach((button) => {
    button.onclick = () => {
      const number = data.datasets.findIndex((set) => set.name === button.dataset.dataset);
      els.search.value = "";
      selectDataset(number);
      els.who.value = "all";
      setCell(button);
      apply(false);
      byId("questions").scrollIntoView();
      choose(0, false);
      els.list.focus({ preventScroll: true });
    };
  });

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key } = event;
    const tag = document.activeElement ? document.activeElement.tagName : "";
    const typing = tag === "INPUT" && document.activeElement.type === "search";
    if (key === "Escape") {
      if (typing && els.search.value) { els.search.value = ""; apply(true); return; }
      if (typing) { els.list.focus(); return; }
      if (state.open) close(true);
      return;
    }
    if (typing) {
      if (key === "Enter" || key === "ArrowDown") { event.preventDefault(); choose(0, false); els.list.focus(); }
      return;
    }
    if (key === "/") { event.preventDefault(); els.search.focus(); els.search.select(); return; }
    if (tag === "SELECT" || tag === "INPUT") return;
    const inGallery = document.activeElement === els.list || els.detail.contains(document.activeElement);
    const inList = document.activeElement === els.list;
    const page = Math.max(1, Math.floor(els.list.clientHeight / ROW) - 1);
    const target = key === "j" || (inList && key === "ArrowDown") || (inGallery && key === "ArrowRight") ? state.at + 1
      : key === "k" || (inList && key === "ArrowUp") || (inGallery && key === "ArrowLeft") ? state.at - 1
        : inList && key === "Home" ? 0 : inList && key === "End" ? state.shown.length - 1
          : inList && key === "PageDown" ? state.at + page : inList && key === "PageUp" ? state.at - page : null;
    if (target !== null) {
      event.preventDefault();
      if (!inGallery) {
        byId("gallery").scrollIntoView({ block: "nearest" });
        els.list.focus({ preventScroll: true });
      }
      choose(target, false);
    } else if (key === "Enter" && inList && state.shown.length) {
      event.preventDefault();
      choose(Math.max(state.at, 0), true);
    }
  });
})();
