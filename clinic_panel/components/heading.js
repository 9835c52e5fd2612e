function shifted(day, days) {
  const moment = new Date(`${day}T12:00:00Z`);
  moment.setUTCDate(moment.getUTCDate() + days);
  return moment.toISOString().slice(0, 10);
}

function stepper(model) {
  const input = h("input", { type: "date", "aria-label": "Day", value: model.day, required: true });
  const go = (day) => { if (day && day !== model.day) { input.value = day; model.day = day; } };
  const step = (name, label, days) => h("button", { class: "btn square", type: "button", "aria-label": label, title: label, onclick: () => go(shifted(model.day, days)) }, icon(name));
  const now = h("button", { class: "btn", type: "button", onclick: () => go(model.today) }, "Today");
  // A year typed digit by digit is a valid date from its first digit on: wait until it is plausible.
  input.addEventListener("change", () => { if (input.value > "1900") go(input.value); });
  const show = () => { input.value = model.day; now.disabled = model.day === model.today; };
  show();
  model.on(["day", "today"], show);
  return h("div", { class: "day", role: "group", "aria-label": "Day shown" }, step("left", "Previous day", -1), input, step("right", "Next day", 1), now);
}

function press(model, button) {
  const style = { class: `btn ${button.primary ? "primary" : ""} ${button.danger ? "danger" : ""}`, title: button.title };
  const inner = [button.icon && icon(button.icon), button.label];
  if (button.href) return h("a", { ...style, href: button.href, target: button.new_tab ? "_blank" : undefined, rel: button.new_tab ? "noopener" : undefined }, inner);
  return h("button", { ...style, type: "button", disabled: button.disabled, onclick: () => model.send_msg({ kind: "press", id: button.id }) }, inner);
}

export function render({ model, el }) {
  const title = h("h1");
  const note = h("p");
  const chips = h("span", { class: "chips" });
  const tools = h("div", { class: "tools" });
  const words = () => {
    title.textContent = model.title;
    note.textContent = model.note;
    note.hidden = !model.note;
    chips.replaceChildren(...model.chips.map((chip) => h("span", { class: `chip ${chip.tone || ""}` }, chip.label)));
    chips.hidden = !model.chips.length;
  };
  const buttons = () => {
    const focused = [...tools.children].indexOf(tools.getRootNode().activeElement);
    tools.replaceChildren(...model.buttons.map((button) => press(model, button)));
    tools.children[focused]?.focus();
  };
  words();
  buttons();
  model.on(["title", "note", "chips"], words);
  model.on("buttons", steady(tools, buttons));
  const back = model.back && h("a", { class: "back", href: model.back.href }, icon("left"), model.back.label);
  el.append(h("div", { class: "line" }, h("div", { class: "words" }, back || "", title, note), chips, model.day ? stepper(model) : "", tools));
}
