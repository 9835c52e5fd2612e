// Header: every element of the object in the viewport, as a tree that can be searched.
const ROWS_AT_ONCE = 600; // of a header of many thousand; the rest on demand

// One element or item as it came: see HeaderRow.as_list.
function elementOf([depth, tag, vr, keyword, name, value, length, note, own], index) {
  const words = [tag, tag.replace(/[(),]/g, ""), vr, keyword, name, value, note].join("\n").toLowerCase();
  return {index, depth, tag, vr, keyword, name, value, length, note, own, words, parent: null, path: "", children: 0};
}

class HeaderBrowser {
  // load({id, frame}) promises the header; step(by) goes to another image and answers with its entry.
  constructor(root, {load, step}) {
    Object.assign(this, {load, step});
    this.rows = [];
    this.open = new Set(); // paths of open sequences, kept from image to image
    this.dialog = make("dialog", "header");
    this.dialog.setAttribute("aria-label", "DICOM header");
    this.title = make("h2", "", "Header");
    this.about = make("p", "about");
    this.search = make("input", "find");
    this.search.type = "search";
    this.search.placeholder = "Search tag, keyword or value";
    this.search.setAttribute("aria-label", "Search the header");
    this.search.addEventListener("input", () => this.draw());
    this.count = make("span", "found-count");
    this.count.setAttribute("role", "status");
    const unfold = make("button", "plain", "Open all");
    const fold = make("button", "plain", "Close all");
    unfold.addEventListener("click", () => this.unfold(true));
    fold.addEventListener("click", () => this.unfold(false));
    for (const button of [unfold, fold]) button.type = "button";
    this.steps = makeGroup(
      "Image",
      makeButton("before", "Header of the previous image", "", () => this.move(-1)),
      makeButton("after", "Header of the next image", "", () => this.move(1)),
    );
    const head = make("div", "help-head");
    head.append(this.title, this.steps, makeButton("close", "Close header", "", () => this.dialog.close()));
    const tools = make("div", "header-tools");
    tools.append(this.search, this.count, unfold, fold);
    this.list = make("div", "elements");
    this.list.setAttribute("role", "treegrid");
    this.list.setAttribute("aria-label", "Elements");
    this.dialog.append(head, this.about, tools, this.list);
    this.dialog.addEventListener("click", (event) => event.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("keydown", (event) => this.press(event));
    root.append(this.dialog);
  }

  async show(entry, label) {
    if (!entry) return;
    this.entry = entry;
    this.title.textContent = label ? `Header · ${label}` : "Header";
    if (!this.dialog.open) {
      this.dialog.showModal();
      this.search.focus();
    }
    this.about.textContent = "Loading…";
    let header;
    try {
      header = await this.load(entry);
    } catch (error) {
      header = {rows: [], problem: error.message};
    }
    if (this.entry !== entry) return; // another image was asked for meanwhile
    this.take(header);
  }

  take({rows, problem, sop_class: kind, transfer_syntax: syntax, size}) {
    this.about.textContent = [kind, syntax, size, problem].filter(Boolean).join(" · ");
    this.about.classList.toggle("problem", Boolean(problem));
    this.rows = rows.map(elementOf);
    const above = [];
    for (const row of this.rows) {
      above.length = row.depth;
      row.parent = above.at(-1) ?? null;
      row.path = `${row.parent?.path ?? ""}/${row.tag || row.name}`;
      if (row.parent) row.parent.children += 1;
      above.push(row);
    }
    this.draw();
  }

  async move(by) {
    const found = this.step(by);
    if (found) await this.show(found.entry, found.label);
  }

  unfold(all) {
    this.open = new Set(all ? this.rows.filter((row) => row.children).map((row) => row.path) : []);
    this.draw();
  }

  toggle(row, open = !this.open.has(row.path)) {
    if (!row.children) return;
    if (open) this.open.add(row.path);
    else this.open.delete(row.path);
    this.draw(row.index);
  }

  // What to show: the open branches, or what a search finds with the branches that lead there.
  visible(term) {
    if (!term) {
      const shown = new Set();
      for (const row of this.rows) {
        if (!row.parent || (shown.has(row.parent) && this.open.has(row.parent.path))) shown.add(row);
      }
      return [...shown];
    }
    const shown = new Set();
    let found = 0;
    for (const row of this.rows) {
      if (!row.words.includes(term)) continue;
      found += 1;
      for (let one = row; one && !shown.has(one); one = one.parent) shown.add(one);
    }
    this.found = found;
    return [...shown].sort((a, b) => a.index - b.index);
  }

  draw(focus = null, most = ROWS_AT_ONCE) {
    const term = this.search.value.trim().toLowerCase();
    const shown = this.visible(term);
    const elements = this.rows.filter((row) => row.tag).length;
    this.count.textContent = term ? `${this.found} of ${elements} found` : `${elements} elements`;
    const nodes = shown.slice(0, most).map((row) => this.line(row, term));
    if (shown.length > most) {
      const more = make("button", "plain", `Show ${shown.length - most} more`);
      more.type = "button";
      more.addEventListener("click", () => this.draw(null, most + 5 * ROWS_AT_ONCE));
      nodes.push(more);
    }
    if (!nodes.length && this.rows.length) nodes.push(make("p", "none", "Nothing in this header matches."));
    this.list.replaceChildren(...nodes);
    const line = focus === null ? null : this.list.querySelector(`[data-index="${focus}"]`);
    if (line) line.focus();
    else this.list.querySelector("[role=row]")?.setAttribute("tabindex", "0");
  }

  line(row, term) {
    const line = make("div", row.own ? "element own" : "element");
    line.setAttribute("role", "row");
    line.setAttribute("aria-level", String(row.depth + 1));
    line.dataset.index = String(row.index);
    line.tabIndex = -1;
    line.style.setProperty("--depth", String(row.depth));
    const cell = (kind, ...inside) => {
      const node = make("span", kind);
      node.setAttribute("role", "gridcell");
      node.append(...inside.filter(Boolean));
      return node;
    };
    const mark = (text) => marked(text, term);
    let fold = null;
    if (row.children) {
      const open = term ? true : this.open.has(row.path);
      line.setAttribute("aria-expanded", String(open));
      fold = make("i", open ? "fold open" : "fold");
      line.addEventListener("click", (event) => !event.target.closest("button") && !term && this.toggle(row));
    }
    const own = row.own ? make("em", "", "private") : null;
    const name = row.keyword || row.name;
    const tag = row.tag ? mark(row.tag) : make("b", "", row.name);
    line.append(
      cell("tag", fold, tag),
      cell("vr", row.vr),
      cell("name", row.tag ? mark(name) : null, own),
      cell("value", mark(row.value), row.note ? make("small", "", row.note) : null),
      this.copier(row),
    );
    line.querySelector(".name").title = row.name;
    return line;
  }

  copier(row) {
    const cell = make("span", "copy");
    cell.setAttribute("role", "gridcell");
    if (!row.value || row.vr === "SQ") return cell;
    const button = makeButton("copy", `Copy the value of ${row.keyword || row.name}`, "", () => this.copy(row, button));
    button.tabIndex = -1;
    cell.append(button);
    return cell;
  }

  async copy(row, button) {
    const done = await putOnClipboard(row.value, this.dialog);
    this.count.textContent = done ? `${row.keyword || row.name} copied` : "The browser did not let it be copied";
    button?.classList.toggle("done", done);
  }

  press(event) {
    event.stopPropagation(); // keys belong to the header, not to the images behind it
    const line = event.target.closest?.("[role=row]");
    if (event.key === "/" && event.target !== this.search) {
      this.search.focus();
      event.preventDefault();
      return;
    }
    if (event.target === this.search) {
      if (event.key !== "ArrowDown") return;
      this.list.querySelector("[role=row]")?.focus();
      event.preventDefault();
      return;
    }
    if (!line) return;
    const row = this.rows[Number(line.dataset.index)];
    const copies = event.key.toLowerCase() === "c" && !event.altKey;
    const acts = {
      ArrowDown: () => line.nextElementSibling?.focus(),
      ArrowUp: () => (line.previousElementSibling ?? this.search).focus(),
      ArrowRight: () => this.toggle(row, true),
      ArrowLeft: () => this.leave(row),
      Enter: () => this.toggle(row),
    };
    const act = copies ? () => this.copy(row, line.querySelector("button")) : acts[event.key];
    if (!act || (event.key === "Enter" && event.target !== line)) return;
    event.preventDefault();
    act();
  }

  leave(row) {
    if (row.children && this.open.has(row.path)) this.toggle(row, false);
    else if (row.parent) this.list.querySelector(`[data-index="${row.parent.index}"]`)?.focus();
  }
}

// Text with what was searched for marked in it.
function marked(text, term) {
  const node = make("span");
  const at = term ? text.toLowerCase().indexOf(term) : -1;
  if (at < 0) node.textContent = text;
  else node.append(text.slice(0, at), make("mark", "", text.slice(at, at + term.length)), text.slice(at + term.length));
  return node;
}

// The clipboard's own way needs TLS; on a LAN without it a selected field does.
async function putOnClipboard(text, home) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea", "spoken");
    field.value = text;
    home.append(field);
    const before = home.getRootNode().activeElement;
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    before?.focus();
    return done;
  }
}

async function loadJson(url) {
  let response;
  try {
    response = await fetch(url, {credentials: "same-origin"});
  } catch {
    throw Object.assign(new Error("The server cannot be reached."), {passing: true});
  }
  if (!response.ok) throw Object.assign(new Error(await reasonOf(response)), {passing: response.status >= 500});
  return response.json();
}
