const NATIVE = { date: "date", time: "time", number: "number", password: "password", email: "email", search: "search" };

function control(field, id) {
  const common = {
    id, name: field.name, required: field.required, disabled: field.disabled, maxlength: field.max_length, placeholder: field.placeholder,
    autocomplete: field.autocomplete || (field.kind === "password" ? "current-password" : "off"), "aria-describedby": `${id}-help ${id}-wrong`,
    min: field.min, max: field.max, step: field.step, inputmode: field.inputmode, pattern: field.pattern, dir: field.kind === "text" || field.kind === "textarea" ? "auto" : undefined,
  };
  if (field.kind === "select") {
    const select = h("select", common);
    fillOptions(select, field);
    return select;
  }
  if (field.kind === "choice") return choices(field, id);
  if (field.kind === "textarea") return h("textarea", { ...common, rows: field.rows || 4, value: field.value ?? "" });
  if (field.kind === "checkbox") {
    const box = h("input", { ...common, type: "checkbox" });
    box.checked = Boolean(field.value);
    return box;
  }
  return h("input", { ...common, type: NATIVE[field.kind] || "text", spellcheck: "false", value: field.value ?? "" });
}

const boxes = (group) => [...group.querySelectorAll("input")];

// Radio buttons as cards or chips; the group answers like one input.
function choices(field, id) {
  const group = h("div", { id, class: `choices ${field.cards ? "cards" : ""}`, role: "radiogroup", "aria-labelledby": `${id}-label`, "aria-describedby": `${id}-help ${id}-wrong` });
  Object.defineProperties(group, {
    value: { get: () => boxes(group).find((box) => box.checked)?.value ?? "", set: (value) => { for (const box of boxes(group)) box.checked = box.value === String(value ?? ""); } },
    validity: { get: () => { const missing = Boolean(field.required) && !group.value; return { valid: !missing, valueMissing: missing, badInput: false }; } },
  });
  group.focus = () => (boxes(group).find((box) => box.checked) || boxes(group)[0])?.focus();
  fillChoices(group, field);
  return group;
}

function fillChoices(group, field) {
  const value = String(field.value ?? ""), focused = group.getRootNode().activeElement, was = group.contains(focused) && focused.value;
  group.replaceChildren(...(field.options || []).map((option) => h("label", { class: "choice" },
    h("input", { type: "radio", name: field.name, value: String(option.value), "aria-label": [option.label, option.detail].filter(Boolean).join(": ") }),
    h("span", { dir: "auto" }, option.label, option.detail && h("small", { dir: "auto" }, option.detail)))),
    ...(field.options?.length ? [] : [h("span", { class: "none" }, field.placeholder || "Nothing to choose from.")]));
  group.value = value;
  if (was !== false) (boxes(group).find((box) => box.value === was) || boxes(group)[0])?.focus();
}

