const shown = (cell) => typeof cell === "object" && cell !== null ? cell : { text: String(cell ?? "") };
const chip = (label, tone, live) => label && h("span", { class: `chip ${tone || ""} ${live ? "live" : ""}` }, String(label));

class Sheet {
  constructor(model, el) {
    Object.assign(this, { model, toggled: new Map(), key: null, from: null });
    this.title = h("h2", { id: "title", tabindex: "-1", dir: "auto" });
    this.note = h("p", { class: "note", dir: "auto" });
    this.mark = h("span", {});
    this.back = h("div", { class: "way" });
    this.tools = h("div", { class: "tools" });
    this.body = h("div", { class: "body" });
    this.work = h("div", { class: "work", hidden: true });
    this.said = h("span", { class: "sr", role: "status" });
    this.close = h("button", { class: "btn square bare", type: "button", "aria-label": "Close", title: "Close (Esc)", onclick: () => model.send_msg({ kind: "close" }) }, icon("close"));
    // In the top layer, above bar and navigation, yet the page beside it stays usable.
    this.sheet = h("section", { role: "dialog", "aria-labelledby": "title", popover: "manual" },
      this.work, h("header", {}, h("div", { class: "words" }, this.back, h("div", { class: "line" }, this.title, this.mark), this.note), this.tools, this.close), this.body, this.said);
    this.sheet.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); model.send_msg({ kind: "close" }); } });
    el.append(this.sheet);
  }

  act(action) { this.model.send_msg({ kind: "action", action: action.action, id: action.id }); }

  button(action, small = true) {
    return h("button", { class: `btn ${small ? "small" : ""} ${action.primary ? "primary" : ""}`, type: "button", "data-at": `${action.action}-${action.id}`, onclick: () => this.act(action) },
      action.icon && icon(action.icon), action.label);
  }

  blocks(list) { return (list || []).map((block) => (this[`make_${block.kind}`] || this.make_text).call(this, block)); }

  make_heading(block) { return h("div", { class: "heading" }, h("h3", {}, block.text), block.note && h("span", {}, block.note)); }
  make_text(block) { return h("p", { class: `text ${block.tone || ""}`, dir: "auto" }, block.text || ""); }
  make_caption(block) { return h("p", { class: "caption" }, block.text); }
  make_steps(block) { return h("ol", {}, block.items.map((item) => h("li", {}, item))); }

  make_facts(block) {
    return h("div", {}, h("dl", { "aria-label": block.label, class: block.wide ? "wide" : "" }, block.items.map((item) => h("div", { class: item.tone || "" },
      h("dt", {}, item.label), h("dd", { dir: "auto" }, String(item.value || "–"))))), block.note && h("p", { class: "caption" }, block.note));
  }

  make_statuses(block) {
    return h("div", { class: "statuses" }, h("ul", {}, block.items.map((item) => h("li", {},
      chip(item.chip, item.tone), h("code", {}, item.code), item.text && h("span", {}, item.text)))), block.note && h("p", { class: "caption", dir: "auto" }, block.note));
  }

  make_table(block) {
    const cell = (raw, index) => {
      const one = shown(raw);
      return h("td", { role: "cell", title: one.title, dir: "auto", "data-label": block.columns[index] }, one.tone ? chip(one.text, one.tone) : one.text);
    };
    return h("div", {}, h("table", { role: "table", "aria-label": block.label },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, block.columns.map((column) => h("th", { role: "columnheader", scope: "col" }, column)))),
      h("tbody", { role: "rowgroup" }, block.rows.map((row) => h("tr", { role: "row" }, row.map(cell))))), block.note && h("p", { class: "caption" }, block.note));
  }

  make_choices(block) {
    if (!block.items.length) return h("p", { class: "text" }, block.empty);
    const items = block.items.map((item) => ({
      find: folded(`${item.time} ${item.label} ${item.detail} ${item.chip}`),
      node: h("li", {}, h("button", { type: "button", "data-at": `${item.action}-${item.id}`, onclick: () => this.act(item) },
        h("b", { class: "num" }, item.time), h("span", { class: "what" }, h("b", { dir: "auto" }, item.label), h("small", { dir: "auto" }, item.detail)), chip(item.chip, item.tone), icon("right"))),
    }));
    const none = h("p", { class: "caption", hidden: true }, "Nothing matches.");
    const input = h("input", { type: "search", "aria-label": `Filter: ${block.label}`, placeholder: "Name, room, examination, time" });
    input.addEventListener("input", () => {
      const words = folded(input.value).split(/\s+/).filter(Boolean);
      for (const item of items) item.node.hidden = !words.every((word) => item.find.includes(word));
      none.hidden = items.some((item) => !item.node.hidden);
    });
    return h("div", { class: "choices" }, h("div", { class: "sift" }, icon("search"), input), h("ul", { "aria-label": block.label }, items.map((item) => item.node)), none);
  }

  make_entry(block) {
    return h("article", { "aria-label": block.title }, h("div", { class: "top" }, h("div", { class: "words" }, h("h4", { dir: "auto" }, block.title), block.note && h("p", { class: "caption" }, block.note)),
      (block.buttons || []).map((button) => this.button(button))), this.blocks(block.blocks));
  }

  make_panel(block) { return h("div", { class: `panel ${block.tone || ""}` }, h("p", { class: "says" }, block.title), this.blocks(block.blocks)); }

  make_fold(block) {
    const at = `${this.path}/${block.key}`;
    const open = this.toggled.has(at) ? this.toggled.get(at) : Boolean(block.open);
    const outer = this.path;
    this.path = at;
    const fold = h("details", { open }, h("summary", {}, icon("right"), h("span", { class: "name", dir: "auto" }, block.title), chip(block.chip, block.tone)), h("div", { class: "inner" }, this.blocks(block.blocks)));
    this.path = outer;
    fold.addEventListener("toggle", () => { if (fold.isConnected) this.toggled.set(at, fold.open); });
    return fold;
  }

  copyButton(text) {
    const label = h("span", {}, "Copy details");
    const button = h("button", { class: "btn small", type: "button", "data-at": "copy", title: "For the service engineer: nothing about patients" }, icon("copy"), label);
    button.addEventListener("click", async () => {
      const done = await copied(text, this.sheet);
      label.textContent = done ? "Copied" : "Cannot copy here";
      this.said.textContent = label.textContent;
      setTimeout(() => { label.textContent = "Copy details"; }, 2500);
    });
    return button;
  }

  show() {
    const { content } = this.model;
    if (!content) { this.hide(); return; }
    const isOther = content.key !== this.key;
    const at = this.focused();
    const top = isOther ? 0 : this.body.scrollTop;
    if (isOther) this.toggled.clear();
    this.key = content.key;
    this.title.textContent = content.title;
    this.note.textContent = content.note || "";
    this.note.hidden = !content.note;
    this.mark.replaceChildren(...[chip(content.chip, content.tone, content.live)].filter(Boolean));
    this.back.replaceChildren(...(content.back ? [h("button", { class: "back", type: "button", "data-at": "back", onclick: () => this.act(content.back) }, icon("left"), content.back.label)] : []));
    this.tools.replaceChildren(...(content.buttons || []).map((button) => this.button(button)), ...(content.copy ? [this.copyButton(content.copy)] : []));
    this.path = content.key;
    const verdict = content.verdict && h("div", { class: `verdict ${content.verdict.tone || ""}` },
      icon(content.verdict.tone === "green" ? "done" : ["red", "amber"].includes(content.verdict.tone) ? "warning" : "info"),
      h("div", {}, h("p", { dir: "auto" }, content.verdict.text), content.verdict.todo && h("p", { class: "todo" }, h("b", {}, "Next: "), content.verdict.todo)));
    this.body.replaceChildren(...[verdict, ...this.blocks(content.blocks)].filter(Boolean));
    this.open(isOther, at);
    this.body.scrollTop = top;
  }

  focused() { return this.sheet.getRootNode().activeElement?.dataset?.at; }

  open(isOther, at) {
    if (!this.sheet.matches(":popover-open")) {
      this.from = deepest(document);
      this.sheet.showPopover();
    }
    if (isOther) this.title.focus({ preventScroll: true });
    else if (at) this.sheet.querySelector(`[data-at="${CSS.escape(at)}"]`)?.focus({ preventScroll: true });
  }

  hide() {
    this.key = null;
    if (!this.sheet.matches(":popover-open")) return;
    const within = Boolean(this.sheet.getRootNode().activeElement);
    this.sheet.hidePopover();
    if (within && this.from?.isConnected) this.from.focus({ preventScroll: true });
  }
}

// Where the focus really is, below every shadow root.
function deepest(root) {
  const active = root.activeElement;
  return active?.shadowRoot?.activeElement ? deepest(active.shadowRoot) : active;
}

// A clinic's own network often has no HTTPS, and then no clipboard interface.
async function copied(text, host) {
  try {
    if (navigator.clipboard) { await navigator.clipboard.writeText(text); return true; }
  } catch { /* refused: the old way may still work */ }
  const area = h("textarea", { class: "sr", "aria-hidden": "true", tabindex: "-1", value: text });
  const from = deepest(document);
  host.append(area);
  area.select();
  let done = false;
  try { done = document.execCommand("copy"); } catch { done = false; }
  area.remove();
  from?.focus({ preventScroll: true });
  return done;
}

export function render({ model, el }) {
  const sheet = new Sheet(model, el);
  const busy = () => { sheet.work.hidden = !model.busy; };
  sheet.show();
  busy();
  model.on("content", steady(sheet.sheet, () => sheet.show()));
  model.on("busy", busy);
}
