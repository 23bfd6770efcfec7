// The health of the live nights: the gates their lists passed, and how good their models were measured to be.

import { h, s } from "./dom.js";
import { count, day, figure, modelName, usualFirst } from "./words.js";

const QUALITY = { ndcg: "NDCG", hr: "Hit rate", recall: "Recall", precision: "Precision", mrr: "MRR", map: "MAP", auc: "AUC" };
const BASELINES = ["popularity", "random"];
const VERDICTS = { passed: ["good", "passed"], failed: ["bad", "failed"], forced: ["bad", "forced"], not_measured: ["", "not measured"] };
const WIDE = 260, HIGH = 34, MIDDLE = HIGH / 2;

export class NightView {
  constructor(nights) {
    this.element = h("div", { class: "night" }, h("h1", {}, "The live night"), usualFirst(nights).map((night) => nightOf(night, nights.variant)));
  }

  show() {}
}

/** A night's gates in one sentence. */
export function verdict(health) {
  if (!health?.gates.length) return { words: "no gates are noted", good: null };
  const of = (name) => health.gates.filter((gate) => gate.verdict === name).length;
  const measured = health.gates.length - of("not_measured"), wrong = of("failed") + of("forced");
  if (wrong) return { words: `${wrong} of ${measured} measured gates not passed`, good: false };
  return { words: `all ${measured} measured gates passed`, good: true };
}

function nightOf(night, usual) {
  const facts = { Day: day(night.as_of_date), Model: modelName(night.model_version), Lists: count(night.users) };
  return h("section", { class: "card", "aria-label": `Variant ${night.variant}` },
    h("h2", {}, `Variant ${night.variant} `, night.variant === usual && h("span", { class: "tag" }, "the usual one")),
    h("dl", { class: "facts large" }, Object.entries(facts).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    h("p", { class: "pale" }, `Model ${night.model_version}, night ${night.name}`),
    night.health ? [...gates(night.health), ...quality(night.health)] : h("p", { class: "note" }, "This night was published before its health was written down with it: the tables gate_results and metrics have it."));
}

function gates({ gates: checked }) {
  if (!checked.length) return [h("p", { class: "note" }, "No gates are noted for this night.")];
  const rows = checked.map((gate) => {
    const [kind, words] = VERDICTS[gate.verdict] ?? ["", gate.verdict];
    return h("tr", { role: "row" }, h("th", { scope: "row", role: "rowheader" }, gate.gate.replaceAll("_", " ")),
      cell({}, h("span", { class: `tag ${kind}` }, words)), cell({ class: "number", "data-name": "value" }, figure(gate.value)),
      cell({ class: "number", "data-name": "expected" }, bounds(gate)), cell({ class: "pale" }, gate.reason));
  });
  return [h("h3", {}, "Gates"), table("Gates", ["Gate", "Verdict", "Value", "Expected", "In words"], rows, "gates")];
}

function bounds({ low, high }) {
  if (low === null && high === null) return "anything";
  if (low === null) return `≤ ${figure(high)}`;
  return high === null ? `≥ ${figure(low)}` : `${figure(low)} to ${figure(high)}`;
}

/** Figures of the model beside the baselines', for one length of list at a time. */
function quality({ measured }) {
  const rows = chosen(measured);
  if (!rows.length) return [h("p", { class: "note" }, "No evaluation of this night's model is noted.")];
  const lengths = [...new Set(rows.map((row) => row.k).filter((k) => k !== null))].sort((a, b) => a - b);
  const body = h("div", {});
  const draw = (k) => body.replaceChildren(...figures(rows.filter((row) => row.k === k || row.k === null)));
  const select = h("select", { "aria-label": "Length of the list", onchange: () => draw(Number(select.value)) },
    lengths.map((k) => h("option", { value: k, selected: k === 10 }, `first ${k}`)));
  draw(lengths.includes(10) ? 10 : lengths[0] ?? null);
  const { protocol, split, n } = rows[0];
  const among = protocol === "full" ? "among all items" : protocol === "sampled" ? "among sampled candidates" : "by their ratings";
  return [h("div", { class: "row apart" }, h("h3", {}, "Measured quality"), select),
    h("p", { class: "pale" }, `Of the fit that vouches for the model, on ${split}, ${among}, ${count(n)} users. The line is the 95% interval.`), body];
}

/** The figures to show: over all items rather than candidates, on test rather than validation. */
function chosen(measured) {
  const known = measured.filter((row) => row.metric in QUALITY && row.value !== null);
  for (const protocol of ["full", "sampled"]) for (const split of ["test", "validation"]) {
    const rows = known.filter((row) => row.protocol === protocol && row.split === split);
    if (rows.some((row) => !BASELINES.includes(row.model_name))) return rows;
  }
  return [];
}

function figures(rows) {
  const names = [...new Set(rows.map((row) => row.model_name))].sort((a, b) => BASELINES.indexOf(a) - BASELINES.indexOf(b));
  const most = (metric) => Math.max(...rows.filter((row) => row.metric === metric).map((row) => row.high ?? row.value)) || 1;
  const lines = Object.keys(QUALITY).filter((metric) => rows.some((row) => row.metric === metric)).map((metric) => {
    const of = names.map((name) => rows.find((row) => row.metric === metric && row.model_name === name));
    return h("tr", { role: "row" }, h("th", { scope: "row", role: "rowheader" }, QUALITY[metric]),
      of.map((row) => cell({ class: "number" }, figure(row?.value))), cell({}, drawn(of, most(metric))));
  });
  return [table("Measured quality", ["Figure", ...names, "Compared"], lines),
    h("ul", { class: "row legend", "aria-hidden": "true" }, names.map((name, place) => h("li", {}, h("span", { class: `dot of-${kind(name, place)}` }), name)))];
}

const kind = (name) => (BASELINES.includes(name) ? name : "model");

/** The figures of one metric on one line from 0, with their intervals; the numbers stand beside it. */
function drawn(of, most) {
  const x = (value) => 6 + ((WIDE - 12) * value) / most;
  const marks = of.filter(Boolean).flatMap((row) => [
    ...(row.low === null ? [] : [s("line", { class: `of-${kind(row.model_name)}`, x1: x(Math.max(row.low, 0)), x2: x(row.high), y1: MIDDLE, y2: MIDDLE })]),
    s("circle", { class: `of-${kind(row.model_name)}`, cx: x(row.value), cy: MIDDLE, r: 5 }),
  ]);
  return s("svg", { class: "compared", viewBox: `0 0 ${WIDE} ${HIGH}`, "aria-hidden": "true" }, s("line", { class: "axis", x1: x(0), x2: WIDE - 6, y1: MIDDLE, y2: MIDDLE }), ...marks);
}

const cell = (given, ...children) => h("td", { role: "cell", ...given }, ...children);

/** A table that may be wider than the window. Roles are said, as rows that are laid out anew on a phone lose theirs. */
function table(name, columns, rows, kind = "") {
  const heads = columns.map((column) => h("th", { scope: "col", role: "columnheader" }, column));
  return h("div", { class: `wide ${kind}`, tabindex: "0", role: "region", "aria-label": name }, h("table", { role: "table" },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)), h("tbody", { role: "rowgroup" }, rows)));
}
