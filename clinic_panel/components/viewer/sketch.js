// Sketch: the shapes of the ledger as they stand over the picture of one pane, with what they measure.
const SVG = "http://www.w3.org/2000/svg";

function svgOf(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

class Sketch {
  constructor(ledger, home) {
    this.ledger = ledger;
    this.home = home; // names the series of an instance
    this.node = svgOf("svg", {class: "shapes", "aria-hidden": "true"});
    this.draft = null; // being drawn
    this.held = null; // being moved: {id, kind, handle, from, before, points}
    this.pointed = null; // id of the shape whose point is chosen by key
    this.point = -1; // which one
    this.cache = new Map(); // id -> {key, values}
    this.view = null; // {frame, place, entry, key}
  }

  get list() {
    return this.ledger.list;
  }

  get selected() {
    return this.ledger.selected;
  }

  set selected(id) {
    this.ledger.selected = id;
  }

  // -- from the screen to the image and back -------------------------------------------------

  toImage(spot) {
    const {place, frame} = this.view;
    const bounded = (value, most) => Math.min(most, Math.max(0, value));
    const [x, y] = onImage(place, spot);
    return [bounded(x, frame.info.columns), bounded(y, frame.info.rows)];
  }

  toScreen(point) {
    return onScreen(this.view.place, point);
  }

  // A step on the screen as one of the image, whichever way the picture stands.
  stepOf([dx, dy]) {
    const {matrix: [a, b, c, d]} = this.view.place;
    const side = (value) => Math.sign(Math.round(value * 1e6));
    return [side(a * dx + b * dy), side(c * dx + d * dy)];
  }

  get aspect() {
    return this.view.frame.info.aspect || 1;
  }

  // The calibration by hand that holds for an image, if there is one.
  knownFor(entry) {
    return knownFor(this.list, entry, this.home);
  }

  pointOf({id}) {
    return id === this.pointed ? this.point : -1;
  }

  get here() {
    return this.view ? this.list.filter((one) => this.isHere(one)).map((one) => this.local(one)) : [];
  }

  // Whether a shape belongs to what is shown; one on a section belongs to no image.
  isHere(one) {
    return !one.section && keyOf(one) === this.view?.image;
  }

  // A shape in the coordinates of what is shown.
  local(one) {
    return one;
  }

  // What of it changes in the list when its points do.
  placed(points) {
    return {points};
  }

  // -- painting ------------------------------------------------------------------------------

  show(frame, place, entry) {
    this.view = frame && entry ? {frame, place, entry, key: entry.key, image: entry.image} : null;
    if (this.draft?.asked && !this.isHere(this.draft)) this.cancel();
    this.draw();
  }

  valuesOf(one) {
    const {known} = this;
    const key = `${this.view.key} ${one.points} ${known?.points} ${known?.known_mm} ${known?.by}`;
    const before = this.cache.get(one.id);
    if (before?.key === key) return before.values;
    const values = this.measured(one);
    this.cache.set(one.id, {key, values});
    return values;
  }

  measured(one) {
    return valuesOf(one, this.view.frame, this.known);
  }

  draw() {
    const {held, draft} = this;
    this.known = this.view ? this.knownFor(this.view.entry) : undefined;
    const shapes = this.here.map((one) => (one.id === held?.id ? {...one, points: held.points} : one));
    if (draft && this.view && this.isHere(draft)) shapes.push(draft);
    this.node.replaceChildren(...shapes.map((one) => this.picture(one)));
    const count = String(shapes.length);
    if (this.node.dataset.count !== count) this.node.dataset.count = count;
  }

  picture(one) {
    const on = one.points.map((point) => this.toScreen(point));
    const chosen = one.id === this.selected || one === this.draft;
    const group = svgOf("g", {class: chosen ? "shape chosen" : "shape", "data-kind": one.kind});
    const outline = this.outline(one.kind, on, one === this.draft);
    group.append(svgOf(outline.tag, {...outline.at, class: "under"}), svgOf(outline.tag, outline.at));
    if (one.kind === "cobb" && on.length === 4) group.append(svgOf("path", {class: "guide", d: this.between(on)}));
    const held = this.pointOf(one);
    (chosen ? on : []).forEach(([cx, cy], i) => {
      group.append(svgOf("circle", {cx, cy, r: i === held ? 6.5 : 4.5, class: i === held ? "handle held" : "handle"}));
    });
    const lines = linesOf(one, this.valuesOf(one), this.view.frame.info, this.known);
    if (lines.length) group.append(this.label(lines, on));
    return group;
  }

  // From the middle of one line of a Cobb angle to that of the other.
  between([a, b, c, d]) {
    return `M${(a[0] + b[0]) / 2} ${(a[1] + b[1]) / 2}L${(c[0] + d[0]) / 2} ${(c[1] + d[1]) / 2}`;
  }

  outline(kind, on, open) {
    const [left, top, right, bottom] = boxOf(on);
    const size = {width: right - left, height: bottom - top};
    if (kind === "rectangle") return {tag: "rect", at: {x: left, y: top, ...size}};
    if (kind === "ellipse") {
      const at = {cx: (left + right) / 2, cy: (top + bottom) / 2, rx: size.width / 2, ry: size.height / 2};
      return {tag: "ellipse", at};
    }
    let d = strandsOf(kind, on, open).map((strand) => `M${strand.map((point) => point.join(" ")).join("L")}`).join("");
    if (kind === "arrow") {
      const [[x, y], [fromX, fromY]] = on; // the head is where the drawing began
      const turn = Math.atan2(fromY - y, fromX - x);
      for (const by of [-0.45, 0.45]) d += `M${x} ${y}L${x + 12 * Math.cos(turn + by)} ${y + 12 * Math.sin(turn + by)}`;
    }
    return {tag: "path", at: {d}};
  }

  // At the point furthest right, or as near to it as the words fit.
  label(lines, on) {
    const [right, y] = on.reduce((a, b) => (b[0] > a[0] ? b : a));
    const wide = 7 * Math.max(...lines.map((line) => line.length));
    const x = Math.max(4, Math.min(right + 10, this.node.clientWidth - wide));
    const text = svgOf("text", {x, y: y + 4});
    lines.forEach((line, i) => {
      const span = svgOf("tspan", {x, dy: i ? "1.3em" : 0});
      span.textContent = line;
      text.append(span);
    });
    return text;
  }
}
