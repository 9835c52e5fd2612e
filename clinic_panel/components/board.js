const MOST_BUTTONS = 8;  // that a filter has side by side; more are a list
const ROW_EVENTS = "button, a, input, [role=menu]";

function text(row, column) {
  const value = row[column.id];
  if (value === undefined || value === null) return "";
  return typeof value === "object" ? String(value.text ?? "") : String(value);
}

// What a cell is made from, as text: two equal keys need no new cell.
const cellKey = (row, column) => JSON.stringify([row[column.id], column.sub && row[column.sub], column.flag && row[column.flag], row[`${column.id}_tone`], row[`${column.id}_live`]]);

// The second line of a cell: a mark, text, or both.
function second(row, column) {
  const said = column.sub && row[column.sub], flag = column.flag && row[column.flag];
  return (said || flag) && h("span", { class: "sub", title: [flag, said].filter(Boolean).join(" · "), dir: "auto" },
    flag && h("span", { class: `mark ${row[`${column.flag}_tone`] || ""}` }, String(flag)), said && String(said));
}

const KINDS = {
  text: (row, column) => [
    h("span", { class: `text ${column.strong ? "strong" : ""} ${column.wrap ? "wrap" : ""}`, title: text(row, column), dir: "auto" }, text(row, column)),
    second(row, column),
  ],
  number: (row, column) => h("span", { class: "text num" }, text(row, column)),
  time: (row, column) => [
    h("span", { class: "text num strong" }, text(row, column)),
    column.sub && row[column.sub] && h("span", { class: "sub" }, String(row[column.sub])),
  ],
  chip: (row, column) => [
    text(row, column) && h("span", {
      class: `chip ${row[`${column.id}_tone`] || column.tones?.[text(row, column)] || ""} ${row[`${column.id}_live`] ? "live" : ""}`, title: text(row, column),
    }, h("span", { class: "text" }, text(row, column))),
    second(row, column),
  ],
  mark: (row, column) => {
    const tone = row[`${column.id}_tone`] || column.tones?.[text(row, column)];
    return h("span", { class: tone ? `mark ${tone} ${column.wrap ? "wrap" : ""}` : "text" }, text(row, column));
  },
  image: (row, column) => row[column.id]
    ? h("img", { class: "pic", src: row[column.id], alt: "", width: 42, height: 42, loading: "lazy", decoding: "async" })
    : h("span", { class: "nopic", "aria-hidden": "true" }, icon("image")),
};

class Table {
  constructor(model, el) {
    Object.assign(this, { model, el, sort: { id: "", down: false }, chosen: {}, needle: "", lines: new Map(), n: 0, changed: [] });
    this.said = h("span", { class: "sr", role: "status", "aria-live": "polite" });
    this.count = h("span", { class: "count" });
    this.head = h("div", { class: "head" });
    this.body = h("tbody", { role: "rowgroup" });
    this.work = h("div", { class: "work", hidden: true });
    this.empty = h("div", { class: "empty" }, icon("info"), h("span", {}));
    this.foot = h("div", { class: "foot", hidden: true });
    this.card = h("section", { class: "card" });
    this.announce = debounce(900, () => this.say());
    this.frame();
    el.append(this.card);
    this.body.addEventListener("click", (event) => this.clicked(event));
    this.body.addEventListener("keydown", (event) => this.pressed(event));
  }

  frame() {
    const { model } = this;
    const tools = h("div", { class: "tools" }, model.facets.map((facet) => this.facet(facet)));
    if (model.searchable) tools.append(this.sift());
    for (const button of model.buttons) tools.append(this.actionButton(button, null));
    this.head.replaceChildren(...[model.title && h("h2", {}, model.title), this.count, tools].filter(Boolean));
    const plain = !model.title && !tools.children.length;
    this.card.classList.toggle("plain", plain);
    this.card.setAttribute("aria-label", model.title || model.label || "List");
    this.head.hidden = plain;
    this.columns = model.columns;
    const row = h("tr", { role: "row" }, this.columns.map((column) => this.header(column)));
    this.table = h("table", { role: "table", "aria-label": model.title || model.label || "List" }, h("thead", { role: "rowgroup" }, row), this.body);
    this.card.replaceChildren(this.work, this.head, this.table, this.empty, this.foot, this.said);
  }

