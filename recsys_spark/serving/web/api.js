// What the page asks of the service. The key is kept in this tab alone.

const KEPT = "recsys-key";
const LONGEST_WAIT = 3;

let key = sessionStorage.getItem(KEPT) ?? "";

/** A request that was not answered: its status, 0 where nobody was reached, and why in words. */
export class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

export const hasKey = () => key !== "";

export function useKey(given) {
  key = given.trim();
  if (key) sessionStorage.setItem(KEPT, key);
  else sessionStorage.removeItem(KEPT);
}

/** The answer to a request; where the service is busy it is asked once more, as soon as it says.
 *
 * @throws Refused, or an AbortError where the signal says so
 */
export async function ask(path, { query = {}, body = null, signal = null } = {}, again = true) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const asked = given.length ? `${path}?${new URLSearchParams(given)}` : path;
  const headers = { Accept: "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  const sent = body ? JSON.stringify(body) : undefined;
  let answer;
  try {
    answer = await fetch(asked, { method: body ? "POST" : "GET", headers, body: sent, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "the service is not reached");
  }
  if (answer.ok) return answer.json();
  const wait = Number(answer.headers.get("Retry-After") ?? LONGEST_WAIT + 1);
  if (again && [429, 503].includes(answer.status) && wait <= LONGEST_WAIT) {
    await new Promise((done) => setTimeout(done, 1000 * wait));
    return ask(path, { query, body, signal }, false);
  }
  if (answer.status === 401) document.dispatchEvent(new CustomEvent("key-wanted"));
  throw new Refused(answer.status, await reason(answer));
}

async function reason(answer) {
  const told = await answer.json().catch(() => ({}));
  if (typeof told.detail === "string") return told.detail;
  return Array.isArray(told.detail) ? told.detail.map((one) => one.msg).join("; ") : `status ${answer.status}`;
}

const id = encodeURIComponent;

export const nights = () => ask("v1/night");
export const users = (start, n, signal) => ask("v1/users", { query: { q: start, n }, signal });
export const history = (user, n, signal) => ask(`v1/users/${id(user)}/history`, { query: { n }, signal });
export const published = (user, n, variant, signal) =>
  ask(`v1/users/${id(user)}/recommendations`, { query: { n, variant }, signal });
export const made = (items, user, n, variant, signal) =>
  ask("v1/recommend", { body: { items, user_id: user, n, variant, context: {}, exclude: [] }, signal });
export const search = (text, n, signal) => ask("v1/items", { query: { q: text, n }, signal });
export const item = (itemId) => ask(`v1/items/${id(itemId)}`);
export const similar = (itemId, n, signal) => ask(`v1/items/${id(itemId)}/similar`, { query: { n }, signal });
export const map = (variant) => ask("v1/map", { query: { variant } });
