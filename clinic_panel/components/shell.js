const LOGO = [
  ["rect", { x: 0, y: 0, width: 32, height: 32, rx: 8, fill: "#ffffff", "fill-opacity": ".15" }],
  ["path", { d: "M7 12V9a2 2 0 0 1 2-2h3M20 7h3a2 2 0 0 1 2 2v3M25 20v3a2 2 0 0 1-2 2h-3M12 25H9a2 2 0 0 1-2-2v-3", fill: "none", stroke: "#ffffff", "stroke-width": "2.2", "stroke-linecap": "round" }],
  ["path", { d: "M16 11v10M11 16h10", stroke: "#ffffff", "stroke-width": "3.4", "stroke-linecap": "round" }],
];

function logo() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 32 32");
  svg.setAttribute("aria-hidden", "true");
  for (const [tag, attributes] of LOGO) {
    const shape = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    svg.append(shape);
  }
  return svg;
}

function initials(name) {
  const words = name.trim().split(/[\s._-]+/).filter(Boolean);
  return (words.length > 1 ? [words[0], words.at(-1)] : words).map((word) => [...word][0].toUpperCase()).join("") || "?";
}

function remember(key, value) {
  try { localStorage.setItem(key, value); } catch { /* private window: the choice lasts this page */ }
}

// The head script (page.html) has set data-theme and data-nav before the first paint; the Material
// widgets watch data-theme themselves.
function themeButton() {
  const root = document.documentElement;
  const button = h("button", { class: "round", type: "button" });
  const show = () => {
    const dark = root.dataset.theme === "dark";
    button.setAttribute("aria-label", dark ? "Use the light theme" : "Use the dark theme");
    button.title = button.getAttribute("aria-label");
    button.replaceChildren(icon(dark ? "light" : "dark"));
  };
  button.addEventListener("click", () => {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    remember("clinic-theme", root.dataset.theme);
    show();
  });
  show();
  return button;
}

// Words not yet saved stay in the tab for who wrote them; who signs out leaves none behind.
function forgetDrafts() {
  try {
    for (const key of Object.keys(sessionStorage)) if (key.startsWith("clinic-draft-")) sessionStorage.removeItem(key);
  } catch { /* forbidden: then nothing was kept either */ }
}

// Whoever signs out here knows that the session ends; the page need not be told.
let isSigningOut = false;
function signOut() {
  isSigningOut = true;
  forgetDrafts();
}

function railButton(host) {
  const root = document.documentElement;
  const button = h("button", { class: "round burger", type: "button", "aria-label": "Narrow navigation" }, icon("menu"));
  const show = () => {
    const rail = root.dataset.nav === "rail";
    button.setAttribute("aria-pressed", String(rail));
    host.toggleAttribute("data-rail", rail);
  };
  button.addEventListener("click", () => {
    root.dataset.nav = root.dataset.nav === "rail" ? "full" : "rail";
    remember("clinic-nav", root.dataset.nav);
    show();
  });
  show();
  return button;
}

function finder(model) {
  const list = h("ul", { class: "hits", id: "hits", role: "listbox", "aria-label": "Found", hidden: true });
  const input = h("input", {
    type: "search", role: "combobox", autocomplete: "off", spellcheck: "false", maxlength: "64",
    "aria-label": "Find patient", "aria-controls": "hits", "aria-expanded": "false", "aria-autocomplete": "list",
    placeholder: "Find patient, ID, accession…",
  });
  const said = h("span", { class: "sr", role: "status" });
  const box = h("div", { class: "find", role: "search" }, icon("search"), input, h("kbd", { "aria-hidden": "true" }, "/"), list, said);
  // Numbers of questions: the last, the one whose hits are shown, the one whose answer Enter waits for.
  let asked = 0, shown = 0, wanted = 0, at = -1, hits = [];
  const options = () => [...list.querySelectorAll("[role=option]")];
  function show(open) {
    list.hidden = !open;
    input.setAttribute("aria-expanded", String(open));
    if (!open) { at = -1; input.removeAttribute("aria-activedescendant"); }
  }
  function mark(next) {
    const all = options();
    if (!all.length) return;
    at = (next + all.length) % all.length;
    all.forEach((item, index) => item.setAttribute("aria-selected", String(index === at)));
    input.setAttribute("aria-activedescendant", all[at].id);
    all[at].scrollIntoView({ block: "nearest" });
  }
  const send = debounce(180, () => {
    const text = input.value.trim();
    if (text.length < 2) { show(false); return; }
    model.send_msg({ kind: "find", text, n: asked });
  });
  const go = () => options()[at]?.querySelector("a").click();
  const draw = steady(list, () => {
    at = -1;
    list.replaceChildren(...hits.map((hit, index) => h("li", { role: "option", id: `hit-${index}`, "aria-selected": "false" },
      h("a", { href: hit.href, tabindex: "-1" },
        h("span", { class: "what" }, h("b", {}, hit.label), hit.detail && h("small", {}, hit.detail)),
        hit.chip && h("span", { class: `chip ${hit.tone || ""}` }, hit.chip)))));
    if (!hits.length) list.append(h("li", { class: "none" }, "Nobody found."));
    said.textContent = hits.length ? `${hits.length} found` : "Nobody found";
    show(true);
    if (hits.length) mark(0);
    if (wanted === shown && hits.length === 1) go();
  });
  model.on("msg:custom", (answer) => {
    if (answer.kind !== "hits" || answer.n !== asked) return;  // a later question is on its way
    [shown, hits] = [answer.n, answer.hits];
    draw();
  });
  input.addEventListener("input", () => { asked += 1; send(); });
  input.addEventListener("focus", () => { if (options().length && input.value.trim().length > 1) show(true); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") { event.preventDefault(); mark(at + 1); }
    else if (event.key === "ArrowUp") { event.preventDefault(); mark(at - 1); }
    else if (event.key === "Enter") {
      // The hits of a text that has changed since are somebody else: who is meant shows with the answer.
      if (shown !== asked) wanted = asked;
      else if (!list.hidden) go();
    } else if (event.key === "Escape") { event.preventDefault(); wanted = 0; if (list.hidden) input.value = ""; show(false); }
  });
  box.addEventListener("focusout", (event) => { if (!box.contains(event.relatedTarget)) { wanted = 0; show(false); } });
  return [box, input];
}

