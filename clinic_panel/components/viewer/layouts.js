// Layouts: how many panes there are and what they do together.
class Layouts extends Popup {
  constructor(viewer) {
    super(viewer, {kind: "popup layouts", label: "Layout", icon: "layout", keys: "0", word: "Layout"});
    this.priorButton = makeButton("prior", "Prior beside", "", () => viewer.compare());
    this.priorButton.append(make("span", "word", "Prior"));
    this.group = makeGroup("Layout", this.button, this.priorButton);
    this.group.classList.add("wide");
    this.node.append(this.head(), this.chooser(), this.switches(), this.rules());
  }

  chooser() {
    this.cells = [];
    const grid = make("div", "chooser");
    grid.setAttribute("role", "group");
    grid.setAttribute("aria-label", "Rows and columns");
    for (let row = 1; row <= MOST_ACROSS; row += 1) {
      for (let column = 1; column <= MOST_ACROSS; column += 1) {
        const cell = make("button", "cell");
        cell.type = "button";
        cell.setAttribute("aria-label", `${row} ${row > 1 ? "rows" : "row"}, ${column} ${column > 1 ? "columns" : "column"}`);
        cell.title = `${row} × ${column}`;
        Object.assign(cell.dataset, {row, column});
        cell.addEventListener("click", () => this.choose(row, column));
        cell.addEventListener("pointerenter", () => this.mark(row, column));
        cell.addEventListener("focus", () => this.mark(row, column));
        this.cells.push(cell);
        grid.append(cell);
      }
    }
    grid.addEventListener("pointerleave", () => this.mark(...this.viewer.shape));
    grid.addEventListener("keydown", (event) => this.walk(event));
    this.size = make("span", "size");
    const box = make("div", "choosing");
    box.append(grid, this.size);
    return box;
  }

  walk(event) {
    const way = {ArrowUp: -3, ArrowDown: 3, ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!way) return;
    event.preventDefault();
    event.stopPropagation();
    this.cells[this.cells.indexOf(event.target) + way]?.focus();
  }

  switches() {
    const box = make("div", "switches");
    this.boxes = new Map(Object.entries({
      scroll: ["Scroll together", "By position where the images share a frame of reference, else keeping the distance they have now"],
      lines: ["Reference lines", "Where the active image crosses the others"],
      window: ["Same window", "For all panes of one modality"],
    }).map(([name, [label, hint]]) => {
      const input = make("input");
      input.type = "checkbox";
      input.addEventListener("change", () => this.viewer.join(name, input.checked));
      const line = make("label", "switch");
      line.title = hint;
      line.append(input, make("span", "", label), make("small", "", hint));
      box.append(line);
      return [name, input];
    }));
    return box;
  }

  // Layouts the reader keeps for studies of a kind.
  rules() {
    this.keep = make("button", "keep");
    this.keep.type = "button";
    this.keep.addEventListener("click", () => this.viewer.keepRule());
    this.list = make("ul", "found");
    this.list.setAttribute("aria-label", "Hanging rules");
    this.ruled = make("div", "rules");
    this.ruled.append(make("strong", "", "Hanging rules"), this.keep, this.list);
    return this.ruled;
  }

  rule({id, label, layout, with_prior: withPrior, is_here: isHere}) {
    const line = Object.assign(make("li", isHere ? "chosen" : ""), {about: id});
    const what = make("span", "rule", label);
    what.append(make("small", "", `${layout}${withPrior ? ", with prior" : ""}`));
    line.append(what, makeButton("close", `Remove the rule for ${label}`, "", () => this.viewer.ask("drop_rule", {id: line.about})));
    return line;
  }

  choose(rows, columns) {
    this.viewer.arrange(rows, columns);
    this.toggle(false);
  }

  mark(rows, columns) {
    for (const {dataset, classList} of this.cells) classList.toggle("in", dataset.row <= rows && dataset.column <= columns);
    this.size.textContent = `${rows} × ${columns}`;
  }

  enter() {
    const [rows, columns] = this.viewer.shape;
    this.cells[(rows - 1) * MOST_ACROSS + columns - 1].focus();
  }

  update() {
    const {shape, together, model} = this.viewer;
    this.mark(...shape);
    const {isComparing} = this.viewer;
    this.priorButton.hidden = !model.prior.id;
    this.priorButton.setAttribute("aria-pressed", String(isComparing));
    this.priorButton.title = isComparing ? "This study alone" : `Prior beside: ${model.prior.label ?? ""}`;
    this.ruled.hidden = !model.subject;
    this.keep.textContent = `Open every ${model.subject} like this`;
    renew(this.list, model.rules.map((one) => this.rule(one)));
    for (const [name, input] of this.boxes) input.checked = together[name];
  }
}
