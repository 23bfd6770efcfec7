// A coloured disc with two letters for a category: the same category has the same disc everywhere.

import { h } from "./dom.js";

const COLOURS = 9; // the tenth is of what has no category
const claimed = new Map();

/** The first of an item's categories; "" where it has none. */
export const firstCategory = (item) => (item?.category ?? "").split("|")[0];

/** Beside a text that says the category: it is not read out. */
export function disc(item) {
  const category = firstCategory(item);
  const given = { class: `disc cat-${category ? colourOf(category) : COLOURS}`, "aria-hidden": "true" };
  return h("span", given, letters(category || item?.title || item?.item_id || "?"));
}

/** "FLUID MILK PRODUCTS" -> "FM", "Drama" -> "Dr" */
export function letters(text) {
  const words = text.match(/[\p{L}\p{N}]+/gu) ?? ["?"];
  return words.length > 1 ? (words[0][0] + words[1][0]).toUpperCase() : words[0][0].toUpperCase() + (words[0][1] ?? "").toLowerCase();
}

/** Up to nine categories with a colour each that no other of them has; their discs have it from now on. */
export function claim(categories) {
  claimed.clear();
  for (const category of categories) {
    let place = colourOf(category);
    while ([...claimed.values()].includes(place)) place = (place + 1) % COLOURS;
    claimed.set(category, place);
  }
  return claimed;
}

const colourOf = (category) => claimed.get(category) ?? placeOf(category);

/** One of the colours, by a hash of the name (FNV-1a, 32 bits). */
function placeOf(text) {
  let hash = 0x811c9dc5;
  for (const one of new TextEncoder().encode(text)) hash = Math.imul(hash ^ one, 0x01000193) >>> 0;
  return hash % COLOURS;
}
