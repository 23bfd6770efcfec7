// Items: found by title, beside those that are like them, and on the map.

import * as api from "./api.js";
import { note } from "./catalogue.js";
import { combobox } from "./combobox.js";
import { disc } from "./disc.js";
import { h, icon, say } from "./dom.js";
import { ItemMap } from "./map.js";
import { categoryOf, count, figure, modelName, titleOf, why } from "./words.js";

const FOUND = 8;
const LIKE = 8;

export class ItemsView {
  constructor(nights, go) {
    this.nights = nights;
    this.go = go;
    this.map = null;
    this.plane = h("div", { class: "card map" }, h("h2", {}, "Map"), h("p", { class: "pale" }, "The map is on its way."));
    this.detail = h("div", { class: "stack" });
    const search = combobox({
      label: "Find an item", hint: "words of its title",
      find: async (text, signal) => {
        const { items } = await api.search(text, FOUND, signal);
        note(items);
        return items;
      },
      draw: (item) => [disc(item), h("span", {}, titleOf(item)), h("span", { class: "pale" }, categoryOf(item))],
      text: titleOf, pick: (item) => this.open(item), typed: (text) => this.highlight(text),
    });
    this.found = h("p", { class: "pale found" });
    this.element = h("div", { class: "items" },
      h("div", { class: "card" }, h("h1", {}, "Items"), search.element, this.found), this.plane, this.detail);
    this.loadMap();
  }

  open(item) {
    this.go([["item", item.item_id]]);
  }

  async loadMap() {
    try {
      const answer = await api.map(this.nights.variant);
      this.map = new ItemMap(answer.items, (item) => this.enter(item));
      note(answer.items.map((item) => ({ brand: null, price: null, year: null, ...item })));
      const [first, second] = answer.explained, share = Math.round(100 * (first + second));
      const zoom = (label, name, by) => h("button", { type: "button", class: "round", "aria-label": label, onclick: () => this.map.zoom(by) }, icon(name));
      this.plane.replaceChildren(
        h("div", { class: "row apart" }, h("h2", {}, "Map"), h("div", { class: "row" }, zoom("Zoom in", "plus", 1.6), zoom("Zoom out", "minus", 1 / 1.6), zoom("Show all", "whole", 0))),
        h("p", { class: "pale" }, `${count(answer.items.length)} items of most users, by the two directions in which ${modelName(answer.model_version)} tells them apart most: ${share}% of the spread.`),
        this.map.element,
        h("ul", { class: "row legend", "aria-label": "Colours" },
          this.map.legend().map(({ category, place }) => h("li", {}, h("span", { class: `dot cat-${place}`, "aria-hidden": "true" }), categoryOf({ category }))),
          h("li", {}, h("span", { class: "dot cat-9", "aria-hidden": "true" }), "all others")));
      if (this.near) this.mapped(this.item);
    } catch (error) {
      this.plane.replaceChildren(h("h2", {}, "Map"), h("p", { class: "note" }, `No map is shown: ${why(error)}.`));
    }
  }

  highlight(text) {
    const found = this.map?.highlight(text) ?? 0;
    this.found.textContent = text && this.map ? `${count(found)} of the items on the map have these letters` : "";
  }

  async show(params) {
    const itemId = params.get("item");
    if (!itemId) return this.detail.replaceChildren(h("p", { class: "card pale" }, "Find an item, or press one on the map."));
    this.item = itemId;
    const item = await api.item(itemId).catch((error) => this.refused(itemId, error));
    if (!item || this.item !== itemId) return null;
    const held = this.detail.contains(document.activeElement);
    this.near = h("section", { class: "card", "aria-label": "Near it on the map", hidden: true });
    this.like = h("section", { class: "card", "aria-label": "Similar items" }, h("h2", {}, "Similar items"), h("p", { class: "pale" }, "…"));
    this.detail.replaceChildren(this.told(item), this.like, this.near);
    say(titleOf(item));
    if (held) this.detail.querySelector("h2").focus();
    this.mapped(itemId);
    return this.loadLike(itemId);
  }

  refused(itemId, error) {
    if (this.item === itemId) this.detail.replaceChildren(h("p", { class: "card note" }, `Item ${itemId} is not shown: ${why(error)}.`));
  }

  /** An item that was pressed on the map; on a phone what is told of it lies below. */
  enter(item) {
    this.open(item);
    if (this.detail.getBoundingClientRect().top > window.innerHeight - 100) this.detail.scrollIntoView();
  }

  told(item) {
    const facts = { Category: categoryOf(item), Brand: item.brand, Price: item.price, Year: item.year, Users: item.users && count(item.users), Id: item.item_id };
    return h("section", { class: "card", "aria-label": "Item" },
      h("div", { class: "row keep" }, disc(item), h("h2", { tabindex: "-1" }, titleOf(item))),
      h("dl", { class: "facts" }, Object.entries(facts).filter(([, value]) => value !== null && value !== undefined && value !== "")
        .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value))))),
      h("a", { class: "button", href: `#/lists?user=&with=${encodeURIComponent(item.item_id)}` }, "A stranger's list with it"));
  }

  mapped(itemId) {
    if (!this.map) return;
    this.map.choose(itemId);
    const near = this.map.near(itemId, LIKE);
    this.near.hidden = !near.length;
    this.near.replaceChildren(h("h2", {}, "Near it on the map"), this.rows(near));
  }

  async loadLike(itemId) {
    const head = h("h2", {}, "Similar items");
    try {
      const { items } = await api.similar(itemId, LIKE);
      if (this.item !== itemId) return;
      this.like.replaceChildren(head, items.length ? this.rows(items) : h("p", { class: "pale" }, "There are none."));
    } catch (error) {
      if (this.item === itemId) this.like.replaceChildren(head, h("p", { class: "note" }, `None are shown: ${why(error)}.`));
    }
  }

  rows(items) {
    return h("ol", { class: "had" }, items.map((item) => h("li", {}, disc(item),
      h("div", { class: "what" }, h("a", { class: "title", href: `#/items?item=${encodeURIComponent(item.item_id)}` }, titleOf(item)), h("p", { class: "pale" }, categoryOf(item))),
      item.score === undefined ? null : h("span", { class: "pale number" }, figure(item.score)))));
  }
}
