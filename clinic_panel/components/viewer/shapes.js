// Shapes: the measurements drawn over the picture of one pane, and the hand that draws and moves them.
const SVG = "http://www.w3.org/2000/svg";
const NEAR = 7; // screen pixels that count as on a line
const NEAR_HANDLE = {mouse: 9, pen: 14, touch: 22};

function svgOf(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// Not secret, only unlike the others: randomUUID does not exist on a LAN without TLS.
function newId() {
  return `${Date.now().toString(36)}-${Math.floor(Math.random() * 2 ** 40).toString(36)}`;
}

class Shapes {
  constructor(ledger) {
    this.ledger = ledger;
    this.node = svgOf("svg", {class: "shapes", "aria-hidden": "true"});
    this.draft = null; // being drawn
    this.held = null; // being moved: {id, handle, from, points}
    this.cache = new Map(); // id -> {key, values}
    this.view = null; // {frame, place, key}
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

  toImage([x, y]) {
    const {place, frame} = this.view;
    const bounded = (value, most) => Math.min(most, Math.max(0, value));
    return [
      bounded((x - place.x) / place.scale, frame.info.columns),
      bounded((y - place.y) / (place.scale * place.aspect), frame.info.rows),
    ];
  }

  toScreen([x, y]) {
    const {place} = this.view;
    return [place.x + x * place.scale, place.y + y * place.scale * place.aspect];
  }

  get here() {
    return this.view ? this.list.filter((one) => keyOf(one) === this.view.key) : [];
  }

  // -- drawing by hand -----------------------------------------------------------------------

  // What lies under the hand: a handle before a line, the selected shape before the others.
  under([x, y], pointer = "mouse") {
    const shapes = [...this.here].sort((a, b) => (b.id === this.selected) - (a.id === this.selected));
    const reach = NEAR_HANDLE[pointer] ?? NEAR_HANDLE.mouse;
    for (const one of shapes) {
      const handle = one.points.findIndex((point) => {
        const [hx, hy] = this.toScreen(point);
        return Math.hypot(hx - x, hy - y) <= reach;
      });
      if (handle >= 0) return {id: one.id, handle};
    }
    const touched = shapes.find((one) => this.distance(one, x, y) <= NEAR);
    return touched ? {id: touched.id, handle: -1} : null;
  }

  distance({kind, points}, x, y) {
    const on = points.map((point) => this.toScreen(point));
    if (kind === "ellipse") {
      const [left, top, right, bottom] = boxOf(on);
      const [rx, ry] = [(right - left) / 2 || 1, (bottom - top) / 2 || 1];
      const share = Math.hypot((x - (left + right) / 2) / rx, (y - (top + bottom) / 2) / ry);
      return Math.abs(share - 1) * Math.min(rx, ry);
    }
    let corners = on;
    if (kind === "rectangle") {
      const [left, top, right, bottom] = boxOf(on);
      corners = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
    }
    return Math.min(...corners.slice(1).map((end, i) => {
      const [x1, y1] = corners[i];
      const [dx, dy] = [end[0] - x1, end[1] - y1];
      const along = Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
      return Math.hypot(x - x1 - along * dx, y - y1 - along * dy);
    }));
  }

  // True when the hand is taken: something is being drawn or moved.
  press(kind, spot, pointer) {
    if (!this.view) return false;
    if (this.draft) {
      this.draft.points[2] = this.toImage(spot);
      this.draw();
      return true;
    }
    const found = this.under(spot, pointer);
    if (found) {
      this.selected = found.id;
      const {points} = this.list.find((one) => one.id === found.id);
      this.held = {...found, from: this.toImage(spot), points, before: points};
      this.draw();
      return true;
    }
    this.selected = null;
    if (!(kind in MEASURES)) {
      this.draw();
      return false;
    }
    const {entry} = this.view;
    const point = this.toImage(spot);
    this.draft = {id: newId(), kind, instance_id: entry.id, frame: entry.frame, points: [point, [...point]], text: ""};
    this.draw();
    return true;
  }

  drag(spot) {
    if (!this.view) return;
    const point = this.toImage(spot);
    if (this.draft) {
      this.draft.points[this.draft.points.length - 1] = point;
    } else if (this.held) {
      const {from, before, handle} = this.held;
      const [dx, dy] = [point[0] - from[0], point[1] - from[1]];
      this.held.points = before.map((each, i) => {
        if (handle === i) return point;
        return handle < 0 ? [each[0] + dx, each[1] + dy] : each;
      });
    } else return;
    this.draw();
  }

  // True when a shape is complete and may want a text.
  release() {
    const {draft, held} = this;
    if (held) {
      this.held = null;
      if (held.points !== held.before) this.ledger.rewrite(held.id, {points: held.points});
      return false;
    }
    if (!draft) return false;
    const [[x1, y1], [x2, y2]] = draft.points.slice(-2).map((point) => this.toScreen(point));
    if (Math.hypot(x2 - x1, y2 - y1) < 4) {
      this.cancel(); // a click, not a shape
      return false;
    }
    if (draft.points.length < MEASURES[draft.kind].points) {
      draft.points.push([...draft.points[1]]);
      return false;
    }
    this.draft = null;
    this.selected = draft.id;
    this.ledger.commit([...this.list, draft]);
    return true;
  }

  cancel() {
    this.draft = null;
    this.held = null;
    this.draw();
  }

  // By key: a shape in the middle of the picture, to be moved from there.
  place(kind) {
    if (!this.view || !(kind in MEASURES)) return false;
    const {entry, frame: {info}} = this.view;
    const [cx, cy, reach] = [info.columns / 2, info.rows / 2, Math.min(info.columns, info.rows) / 8];
    const corners = [[cx - reach, cy - reach], [cx + reach, cy + reach]];
    const points = kind === "angle" ? [corners[0], [cx - reach, cy + reach], corners[1]] : corners;
    const made = {id: newId(), kind, instance_id: entry.id, frame: entry.frame, points, text: ""};
    this.selected = made.id;
    this.ledger.commit([...this.list, made]);
    return true;
  }

  // -- painting ------------------------------------------------------------------------------

  show(frame, place, entry) {
    this.view = frame && entry ? {frame, place, entry, key: entry.key} : null;
    this.draw();
  }

  valuesOf(one) {
    const key = `${this.view.key} ${one.points}`;
    const known = this.cache.get(one.id);
    if (known?.key === key) return known.values;
    const values = valuesOf(one, this.view.frame);
    this.cache.set(one.id, {key, values});
    return values;
  }

  draw() {
    const {held, draft} = this;
    const shapes = this.here.map((one) => (one.id === held?.id ? {...one, points: held.points} : one));
    if (draft && this.view?.key === keyOf(draft)) shapes.push(draft);
    this.node.replaceChildren(...shapes.map((one) => this.picture(one)));
    this.node.dataset.count = String(shapes.length);
  }

  picture(one) {
    const on = one.points.map((point) => this.toScreen(point));
    const chosen = one.id === this.selected || one === this.draft;
    const group = svgOf("g", {class: chosen ? "shape chosen" : "shape", "data-kind": one.kind});
    const outline = this.outline(one.kind, on);
    group.append(svgOf(outline.tag, {...outline.at, class: "under"}), svgOf(outline.tag, outline.at));
    for (const [cx, cy] of chosen ? on : []) group.append(svgOf("circle", {cx, cy, r: 4.5, class: "handle"}));
    const lines = linesOf(one, this.valuesOf(one), this.view.frame.info);
    if (lines.length) group.append(this.label(lines, on));
    return group;
  }

  outline(kind, on) {
    const [left, top, right, bottom] = boxOf(on);
    const size = {width: right - left, height: bottom - top};
    if (kind === "rectangle") return {tag: "rect", at: {x: left, y: top, ...size}};
    if (kind === "ellipse") {
      const at = {cx: (left + right) / 2, cy: (top + bottom) / 2, rx: size.width / 2, ry: size.height / 2};
      return {tag: "ellipse", at};
    }
    let d = `M${on.map((point) => point.join(" ")).join("L")}`;
    if (kind === "arrow") {
      const [[x, y], [fromX, fromY]] = on; // the head is where the drawing began
      const turn = Math.atan2(fromY - y, fromX - x);
      for (const by of [-0.45, 0.45]) d += `M${x} ${y}L${x + 12 * Math.cos(turn + by)} ${y + 12 * Math.sin(turn + by)}`;
    }
    return {tag: "path", at: {d}};
  }

  label(lines, on) {
    const [x, y] = on.reduce((a, b) => (b[0] > a[0] ? b : a));
    const text = svgOf("text", {x: x + 10, y: y + 4});
    lines.forEach((line, i) => {
      const span = svgOf("tspan", {x: x + 10, dy: i ? "1.3em" : 0});
      span.textContent = line;
      text.append(span);
    });
    return text;
  }
}
