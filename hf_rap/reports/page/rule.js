// Decides as hf_rap.select does, for thresholds that were moved: it compares and counts. What is ranked was ranked in Python.
"use strict";

// rule: as hf_rap/reports/rules.py gives it; settings: its numbers by name. -> {keep, reason, funnel} of all rows.
function decide(rule, settings) { // {short: rows} where a budget asks for more rows than could be in
  const decision = { rap: decideRap, band: decideBand, top: decideTop }[rule.kind](rule, settings);
  return decision.short === undefined && Object.keys(rule.by_hand).length ? decideByHand(rule, decision) : decision;
}

// Marks of a person go before the rule; the funnel says how many.
function decideByHand(rule, { keep, reason, funnel }) {
  let left = 0, entered = 0;
  for (const [row, mark] of Object.entries(rule.by_hand)) {
    if (mark === "keep") entered += keep[row] ? 0 : 1;
    else left += keep[row];
    keep[row] = mark === "keep" ? 1 : 0;
    reason[row] = mark === "wrong_gold" ? mark : "by_hand";
  }
  const last = funnel[funnel.length - 1];
  const rows = last.rows - left, late = Math.min(last.came_in, rows);
  const steps = [...funnel.slice(0, -1), { ...last, step: "by_rule" }];
  if (left) steps.push({ step: "not_dropped_by_hand", rows, came_in: late });
  if (entered) steps.push({ step: "by_hand", rows: rows + entered, came_in: late + entered });
  return { keep, reason, funnel: [...steps, { step: "selected", rows: rows + entered, came_in: late + entered }] };
}

function decideRap(rule, settings) {
  const { cde, difficulty, ace, hard, before, distinct, to_replace: toReplace, in_budget: inBudget } = rule.columns;
  const n = cde.length;
  const keep = new Uint8Array(n);
  const could = new Uint8Array(n);
  const cameIn = new Uint8Array(n);
  const reason = before.slice();
  const funnel = [];
  const count = (step) => {
    let rows = 0, entered = 0;
    for (let i = 0; i < n; i++) { rows += keep[i]; entered += keep[i] & cameIn[i]; }
    funnel.push({ step, rows, came_in: entered });
  };
  const bar = (barred, why, step) => {
    let left = 0;
    for (let i = 0; i < n; i++) {
      if (!barred(i)) continue;
      if (keep[i]) { reason[i] = why; left++; }
      keep[i] = could[i] = 0;
    }
    count(step);
    return left;
  };
  const letIn = (rows, why, step) => {
    if (!rows.length) return;
    for (const i of rows) { keep[i] = cameIn[i] = 1; reason[i] = why; }
    count(step);
  };

  let all = 0;
  for (let i = 0; i < n; i++) {
    if (!distinct[i]) { reason[i] = "duplicate"; continue; }
    all++;
    keep[i] = could[i] = cde[i] === null ? 0 : 1;
  }
  funnel.push({ step: "rows", rows: n, came_in: 0 });
  if (all < n) funnel.push({ step: "distinct", rows: all, came_in: 0 });
  count("scored");
  for (let i = 0; i < n; i++) {
    if (!keep[i]) continue;
    if (cde[i] > settings.min_cde) reason[i] = "image_needed";
    else keep[i] = 0;
  }
  count("image_needed");
  if (ace && settings.max_ace !== null) {
    bar((i) => ace[i] === null, "attention_unknown", "attention_known");
    bar((i) => ace[i] !== null && ace[i] > settings.max_ace, "attention_biased", "attention_unbiased");
  }
  if (settings.replace_easy) {
    const leaving = bar((i) => difficulty[i] === 0, "always_solved", "not_always_solved");
    const floor = settings.min_replacement_cde;
    const most = rowsReplacing(settings.replacements, leaving);
    const enter = [];
    for (const i of toReplace) {
      if (enter.length >= most) break;
      if (could[i] && !keep[i] && hard[i] && (floor === null || cde[i] > floor)) enter.push(i);
    }
    letIn(enter, "hard_replacement", "replaced");
  }
  if (settings.budget !== null) {
    let room = settings.budget;
    const filled = [];
    for (const i of inBudget) {
      if (!keep[i]) continue;
      if (room > 0) room--;
      else { keep[i] = 0; reason[i] = "over_budget"; }
    }
    count("within_budget");
    for (const i of inBudget) {
      if (room <= 0) break;
      if (could[i] && !keep[i] && reason[i] !== "over_budget") { filled.push(i); room--; }
    }
    letIn(filled, "filled_to_budget", "filled");
    if (room > 0) return { short: settings.budget - room };
  }
  count("selected");
  return { keep, reason, funnel };
}

function rowsReplacing(replacements, leaving) {
  if (replacements === null) return leaving;
  return "rows" in replacements ? replacements.rows : wholeShare(replacements.share, leaving);
}

// The whole part of share * size, of the decimal as it is written: 0.29 of 100 is 29.
function wholeShare(share, size) {
  const [whole, part = ""] = Number(share).toFixed(12).split(".");
  return Number((BigInt(whole + part) * BigInt(size)) / 10n ** BigInt(part.length));
}

function decideBand(rule, settings) {
  const { difficulty, before, distinct } = rule.columns;
  const n = difficulty.length;
  const [hardest, easiest] = ["low", "high"].map((name) => complement(rule, name, settings[name]));
  const keep = new Uint8Array(n);
  const reason = before.slice();
  let all = 0, scored = 0, selected = 0;
  for (let i = 0; i < n; i++) {
    if (!distinct[i]) { reason[i] = "duplicate"; continue; }
    all++;
    if (difficulty[i] === null) continue;
    scored++;
    if (difficulty[i] > hardest) reason[i] = "too_hard";
    if (difficulty[i] < easiest) reason[i] = "too_easy";
    if (difficulty[i] <= hardest && difficulty[i] >= easiest) { reason[i] = "moderate"; keep[i] = 1; selected++; }
  }
  const funnel = [["rows", n], ...(all < n ? [["distinct", all]] : []), ["scored", scored], ["selected", selected]];
  return { keep, reason, funnel: funnel.map(([step, rows]) => ({ step, rows, came_in: 0 })) };
}

// The double nearest to 1 - share, as Python forms it of the decimal.
function complement(rule, name, share) {
  const handle = rule.handles.find((each) => each.name === name);
  return share === handle.value ? handle.complement : Number((1 - share).toFixed(9));
}

function decideTop(rule, settings) {
  const { group, place, before } = rule.columns;
  const n = group.length;
  const quota = rule.sizes.map((size) =>
    settings.ratio === null ? settings.count : size && Math.max(1, wholeShare(settings.ratio, size)));
  const keep = new Uint8Array(n);
  const reason = before.slice();
  let selected = 0;
  for (let i = 0; i < n; i++) {
    if (place[i] === null || place[i] >= quota[group[i]]) continue;
    keep[i] = 1;
    reason[i] = "top";
    selected++;
  }
  const funnel = [...rule.funnel, ["selected", selected, 0]];
  return { keep, reason, funnel: funnel.map(([step, rows, entered]) => ({ step, rows, came_in: entered })) };
}