// A field that finds one of many: what is typed is asked of the server, what counts is the row chosen.
class Lookup {
  constructor(field, input, told) {
    Object.assign(this, { input, told, at: -1, options: [], field });
    this.list = h("ul", { id: `${input.id}-list`, class: "hits", role: "listbox", "aria-label": "Suggestions", hidden: true });
    for (const [key, value] of Object.entries({ role: "combobox", "aria-autocomplete": "list", "aria-controls": this.list.id, "aria-expanded": "false" })) input.setAttribute(key, value);
    this.ask = debounce(220, () => told());
    input.addEventListener("input", () => { this.keep("", input.value); this.ask(); });
    input.addEventListener("keydown", (event) => this.key(event));
    input.addEventListener("blur", () => this.open(false));
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());  // keeps the focus in the field
    this.keep("", "");
    this.fill(field);
    if (field.value) this.choose(this.options.find((option) => String(option.value) === String(field.value)), false);
  }

  keep(value, text) {
    this.input.chosen = value;
    if (this.input.value !== text) this.input.value = text;  // else the caret would jump
    this.input.setCustomValidity(text && !value ? "choose" : "");
  }

  fill(field) {
    this.field = field;
    this.options = field.options || [];
    this.at = -1;
    const rows = this.options.map((option, index) => h("li", {
      id: `${this.list.id}-${index}`, role: "option", "aria-selected": "false", class: option.extra ? "extra" : "", onclick: () => this.choose(option),
    }, h("span", { class: "name", dir: "auto" }, option.label), option.detail && h("span", { class: "detail", dir: "auto" }, option.detail)));
    this.list.replaceChildren(...rows);
    this.open(rows.length > 0 && !this.input.chosen && this.input.value && this.input.getRootNode().activeElement === this.input);
  }

  open(on) {
    this.list.hidden = !on;
    this.input.setAttribute("aria-expanded", String(Boolean(on)));
    if (!on) this.input.removeAttribute("aria-activedescendant");
  }

  choose(option, tell = true) {
    if (!option) return;
    this.keep(String(option.value), option.extra ? option.label : [option.label, option.detail].filter(Boolean).join(" · "));
    this.open(false);
    if (tell) { this.input.dispatchEvent(new Event("chosen")); this.told(); }
  }

  key(event) {
    if (event.key === "ArrowDown" && this.list.hidden && this.options.length) this.open(true);
    if (this.list.hidden) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") this.mark(this.at + (event.key === "ArrowDown" ? 1 : -1));
    else if (event.key === "Enter" && this.at >= 0) this.choose(this.options[this.at]);
    else if (event.key === "Escape") { this.open(false); event.stopPropagation(); }
    else return;
    event.preventDefault();
  }

  mark(index) {
    const rows = [...this.list.children];
    this.at = (index + rows.length) % rows.length;
    rows.forEach((row, n) => row.setAttribute("aria-selected", String(n === this.at)));
    rows[this.at].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", rows[this.at].id);
  }
}

function fillOptions(select, field) {
  const options = (field.options || []).map((option) => typeof option === "string" ? { value: option, label: option } : option);
  const value = field.value ?? "";
  const blank = !field.required || !options.some((option) => String(option.value) === String(value));
  select.replaceChildren(...(blank ? [h("option", { value: "" }, field.placeholder || "Choose…")] : []),
    ...options.map((option) => h("option", { value: String(option.value), disabled: option.disabled }, option.label)));
  select.value = options.some((option) => String(option.value) === String(value)) ? String(value) : "";
}

