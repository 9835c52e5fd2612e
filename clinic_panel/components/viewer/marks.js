// Marks: the palette of measuring tools and the list of what was measured.
const FIGURE = {rectangle: 2, ellipse: 2, polygon: 2}; // of a region the mean says more than the area

class Marks {
  constructor(viewer) {
    this.viewer = viewer;
    this.node = make("div", "marks");
    this.node.hidden = true;
    this.node.setAttribute("role", "dialog");
    this.node.setAttribute("aria-label", "Measurements");
    this.button = makeButton("length", "Measure", "M", () => this.toggle());
    this.button.append(make("span", "word", "Measure"));
    this.button.setAttribute("aria-expanded", "false");
    const tools = makeGroup("Measuring tool", ...Object.entries(MEASURES).map(([kind, {label, key}]) => {
      const button = makeButton(kind, label, key.toUpperCase(), () => viewer.use(kind));
      button.dataset.kind = kind;
      button.append(make("span", "", label));
      return button;
    }));
    tools.classList.add("kinds");
    this.undo = makeButton("undo", "Undo", "", () => viewer.ledger.undo());
    this.undo.title = "Undo (Ctrl+Z)";
    this.redo = makeButton("redo", "Redo", "", () => viewer.ledger.redo());
    this.redo.title = "Redo (Ctrl+Y)";
    const head = make("div", "marks-head");
    head.append(make("strong", "", "Measurements"), this.undo, this.redo, makeButton("close", "Close measurements", "", () => this.toggle(false)));
    this.list = make("ul", "found");
    this.none = make("p", "none", "Nothing measured yet. Choose a tool and draw on the image.");
    this.node.append(head, tools, this.none, this.list, viewer.share.foot);
  }

  toggle(open = this.node.hidden) {
    this.node.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) this.viewer.adjust.toggle(false);
    if (open) this.update();
    else this.viewer.active.port.focus({preventScroll: true});
  }

  update() {
    const {viewer} = this;
    const measuring = viewer.tool in MEASURES;
    this.button.setAttribute("aria-pressed", String(measuring));
    for (const button of this.node.querySelectorAll("[data-kind]")) button.setAttribute("aria-pressed", String(button.dataset.kind === viewer.tool));
    if (this.node.hidden) return;
    const {list, past, future, selected} = viewer.ledger;
    this.undo.disabled = !past.length;
    this.redo.disabled = !future.length;
    this.none.hidden = list.length > 0;
    this.list.replaceChildren(...list.map((one) => this.row(one, one.id === selected)));
  }

  row(one, chosen) {
    const {viewer} = this;
    const item = make("li", chosen ? "chosen" : "");
    const go = make("button", "jump");
    go.type = "button";
    const place = viewer.placeOf(one);
    const label = MEASURES[one.kind]?.label ?? one.kind;
    const where = place ? `${place.series.label || "Series"}, image ${place.index + 1}` : "not among these images";
    const frame = viewer.store.frames.get(keyOf(one)); // what is not loaded is not measured for a list
    const known = place && viewer.active.shapes.knownFor(place.series.stack[place.index]);
    const figures = one.known_mm ? `${one.known_mm} mm`
      : frame ? figuresOf(valuesOf(one, frame, known), frame.info).slice(0, FIGURE[one.kind] ?? 1).at(-1) ?? "" : "";
    const name = [one.text || label, figures].filter(Boolean).join(": ");
    go.append(iconOf(one.kind), make("span", "", name), make("small", "", where));
    go.title = name;
    go.disabled = !place;
    go.setAttribute("aria-label", `Go to ${one.text || label}${place ? `, image ${place.index + 1}` : ""}`);
    go.addEventListener("click", () => viewer.jump(one));
    const words = makeButton("text", one.known_mm ? "Known length" : `Text of ${label}`, "", () => viewer.jump(one) && viewer.active.write(one.id));
    const away = makeButton("close", `Delete ${one.text || label}`, "", () => viewer.ledger.remove(one.id));
    item.append(go, words, away);
    return item;
  }
}
