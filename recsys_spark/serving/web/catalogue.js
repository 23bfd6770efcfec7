// Items that the page has seen, so that each is asked for once.

import { item as ask } from "./api.js";

const AT_ONCE = 6;
const seen = new Map(); // item_id -> item, or the promise of one
let working = 0;
const waiting = [];

/** Remember items that came with an answer and have a category. */
export function note(items) {
  for (const item of items) if (item.category !== undefined) seen.set(item.item_id, item);
}

/** What is known of an item, asked for where it was not seen yet; null where the service does not tell. */
export function lookUp(itemId) {
  if (!seen.has(itemId)) seen.set(itemId, inTurn(() => ask(itemId).catch(() => forget(itemId))));
  return Promise.resolve(seen.get(itemId));
}

function forget(itemId) {
  seen.delete(itemId);
  return null;
}

async function inTurn(act) {
  if (working >= AT_ONCE) await new Promise((go) => waiting.push(go));
  working += 1;
  try {
    return await act();
  } finally {
    working -= 1;
    waiting.shift()?.();
  }
}