  header(column) {
    const label = column.label || "";
    const cell = h("th", { role: "columnheader", scope: "col", class: this.classes(column), style: column.width && `width:${column.width}` });
    if (column.kind === "actions" || column.kind === "image" || column.sortable === false) {
      cell.append(h("span", { class: column.kind === "actions" || column.kind === "image" ? "sr" : "" }, label));
    } else {
      cell.dataset.id = column.id;
      cell.append(h("button", { type: "button", onclick: () => this.order(column) }, h("span", { class: "text" }, label), h("i", { "aria-hidden": "true" })));
    }
    return cell;
  }

  classes(column) {
    return [column.kind === "actions" ? "acts-cell" : "", column.align === "end" || column.kind === "number" ? "end" : "", column.hide === "first" ? "low" : "", column.hide === "second" ? "lower" : ""].join(" ");
  }

  // What a filter offers; what is chosen stays on offer when no row has it any more.
  options(facet) {
    if (facet.options) return facet.options;
    const values = [...this.model.rows.flatMap((row) => row[facet.id] ?? []), this.chosen[facet.id] ?? ""];
    return [...new Set(values.map(String).filter(Boolean))].sort();
  }

  facet(facet) {
    const made = this.options(facet);
    const node = facet.kind === "list" || made.length > MOST_BUTTONS ? this.picker(facet, made) : this.strip(facet, made);
    node.made = made.join("\n");
    return node;
  }

  strip(facet, options) {
    const all = facet.all || "All";
    const group = h("div", { class: "facet", role: "group", "aria-label": facet.label });
    const chosen = this.chosen[facet.id];
    for (const option of [all, ...options]) {
      const value = option === all ? undefined : option;
      group.append(h("button", { type: "button", "aria-pressed": String(value === chosen), onclick: (event) => {
        this.chosen[facet.id] = value;
        for (const other of group.children) other.setAttribute("aria-pressed", String(other === event.currentTarget));
        this.arrange();
      } }, option));
    }
    return group;
  }

  picker(facet, options) {
    const select = h("select", { class: "facet pick", "aria-label": facet.label },
      h("option", { value: "" }, facet.all || `${facet.label}: all`), options.map((option) => h("option", { value: option }, option)));
    select.value = this.chosen[facet.id] ?? "";
    select.addEventListener("change", () => { this.chosen[facet.id] = select.value || undefined; this.arrange(); });
    return select;
  }

  // Filters made from the rows follow them; one that stays the same keeps its focus.
  refacet() {
    this.head.querySelectorAll(".facet").forEach((node, index) => {
      const facet = this.model.facets[index];
      if (node.made !== this.options(facet).join("\n")) node.replaceWith(this.facet(facet));
    });
  }

  sift() {
    const label = this.model.search_label;
    const input = h("input", { type: "search", "aria-label": label, placeholder: label, value: this.needle });
    input.addEventListener("input", debounce(80, () => { this.needle = folded(input.value.trim()); this.arrange(); }));
    return h("div", { class: "sift" }, icon("search"), input);
  }

  order(column) {
    this.sort = { id: column.id, down: this.sort.id === column.id && !this.sort.down };
    this.arrange();
  }

  send(action, row) {
    this.n += 1;
    this.model.send_msg({ kind: "action", id: row ? row.id : null, action, n: this.n });
  }

  actionButton(action, row, item = false) {
    const style = item ? (action.danger ? "danger" : "") : `btn ${row ? "small" : ""} ${action.primary ? "primary" : ""} ${action.danger ? "danger" : ""}`;
    const common = { class: style, role: item ? "menuitem" : undefined, title: action.title, "aria-description": row ? row.label : undefined };
    const inner = [action.icon && !item && icon(action.icon), action.label];
    if (action.href) return h("a", { ...common, href: action.href, target: action.new_tab ? "_blank" : undefined, rel: action.new_tab ? "noopener" : undefined }, inner);
    return h("button", { ...common, type: "button", disabled: action.disabled, onclick: () => this.send(action.id, row) }, inner);
  }

