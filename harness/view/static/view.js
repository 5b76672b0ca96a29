// The list with a keyboard, and as it changes. Without this script the pages work as links and
// forms; it adds: filtering while one types, new runs as they come, studies that open in place,
// and the choice of runs kept from page to page.
"use strict";

const KEPT = "chosen runs";
const POLL_MS = 3000, TYPED_MS = 200;
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

const chosen = new Set(JSON.parse(sessionStorage.getItem(KEPT) || "[]"));
const opened = new Set();

function keep() {
  sessionStorage.setItem(KEPT, JSON.stringify([...chosen]));
  const go = $("#go");
  if (!go) return;
  go.disabled = chosen.size < 2;
  const runs = chosen.size === 1 ? "1 run" : chosen.size + " runs";
  go.textContent = chosen.size < 2 ? "Choose two runs or more to compare" : "Compare " + runs;
  $("#none").hidden = chosen.size === 0;
}

function tick(within = document) {
  for (const box of $$("input[name=run]", within)) box.checked = chosen.has(box.value);
}

function choose(box) {
  if (box.checked) chosen.add(box.value);
  else chosen.delete(box.value);
  keep();
}

// ---- studies that open in place

function below(row) {
  const path = row.dataset.path + "/";
  return $$("tr[data-path]", row.parentElement).filter((one) => one.dataset.path.startsWith(path));
}

async function open(button) {
  const row = button.closest("tr");
  opened.add(row.dataset.path);
  button.setAttribute("aria-expanded", "true");
  const answer = await fetch(button.dataset.inside);
  if (!answer.ok || below(row).length) return;
  const body = document.createElement("tbody");
  body.innerHTML = await answer.text();
  tick(body);
  row.after(...body.children);
  await openAgain(row.parentElement);
}

function close(button) {
  const row = button.closest("tr");
  opened.delete(row.dataset.path);
  button.setAttribute("aria-expanded", "false");
  for (const one of below(row)) one.remove();
}

async function openAgain(within) {
  for (const button of $$(".fold[aria-expanded=false]", within))
    if (opened.has(button.closest("tr").dataset.path)) await open(button);
}

// ---- the list as it changes

let asked = 0;

async function refresh(address) {
  const number = ++asked;
  const answer = await fetch("/part" + address);
  const text = await answer.text();
  if (!answer.ok || number !== asked) return; // a later one has been asked for
  const active = document.activeElement;
  const row = active && active.closest("#part tr[data-path]");
  const which = row && [row.dataset.path, active.matches("a") ? "a" : active.matches("button") ? "button" : "input"];
  $("#part").innerHTML = text;
  tick();
  await openAgain($("#part"));
  if (!which) return;
  const again = $$("#part tr[data-path]").find((one) => one.dataset.path === which[0]);
  if (again) ($(which[1], again) || $("a", again)).focus();
}

async function follow() {
  if (document.hidden || !$("#part")) return;
  try {
    const found = await (await fetch("/version")).json();
    if (String(found.version) !== $("#count").dataset.version) await refresh(location.search);
  } catch {
    return; // the server has been stopped
  }
}

function filtered() {
  const given = new URLSearchParams(new FormData($("#filter")));
  for (const [name, value] of [...given]) if (!value) given.delete(name);
  return given.size ? "?" + given : "?";
}

let waiting = 0;
function typed() {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const address = filtered();
    history.replaceState(null, "", "/" + (address === "?" ? "" : address));
    refresh(address);
  }, TYPED_MS);
}

// ---- keys

function move(by) {
  const rows = $$(".list tbody tr[data-path]");
  if (!rows.length) return;
  const now = rows.indexOf(document.activeElement.closest("tr[data-path]"));
  const next = now < 0 ? 0 : Math.min(Math.max(now + by, 0), rows.length - 1);
  $("a", rows[next]).focus();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const active = document.activeElement;
  if (event.key === "Escape" && active.matches("input[type=search]")) return active.blur();
  if (active.matches("input[type=search], select")) return;
  const row = active.closest("tr[data-path]");
  const fold = row && $(".fold", row), box = row && $("input[name=run]", row);
  const isOpen = fold && fold.getAttribute("aria-expanded") === "true";
  const does = {
    "/": () => $("#filter input") && $("#filter input").focus(),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    ArrowRight: fold && !isOpen ? () => open(fold) : null,
    ArrowLeft: isOpen ? () => close(fold) : null,
    " ": box && active !== box && !active.matches("button") ? () => box.click() : null,
    c: () => chosen.size > 1 && $("#go") && $("#go").click(),
  }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
}

document.addEventListener("keydown", onKey);
document.addEventListener("change", (event) => {
  if (event.target.matches("input[name=run]")) choose(event.target);
  if (event.target.matches("#filter select")) typed();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest(".fold");
  if (button) (button.getAttribute("aria-expanded") === "true" ? close : open)(button);
  if (event.target.id === "none") {
    chosen.clear();
    tick();
    keep();
  }
});
if ($("#filter")) $("#filter").addEventListener("input", typed);
if ($("#runs"))
  $("#runs").addEventListener("submit", (event) => {
    event.preventDefault(); // those on other pages are chosen, too
    const runs = new URLSearchParams([...chosen].map((path) => ["run", path]));
    location.href = "/compare?" + runs;
  });
if ($("#part")) setInterval(follow, POLL_MS);
tick();
keep();
