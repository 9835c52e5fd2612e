// Preferences: the dialog in which a reader chooses keys, window presets and how the viewer answers.
const WAYS = [
  ["tool", "Drag with the main button", [["window", "sets the window"], ["scroll", "scrolls"], ["pan", "moves"], ["zoom", "zooms"]]],
  ["wheel", "Wheel towards you", [["down", "next image"], ["up", "previous image"]]],
  ["window_pace", "Window drag", [["usual", "usual"], ["slow", "slow"], ["fast", "fast"]]],
  ["loupe", "Magnifier", [["2", "2 ×"], ["3", "3 ×"], ["4", "4 ×"], ["6", "6 ×"]]],
  ["smooth", "Enlarged pixels", [["yes", "smoothed"], ["no", "as they are"]]],
];
const USUAL_WAYS = {
  tool: "window", wheel: "down", window_pace: "usual", loupe: "2", smooth: "yes", nm_colours: "Hot Iron", pt_colours: "PET",
};

function behaviourOf(model) {
  return {...USUAL_WAYS, ...model.preferences?.behaviour};
}

class Settings {
  constructor(viewer) {
    this.viewer = viewer;
    this.dialog = make("dialog", "help settings");
    this.dialog.setAttribute("aria-label", "Settings of the viewer");
    const head = make("div", "help-head");
    head.append(make("h2", "", "Your settings of the viewer"), makeButton("close", "Close settings", "", () => this.dialog.close()));
    const tabs = make("div", "tabs");
    tabs.setAttribute("role", "tablist");
    this.panels = new Map();
    for (const [name, label] of [["keys", "Keys"], ["presets", "Presets"], ["behaviour", "Behaviour"]]) {
      const tab = make("button", "tab", label);
      tab.type = "button";
      tab.setAttribute("role", "tab");
      tab.addEventListener("click", () => this.turnTo(name));
      tab.addEventListener("keydown", (event) => this.walk(event, name));
      const panel = make("div", "panel");
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-label", label);
      tabs.append(tab);
      this.panels.set(name, {tab, panel});
    }
    this.word = make("p", "caution");
    this.word.setAttribute("role", "alert");
    const foot = make("div", "foot");
    const usual = this.push("Reset to defaults", () => this.restore());
    const save = this.push("Save", () => this.save());
    save.classList.add("agree");
    foot.append(usual, make("span", "spring"), this.push("Cancel", () => this.dialog.close()), save);
    this.dialog.append(head, tabs, ...[...this.panels.values()].map(({panel}) => panel), this.word, foot);
    this.dialog.addEventListener("keydown", (event) => this.hear(event));
    this.dialog.addEventListener("close", () => viewer.active.port.focus({preventScroll: true}));
    viewer.root.append(this.dialog);
  }

  push(label, act) {
    const button = make("button", "push", label);
    button.type = "button";
    button.addEventListener("click", act);
    return button;
  }

  show() {
    const {keys, presets} = this.viewer.model.preferences ?? {};
    this.chosen = structuredClone(keys ?? {});
    this.presets = structuredClone(presets ?? []);
    this.behaviour = behaviourOf(this.viewer.model);
    this.turnTo("keys");
    this.dialog.showModal();
  }

  restore() {
    Object.assign(this, {chosen: {}, presets: [], behaviour: {...USUAL_WAYS}});
    this.turnTo(this.open);
    this.word.textContent = "As usual again, once you save.";
  }

  save() {
    const bad = this.presets.findIndex(({label, center, width}) => !label.trim() || !Number.isFinite(center) || !(width > 0));
    if (bad >= 0) {
      this.turnTo("presets");
      this.word.textContent = "A window preset needs a name, a level and a width above 0.";
      this.panels.get("presets").panel.querySelectorAll("tbody tr")[bad].querySelector("input").focus();
      return;
    }
    this.viewer.prefer({keys: this.chosen, presets: this.presets, behaviour: this.behaviour});
    this.dialog.close();
  }

