// The items on a plane, drawn on a canvas: to point at, to walk through by arrow keys, and to search.

import { claim, firstCategory } from "./disc.js";
import { h } from "./dom.js";
import { categoryOf, titleOf } from "./words.js";

const COLOURED = 8; // categories with a colour of their own; the others are grey
const REACH = 18; // pixels from the pointer to an item
const MOST_ZOOM = 40;
const LEAST_DOT = 2.2, MOST_DOT = 6;
const STEP = 1.6;
const EDGE = 24;
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

export class ItemMap {
  /** @param pick is called with an item that was clicked, or entered */
  constructor(items, pick) {
    this.items = items;
    this.pick = pick;
    this.wanted = "";
    this.at = null;
    this.chosen = null;
    this.whole();
    this.colours = colours(items);
    const coloured = (item) => Number(this.colours.has(firstCategory(item)));
    this.inOrder = [...items].reverse().sort((a, b) => coloured(a) - coloured(b)); // the coloured, and those of most users, on top
    this.tip = h("p", { class: "tip", hidden: true });
    this.told = h("p", { class: "unseen", role: "status", id: "map-told" });
    this.canvas = h("canvas", {
      tabindex: "0", role: "application", "aria-describedby": "map-told",
      "aria-label": `Map of ${items.length} items. Arrow keys go to the next item in that direction, Enter opens it, plus and minus zoom, 0 shows all.`,
    });
    this.element = h("div", { class: "plane" }, this.canvas, this.tip, this.told);
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.element);
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  /** The categories with a colour, most items first. */
  legend() {
    return [...this.colours].map(([category, place]) => ({ category, place }));
  }

  /** Only items that have this text in their title or category stand out; "" for all. How many they are. */
  highlight(text) {
    this.wanted = text.toLowerCase();
    this.draw();
    return this.items.filter((item) => this.fits(item)).length;
  }

  /** An item by its id stands out; it is brought into sight. */
  choose(itemId) {
    this.chosen = this.items.find((item) => item.item_id === itemId) ?? null;
    if (this.chosen) this.show(this.chosen);
    this.draw();
  }

  /** The items that lie nearest to another on the plane. */
  near(itemId, n) {
    const from = this.items.find((item) => item.item_id === itemId);
    if (!from) return [];
    const far = (item) => (item.x - from.x) ** 2 + (item.y - from.y) ** 2;
    return this.items.filter((item) => item !== from).sort((a, b) => far(a) - far(b)).slice(0, n);
  }

  zoom(by) {
    this.scale = Math.min(MOST_ZOOM, Math.max(1, this.scale * by));
    if (this.scale === 1) this.whole();
    this.draw();
  }

  whole() {
    this.scale = 1;
    this.centre = [0, 0];
  }

  show(item) {
    const [x, y] = this.place(item);
    if (this.scale > 1 && (x < EDGE || y < EDGE || x > this.width - EDGE || y > this.height - EDGE)) this.centre = [item.x, item.y];
  }

  fits(item) {
    return !this.wanted || `${titleOf(item)} ${categoryOf(item)}`.toLowerCase().includes(this.wanted);
  }

  size() {
    return [this.width / 2 - EDGE, this.height / 2 - EDGE].map((half) => half * this.scale);
  }

