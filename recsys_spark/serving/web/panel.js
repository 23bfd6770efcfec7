// One list with its head: where it comes from, when it was made, and what stands in the way.

import * as api from "./api.js";
import { h, say } from "./dom.js";
import { Ranked } from "./ranked.js";
import { day, modelName, titleOf, usualFirst, why } from "./words.js";

const LONG = 10;

/** Two sources a variant: a list that follows the session, and the list as it was published. */
export function sourcesOf(nights) {
  return usualFirst(nights).flatMap((night) => {
    const name = `${night.variant} · ${modelName(night.model_version)}`;
    return [
      { variant: night.variant, follows: true, label: name },
      { variant: night.variant, follows: false, label: `${name}, as published` },
    ];
  });
}

export class Panel {
  /** @param done is called when another list has come; start: which source is chosen first */
  constructor({ label, sources, start, add, taken, done }) {
    this.sources = sources;
    this.done = done;
    this.answer = null;
    this.asking = null;
    const select = h("select", { "aria-label": `${label}: variant`, onchange: () => this.load(this.user, this.session) },
      sources.map((source, place) => h("option", { value: place, selected: place === start }, source.label)));
    this.select = select;
    this.made = h("p", { class: "pale made" });
    this.note = h("p", { class: "note", hidden: true });
    this.list = new Ranked({ label, add, taken });
    this.element = h("section", { class: "card panel", "aria-label": label },
      h("div", { class: "row apart head" }, h("h2", {}, label), select), this.made, this.note, this.list.element);
  }

  /** The ranks of what is shown, by item. */
  ranks() {
    return new Map((this.answer?.items ?? []).map((item) => [item.item_id, item.rank]));
  }

  /** Ask for the list of a user, "" for a stranger, with a session. */
  async load(user, session) {
    this.user = user;
    this.session = session;
    this.asking?.abort();
    const { signal } = (this.asking = new AbortController());
    const source = this.sources[Number(this.select.value)];
    this.element.setAttribute("aria-busy", "true");
    try {
      await this.ask(source, signal);
      this.element.removeAttribute("aria-busy");
    } catch (error) {
      if (error.name === "AbortError") return;
      this.element.removeAttribute("aria-busy");
      this.answer = null;
      this.list.clear();
      this.tell("", `There is no list: ${why(error)}.`);
    }
  }

  async ask(source, signal) {
    const follows = source.follows && this.session.length > 0;
    const before = this.user ? await api.published(this.user, LONG, source.variant, signal) : null;
    if (!follows) {
      if (!before) return this.tell("", "Nothing is published for a stranger: add items to the session.", this.empty());
      this.set(before, null);
      const words = before.fallback ? "Nothing is published for this user, so this is what is popular." : "";
      return this.tell(`Published for ${day(before.as_of_date)} by ${modelName(before.model_version)}`, words);
    }
    const started = performance.now();
    try {
      const now = await api.made(this.session, this.user || null, LONG, source.variant, signal);
      const took = Math.max(1, Math.round(performance.now() - started));
      this.set(now, before && new Map(before.items.map((item) => [item.item_id, item.rank])));
      const items = this.session.length === 1 ? "1 item" : `${this.session.length} items`;
      this.tell(`Made just now from ${items} of the session, in ${took} ms`, odd(now));
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (before) this.set(before, null);
      else this.empty();
      this.tell(before ? `As published for ${day(before.as_of_date)}` : "", `The list does not follow the session: ${why(error)}.`);
    }
  }

  set(answer, before) {
    this.answer = answer;
    this.before = before;
    this.draw(null);
    const first = answer.items[0];
    say(`List of ${answer.items.length} items${first ? `, first ${titleOf(first)}` : ""}`);
    this.done();
  }

  draw(beside) {
    if (this.answer) this.list.show(this.answer.items, this.before, beside?.size ? beside : null);
  }

  empty() {
    this.answer = null;
    this.list.clear();
  }

  tell(made, words) {
    this.made.textContent = made;
    this.note.textContent = words;
    this.note.hidden = !words;
  }
}

function odd(answer) {
  if (answer.ignored?.length) return `Not known, and so left out: ${answer.ignored.join(", ")}.`;
  return answer.fallback ? "The model knows nothing to go by, so this is what is popular." : "";
}