  actions(row, column) {
    const all = row[column.id] || [];
    const shown = all.length > (column.shown ?? 2) ? all.slice(0, Math.max(1, (column.shown ?? 2) - 1)) : all;
    const rest = all.slice(shown.length);
    const box = h("div", { class: "acts" }, shown.map((action) => this.actionButton(action, row)));
    if (rest.length) {
      const button = h("button", { class: "btn small square bare", type: "button", "aria-label": "More actions", "aria-description": row.label, title: "More actions" }, icon("more"));
      const list = h("div", { class: "over", role: "menu" }, rest.map((action) => this.actionButton(action, row, true)));
      const close = menu(button, list);
      button.addEventListener("click", () => list.classList.toggle("up", button.getBoundingClientRect().bottom + 40 * rest.length + 20 > innerHeight - 60));
      list.addEventListener("click", () => close());
      box.append(button, list);
    }
    return box;
  }

  fill(cell, row, column) {
    const made = column.kind === "actions" ? this.actions(row, column) : (KINDS[column.kind] || KINDS.text)(row, column);
    cell.replaceChildren(...[made].flat().filter(Boolean));
    if (column.kind === "number") cell.dataset.label = column.label;  // on a phone it has no heading
    const blank = column.kind === "actions" ? !(row[column.id] || []).length : !text(row, column);
    const place = column.kind === "actions" ? "" : column.kind === "image" ? "pictured" : column.kind === "chip" && !column.small ? "chipped" : column.strong ? "title" : "plain";
    cell.className = `${this.classes(column)} ${place} ${blank ? "blank" : ""}`;
  }

  line(row) {
    const line = { row, keys: [], cells: this.columns.map(() => h("td", { role: "cell" })), node: h("tr", { role: "row", "data-id": row.id, tabindex: "-1" }) };
    line.node.append(...line.cells);
    line.node.addEventListener("animationend", (event) => { if (event.target.tagName !== "IMG") line.node.classList.remove("fresh"); });
    return line;
  }

  // Writes only the cells whose data changed; says whether any did.
  write(line, row) {
    let changed = false;
    line.row = row;
    this.columns.forEach((column, index) => {
      const key = cellKey(row, column) + (column.kind === "actions" ? row.label : "");
      if (line.keys[index] === key) return;
      const focused = this.focusIn(line.cells[index]), unfolded = line.cells[index].querySelector("[role=menu]:not([hidden])");
      line.keys[index] = key;
      this.fill(line.cells[index], row, column);
      if (focused) (line.cells[index].querySelector("button, a") || line.node).focus();
      if (unfolded) line.cells[index].querySelector("[aria-haspopup=menu]")?.click();
      changed = changed || column.kind !== "actions";
    });
    line.node.classList.toggle("muted", row.tone === "muted");
    line.node.classList.toggle("can", Boolean(this.model.row_action));
    line.find = folded(this.columns.filter((column) => column.kind !== "image" && column.kind !== "actions")
      .map((column) => `${text(row, column)} ${(column.sub && row[column.sub]) || ""}`).join(" ") + ` ${row.find || ""}`);
    return changed;
  }

  focusIn(cell) {
    const active = cell.getRootNode().activeElement;
    return Boolean(active && cell.contains(active));
  }

  update(first = false) {
    const kept = new Map();
    const quiet = first || !this.model.lit || !this.model.rows.some((row) => this.lines.has(row.id));  // another list altogether
    this.changed = [];
    for (const row of this.model.rows) {
      const known = this.lines.get(row.id);
      const line = known || this.line(row);
      if (this.write(line, row) && !quiet) {
        this.changed.push(row);
        line.node.classList.remove("fresh");
        void line.node.offsetWidth;  // restarts the highlight of a row that changes twice
        line.node.classList.add("fresh");
      }
      kept.set(row.id, line);
    }
    for (const [id, line] of this.lines) if (!kept.has(id)) line.node.remove();
    this.lines = kept;
    this.arrange();
    if (this.changed.length) this.announce();
  }