  turnTo(name) {
    this.open = name;
    this.waiting = null;
    this.word.textContent = "";
    for (const [each, {tab, panel}] of this.panels) {
      tab.setAttribute("aria-selected", String(each === name));
      tab.tabIndex = each === name ? 0 : -1;
      panel.hidden = each !== name;
    }
    const content = {keys: () => this.keyList(), presets: () => this.presetList(), behaviour: () => this.wayList()}[name]();
    this.panels.get(name).panel.replaceChildren(...content);
  }

  walk(event, name) {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    const names = [...this.panels.keys()];
    const next = names[(names.indexOf(name) + step + names.length) % names.length];
    this.turnTo(next);
    this.panels.get(next).tab.focus();
  }

  // -- keys ----------------------------------------------------------------------------------

  keyList() {
    const bindings = bindingsOf(this.chosen);
    const nodes = [make("p", "lead", "Choose a key to change it, then press the new one. Delete takes it away.")];
    let list = null;
    let group = "";
    for (const action of ACTIONS) {
      if (action.group !== group) {
        group = action.group;
        list = make("dl");
        nodes.push(make("h3", "", group), list);
      }
      const keys = bindings.get(action.id);
      const cell = make("dd", "keys");
      keys.forEach((key, i) => cell.append(this.cap(action, i, keyShown(key))));
      if (keys.length < 2) cell.append(this.cap(action, keys.length, "+"));
      list.append(make("dt", "", action.label), cell);
    }
    return nodes;
  }

  cap(action, place, text) {
    const cap = make("button", "cap", text);
    cap.type = "button";
    cap.dataset.cap = `${action.id} ${place}`;
    cap.setAttribute("aria-label", `${action.label}: ${text === "+" ? "another key" : text}`);
    cap.addEventListener("click", () => this.askKey(action, place, cap));
    return cap;
  }

  askKey(action, place, cap) {
    for (const each of this.dialog.querySelectorAll(".cap.waits")) each.classList.remove("waits");
    this.waiting = {action, place, warned: null};
    cap.classList.add("waits");
    this.word.textContent = `Press the key for “${action.label}”. Esc leaves it as it is.`;
  }

  // The next key is for the action that waits; one that is taken has to be pressed twice.
  hear(event) {
    event.stopPropagation();
    if (!this.waiting) return;
    const key = keyNamed(event);
    if (!key) return;
    event.preventDefault();
    const {action, place, warned} = this.waiting;
    if (key === "Escape") {
      this.settle(action, place);
      return;
    }
    if (key === "Delete") {
      this.bind(action, this.keysOf(action).filter((_, i) => i !== place));
      this.settle(action, place);
      return;
    }
    const owner = ACTIONS.find((each) => each !== action && this.keysOf(each).includes(key));
    if (owner && warned !== key) {
      this.waiting.warned = key;
      this.word.textContent = `${keyShown(key)} belongs to “${owner.label}”. Press it again to take it from there, or press another key.`;
      return;
    }
    if (owner) this.bind(owner, this.keysOf(owner).filter((each) => each !== key));
    const keys = this.keysOf(action).filter((each, i) => i === place || each !== key);
    keys[Math.min(place, keys.length)] = key;
    this.bind(action, keys);
    this.settle(action, place);
  }

  keysOf({id}) {
    return bindingsOf(this.chosen).get(id);
  }

  bind({id, keys: usual}, keys) {
    if (String(usual) === String(keys)) delete this.chosen[id];
    else this.chosen[id] = keys;
  }

  settle({id}, place) {
    const {scrollTop} = this.panels.get("keys").panel;
    this.turnTo("keys");
    this.panels.get("keys").panel.scrollTop = scrollTop;
    this.dialog.querySelector(`[data-cap="${id} ${place}"], [data-cap="${id} 0"]`)?.focus();
  }

  // -- window presets ------------------------------------------------------------------------

