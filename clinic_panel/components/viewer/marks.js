// Marks: the palette of measuring tools and the list of what was measured.
const FIGURE = {rectangle: 2, ellipse: 2, polygon: 2}; // of a region the mean says more than the area

class Marks extends Popup {
  constructor(viewer) {
    super(viewer, {kind: "popup marks", label: "Measurements", icon: "length", name: "Measure", keys: "M", word: "Measure"});
    const tools = makeGroup("Measuring tool", ...Object.entries(MEASURES).map(([kind, {label, key}]) => {
      const button = makeButton(kind, label, key.toUpperCase(), () => this.choose(kind));
      button.dataset.kind = kind;
      button.append(make("span", "", label));
      return button;
    }));
    tools.classList.add("kinds");
    this.undo = makeButton("undo", "Undo", "", () => viewer.ledger.undo());
    this.undo.title = "Undo (Ctrl+Z)";
    this.redo = makeButton("redo", "Redo", "", () => viewer.ledger.redo());
    this.redo.title = "Redo (Ctrl+Y)";
    this.list = make("ul", "found");
    this.none = make("p", "none", "Nothing measured yet. Choose a tool and draw on the image.");
    this.node.append(this.head(this.undo, this.redo), tools, this.none, this.list, viewer.share.foot);
  }

  // On a phone the panel covers the picture that is to be drawn on.
  choose(kind) {
    this.viewer.use(kind);
    if (this.viewer.isNarrow) this.toggle(false);
  }

  // Escape lets go of the tool and the shape, as over the picture.
  press() {}

  update() {
    const {viewer} = this;
    const measuring = viewer.tool in MEASURES;
    this.button.setAttribute("aria-pressed", String(measuring));
    for (const button of this.node.querySelectorAll("[data-kind]")) {
      const {kind} = button.dataset;
      button.setAttribute("aria-pressed", String(kind === viewer.tool));
      button.disabled = Boolean(viewer.mpr) && OF_ORIGINALS.includes(kind);
    }
    if (!this.isOpen) return;
    const {list, past, future, selected} = viewer.ledger;
    this.undo.disabled = !past.length;
    this.redo.disabled = !future.length;
    this.none.hidden = list.length > 0;
    renew(this.list, list.map((one) => this.row(one, one.id === selected)));
  }

  // What is not loaded is not measured for a list; of a section that is not shown, only its geometry.
  figures(one, place) {
    const {viewer} = this;
    if (one.section) {
      const shapes = viewer.mpr?.panes.map((pane) => pane.shapes).find((each) => each.isHere(one));
      if (!shapes) return figuresOf(valuesOf(one, {info: one.section}), one.section);
      return figuresOf(shapes.measured(shapes.local(one)), shapes.view.frame.info);
    }
    const {entry, shown} = viewer.active;
    const frame = entry?.image === keyOf(one) ? shown : viewer.store.frames.get(keyOf(one));
    const known = place && viewer.active.shapes.knownFor(place.series.stack[place.index]);
    return frame ? figuresOf(valuesOf(one, frame, known), frame.info) : [];
  }

  row(one, chosen) {
    const {viewer} = this;
    const item = Object.assign(make("li", chosen ? "chosen" : ""), {about: one});
    const go = make("button", "jump");
    go.type = "button";
    const place = viewer.placeOf(one);
    const label = MEASURES[one.kind]?.label ?? one.kind;
    const {section} = one;
    const spot = section ? `${section.name.toLowerCase()} ${placeAlong(section.name, section.position)}` : `image ${(place?.index ?? 0) + 1}`;
    const where = place ? `${place.series.label || "Series"}, ${spot}` : "not among these images";
    const figures = one.known_mm ? `${one.known_mm} mm`
      : this.figures(one, place).slice(0, FIGURE[one.kind] ?? 1).at(-1) ?? "";
    const name = [one.text || label, figures].filter(Boolean).join(": ");
    go.append(iconOf(one.kind), make("span", "", name), make("small", "", where));
    go.title = name;
    go.disabled = !place;
    go.setAttribute("aria-label", `Go to ${one.text || label}${place ? `, ${spot}` : ""}`);
    go.addEventListener("click", () => viewer.jump(item.about));
    const write = () => viewer.jump(item.about) && viewer.active.write(item.about.id);
    const words = makeButton("text", one.known_mm ? "Known length" : `Text of ${label}`, "", write);
    const away = makeButton("close", `Delete ${one.text || label}`, "", () => viewer.ledger.remove(item.about.id));
    item.append(go, words, away);
    return item;
  }
}
