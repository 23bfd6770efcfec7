// A ranked list whose items glide to their new places when it changes.

import { lookUp } from "./catalogue.js";
import { disc } from "./disc.js";
import { h, icon } from "./dom.js";
import { categoryOf, score, titleOf } from "./words.js";

const GLIDE = 450;
const still = matchMedia("(prefers-reduced-motion: reduce)");

/** An ordered list; `add(item)` is called for the button of a row, `taken(itemId)` says whether it is pressed. */
export class Ranked {
  constructor({ label, add, taken }) {
    this.element = h("ol", { class: "ranked", "aria-label": label });
    this.add = add;
    this.taken = taken;
    this.rows = new Map();
  }

  /** Show items.
   *
   * @param before ranks by item_id to tell moves from; null: none are told
   * @param beside ranks by item_id in the list beside it; null: there is none
   */
  show(items, before = null, beside = null) {
    const places = new Map([...this.rows].map(([itemId, row]) => [itemId, row.getBoundingClientRect().top]));
    const focused = document.activeElement;
    const low = Math.min(...items.map((item) => item.score)), high = Math.max(...items.map((item) => item.score));
    const rows = new Map();
    items.forEach((item, place) => {
      const row = this.rows.get(item.item_id) ?? this.made(item);
      this.fill(row, item, (item.score - low) / (high - low || 1), moved(item, before), beside);
      if (this.element.children[place] !== row) this.element.insertBefore(row, this.element.children[place] ?? null);
      rows.set(item.item_id, row);
    });
    for (const [itemId, row] of this.rows) if (!rows.has(itemId)) row.remove();
    this.rows = rows;
    if (focused instanceof HTMLElement && focused.isConnected && focused !== document.activeElement) focused.focus();
    if (!still.matches) this.glide(places);
  }

  clear() {
    this.element.replaceChildren();
    this.rows = new Map();
  }

  /** A row as it stays; what changes is filled in. */
  made(item) {
    const row = h("li", { "data-item": item.item_id },
      h("span", { class: "rank" }), h("span", { class: "face" }, disc(item)),
      h("div", { class: "what" },
        h("a", { class: "title", href: `#/items?item=${encodeURIComponent(item.item_id)}` }, titleOf(item)),
        h("div", { class: "under" }, h("p", { class: "pale reason" }), h("span", { class: "tags" }))),
      h("div", { class: "score" }, h("span", { class: "number" }), h("span", { class: "bar" }, h("span"))),
      h("button", { type: "button", class: "round", onclick: () => this.add(item) }));
    lookUp(item.item_id).then((known) => {
      if (!known) return;
      row.querySelector(".face").replaceChildren(disc(known));
      row.querySelector(".title").title = categoryOf(known);
    });
    return row;
  }

  fill(row, item, share, change, beside) {
    const part = (name) => row.querySelector(name);
    part(".rank").textContent = item.rank;
    part(".reason").textContent = item.reason;
    part(".number").textContent = score(item.score);
    part(".bar span").style.width = `${6 + 94 * share}%`;
    part(".tags").replaceChildren(...[change, beside && placeBeside(item.rank, beside.get(item.item_id))].filter(Boolean));
    const taken = this.taken(item.item_id), button = part("button");
    button.replaceChildren(icon(taken ? "check" : "plus"));
    button.disabled = taken;
    button.setAttribute("aria-label", taken ? `${titleOf(item)} is in the session` : `Add ${titleOf(item)} to the session`);
  }

  glide(places) {
    for (const [itemId, row] of this.rows) {
      const from = places.get(itemId);
      const way = from === undefined ? 0 : from - row.getBoundingClientRect().top;
      if (way) row.animate([{ transform: `translateY(${way}px)` }, { transform: "none" }], { duration: GLIDE, easing: "ease-in-out" });
      if (from === undefined && places.size) row.animate([{ opacity: 0 }, { opacity: 1 }], { duration: GLIDE });
    }
  }
}

function moved(item, before) {
  if (!before) return null;
  const was = before.get(item.item_id);
  if (was === undefined) return h("span", { class: "tag new" }, "new");
  if (was === item.rank) return null;
  const up = was > item.rank, steps = Math.abs(was - item.rank);
  return h("span", { class: up ? "tag good" : "tag bad" },
    h("span", { "aria-hidden": "true" }, `${up ? "▲" : "▼"} ${steps}`), h("span", { class: "unseen" }, `${up ? "up" : "down"} by ${steps}`));
}

function placeBeside(here, there) {
  if (there === here) return null;
  return h("span", { class: "tag" }, there === undefined ? "only here" : `${there} beside`);
}
