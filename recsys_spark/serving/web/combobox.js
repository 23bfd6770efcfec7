// A field that finds things as one types (the combobox of the ARIA Authoring Practices, with a list of options).

import { after, h, say } from "./dom.js";
import { why } from "./words.js";

const QUIET = 120;
let number = 0;

/** A labelled field with its list.
 *
 * @param {object} given
 *   label: what it says above the field; hint: its placeholder
 *   find(text, signal): the options for a text, in order
 *   draw(option): what stands in its row
 *   pick(option): when one is chosen; text(option): what the field then holds, "" to empty it
 *   free(text): makes an option of what was typed, where no option is chosen; null: Enter does nothing then
 *   typed(text): at each change
 *   least: letters before it looks
 */
export function combobox({ label, hint, find, draw, pick, text = () => "", free = null, typed = () => {}, least = 1 }) {
  const name = `find-${(number += 1)}`;
  const list = h("ul", { id: `${name}-list`, role: "listbox", "aria-label": label, hidden: true });
  const input = h("input", {
    id: name, type: "text", role: "combobox", autocomplete: "off", spellcheck: "false", placeholder: hint,
    "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list.id,
  });
  let options = [], at = -1, asking = null;

  const close = () => {
    asking?.abort();
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    at = -1;
  };
  const move = (to) => {
    at = options.length ? (to + options.length) % options.length : -1;
    [...list.children].forEach((row, place) => row.setAttribute("aria-selected", String(place === at)));
    if (at < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", list.children[at].id);
    list.children[at].scrollIntoView({ block: "nearest" });
  };
  const choose = (option) => {
    input.value = text(option);
    close();
    pick(option);
  };
  const open = (found) => {
    options = found;
    list.replaceChildren(
      ...found.map((option, place) =>
        h("li", { id: `${name}-${place}`, role: "option", "aria-selected": "false", onpointerdown: (event) => {
          event.preventDefault(); // the field keeps the focus
          choose(option);
        } }, draw(option)),
      ),
    );
    list.hidden = !found.length;
    input.setAttribute("aria-expanded", String(found.length > 0));
    at = -1;
    say(found.length ? `${found.length} found` : "nothing found");
  };
  const look = after(QUIET, async () => {
    asking?.abort();
    if (input.value.trim().length < least) return close();
    asking = new AbortController();
    try {
      open(await find(input.value.trim(), asking.signal));
    } catch (error) {
      if (error.name !== "AbortError") say(why(error));
    }
  });

  input.addEventListener("input", () => {
    typed(input.value.trim());
    look();
  });
  input.addEventListener("focus", () => (least === 0 ? look() : null));
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) look();
      else move(event.key === "ArrowDown" ? at + 1 : Math.max(at, 0) - 1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (at >= 0) choose(options[at]);
      else if (free && input.value.trim()) choose(free(input.value.trim()));
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      close();
    }
  });
  return { element: h("div", { class: "find" }, h("label", { for: name }, label), input, list), input };
}