class Form {
  constructor(model, el) {
    Object.assign(this, { model, el, inputs: new Map(), isNew: false, n: 0, sentAt: 0, touchedAt: 0 });
    this.title = h("h2", { id: "title" });
    this.intro = h("p", { class: "intro", id: "intro" });
    this.grid = h("div", { class: "fields" });
    this.alert = h("div", { class: "alert", role: "alert", hidden: true });
    this.warn = h("div", { class: "alert warn", role: "status", hidden: true });
    this.cancel = h("button", { class: "btn", type: "button", onclick: () => this.close(true) });
    this.submit = h("button", { class: "btn primary", type: "submit" });
    this.form = h("form", { novalidate: true },
      h("header", {}, this.title, h("button", { class: "btn square bare", type: "button", "aria-label": "Close", onclick: () => this.close(true) }, icon("close"))),
      this.intro, this.grid, this.alert, this.warn, h("footer", {}, this.cancel, this.submit));
    this.dialog = h("dialog", { "aria-labelledby": "title", "aria-describedby": "intro" }, this.form);
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    this.dialog.addEventListener("cancel", (event) => { event.preventDefault(); this.close(true); });
    this.dialog.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.ctrlKey) this.send(); event.stopPropagation(); });
    el.append(this.dialog);
  }

  row(field) {
    if (field.kind === "section") return h("div", { class: "section", role: "heading", "aria-level": "3" }, field.label);
    if (field.kind === "note") return h("p", { class: "note" }, field.label);
    const id = `f-${field.name}`;
    const input = control(field, id);
    const wrong = h("p", { class: "wrong", id: `${id}-wrong`, hidden: true });
    const must = field.required ? h("span", { class: "must", "aria-hidden": "true" }, "*") : "";
    const label = field.kind === "choice" ? h("div", { class: "label", id: `${id}-label` }, field.label, must) : h("label", { for: id }, field.label, must);
    const help = h("p", { class: "help", id: `${id}-help`, hidden: !field.help }, field.help);
    const lookup = field.kind === "lookup" ? new Lookup(field, input, () => this.tell(field.name)) : null;
    const known = { input, wrong, help, field, lookup, touched: -1 };
    this.inputs.set(field.name, known);
    for (const name of ["input", "change", "chosen"]) input.addEventListener(name, () => { this.touchedAt = performance.now(); known.touched = this.n; });
    input.addEventListener("chosen", () => this.mark(field.name, ""));
    input.addEventListener("input", () => this.mark(field.name, ""));
    if (field.live && !lookup) input.addEventListener(field.kind === "text" || field.kind === "search" || !field.kind ? "input" : "change", debounce(field.kind === "select" || field.kind === "choice" ? 0 : 350, () => this.tell(field.name)));
    const inner = field.kind === "checkbox" ? [h("div", { class: "check" }, input, label)] : [label, input, lookup?.list];
    const row = h("div", { class: `field ${field.width || ""}`, hidden: Boolean(field.hidden) }, inner, help, wrong);
    known.row = row;
    return row;
  }

  // Another form: what was typed in the one before is not of it, and no press there is waited for.
  renew() {
    this.isNew = true;
    for (const known of this.inputs.values()) known.touched = -1;
  }

  // Whether a field was changed after the message that is answered: the answer cannot know of it.
  isNewer(known) { return known.touched >= this.model.answered; }

  // Other fields are asked: what was typed since the question stays typed where it still is one of them.
  build(fields) {
    const before = new Map(this.inputs);
    const focused = [...before].find(([, { row }]) => row.contains(row.getRootNode().activeElement))?.[0];
    this.inputs.clear();
    this.grid.replaceChildren(...fields.map((field) => this.row(field)));
    for (const [name, known] of this.inputs) {
      const old = before.get(name);
      if (!old || old.field.kind !== known.field.kind || !this.isNewer(old)) continue;
      known.touched = old.touched;
      if (known.lookup) known.lookup.keep(old.input.chosen, old.input.value);
      else if (known.field.kind === "checkbox") known.input.checked = old.input.checked;
      else known.input.value = old.input.value;
    }
    if (focused) this.inputs.get(focused)?.input.focus();
  }

  // A list of the same names is brought up to date in place: what was typed stays typed.
  fields() {
    const { fields } = this.model;
    this.isNew = false;
    const names = fields.map((field) => `${field.name || field.label}:${field.kind || "text"}`).join();
    if (this.names !== names || !this.dialog.open) {
      this.names = names;
      this.build(fields);
      return;
    }
    for (const field of fields) {
      const known = this.inputs.get(field.name);
      if (!known) continue;
      const before = known.field, isOther = field.value !== before.value && !this.isNewer(known);
      known.field = field;
      known.input.disabled = Boolean(field.disabled);
      known.row.hidden = Boolean(field.hidden);
      known.help.textContent = field.help || "";
      known.help.hidden = !field.help;
      if (known.lookup) {
        if (JSON.stringify(before.options) !== JSON.stringify(field.options)) known.lookup.fill(field);
        if (field.value && isOther) known.lookup.choose(known.lookup.options.find((option) => String(option.value) === String(field.value)), false);
      } else if (field.kind === "choice") {
        if (["options", "placeholder"].some((what) => JSON.stringify(before[what]) !== JSON.stringify(field[what]))) {
          fillChoices(known.input, { ...field, value: isOther ? field.value : known.input.value });
        } else if (isOther) known.input.value = field.value;
      } else if (field.kind === "select" && JSON.stringify(before.options) !== JSON.stringify(field.options)) {
        const held = known.input.value;
        fillOptions(known.input, { ...field, value: isOther ? field.value : held });
      } else if (isOther) {
        if (field.kind === "checkbox") known.input.checked = Boolean(field.value);
        else known.input.value = field.value ?? "";
      }
    }
  }

  values() {
    return Object.fromEntries([...this.inputs].map(([name, { input, field }]) =>
      [name, field.kind === "checkbox" ? input.checked : field.kind === "lookup" ? input.chosen : field.kind === "password" ? input.value : input.value.trim()]));
  }

  mark(name, problem) {
    const { input, wrong } = this.inputs.get(name);
    input.setAttribute("aria-invalid", String(Boolean(problem)));
    wrong.textContent = problem;
    wrong.hidden = !problem;
  }

  send() {
    if (this.model.busy) return;
    let first = null;
    for (const [name, { input, field }] of this.inputs) {
      const problem = field.hidden ? "" : input.validity.valueMissing ? `${field.label} is needed.`
        : input.validity.badInput ? `${field.label} is not complete.`
        : input.validity.valid ? "" : field.kind === "lookup" ? "Choose one from the list." : field.hint || `${field.label} is not valid.`;
      this.mark(name, problem);
      if (problem && !first) first = input;
    }
    if (first) { first.focus(); return; }
    this.sentAt = performance.now();
    this.n += 1;
    this.model.send_msg({ kind: "submit", values: this.values(), serial: this.model.serial, n: this.n, seen: this.model.answered });
    for (const { input, field } of this.inputs.values()) if (field.kind === "password") input.value = "";
  }

  tell(name) {
    // What was submitted meanwhile said it all: a late word must not wipe the answer.
    if (!this.dialog.open || !this.inputs.has(name) || this.sentAt > this.touchedAt) return;
    this.n += 1;
    const values = this.values();
    for (const [other, { field }] of this.inputs) if (field.kind === "password") delete values[other];
    this.model.send_msg({ kind: "changed", name, values, text: String(this.inputs.get(name).input.value), serial: this.model.serial, n: this.n });
  }

  close(asked) {
    if (this.dialog.open) this.dialog.close();
    for (const { input, field } of this.inputs.values()) if (field.kind === "password") input.value = "";
    if (asked && this.model.open) this.model.open = false;
  }

  words() {
    const { model } = this;
    this.title.textContent = model.title;
    this.intro.textContent = model.intro;
    this.intro.hidden = !model.intro;
    this.submit.textContent = model.submit_label;
    this.cancel.textContent = model.cancel_label;
    this.submit.classList.toggle("danger", model.danger);
    this.dialog.style.setProperty("--width", model.wide ? "860px" : "620px");
  }

  state() {
    const { model } = this;
    this.submit.disabled = model.busy;
    this.form.setAttribute("aria-busy", String(model.busy));
    this.alert.hidden = !model.problem;
    this.alert.replaceChildren(icon("warning"), h("span", {}, model.problem));
    for (const name of this.inputs.keys()) this.mark(name, model.problems[name] || "");
    const wrong = [...this.inputs.keys()].find((name) => model.problems[name]);
    if (wrong && this.dialog.open) this.inputs.get(wrong).input.focus();
  }

  warnings() {
    const { warning, warning_items: items } = this.model;
    this.warn.hidden = !warning;
    this.warn.replaceChildren(icon("warning"), h("div", {}, warning,
      items.length > 0 && h("ul", {}, items.map((item) => h("li", {}, item.href ? h("a", { href: item.href, target: "_blank", rel: "noopener" }, item.label) : item.label)))));
  }

  toggle() {
    if (this.model.open && !this.dialog.open) {
      this.names = "";
      this.fields();
      this.state();
      this.dialog.showModal();
      const first = [...this.inputs.values()].find(({ input, field }) => !input.disabled && (field.focus || !input.value)) || [...this.inputs.values()][0];
      (first?.input || this.submit).focus();
    } else if (!this.model.open) this.close(false);
  }
}

export function render({ model, el }) {
  const form = new Form(model, el);
  form.words();
  form.warnings();
  form.toggle();
  const follow = steady(form.grid, () => { if (model.open) form.fields(); });
  model.on("serial", () => form.renew());
  model.on("fields", () => { if (!form.isNew) follow(); else if (model.open) form.fields(); });
  model.on(["title", "intro", "submit_label", "cancel_label", "danger", "wide"], () => form.words());
  model.on(["problem", "problems", "busy"], () => form.state());
  model.on(["warning", "warning_items"], () => form.warnings());
  model.on("open", () => form.toggle());
  model.on("remove", () => form.close(false));
}