  place(item) {
    const [across, down] = this.size();
    return [this.width / 2 + (item.x - this.centre[0]) * across, this.height / 2 - (item.y - this.centre[1]) * down];
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width) return;
    const dense = window.devicePixelRatio || 1;
    [this.width, this.height] = [width, height];
    [this.canvas.width, this.canvas.height] = [Math.round(width * dense), Math.round(height * dense)];
    this.canvas.getContext("2d").setTransform(dense, 0, 0, dense, 0, 0);
    this.draw();
  }

  draw() {
    if (!this.width) return;
    const paper = this.canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const fills = Array.from({ length: 10 }, (_, place) => colour(`--cat-${place}`));
    const radius = Math.min(MOST_DOT, Math.max(LEAST_DOT, 40 / Math.sqrt(this.items.length)) + 0.5 * (this.scale - 1));
    paper.clearRect(0, 0, this.width, this.height);
    for (const item of this.inOrder) {
      const [x, y] = this.place(item);
      if (x < -9 || y < -9 || x > this.width + 9 || y > this.height + 9) continue;
      const place = this.colours.get(firstCategory(item));
      paper.globalAlpha = this.fits(item) ? (place === undefined && !this.wanted ? 0.35 : 0.85) : 0.1;
      paper.fillStyle = fills[place ?? 9];
      dot(paper, x, y, this.wanted && this.fits(item) ? radius + 1 : radius);
    }
    paper.globalAlpha = 1;
    for (const [item, ring] of [[this.at, "--edge"], [this.chosen, "--strong"]]) if (item) this.mark(paper, item, colour(ring), colour("--ink"));
  }

  mark(paper, item, ring, ink) {
    const [x, y] = this.place(item);
    paper.fillStyle = ink;
    dot(paper, x, y, 4);
    paper.strokeStyle = ring;
    paper.lineWidth = 3;
    paper.beginPath();
    paper.arc(x, y, 9, 0, 2 * Math.PI);
    paper.stroke();
  }

  listen() {
    let from = null, moved = false;
    const where = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      from = where(event);
      moved = false;
      if (event.pointerType === "mouse") this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      const to = where(event);
      if (!from || !event.buttons || this.scale === 1) return this.point(this.under(...to));
      const [across, down] = this.size();
      moved ||= Math.hypot(to[0] - from[0], to[1] - from[1]) > 4;
      this.centre = [this.centre[0] - (to[0] - from[0]) / across, this.centre[1] + (to[1] - from[1]) / down];
      from = to;
      this.point(null);
      return this.draw();
    });
    this.canvas.addEventListener("pointerup", (event) => {
      const item = moved ? null : this.under(...where(event));
      from = null;
      if (item) this.pick(item);
    });
    this.canvas.addEventListener("pointerleave", () => this.point(null));
    this.canvas.addEventListener("blur", () => this.point(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const way = WAYS[event.key];
    if (way) this.walk(way);
    else if (event.key === "Enter" && this.at) this.pick(this.at);
    else if (event.key === "+" || event.key === "=") this.zoom(STEP);
    else if (event.key === "-") this.zoom(1 / STEP);
    else if (event.key === "0") this.zoom(0);
    else return;
    event.preventDefault();
  }

  /** To the nearest item that stands out, within 45 degrees of a direction. */
  walk([right, up]) {
    const from = this.at ?? this.chosen ?? { x: this.centre[0], y: this.centre[1] };
    let best = null, least = Infinity;
    for (const item of this.items) {
      const x = item.x - from.x, y = item.y - from.y, along = x * right + y * up, off = Math.abs(x * up) + Math.abs(y * right);
      if (item === from || !this.fits(item) || along <= 0 || off > along) continue;
      const far = along + 2 * off;
      if (far < least) [best, least] = [item, far];
    }
    if (!best) return;
    this.show(best);
    this.point(best);
    this.told.textContent = [titleOf(best), categoryOf(best)].filter(Boolean).join(", ");
  }

  under(x, y) {
    let best = null, least = REACH;
    for (const item of this.items) {
      if (!this.fits(item)) continue;
      const [left, top] = this.place(item), far = Math.hypot(left - x, top - y);
      if (far < least) [best, least] = [item, far];
    }
    return best;
  }

  point(item) {
    if (item === this.at && !item) return;
    this.at = item;
    this.tip.hidden = !item;
    if (item) {
      this.tip.replaceChildren(h("strong", {}, titleOf(item)), " ", categoryOf(item));
      const [x, y] = this.place(item), wide = this.tip.offsetWidth, high = this.tip.offsetHeight;
      this.tip.style.left = `${Math.max(4, Math.min(x - wide / 2, this.width - wide - 4))}px`;
      this.tip.style.top = `${y > high + 22 ? y - high - 14 : y + 16}px`;
    }
    this.draw();
  }
}

function dot(paper, x, y, radius) {
  paper.beginPath();
  paper.arc(x, y, radius, 0, 2 * Math.PI);
  paper.fill();
}

/** The categories of most items, each with the number of a colour that no other of them has. */
function colours(items) {
  const sizes = new Map();
  for (const item of items) if (firstCategory(item)) sizes.set(firstCategory(item), (sizes.get(firstCategory(item)) ?? 0) + 1);
  const most = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, COLOURED);
  return claim(most.map(([category]) => category));
}