  say() {
    const [first] = this.changed;
    if (!first) return;
    const status = this.columns.find((column) => column.kind === "chip" && !column.small);
    const what = [first.label, status && text(first, status)].filter(Boolean).join(": ");
    this.said.textContent = this.changed.length === 1 ? what || "One row changed" : `${this.changed.length} rows changed`;
  }

  visible() {
    const words = this.needle.split(/\s+/).filter(Boolean);
    const lines = [...this.lines.values()].filter((line) => words.every((word) => line.find.includes(word))
      && Object.entries(this.chosen).every(([id, value]) => value === undefined || [line.row[id] ?? ""].flat().map(String).includes(value)));
    const column = this.columns.find((one) => one.id === this.sort.id);
    if (!column) return lines;
    const value = (line) => line.row[`${column.id}_sort`] ?? text(line.row, column);
    const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true, sensitivity: "base" });
    return lines.sort((a, b) => compare(value(a), value(b)) * (this.sort.down ? -1 : 1));
  }

  // Order and visibility of the rows; a row already in its place is not touched, so nothing jumps.
  arrange() {
    const lines = this.visible();
    const shown = new Set(lines.map((line) => line.node));
    for (const node of [...this.body.children]) if (!shown.has(node)) node.remove();
    lines.forEach(({ node }, index) => { if (this.body.children[index] !== node) this.body.insertBefore(node, this.body.children[index] || null); });
    for (const cell of this.table.querySelectorAll("th[data-id]")) {
      cell.setAttribute("aria-sort", cell.dataset.id === this.sort.id ? (this.sort.down ? "descending" : "ascending") : "none");
    }
    const total = this.lines.size, sifted = lines.length !== total;
    this.count.textContent = sifted ? `${lines.length} of ${total}` : this.model.counted ? String(total) : "";
    this.empty.hidden = lines.length > 0;
    this.empty.lastChild.textContent = total ? "Nothing matches the filter." : this.model.empty_text;
    this.table.hidden = !lines.length;
    this.mark();
    if (!this.body.querySelector("tr[tabindex='0']")) this.body.firstElementChild?.setAttribute("tabindex", "0");
  }

  mark() {
    for (const line of this.lines.values()) {
      if (this.model.selectable) line.node.setAttribute("aria-selected", String(line.row.id === this.model.selected));
    }
  }

  choose(line) {
    if (this.model.selectable && this.model.selected !== line.row.id) this.model.selected = line.row.id;
    if (!this.model.row_action) return;
    const same = this.columns.filter((column) => column.kind === "actions").flatMap((column) => line.row[column.id] || []).find((action) => action.id === this.model.row_action);
    if (same?.href) location.assign(local(same.href));
    else if (same || !this.columns.some((column) => column.kind === "actions")) this.send(this.model.row_action, line.row);
  }

  of(event) {
    const node = event.target.closest("tr");
    return node && [...this.lines.values()].find((line) => line.node === node);
  }

  clicked(event) {
    if (event.target.closest(ROW_EVENTS) || String(getSelection()).length) return;
    const line = this.of(event);
    if (line) this.choose(line);
  }

  pressed(event) {
    if (event.target.tagName !== "TR") return;
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (step) {
      const next = event.target[step];
      if (!next) return;
      event.preventDefault();
      event.target.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.choose(this.of(event));
    }
  }
}

export function render({ model, el }) {
  const table = new Table(model, el);
  const foot = () => { table.foot.textContent = model.footer; table.foot.hidden = !model.footer; };
  const busy = () => { table.work.hidden = !model.busy; table.card.setAttribute("aria-busy", String(model.busy)); };
  table.update(true);
  foot();
  busy();
  model.on("rows", steady(table.card, () => { table.refacet(); table.update(); }));
  model.on(["columns", "title", "facets", "buttons", "searchable"], steady(table.card, () => { table.lines = new Map(); table.body.replaceChildren(); table.frame(); table.update(true); }));
  model.on("selected", () => table.mark());
  model.on("empty_text", () => table.arrange());
  model.on("footer", foot);
  model.on("busy", busy);
}