function person(model) {
  const list = h("div", { class: "pop", role: "menu", "aria-label": "Account" },
    h("span", { class: "who", role: "presentation" }, h("b", {}, model.user), model.role),
    h("a", { href: "/password", role: "menuitem" }, icon("key"), "Change password"),
    h("form", { method: "post", action: "/logout", role: "none", onsubmit: signOut },
      h("button", { type: "submit", role: "menuitem" }, icon("logout"), "Sign out")));
  const button = h("button", { class: "me", type: "button", "aria-label": `Account: ${model.user}, ${model.role}` },
    h("span", { class: "avatar", "aria-hidden": "true" }, initials(model.user)),
    h("span", { class: "label" }, h("span", { class: "name" }, model.user), h("span", { class: "role" }, model.role)));
  menu(button, list);
  return h("div", { class: "user" }, button, list);
}

function navigation(model) {
  return h("nav", { "aria-label": "Main" }, h("ul", {}, model.entries.map((entry) =>
    h("li", {}, h("a", { href: entry.href, title: entry.label, "aria-current": entry.id === model.active && "page" }, icon(entry.icon), h("span", {}, entry.label))))));
}

function main(view) {
  return view.parent?.shadow_el?.querySelector("main");
}

function lost() {
  return h("div", { class: "lost", role: "alert" }, "The connection to the clinic was lost.",
    h("button", { class: "btn small", type: "button", onclick: () => location.reload() }, "Reload"));
}

const BEAT_MS = 60000, WARN_MS = 120000;

// Says at most once a minute that somebody is working here, and warns before the session ends
// because nobody does. All tabs of a browser share one session, so they share the moment too.
function heartbeat(model, el) {
  const signs = ["pointerdown", "keydown", "wheel"];
  let said = Date.now(), seen = said, timer = 0;
  const last = () => { try { return Math.max(said, Number(localStorage.getItem("clinic-alive"))); } catch { return said; } };
  const say = () => {
    said = Date.now();
    remember("clinic-alive", said);
    model.send_msg({ kind: "alive" });
    el.querySelector(".idle")?.remove();
  };
  const beat = () => {
    seen = Date.now();
    if (seen - said >= BEAT_MS || el.querySelector(".idle")) say();
  };
  const look = () => {
    if (seen > said && Date.now() - said >= BEAT_MS) say();
    const left = last() + model.idle_s * 1000 - Date.now() - WARN_MS;
    if (left > 0) el.querySelector(".idle")?.remove();
    else if (!el.querySelector(".idle")) el.append(idle(say));
    timer = setTimeout(look, Math.min(Math.max(left, 1000), BEAT_MS));
  };
  remember("clinic-alive", said);
  for (const name of signs) document.addEventListener(name, beat, { passive: true, capture: true });
  if (model.idle_s) look();
  return () => {
    clearTimeout(timer);
    for (const name of signs) document.removeEventListener(name, beat, { capture: true });
  };
}

function idle(stay) {
  return h("div", { class: "lost idle", role: "alert" }, "Nobody seems to be working here: you will be signed out within two minutes.",
    h("button", { class: "btn small", type: "button", onclick: stay }, "Stay signed in"));
}

export function render({ model, view, el }) {
  const host = el.getRootNode().host;
  const [find, input] = finder(model);
  const skip = h("a", { class: "skip", href: "#main", onclick: (event) => {
    event.preventDefault();
    const target = main(view);
    if (target) { target.tabIndex = -1; target.focus(); }
  } }, "Skip to content");
  const bar = h("div", { class: "bar" }, railButton(host),
    h("a", { class: "brand", href: "/", "aria-label": "Clinic Panel, start" }, logo(), h("span", {}, "Clinic Panel")),
    model.searchable ? find : h("span", { style: "margin-left:auto" }), themeButton(), person(model));
  const slash = (event) => {
    const typing = event.composedPath()[0];
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(typing.tagName)) return;
    event.preventDefault();
    input.focus();
  };
  if (model.searchable) document.addEventListener("keydown", slash);
  const still = heartbeat(model, el);
  const gone = () => { if (!el.querySelector(".lost")) el.append(lost()); };
  view.model.document?.on_event?.("connection_lost", gone);
  model.on("ended", () => {
    if (!model.ended || isSigningOut) return;
    if (window.name === "clinic-second") window.close(); // the viewer's, on a second monitor
    location.assign(local(model.ended));
  });
  model.on(["entries", "active"], () => el.querySelector("nav")?.replaceWith(navigation(model)));
  model.on("remove", () => { document.removeEventListener("keydown", slash); still(); });
  el.append(skip, bar, navigation(model));
}
