// Presented: how a presentation state wishes an image to be seen: window, area, annotations, shutters
// (PS3.3 A.33). It is put over the image in one pane; what the reader changes afterwards stays.
class Presented {
  constructor(pane) {
    this.pane = pane;
    this.node = svgOf("svg", {class: "presented", "aria-hidden": "true"});
    this.note = make("div", "presented-note");
    this.note.hidden = true;
    this.known = new Map(); // address -> what the state says of the image, or why not
    this.applied = ""; // to which image the window and the area were set
  }

  // What the state says of an entry, once it is here.
  of(entry) {
    if (!entry?.presentation) return null;
    const url = `${this.pane.area.paperUrl({id: entry.presentation})}/on/${entry.id}/${entry.frame}`;
    if (!this.known.has(url)) {
      this.known.set(url, null);
      loadJson(url).catch((error) => ({problem: error.message})).then((said) => {
        this.known.set(url, said);
        this.pane.schedule();
      });
    }
    return this.known.get(url);
  }

  // Before the image is painted: the window and the area, each time the reader comes to it.
  apply(frame, entry, state) {
    const said = this.of(entry);
    if (!said || said.problem) return;
    const place = `${entry.series}/${state.index}`;
    if (this.applied === place) return;
    this.applied = place;
    const {info} = frame;
    const [center, width] = said.window ?? [info.window_center, info.window_width];
    // The state says what is black, whatever the image's own interpretation of its values.
    const invert = info.format !== "rgb8" && said.inverse !== info.inverted;
    Object.assign(state, {center, width, invert});
    const {camera} = state;
    camera.reset();
    const quarter = Math.round(said.rotation / 90) % 4;
    // The standard turns first and flips then, the camera flips first.
    Object.assign(camera, {quarter: said.flipped ? (4 - quarter) % 4 : quarter, mirrored: said.flipped});
    this.aim(camera, said.area, info);
    this.pane.chrome();
    this.pane.report();
  }

  aim(camera, area, info) {
    if (!area || (area[0].every((one) => one <= 0) && area[1][0] >= info.columns && area[1][1] >= info.rows)) return;
    const [[left, top], [right, bottom]] = area;
    const {size} = this.pane;
    const sides = [right - left, (bottom - top) * (info.aspect || 1)];
    const [wide, high] = camera.quarter % 2 ? sides.reverse() : sides;
    const {fit} = camera.place(info, ...size);
    camera.zoom = Math.min(40, Math.max(0.2, Math.min(size[0] / wide, size[1] / high) / fit));
    camera.fitted = false;
    const [x, y] = onScreen(camera.place(info, ...size), [(left + right) / 2, (top + bottom) / 2]);
    Object.assign(camera, {panX: size[0] / 2 - x, panY: size[1] / 2 - y});
  }

  // After the image is painted: shutters below, then what is drawn and written.
  draw(frame, entry, place) {
    const said = frame && this.of(entry);
    this.tell(said);
    if (!entry?.presentation) this.applied = "";
    if (!said || said.problem) {
      if (this.node.firstChild) this.node.replaceChildren();
      return;
    }
    const {info} = frame;
    const area = said.area ?? [[0, 0], [info.columns, info.rows]];
    const inView = ([x, y]) => [
      area[0][0] + x * (area[1][0] - area[0][0]), area[0][1] + y * (area[1][1] - area[0][1]),
    ];
    const screen = (ofView) => (point) => onScreen(place, ofView ? inView(point) : point);
    this.node.replaceChildren(
      ...said.shutters.map((one) => shutterOf(one, screen(false), this.pane.size)),
      ...said.graphics.flatMap((one) => graphicOf(one, screen(one.of_view))),
      ...said.labels.map((one) => labelOf(one, screen)),
    );
  }

  tell(said) {
    const text = said ? said.problem || [said.title, said.note].filter(Boolean).join("\n") : "";
    this.note.hidden = !text;
    if (this.note.textContent !== text) this.note.textContent = text;
  }
}