  presetList() {
    const lead = make("p", "lead", "Yours come before the usual ones, for a modality and body part or, left empty, for all.");
    const table = make("table");
    const head = make("tr");
    for (const name of ["Name", "Level", "Width", "Modality", "Body part", ""]) head.append(make("th", "", name));
    table.createTHead().append(head);
    const body = table.createTBody();
    this.presets.forEach((preset, i) => body.append(this.presetRow(preset, i)));
    const add = this.push("Add a preset", () => this.addPreset());
    const none = make("p", "none", "None of your own yet.");
    return [lead, this.presets.length ? table : none, add];
  }

  presetRow(preset, i) {
    const row = make("tr");
    const fields = [
      ["label", "text", "Name", 40], ["center", "number", "Level"], ["width", "number", "Width"],
      ["modality", "text", "Modality", 16], ["body_part", "text", "Body part", 16],
    ];
    for (const [name, type, label, most] of fields) {
      const input = make("input");
      Object.assign(input, {type, value: preset[name] ?? ""});
      if (most) input.maxLength = most;
      else input.step = "any";
      input.setAttribute("aria-label", `${label} of preset ${i + 1}`);
      input.addEventListener("input", () => {
        preset[name] = type === "number" ? input.valueAsNumber : name === "label" ? input.value : input.value.toUpperCase().trim();
      });
      const cell = make("td");
      cell.dataset.label = label; // where there is no room for a head
      cell.append(input);
      row.append(cell);
    }
    const cell = make("td");
    cell.append(makeButton("close", `Remove preset ${i + 1}`, "", () => {
      this.presets.splice(i, 1);
      this.turnTo("presets");
    }));
    row.append(cell);
    return row;
  }

  // The window on screen is what one most likely wants to name.
  addPreset() {
    const {state, chosen} = this.viewer.active;
    const round = (value) => Number((value || 0).toPrecision(5));
    this.presets.push({
      label: "", center: round(state?.center), width: round(state?.width) || 400, modality: chosen?.modality ?? "", body_part: "",
    });
    this.turnTo("presets");
    this.panels.get("presets").panel.querySelector("tbody tr:last-child input").focus();
  }

  // -- behaviour -----------------------------------------------------------------------------

  wayList() {
    const names = ["", ...Object.keys(this.viewer.model.palettes)].map((name) => [name, name || "Grey"]);
    const ways = [...WAYS, ["nm_colours", "Nuclear medicine in", names], ["pt_colours", "PET in", names]];
    return ways.map(([name, label, options]) => {
      const select = make("select");
      fillSelect(select, options, this.behaviour[name]);
      select.addEventListener("change", () => (this.behaviour[name] = select.value));
      const field = make("label", "setting", label);
      field.append(select);
      return field;
    });
  }
}

class Help {
  constructor(viewer) {
    this.viewer = viewer;
    this.dialog = make("dialog", "help");
    this.dialog.setAttribute("aria-label", "Keyboard and mouse");
    const head = make("div", "help-head");
    const change = make("button", "push", "Change keys");
    change.type = "button";
    change.addEventListener("click", () => {
      this.dialog.close();
      viewer.settings.show();
    });
    head.append(make("h2", "", "Keyboard and mouse"), change, makeButton("close", "Close help", "", () => this.dialog.close()));
    this.body = make("div", "panel");
    this.dialog.append(head, this.body);
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    viewer.root.append(this.dialog);
  }

  // The reader's own keys, as they are now.
  show() {
    const {keys} = this.viewer;
    const nodes = [];
    const add = (title, rows) => {
      const list = make("dl");
      for (const [by, what] of rows) list.append(make("dt", "", by), make("dd", "", what));
      nodes.push(make("h3", "", title), list);
    };
    add("By hand", BY_HAND);
    for (const group of new Set(ACTIONS.map((one) => one.group))) {
      const rows = ACTIONS.filter((one) => one.group === group && keys.bindings.get(one.id).length);
      add(group, rows.map(({id, label}) => [keys.shown(id), label]));
    }
    this.body.replaceChildren(...nodes);
    this.dialog.showModal();
  }
}
