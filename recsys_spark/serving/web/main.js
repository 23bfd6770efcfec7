// The page: which view the address names, the colours, the key, and the state of the night on top.

import * as api from "./api.js";
import { h } from "./dom.js";
import { ItemsView } from "./items_view.js";
import { ListsView, listsOf } from "./lists_view.js";
import { NightView, verdict } from "./night_view.js";
import { day, modelName, why } from "./words.js";

const VIEWS = { lists: ListsView, items: ItemsView, night: NightView };
const TITLES = { lists: "Lists", items: "Items", night: "Night" };
const THEMES = ["auto", "light", "dark"];
const KEPT_THEME = "recsys-theme";

const part = (id) => document.getElementById(id);
const dark = matchMedia("(prefers-color-scheme: dark)");
let nights = null;
let views = {};
const left = {}; // by view: the address at which it was left

function colours(chosen = localStorage.getItem(KEPT_THEME) ?? "auto") {
  localStorage.setItem(KEPT_THEME, chosen);
  document.documentElement.dataset.theme = chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
  part("theme").textContent = chosen[0].toUpperCase() + chosen.slice(1);
  part("theme").setAttribute("aria-label", `Colours: ${chosen}`);
  part("theme").onclick = () => colours(THEMES[(THEMES.indexOf(chosen) + 1) % THEMES.length]);
}

function address() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: path in VIEWS ? path : "lists", params: new URLSearchParams(query) };
}

function show() {
  if (!nights) return;
  const { name, params } = address();
  if (params.size) left[name] = location.hash;
  else if (left[name]) return location.replace(left[name]);
  views[name] ??= new VIEWS[name](nights, (values, instead = false) => {
    const next = `#/${name}?${new URLSearchParams(values)}`;
    if (instead) location.replace(next); // not a step to go back to
    else location.hash = next;
  });
  const view = views[name];
  if (part("view").firstChild !== view.element) {
    const held = part("view").contains(document.activeElement);
    part("view").replaceChildren(view.element);
    scrollTo(0, 0);
    if (held) part("main").focus({ preventScroll: true });
  }
  for (const link of document.querySelectorAll(".top nav a")) {
    if (link.hash.startsWith(`#/${name}`)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${TITLES[name]} – Lists of the night`;
  return view.show(params);
}

async function start() {
  const trouble = part("trouble");
  try {
    nights = await api.nights();
    views = {};
    trouble.hidden = true;
    status();
    show();
  } catch (error) {
    nights = null;
    part("status").replaceChildren();
    trouble.textContent = `Nothing can be shown: ${why(error)}.`;
    trouble.hidden = false;
    if (error.status === 503) setTimeout(start, 5000);
  }
}

function status() {
  const night = nights.nights.find((one) => one.variant === nights.variant) ?? nights.nights[0];
  const { words, good } = verdict(night.health);
  part("status").replaceChildren(
    h("span", {}, "Night of ", h("strong", {}, day(night.as_of_date))), h("span", {}, "Model ", h("strong", {}, modelName(night.model_version))),
    h("span", {}, h("strong", {}, listsOf(night))),
    h("a", { href: "#/night" }, h("span", { class: `tag ${good === null ? "" : good ? "good" : "bad"}` }, words)));
}

function askForKey() {
  if (!part("key-dialog").open) part("key-dialog").showModal();
}

part("key").addEventListener("click", askForKey);
part("key-cancel").addEventListener("click", () => part("key-dialog").close());
part("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  api.useKey(part("key-input").value);
  part("key-input").value = "";
  part("key-dialog").close();
  start();
});
document.addEventListener("key-wanted", askForKey);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names a view
  part("main").focus();
});
dark.addEventListener("change", () => colours());
addEventListener("hashchange", show);
colours();
start();
