// Draws a page of hf_rap.reports. Text of rows goes to the page as text alone: nothing of it is ever read as HTML.
(() => {
  const byId = (id) => document.getElementById(id);
  const CELL = { width: 172, height: 218, gap: 8 };
  const GLYPH = { kept: "\u25cf", came: "\u25b2", dropped: "\u25cb" };

  // ---- parts: JSON, compressed, in base64; inside of this page, or in files beside it
  const waiting = new Map(), parts = new Map();
  window.part = (name, content) => { const told = waiting.get(name); waiting.delete(name); if (told) told.take(content); };
  const MOST_PARTS = { texts: Infinity, small: 80, details: 20, large: 12 };

  async function unpack(content) {
    const binary = atob(content);
    const bytes = new Uint8Array(binary.length);
    for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  function contentOf(name) {
    const inside = byId(name);
    if (inside) return Promise.resolve(inside.textContent);
    return new Promise((take, fail) => {
      waiting.set(name, { take });
      const script = document.createElement("script");
      script.src = `parts/${name}.js`;
      script.onload = () => script.remove();
      script.onerror = () => { waiting.delete(name); fail(new Error(`parts/${name}.js cannot be read`)); };
      document.head.append(script);
    });
  }

  function read(kind, row) {
    const number = Math.floor(row / facts.parts[kind]);
    const name = `${kind}-${String(number).padStart(5, "0")}`;
    let there = parts.get(name);
    if (there) { parts.delete(name); parts.set(name, there); return there; }
    there = contentOf(name).then(unpack);
    parts.set(name, there);
    there.catch((error) => { parts.delete(name); say(error.message); });
    const same = [...parts.keys()].filter((each) => each.startsWith(kind));
    if (same.length > MOST_PARTS[kind]) parts.delete(same[0]);
    return there;
  }

  const rowOf = async (kind, row) => (await read(kind, row))[row % facts.parts[kind]];

  // ---- small things
  function make(tag, options = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(options)) {
      if (name === "text") element.textContent = value;
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }
  function svg(tag, options = {}) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(options)) element.setAttribute(name, value);
    return element;
  }
  const grouped = (number) => number.toLocaleString("en-US");
  const short = (number) => number === null || number === undefined ? "unknown" : Number.isInteger(number) ? grouped(number) : String(Number(number.toPrecision(4)));
  let silence = 0;
  function say(text) {
    const message = byId("message");
    message.textContent = text;
    message.hidden = false;
    clearTimeout(silence);
    silence = setTimeout(() => { message.hidden = true; }, 6000);
  }

  // ---- what is known of all rows
  let facts, rule, n, reasonOf, keepOf, texts, settings;
  let now = {};            // {keep, reason, funnel} as the thresholds stand
  let histograms = [], shown = [], active = 0, open = null, query = "";
  const filters = { reasons: new Set(), names: new Map(), ranges: new Map(), changes: new Set(), side: "" };
  const marks = new Map(); // row -> "keep", "drop" or "wrong_gold"
  const MARKS = { keep: "keep", drop: "drop", wrong_gold: "wrong gold" };
  const decoded = ({ names, index }) => index.map((place) => (place === null ? null : names[place]));
  let change = null;       // of each row, where two selections are compared

  async function start() {
    try {
      facts = await unpack(byId("facts").textContent);
    } catch (error) {
      say(`This page cannot be read (${error.message}). It needs a browser of 2023 or later.`);
      return;
    }
    rule = facts.decide;
    n = facts.rows;
    reasonOf = decoded(facts.reason);
    keepOf = Uint8Array.from(facts.keep);
    texts = new Array(n).fill(null);
    if (rule.columns.before) rule.columns.before = decoded(rule.columns.before);
    settings = { ...rule.settings };
    for (const [row, name] of Object.entries(rule.by_hand)) marks.set(Number(row), name);
    if (facts.was) change = changes();
    came = new Set(facts.came_in);
    document.title = facts.title;
    byId("title").textContent = facts.title;
    byId("about").textContent = `${facts.sentence.replaceAll("{model}", "the model")}${facts.source ? ` \u00b7 ${facts.source}` : ""} \u00b7 hf-rap ${facts.hf_rap}`;
    byId("remarks").textContent = [...facts.remarks, rule.kind ? "" : rule.why].filter(Boolean).join(" ");
    for (const id of ["copy-command", "copy-python", "reset"]) byId(id).hidden = rule.kind === null;
    makeHistograms();
    makeNames();
    makeSort();
    listen();
    decideAgain();
    showMarks();
    readTexts();
  }
  let came = new Set();

  function changes() {
    const was = decoded(facts.was);
    return was.map((reason, row) => {
      if (reason === null) return keepOf[row] ? "new, kept" : "new, dropped";
      if (reasonOf[row] === null) return "gone";
      if (keepOf[row] && !facts.kept_before[row]) return "came in";
      if (!keepOf[row] && facts.kept_before[row]) return "went out";
      return reason === reasonOf[row] ? "same" : "another reason";
    });
  }
  const wasOf = (row) => facts.was.index[row] === null ? "not there" : facts.was.names[facts.was.index[row]];

  async function readTexts() {
    for (let row = 0; row < n; row += facts.parts.texts) {
      const part = await read("texts", row);
      part.forEach(([id, question, gold, rest], place) => { texts[row + place] = { id, question, gold, rest: rest || "" }; });
      if (row === 0) drawGrid();
    }
    if (query) applyFilters();
    byId("grid").dataset.ready = "1";
  }

  // ---- decisions
  function decideAgain() {
    const result = rule.kind === null ? null : decide(rule, settings);
    if (result && result.short !== undefined) {
      say(`The budget asks for ${grouped(settings.budget)} rows, and only ${grouped(result.short)} could be in: the last selection is shown.`);
      return;
    }
    now = result || { keep: keepOf, reason: reasonOf, funnel: facts.funnel.map(([step, rows, entered]) => ({ step, rows, came_in: entered })) };
    applyFilters();
  }

  const sideOf = (row) => (!now.keep[row] ? "dropped" : came.has(now.reason[row]) ? "came" : "kept");

  function passes(row, without) {
    if (filters.side === "kept" && !now.keep[row]) return false;
    if (filters.side === "dropped" && now.keep[row]) return false;
    if (filters.side === "marked" && !marks.has(row)) return false;
    if (without !== "reasons" && filters.reasons.size && !filters.reasons.has(now.reason[row])) return false;
    if (without !== "changes" && filters.changes.size && !filters.changes.has(change[row])) return false;
    for (const [name, chosen] of filters.names) if (without !== name && chosen.size && !chosen.has(facts.names[name].index[row])) return false;
    for (const [name, [low, high]] of filters.ranges) {
      if (without === name) continue;
      const value = facts.numbers[name].values[row];
      if (value === null || value < low || value > high) return false;
    }
    if (query) {
      const text = texts[row];
      if (!text) return false;
      if (!`${text.id}\n${text.question}${text.rest}\n${text.gold}`.toLowerCase().includes(query)) return false;
    }
    return true;
  }

  function applyFilters() {
    shown = [];
    for (let row = 0; row < n; row++) if (passes(row)) shown.push(row);
    sortRows();
    active = Math.min(active, Math.max(0, shown.length - 1));
    drawCounts();
    drawHistograms();
    drawGrid(true);
    if (open !== null) drawVerdict();
    const any = filters.side || query || filters.reasons.size || filters.changes.size || filters.ranges.size || [...filters.names.values()].some((chosen) => chosen.size);
    byId("clear").hidden = !any;
  }

  function sortRows() {
    const [name, direction] = byId("sort").value.split("|");
    if (name === "") return;
    if (name === "reason") { shown.sort((a, b) => (now.reason[a] < now.reason[b] ? -1 : now.reason[a] > now.reason[b] ? 1 : a - b)); return; }
    const values = facts.numbers[name].values, sign = direction === "down" ? -1 : 1;
    shown.sort((a, b) => {
      const [x, y] = [values[a], values[b]];
      if (x === null || y === null) return x === y ? a - b : x === null ? 1 : -1;
      return sign * (x - y) || a - b;
    });
  }

  function drawCounts() {
    const kept = now.funnel[now.funnel.length - 1].rows;
    byId("count").textContent = `${grouped(kept)} of ${grouped(now.funnel[0].rows)} rows kept${shown.length < n ? ` \u00b7 ${grouped(shown.length)} shown` : ""}`;
    const most = now.funnel[0].rows || 1;
    byId("funnel").replaceChildren(...now.funnel.map(({ step, rows, came_in: entered }, place) => {
      const before = place ? now.funnel[place - 1].came_in : 0;
      const bar = make("i");
      bar.style.width = `${(100 * rows) / most}%`;
      const words = wordsOf(step);
      return make("li", {}, make("span", { class: "rows", text: entered > before ? `+${grouped(entered - before)}` : grouped(rows) }),
        make("span", { class: "words" }, bar, make("span", { text: words })));
    }));
    const counts = new Map();
    for (let row = 0; row < n; row++) {
      if (now.reason[row] === null || !passes(row, "reasons")) continue;
      const name = now.reason[row];
      const count = counts.get(name) || { rows: 0, side: sideOf(row) };
      count.rows++;
      counts.set(name, count);
    }
    for (const name of filters.reasons) if (!counts.has(name)) counts.set(name, { rows: 0, side: "dropped" });
    const order = { kept: 0, came: 1, dropped: 2 };
    const sorted = [...counts].sort((a, b) => order[a[1].side] - order[b[1].side] || b[1].rows - a[1].rows || (a[0] < b[0] ? -1 : 1));
    byId("reasons").replaceChildren(...sorted.map(([name, { rows, side }]) =>
      choice(name, rows, side, filters.reasons.has(name), facts.reasons[name] || "", () => toggle(filters.reasons, name))));
    if (change) {
      byId("changes-section").hidden = false;
      const found = new Map();
      for (let row = 0; row < n; row++) if (passes(row, "changes")) found.set(change[row], (found.get(change[row]) || 0) + 1);
      const kinds = ["came in", "went out", "another reason", "same", "new, kept", "new, dropped", "gone"];
      byId("changes").replaceChildren(...kinds.filter((kind) => found.has(kind) || filters.changes.has(kind)).map((kind) =>
        choice(kind, found.get(kind) || 0, kind === "came in" || kind === "new, kept" ? "kept" : "dropped", filters.changes.has(kind), "", () => toggle(filters.changes, kind))));
    }
    for (const [name, { names, index }] of Object.entries(facts.names)) {
      const found = new Array(names.length).fill(0), kept = new Array(names.length).fill(0);
      for (let row = 0; row < n; row++) if (passes(row, name)) { found[index[row]]++; kept[index[row]] += now.keep[row]; }
      const chosen = filters.names.get(name);
      byId(`names-${nameId(name)}`).replaceChildren(...names.map((value, place) =>
        choice(value, found[place], "", chosen.has(place), "", () => toggle(chosen, place), `${grouped(kept[place])} of ${grouped(found[place])}`)));
    }
  }

  const wordsOf = (step) => {
    const moved = rule.kind !== null && rule.handles.some((handle) => settings[handle.name] !== handle.value);
    const words = facts.steps[step] || step;
    return moved ? words.replace(/: rap_\w+ [<>=]+ [-\d.e]+$/, "") : words;
  };

  function choice(label, rows, side, pressed, title, press, number) {
    return make("li", {}, make("button", { type: "button", class: side, "aria-pressed": String(pressed), title, onclick: press },
      side ? make("span", { class: "dot", "aria-hidden": "true", text: GLYPH[side] }) : null,
      make("span", { class: "label", text: label }),
      make("span", { class: "number", text: number || grouped(rows) })));
  }
  function toggle(set, value) {
    if (!set.delete(value)) set.add(value);
    applyFilters();
  }

  // ---- histograms and thresholds
  const nameId = (name) => name.replace(/\W/g, "_");
  function makeNames() {
    byId("names").replaceChildren(...Object.keys(facts.names).map((name) => {
      filters.names.set(name, new Set());
      return make("div", {}, make("h2", { text: `${name} (kept of all)` }), make("ul", { id: `names-${nameId(name)}`, class: "choices" }));
    }));
  }

  function binsOf(values) {
    let low = Infinity, high = -Infinity;
    const distinct = new Set();
    for (const value of values) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
      if (distinct.size <= 60) distinct.add(value);
    }
    let width = 0, count = 36;
    if (distinct.size <= 60) {
      const sorted = [...distinct].sort((a, b) => a - b);
      width = sorted.length > 1 ? Math.min(...sorted.slice(1).map((value, place) => value - sorted[place])) : 1;
      count = Math.round((high - low) / width) + 1;
    }
    if (distinct.size > 60 || count > 60) { count = 36; width = (high - low) / (count - 1) || 1; }
    const first = low - width / 2;
    const index = new Uint8Array(values.length);
    values.forEach((value, row) => { index[row] = value === null ? 255 : Math.min(count - 1, Math.max(0, Math.floor((value - first) / width + 1e-9))); });
    return { first, width, count, index, low, high, last: first + count * width };
  }

  function makeHistograms() {
    const handled = new Set(rule.handles.map((handle) => handle.column));
    const names = Object.keys(facts.numbers);
    const legend = make("p", { class: "legend" }, color("--bar"), "all rows", color("--kept"), "kept", color("--came"), "came in later");
    byId("thresholds").append(make("h2", { text: rule.kind === null ? "Scores" : "Thresholds" }), legend);
    for (const handle of rule.handles.filter((each) => each.column === null)) byId("thresholds").append(handleFor(handle));
    for (const name of [...names.filter((each) => handled.has(each)), ...names.filter((each) => !handled.has(each))]) {
      const first = handled.has(name) || (rule.kind === null && name.startsWith("rap_") && !/_(rewards|tokens|responses)$/.test(name));
      byId(first ? "thresholds" : "histograms").append(histogramFor(name));
    }
  }
  const color = (name) => { const box = make("i", { "aria-hidden": "true" }); box.style.background = `var(${name})`; return box; };

  function histogramFor(name) {
    const { label, values } = facts.numbers[name];
    const bins = binsOf(values);
    const picture = svg("svg", { viewBox: "0 0 288 64", preserveAspectRatio: "none", role: "img", "aria-label": `Histogram of ${label}; drag to filter` });
    const bars = {};
    for (const kind of ["all", "kept", "came"]) {
      bars[kind] = Array.from({ length: bins.count }, (_, place) => {
        const bar = svg("rect", { class: kind, x: (288 * place) / bins.count + 0.5, width: Math.max(1, 288 / bins.count - 1), y: 64, height: 0 });
        picture.append(bar);
        return bar;
      });
    }
    const range = svg("rect", { class: "range", x: 0, y: 0, width: 0, height: 64 });
    picture.append(range);
    const scale = { to: (value) => (288 * (value - bins.first)) / (bins.last - bins.first), from: (x) => bins.first + (x / 288) * (bins.last - bins.first) };
    const cuts = rule.handles.filter((handle) => handle.column === name).map((handle) => {
      const line = svg("line", { class: "cut", y1: 0, y2: 64 }), grip = svg("rect", { class: "grip", y: 0, width: 8, height: 14, rx: 2 });
      picture.append(line, grip);
      return { handle, line, grip };
    });
    const clear = make("button", { type: "button", text: "clear", hidden: true, "aria-label": `Clear the range of ${label}`, onclick: () => { filters.ranges.delete(name); applyFilters(); } });
    const low = make("span", { text: short(bins.low) }), high = make("span", { text: short(bins.high) });
    const box = make("div", { class: "histogram" }, make("div", { class: "name" }, make("span", { text: label }), clear), picture, make("div", { class: "ends" }, low, high),
      ...cuts.map(({ handle }) => handleFor(handle)));
    histograms.push({ name, bins, bars, range, scale, cuts, clear });
    drag(picture, name, scale, cuts);
    return box;
  }

  const onAxis = (handle, value) => (handle.of_complement ? 1 - value : value);

  function drag(picture, name, scale, cuts) {
    let from = null, held = null;
    const at = (event) => { const box = picture.getBoundingClientRect(); return Math.min(288, Math.max(0, ((event.clientX - box.left) / box.width) * 288)); };
    picture.addEventListener("pointerdown", (event) => {
      const x = at(event);
      held = cuts.find(({ handle }) => Math.abs(scale.to(onAxis(handle, settings[handle.name])) - x) < 7) || null;
      from = x;
      picture.setPointerCapture(event.pointerId);
    });
    picture.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const x = at(event);
      if (held) move(held.handle, onAxis(held.handle, scale.from(x)));
      else if (Math.abs(x - from) > 4) {
        filters.ranges.set(name, [scale.from(Math.min(from, x)), scale.from(Math.max(from, x))]);
        soon(applyFilters);
      }
    });
    const end = (event) => {
      if (from !== null && !held && Math.abs(at(event) - from) <= 4 && filters.ranges.delete(name)) applyFilters();
      from = held = null;
    };
    picture.addEventListener("pointerup", end);
    picture.addEventListener("pointercancel", end);
  }

  const KEEPS = { above: "keep above", at_most: "keep up to", at_least: "keep from", share: "share of each group", rows: "rows to keep" };
  const inputs = new Map();
  function handleFor(handle) {
    const id = `handle-${handle.name}`;
    const options = { min: handle.least, max: handle.most, step: handle.step, value: settings[handle.name] };
    const slide = make("input", { type: "range", id: `${id}-range`, "aria-label": `${handle.name}: ${KEEPS[handle.keeps]}`, ...options, oninput: () => move(handle, Number(slide.value)) });
    const number = make("input", { type: "number", id, ...options, step: "any", onchange: () => move(handle, Number(number.value)) });
    inputs.set(handle.name, { slide, number });
    return make("div", { class: "handle" }, make("label", { for: id, text: `${handle.name}: ${KEEPS[handle.keeps]}` }), slide, number);
  }

  function move(handle, value) {
    if (!Number.isFinite(value)) return;
    const whole = handle.keeps === "rows";
    const rounded = whole ? Math.round(value) : Number(value.toFixed(value === handle.value ? 17 : 4));
    settings[handle.name] = value === handle.value ? value : Math.min(handle.most, Math.max(handle.least, rounded));
    if (rule.kind === "band" && settings.low > settings.high) settings[handle.name === "low" ? "high" : "low"] = settings[handle.name];
    for (const [name, { slide, number }] of inputs) { slide.value = settings[name]; number.value = settings[name]; }
    soon(decideAgain);
  }
  let pending = null;
  function soon(call) {
    if (pending) { pending = call === decideAgain || pending === decideAgain ? decideAgain : call; return; }
    pending = call;
    requestAnimationFrame(() => { const wanted = pending; pending = null; wanted(); });
  }

  function drawHistograms() {
    const visible = new Uint8Array(n), late = new Uint8Array(n);
    for (const row of shown) visible[row] = 1;
    for (let row = 0; row < n; row++) late[row] = now.keep[row] && came.has(now.reason[row]) ? 1 : 0;
    for (const { name, bins, bars, range, scale, cuts, clear } of histograms) {
      const counts = { all: new Uint32Array(256), kept: new Uint32Array(256), came: new Uint32Array(256) };
      const own = filters.ranges.get(name);
      for (let row = 0; row < n; row++) {
        if (!(own ? passes(row, name) : visible[row])) continue;
        const bin = bins.index[row];
        counts.all[bin]++;
        counts.kept[bin] += now.keep[row];
        counts.came[bin] += late[row];
      }
      let most = 1;
      for (let bin = 0; bin < bins.count; bin++) most = Math.max(most, counts.all[bin]);
      const height = (rows) => (rows ? Math.max(1, Math.sqrt(rows / most) * 62) : 0); // square root: small bars stay visible
      for (let bin = 0; bin < bins.count; bin++) {
        for (const kind of ["all", "kept", "came"]) {
          const tall = height(counts[kind][bin]);
          bars[kind][bin].setAttribute("y", 64 - tall);
          bars[kind][bin].setAttribute("height", tall);
        }
      }
      const [left, right] = own ? own.map(scale.to) : [0, 0];
      range.setAttribute("x", left);
      range.setAttribute("width", Math.max(0, right - left));
      clear.hidden = !own;
      for (const { handle, line, grip } of cuts) {
        const x = scale.to(onAxis(handle, settings[handle.name]));
        line.setAttribute("x1", x);
        line.setAttribute("x2", x);
        grip.setAttribute("x", x - 4);
      }
    }
  }

  // ---- the grid: cells of one size, of which those in sight are there
  const cells = new Map();
  let columns = 1;
  function drawGrid(anew = false) {
    const grid = byId("grid");
    const wide = grid.clientWidth - 4;
    columns = Math.max(1, Math.floor(wide / (CELL.width + CELL.gap)));
    const width = Math.floor(wide / columns) - CELL.gap;
    const tall = CELL.height + CELL.gap;
    byId("space").style.height = `${Math.ceil(shown.length / columns) * tall}px`;
    const first = Math.max(0, Math.floor(grid.scrollTop / tall) - 1) * columns;
    const last = Math.min(shown.length, (Math.ceil((grid.scrollTop + grid.clientHeight) / tall) + 1) * columns);
    const wanted = new Set();
    for (let place = first; place < last; place++) wanted.add(`${place}:${shown[place]}`);
    for (const [key, cell] of cells) if (anew || !wanted.has(key)) { cell.remove(); cells.delete(key); }
    for (let place = first; place < last; place++) {
      const key = `${place}:${shown[place]}`;
      let cell = cells.get(key);
      if (!cell) { cell = cellFor(shown[place], place); cells.set(key, cell); grid.append(cell); }
      cell.style.left = `${(place % columns) * (width + CELL.gap) + 2}px`;
      cell.style.top = `${Math.floor(place / columns) * tall + 2}px`;
      cell.style.width = `${width}px`;
      cell.style.height = `${CELL.height}px`;
      cell.classList.toggle("active", place === active);
      cell.setAttribute("aria-selected", String(shown[place] === open));
    }
    grid.setAttribute("aria-activedescendant", shown.length ? `row-${shown[active]}` : "");
  }

  function cellFor(row, place) {
    const picture = make("div", { class: "picture", text: "\u2026" });
    const question = make("div", { class: "question", dir: "auto" });
    const score = mainScore(row);
    const side = sideOf(row);
    const cell = make("div", { class: `cell ${side}`, role: "option", id: `row-${row}`, onclick: () => { active = place; show(row); } }, picture, question,
      make("div", { class: "why" }, make("b", { text: `${GLYPH[side]} ${now.reason[row] === null ? "not there" : now.reason[row]}` }), make("span", { text: score })));
    if (change && change[row] !== "same") cell.append(make("span", { class: "badge", text: change[row] }));
    if (marks.has(row)) cell.append(make("span", { class: "badge", text: MARKS[marks.get(row)] }));
    rowOf("texts", row).then(([id, text]) => {
      question.textContent = text.replaceAll("<image>", "").trim() || "(no question)";
      cell.setAttribute("aria-label", `${id}: ${now.reason[row]}, ${score}. ${text.slice(0, 120)}`);
    }, () => {});
    rowOf("small", row).then((content) => {
      if (content === null) { picture.textContent = "no picture"; return; }
      picture.replaceChildren(image(content, ""));
    }, () => { picture.textContent = "unreadable"; });
    return cell;
  }
  const image = (content, alt) => make("img", { src: `data:${facts.media_type};base64,${content}`, alt, decoding: "async" });

  function mainScore(row) {
    const [name] = byId("sort").value.split("|");
    const wanted = facts.numbers[name] ? name : facts.numbers.rap_cde ? "rap_cde" : Object.keys(facts.numbers)[0];
    if (!wanted) return "";
    const value = facts.numbers[wanted].values[row];
    return `${wanted.replace(/^rap_/, "").replace(/_(rewards|tokens|responses)$/, "")} ${short(value)}`;
  }

  // ---- one row
  async function show(row) {
    open = row;
    active = Math.max(0, shown.indexOf(row));
    drawGrid();
    const right = byId("right");
    right.hidden = false;
    let detail;
    try { detail = await rowOf("details", row); } catch { return; }
    if (open !== row) return;
    drawGrid();
    const heading = make("div", { class: "top" }, make("h2", { text: detail.id === null ? `row ${row}` : `row ${row}: ${detail.id}`, dir: "auto" }),
      make("button", { type: "button", text: "\u2190", "aria-label": "Previous row", onclick: () => step(-1) }),
      make("button", { type: "button", text: "\u2192", "aria-label": "Next row", onclick: () => step(1) }),
      make("button", { type: "button", id: "close", text: "Close", onclick: close }));
    const marking = make("div", { class: "actions", role: "group", "aria-label": "Mark this row" }, ...Object.entries(MARKS).map(([name, words]) =>
      make("button", { type: "button", "data-mark": name, "aria-pressed": String(marks.get(row) === name), text: words, onclick: () => mark(row, marks.get(row) === name ? null : name) })));
    const pictures = make("div", { class: "pictures" });
    right.replaceChildren(heading, make("div", { class: "verdict", id: "verdict" }), marking, pictures, ...partsOf(detail, row));
    right.scrollTop = 0;
    drawVerdict();
    const large = facts.has_large ? await rowOf("large", row).catch(() => []) : [await rowOf("small", row).catch(() => null)];
    if (open !== row) return;
    pictures.replaceChildren(...large.filter((content) => content !== null).map((content, place) => {
      const picture = image(content, `picture ${place + 1} of the row`);
      picture.addEventListener("load", () => { if (picture.naturalWidth < 120) picture.classList.add("tiny"); });
      return picture;
    }));
    if (detail.pictures > large.length) pictures.append(make("p", { text: `${detail.pictures - large.length} more pictures are not shown` }));
  }

  function drawVerdict() {
    const box = byId("verdict");
    if (!box) return;
    const row = open, side = sideOf(row), reason = now.reason[row];
    box.className = `verdict ${side}`;
    const words = { kept: "Kept", came: "Kept, came in later", dropped: "Dropped" }[side];
    const numbers = ["rap_cde", "rap_difficulty", "rap_ace", "rap_bis"].filter((name) => facts.numbers[name]).map((name) => `${name.slice(4)} ${short(facts.numbers[name].values[row])}`);
    const limits = rule.handles.map((handle) => `${handle.name} ${short(settings[handle.name])}`);
    box.replaceChildren(make("b", { text: `${GLYPH[side]} ${words}: ${reason === null ? "not there" : reason}` }), make("div", { text: facts.reasons[reason] || "" }),
      make("div", { class: "legend", text: [...numbers, ...limits].join(" \u00b7 ") }));
    if (change) box.append(make("div", { text: `before: ${wasOf(row)} (${change[row]})` }));
  }

  function partsOf(detail, row) {
    const found = [];
    const section = (title, ...content) => found.push(make("h3", { text: title }), ...content);
    if (detail.problem) section("Problem", make("div", { class: "text", text: detail.problem }));
    if (detail.error && detail.error !== detail.problem) section("Error", make("div", { class: "text", text: detail.error }));
    section("Prompt", make("div", { class: "text", dir: "auto", text: detail.prompt || detail.question || "(none)" }));
    section("Gold", make("div", { class: "text", dir: "auto", text: detail.gold === null ? "(none)" : detail.gold }));
    if (detail.read_as.length) found.push(make("p", { class: "legend", text: `read as ${detail.read_as.join(" or ")}` }));
    const arms = Object.entries(detail.arms).filter(([, replies]) => replies.length);
    if (arms.length) {
      const words = { image: "with the image", text: "on the text alone", blank: "with a grey picture", shuffled: "with another row's picture" };
      section("Replies", make("div", { class: "arms" }, ...arms.map(([arm, replies]) => {
        const right = replies.filter((reply) => reply.right).length;
        return make("div", {}, make("p", { class: "legend", text: `${words[arm] || arm}: ${right} of ${replies.length} right` }),
          ...replies.map((reply, place) => replyFor(reply, arm === "image" ? shadesOf(detail, place) : [])));
      })));
    }
    if (detail.steps) {
      section("Steps", make("table", {}, ...detail.steps.map(({ text, score }) => make("tr", {}, make("td", { text, dir: "auto" }), make("td", { text: short(score) })))));
    }
    section("Numbers", make("table", {}, ...Object.values(facts.numbers).map(({ label, values }) =>
      make("tr", {}, make("td", { text: label }), make("td", { text: short(values[row]) })))));
    return found;
  }

  // What the tokens of a reply can be shaded by: a number from -1 to 1 each, and what stands behind it.
  function shadesOf(detail, place) {
    const found = [];
    const attention = detail.attention && detail.attention[place];
    if (attention) {
      found.push({ label: "attention", tokens: attention.tokens, shares: attention.psi, title: (token) => `psi ${short(attention.psi[token])} of the highest` });
    }
    const gains = detail.dependence && detail.dependence[place];
    if (gains) {
      const than = { text: "without it", blank: "with a grey picture", shuffled: "with another row's picture" };
      const most = Math.max(1, ...gains.nats.map(Math.abs));
      const said = (nats) => `${short(Math.abs(nats))} nats ${nats < 0 ? "less likely" : "likelier"}`;
      found.push({ label: "image", tokens: gains.tokens, shares: gains.nats.map((nats) => nats / most), title: (token) => `${said(gains.nats[token])} with the image than ${than[gains.arm] || gains.arm}` });
    }
    return found;
  }

  function replyFor(reply, shades) {
    const grade = reply.right === null ? "unknown" : reply.right ? "yes" : "no";
    const words = { yes: "\u2713 right", no: "\u2717 wrong", unknown: "? not judged" };
    const head = make("div", { class: "head" }, make("b", { class: grade, text: words[grade] }));
    if (reply.reward !== null && reply.reward !== 0 && reply.reward !== 1) head.append(make("span", { text: `reward ${short(reply.reward)}` }));
    if (reply.tokens !== null) head.append(make("span", { text: `${grouped(reply.tokens)} tokens` }));
    if (reply.cut) head.append(make("span", { text: "cut off at the limit" }));
    const text = make("div", { class: "text", dir: "auto" });
    const content = reply.text === null ? "(none)" : reply.text;
    if (Array.isArray(reply.answer)) {
      const [from, to] = reply.answer;
      text.append(content.slice(0, from), make("mark", { title: "read as the answer", text: content.slice(from, to) }), content.slice(to));
    } else text.textContent = content;
    if (typeof reply.answer === "string") head.append(make("span", { text: `read as: ${reply.answer}` }));
    const box = make("div", { class: `reply ${grade}` }, head, text);
    const buttons = shades.map(({ label, tokens, shares, title }) => {
      const button = make("button", { type: "button", text: label, "aria-pressed": "false", onclick: () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        for (const each of buttons) each.setAttribute("aria-pressed", String(on && each === button));
        if (!on) { box.replaceChild(text, box.lastChild); return; }
        box.replaceChild(make("div", { class: "text", dir: "auto" }, ...tokens.map((token, place) => {
          const share = shares[place];
          const span = make("span", { class: "token", text: token, title: share === undefined ? "" : title(place) });
          if (share !== undefined) span.style.background = `color-mix(in srgb, var(${share < 0 ? "--kept" : "--came"}) ${Math.round(80 * Math.abs(share))}%, transparent)`;
          return span;
        })), box.lastChild);
      } });
      return button;
    });
    head.append(...buttons);
    return box;
  }

  function step(by) {
    const place = shown.indexOf(open) + by;
    if (place >= 0 && place < shown.length) { active = place; inSight(); show(shown[place]); }
  }
  function close() {
    open = null;
    byId("right").hidden = true;
    drawGrid();
    byId("grid").focus();
  }

  // ---- marks
  function mark(row, name) {
    if (name === null) marks.delete(row); else marks.set(row, name);
    showMarks();
    if (filters.side === "marked") applyFilters(); else drawGrid(true);
  }
  function showMarks() {
    const button = byId("export-marks");
    button.disabled = marks.size === 0;
    button.textContent = `Export marks (${marks.size})`;
    for (const each of document.querySelectorAll("[data-mark]")) each.setAttribute("aria-pressed", String(marks.get(open) === each.dataset.mark));
  }
  async function exportMarks() {
    const lines = ["rap_id,mark"];
    for (const [row, name] of [...marks].sort((a, b) => a[0] - b[0])) {
      const { id } = await rowOf("details", row);
      lines.push(`"${String(id).replaceAll('"', '""')}",${name}`);
    }
    const link = make("a", { href: URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "text/csv" })), download: "marks.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // ---- lines to copy
  function changed() {
    return rule.handles.filter((handle) => settings[handle.name] !== handle.default).map((handle) => [handle, settings[handle.name]]);
  }
  function commandLine() {
    return [rule.command, ...changed().map(([handle, value]) => `${handle.flag} ${handle.keeps === "share" && Number.isInteger(value) ? value.toFixed(1) : value}`), ...(marks.size ? ["--overrides marks.csv"] : []), "--out selection.parquet"].join(" ");
  }
  function pythonLine() {
    return `hf_rap.${rule.function}(${["ds", ...rule.fixed, ...changed().map(([handle, value]) => `${handle.name}=${value}`), ...(marks.size ? ['overrides="marks.csv"'] : [])].join(", ")})`;
  }
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      say(`Copied: ${text}`);
    } catch {
      const box = make("textarea", { text });
      document.body.append(box);
      box.select();
      const done = document.execCommand("copy");
      box.remove();
      say(done ? `Copied: ${text}` : text);
    }
  }

  // ---- what people do
  function makeSort() {
    const options = [["", "as in the dataset"], ["reason", "reason"]];
    for (const [name, { label }] of Object.entries(facts.numbers)) options.push([`${name}|down`, `${label}, highest first`], [`${name}|up`, `${label}, lowest first`]);
    byId("sort").replaceChildren(...options.map(([value, text]) => make("option", { value, text })));
  }
  function inSight() {
    const grid = byId("grid"), tall = CELL.height + CELL.gap, top = Math.floor(active / columns) * tall;
    if (top < grid.scrollTop) grid.scrollTop = top;
    else if (top + tall > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + tall - grid.clientHeight;
  }
  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "Escape") { if (open !== null) close(); else if (typing) event.target.blur(); return; }
    if (typing) return;
    if (event.key === "/") { event.preventDefault(); byId("search").focus(); return; }
    const row = open === null ? shown[active] : open;
    const letters = { k: "keep", d: "drop", w: "wrong_gold", u: null };
    if (event.key in letters && row !== undefined) { mark(row, letters[event.key]); return; }
    if (event.target.id !== "grid" && open === null) return;
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -4 * columns, PageDown: 4 * columns, Home: -Infinity, End: Infinity };
    if (open !== null && (event.key === "ArrowLeft" || event.key === "ArrowRight")) { event.preventDefault(); step(moves[event.key]); return; }
    if (event.target.id !== "grid") return;
    if (event.key in moves) {
      event.preventDefault();
      active = Math.min(shown.length - 1, Math.max(0, active + moves[event.key]));
      inSight();
      drawGrid();
    } else if (event.key === "Enter" && shown.length) show(shown[active]);
  }
  function listen() {
    byId("grid").addEventListener("scroll", () => requestAnimationFrame(() => drawGrid()), { passive: true });
    new ResizeObserver(() => drawGrid()).observe(byId("grid"));
    document.addEventListener("keydown", key);
    let typed = 0;
    byId("search").addEventListener("input", (event) => {
      clearTimeout(typed);
      typed = setTimeout(() => { query = event.target.value.trim().toLowerCase(); byId("grid").scrollTop = 0; applyFilters(); }, 120);
    });
    byId("sort").addEventListener("change", () => { byId("grid").scrollTop = 0; applyFilters(); });
    byId("side").addEventListener("change", (event) => { filters.side = event.target.value; byId("grid").scrollTop = 0; applyFilters(); });
    byId("clear").addEventListener("click", () => {
      filters.side = query = byId("side").value = byId("search").value = "";
      filters.reasons.clear();
      filters.changes.clear();
      filters.ranges.clear();
      for (const chosen of filters.names.values()) chosen.clear();
      applyFilters();
    });
    byId("reset").addEventListener("click", () => { for (const handle of rule.handles) move(handle, handle.value); });
    byId("copy-command").addEventListener("click", () => copy(commandLine()));
    byId("copy-python").addEventListener("click", () => copy(pythonLine()));
    byId("export-marks").addEventListener("click", exportMarks);
    byId("toggle-left").addEventListener("click", (event) => {
      const opened = byId("panels").classList.toggle("open");
      event.currentTarget.setAttribute("aria-expanded", String(opened));
    });
  }

  // For tests, and for people at the console: what is shown, as it stands.
  window.rap = {
    get settings() { return settings; },
    get decision() { return now; },
    get shown() { return shown; },
    set(name, value) { settings[name] = value; decideAgain(); },
    commandLine, pythonLine,
  };
  start();
})();
