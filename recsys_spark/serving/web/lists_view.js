// One user's lists: what they had, a made-up session, and the lists that follow from both, side by side where asked.

import * as api from "./api.js";
import { lookUp, note } from "./catalogue.js";
import { combobox } from "./combobox.js";
import { disc } from "./disc.js";
import { h, icon, say } from "./dom.js";
import { Panel, sourcesOf } from "./panel.js";
import { categoryOf, count, day, titleOf, why } from "./words.js";

const KNOWN = 6;
const FOUND = 8;
const HISTORY = 30;

/** The view; `go(values)` writes user, session and comparison into the address. */
export class ListsView {
  constructor(nights, go) {
    this.nights = nights;
    this.go = go;
    this.user = undefined;
    this.session = [];
    this.turn = 0;
    const sources = sourcesOf(nights);
    const given = { sources, add: (item) => this.add(item), taken: (itemId) => this.has(itemId), done: () => this.beside() };
    this.panels = [new Panel({ ...given, label: "List", start: 0 }), new Panel({ ...given, label: "List beside", start: nights.nights.length > 1 ? 2 : 1 })];
    this.chips = h("div", { class: "row chips" });
    this.title = h("h1", {}, "Lists");
    this.history = h("div", {});
    this.sessionItems = h("ul", { class: "row session-items" });
    this.comparing = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.change({ beside: !this.compare }) }, "Side by side");
    this.columns = h("div", { class: "columns" }, this.panels.map((panel) => panel.element));
    this.element = this.drawn();
    this.offer();
  }

  drawn() {
    const who = combobox({
      label: "Whose list", hint: "type the start of a user's id", least: 0,
      find: async (text, signal) => (await api.users(text, FOUND, signal)).user_ids,
      draw: (user) => [user], text: (user) => user, free: (text) => text,
      pick: (user) => this.change({ user }),
    });
    const what = combobox({
      label: "Made-up session", hint: "find an item to add",
      find: async (text, signal) => noted((await api.search(text, FOUND, signal)).items),
      draw: (item) => [disc(item), h("span", {}, titleOf(item)), h("span", { class: "pale" }, categoryOf(item))],
      pick: (item) => this.add(item),
    });
    return h("div", { class: "lists" },
      h("div", { class: "card who" }, this.title, who.element, this.chips),
      h("section", { class: "card session", "aria-label": "Made-up session" }, what.element, this.sessionItems,
        h("div", { class: "row apart" }, h("p", { class: "pale" }, "Oldest first. The list follows at once."), this.comparing)),
      this.columns,
      h("section", { class: "card history", "aria-label": "History" }, h("h2", {}, "History"), this.history));
  }

  /** A few known users, so that there is somebody to begin with. */
  async offer() {
    try {
      const { user_ids } = await api.users("", KNOWN);
      this.chips.replaceChildren(
        ...user_ids.map((user) => h("button", { type: "button", class: "chip", "data-user": user, onclick: () => this.change({ user }) }, user)),
        h("button", { type: "button", class: "chip", "data-user": "", onclick: () => this.change({ user: "" }) }, "a stranger"));
      this.press();
      if (!this.named) this.change({ user: user_ids[0] ?? "" }, true);
    } catch (error) {
      this.chips.replaceChildren(h("p", { class: "pale" }, `No users are named: ${why(error)}.`));
    }
  }

  /** What the address says. */
  async show(params) {
    const user = params.get("user"), items = params.getAll("with"), turn = (this.turn += 1);
    this.named ||= user !== null || items.length > 0;
    this.compare = params.has("beside");
    this.comparing.setAttribute("aria-pressed", String(this.compare));
    this.columns.classList.toggle("two", this.compare);
    this.panels[1].element.hidden = !this.compare;
    const known = await Promise.all(items.map(async (itemId) => (await lookUp(itemId)) ?? { item_id: itemId, title: null, category: null }));
    if (turn !== this.turn || !this.named) return;
    this.session = known;
    this.drawSession();
    if (user !== this.user) {
      this.user = user ?? "";
      this.title.textContent = this.user ? `User ${this.user}` : "A stranger";
      this.press();
      this.loadHistory();
    }
    this.load();
  }

  load() {
    const session = this.session.map((item) => item.item_id);
    for (const panel of this.panels) if (!panel.element.hidden) panel.load(this.user, session);
  }

  /** Both lists are there: each row says where the item stands in the other. */
  beside() {
    if (!this.compare) return;
    const [one, other] = this.panels;
    one.draw(other.ranks());
    other.draw(one.ranks());
  }

  change(values, instead = false) {
    const next = { user: this.user, session: this.session, beside: this.compare, ...values };
    this.session = next.session; // at once, as the next change may come before this one is shown
    this.go([
      ...(next.user === undefined ? [] : [["user", next.user]]),
      ...next.session.map((item) => ["with", item.item_id]),
      ...(next.beside ? [["beside", "1"]] : []),
    ], instead);
  }

  has(itemId) {
    return this.session.some((item) => item.item_id === itemId);
  }

  add(item) {
    if (this.has(item.item_id)) return;
    note([item]);
    say(`${titleOf(item)} is in the session`);
    this.change({ session: [...this.session, item] });
  }

  remove(item) {
    say(`${titleOf(item)} is out of the session`);
    this.change({ session: this.session.filter((one) => one.item_id !== item.item_id) });
  }

  drawSession() {
    const held = this.sessionItems.contains(document.activeElement);
    this.sessionItems.replaceChildren(
      ...this.session.map((item) =>
        h("li", { class: "held" }, disc(item), h("span", {}, titleOf(item)),
          h("button", { type: "button", class: "round", "aria-label": `Take ${titleOf(item)} out`, onclick: () => this.remove(item) }, icon("cross")))),
      ...(this.session.length > 1 ? [h("li", {}, h("button", { type: "button", class: "plain", onclick: () => this.change({ session: [] }) }, "Empty it"))] : []));
    if (held) (this.sessionItems.querySelector("button") ?? this.element.querySelector(".session input")).focus();
    for (const button of this.history.querySelectorAll("button")) mark(button, this.has(button.dataset.item));
  }

  press() {
    for (const chip of this.chips.children) chip.setAttribute("aria-pressed", String(chip.dataset.user === this.user));
  }

  async loadHistory() {
    const user = this.user;
    const words = (text) => this.history.replaceChildren(h("p", { class: "pale" }, text));
    if (!user) return words("A stranger has none. Add items to the session above.");
    try {
      const { items } = await api.history(user, HISTORY);
      if (user !== this.user) return;
      note(items);
      if (!items.length) return words("Nothing is known of this user.");
      this.history.replaceChildren(h("ol", { class: "had", "aria-label": `What ${user} had, newest first` }, items.map((item) => this.had(item))));
    } catch (error) {
      if (user === this.user) words(`No history is shown: ${why(error)}.`);
    }
  }

  had(item) {
    const button = h("button", { type: "button", class: "round", "data-item": item.item_id, "data-title": titleOf(item), onclick: () => this.add(item) });
    mark(button, this.has(item.item_id));
    const told = [categoryOf(item), item.day && day(item.day)].filter(Boolean).join(" · ");
    return h("li", {}, disc(item), h("div", { class: "what" },
      h("a", { class: "title", href: `#/items?item=${encodeURIComponent(item.item_id)}` }, titleOf(item)), h("p", { class: "pale" }, told)), button);
  }
}

function mark(button, taken) {
  button.replaceChildren(icon(taken ? "check" : "plus"));
  button.disabled = taken;
  button.setAttribute("aria-label", taken ? `${button.dataset.title} is in the session` : `Add ${button.dataset.title} to the session`);
}

function noted(items) {
  note(items);
  return items;
}

/** "2,469 lists" */
export const listsOf = (night) => `${count(night.users)} ${night.users === 1 ? "list" : "lists"}`;