// Points along a circle (centre, point on it) or an ellipse (ends of both axes).
function ringOf({shape, points}) {
  const ring = [];
  const [p, q] = points;
  let [center, a, b] = [p, [q[0] - p[0], q[1] - p[1]], [p[1] - q[1], q[0] - p[0]]];
  if (shape === "ellipse") {
    center = [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2];
    a = [(q[0] - p[0]) / 2, (q[1] - p[1]) / 2];
    b = [(points[3][0] - points[2][0]) / 2, (points[3][1] - points[2][1]) / 2];
  }
  for (let i = 0; i <= 72; i += 1) {
    const [cos, sin] = [Math.cos((i * Math.PI) / 36), Math.sin((i * Math.PI) / 36)];
    ring.push([center[0] + a[0] * cos + b[0] * sin, center[1] + a[1] * cos + b[1] * sin]);
  }
  return ring;
}

// A curve through all points: cubic pieces whose tangents follow the neighbours.
function curveOf(on) {
  let d = `M${on[0]}`;
  for (let i = 0; i + 1 < on.length; i += 1) {
    const [before, from, to, after] = [on[Math.max(i - 1, 0)], on[i], on[i + 1], on[Math.min(i + 2, on.length - 1)]];
    const first = from.map((one, k) => one + (to[k] - before[k]) / 6);
    const second = to.map((one, k) => one - (after[k] - from[k]) / 6);
    d += `C${first} ${second} ${to}`;
  }
  return d;
}

function graphicOf(one, screen) {
  const round = one.shape === "circle" || one.shape === "ellipse";
  const on = (round ? ringOf(one) : one.points).map(screen);
  let d = `M${on.map((point) => point.join(" ")).join("L")}`;
  if (one.shape === "interpolated") d = curveOf(on);
  if (one.shape === "point") {
    const [x, y] = on[0];
    d = `M${x - 6} ${y}h12M${x} ${y - 6}v12`;
  }
  const path = () => svgOf("path", {d, class: one.filled ? "filled" : ""});
  const under = path();
  under.classList.add("under");
  return [under, path()];
}

function labelOf({text, box, box_of_view: boxOfView, anchor, anchor_of_view: anchorOfView, pointing}, screen) {
  const group = svgOf("g");
  const corners = box?.map(screen(boxOfView));
  const tip = anchor ? screen(anchorOfView)(anchor) : null;
  const at = corners ? [0, 1].map((k) => Math.min(corners[0][k], corners[1][k])) : [tip[0] + 8, tip[1] - 8];
  if (tip && corners && pointing) {
    const ends = [0, 1].map((k) => [...corners.map((one) => one[k])].sort((a, b) => a - b));
    const near = [0, 1].map((k) => Math.min(Math.max(tip[k], ends[k][0]), ends[k][1]));
    group.append(svgOf("path", {d: `M${near}L${tip}`, class: "under"}), svgOf("path", {d: `M${near}L${tip}`}));
  }
  const node = svgOf("text", {x: at[0], y: at[1] + (corners ? 13 : 0)});
  text.split("\n").forEach((line, i) => {
    const span = svgOf("tspan", {x: at[0], dy: i ? "1.25em" : 0});
    span.textContent = line;
    node.append(span);
  });
  group.append(node);
  return group;
}

// All but what is to be seen, in black.
function shutterOf({shape, points, radius}, screen, [width, height]) {
  let ring = points;
  if (shape === "rectangle") {
    const [[left, top], [right, bottom]] = points;
    ring = [[left, top], [right, top], [right, bottom], [left, bottom]];
  } else if (shape === "circle") {
    ring = ringOf({shape, points: [points[0], [points[0][0] + radius, points[0][1]]]});
  }
  const hole = ring.map((point) => screen(point).join(" ")).join("L");
  return svgOf("path", {d: `M0 0H${width}V${height}H0ZM${hole}Z`, class: "shutter", "fill-rule": "evenodd"});
}
