// Figures, days and refusals as people read them.

const WHOLE = new Intl.NumberFormat("en");
const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

export const count = (number) => WHOLE.format(number);

/** "2018-01-01", with or without a time -> "Jan 1, 2018" */
export function day(text) {
  const date = new Date(`${String(text).slice(0, 10)}T00:00:00Z`);
  return Number.isNaN(date.getTime()) ? String(text) : DAY.format(date);
}

/** Four figures at most. */
export function figure(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 1000) return WHOLE.format(Math.round(value));
  return String(Number(value.toPrecision(4)));
}

/** A score beside others of its list. */
export const score = (value) => (Math.abs(value) >= 100 ? String(Math.round(value)) : value.toFixed(3));

export const titleOf = (item) => item.title ?? item.item_id;

/** Categories as they are kept, "A|B" -> "A, B"; capitals alone are hard to read. */
export function categoryOf(item) {
  const names = (item.category ?? "").split("|").filter(Boolean);
  return names.map((name) => (name === name.toUpperCase() ? name[0] + name.slice(1).toLowerCase() : name)).join(", ");
}

/** A model's version in short: neumf-20180101-production-485c0416524f -> neumf */
export const modelName = (version) => version.split("-")[0];

/** Why something is not shown. */
export function why(error) {
  if (error.status === 401) return "a key is needed: press Key above";
  if (error.status === 404 && error.message === "Not Found") return "this service does not answer it";
  return error.message;
}

/** The live nights, that of requests which name no variant first. */
export function usualFirst({ variant, nights }) {
  return [...nights].sort((a, b) => Number(b.variant === variant) - Number(a.variant === variant));
}
