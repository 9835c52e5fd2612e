// Left and right move along, as in the tabs pattern of WAI-ARIA; a tab opens when it gets the focus.
export function render({ model, el }) {
  const strip = h("div", { class: "tabs", role: "tablist", "aria-label": model.label });
  const open = (id) => { if (id !== model.active) model.active = id; };
  function tab(entry) {
    const chosen = entry.id === model.active;
    return h("button", { class: "tab", type: "button", role: "tab", id: `tab-${entry.id}`, "aria-selected": String(chosen), tabindex: chosen ? "0" : "-1", onclick: () => open(entry.id) },
      entry.label, entry.count ? h("span", { class: `chip ${entry.tone || ""}` }, String(entry.count)) : "");
  }
  // On a phone the strip is wider than the screen: the open tab is moved into it, sideways only.
  function reveal() {
    const box = strip.getBoundingClientRect(), tab = strip.querySelector('[aria-selected="true"]')?.getBoundingClientRect();
    if (tab && tab.left < box.left) strip.scrollLeft += tab.left - box.left - 24;
    else if (tab && tab.right > box.right) strip.scrollLeft += tab.right - box.right + 24;
  }
  function write() {
    const focused = strip.contains(el.getRootNode().activeElement);
    strip.replaceChildren(...model.tabs.map(tab));
    if (focused) strip.querySelector('[aria-selected="true"]')?.focus();
  }
  strip.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const ids = model.tabs.map((entry) => entry.id);
    const at = ids.indexOf(model.active);
    if (step) open(ids[(at + step + ids.length) % ids.length]);
    else if (event.key === "Home") open(ids[0]);
    else if (event.key === "End") open(ids.at(-1));
    else return;
    event.preventDefault();
  });
  write();
  model.on(["tabs", "active"], steady(strip, write));
  model.on("active", reveal);
  el.append(strip);
  requestAnimationFrame(reveal);
}
