// Presented: how a presentation state wishes an image to be seen: window, area, annotations, shutters
// (PS3.3 A.33). It is put over the image in one pane; what the reader changes afterwards stays.
class Presented {
  constructor(pane) {
    this.pane = pane;
    this.node = svgOf("svg", {class: "presented", "aria-hidden": "true"});
    this.note = make("div", "presented-note");
    this.note.hidden = true;
    this.known = new Map(); // state and image -> what the state says of the image, or why not
    this.pictures = new Map(); // bits and their colour -> their picture, one for all frames
    this.covers = {shutters: [], bitmaps: []}; // what is over the image now
    this.applied = ""; // to which image the window and the area were set
  }

  // What the state says of an entry, once it is here.
  of(entry) {
    if (!entry?.presentation) return null;
    const key = `${entry.presentation}/${entry.key}`;
    if (!this.known.has(key)) {
      this.known.set(key, null);
      const asked = this.pane.area.sources.presented(entry.presentation, entry).then((said) => this.pictured(said));
      asked.catch((error) => ({problem: error.message})).then((said) => {
        this.known.set(key, said);
        this.pane.schedule();
      });
    }
    return this.known.get(key);
  }

  // The bits as pictures: a state says the same of frame after frame.
  pictured(said) {
    const bitmaps = said.bitmaps.map(({bits, ...one}) => {
      const key = [one.rows, one.columns, one.colour, one.is_shutter, bits].join();
      if (!this.pictures.has(key)) this.pictures.set(key, pictureOf({...one, bits}));
      return {...one, picture: this.pictures.get(key)};
    });
    return {...said, bitmaps};
  }

  // Whether there is something to hide over an entry.
  hides(entry) {
    const said = this.of(entry);
    return Boolean(said?.shutters?.length || said?.bitmaps?.length);
  }

  // Before the image is painted: the window and the area, each time the reader comes to it.
  apply(frame, entry, state) {
    const said = this.of(entry);
    if (!said || said.problem) return;
    const place = `${entry.series}/${state.index}`;
    if (this.applied === place) return;
    this.applied = place;
    const {info} = frame;
    const [center, width] = said.tones.window ?? [info.window_center, info.window_width];
    // The state says what is black, whatever the image's own interpretation of its values.
    const invert = info.format !== "rgb8" && said.inverse !== info.inverted;
    Object.assign(state, {center, width, invert});
    const {camera} = state;
    camera.reset();
    const quarter = Math.round(said.rotation / 90) % 4;
    // The standard turns first and flips then, the camera flips first.
    Object.assign(camera, {quarter: said.flipped ? (4 - quarter) % 4 : quarter, mirrored: said.flipped});
    if (said.area) camera.aim(said.area.corners.flat(), info, this.pane.size, sizeAskedBy(said.area));
    this.pane.chrome();
    this.pane.report();
  }

  // The frame in the shape of pixels that the state asks for, whatever the image says of them.
  shaped(frame, entry) {
    const aspect = this.of(entry)?.area?.aspect;
    if (!aspect || Math.abs(aspect / (frame.info.aspect || 1) - 1) < 1e-3) return frame;
    const {formed} = this;
    if (formed?.frame !== frame || formed.aspect !== aspect) {
      this.formed = {frame, aspect, seen: {...frame, info: {...frame.info, aspect}}};
    }
    return this.formed.seen;
  }

  // The frame with the grey levels that the state asks for, to be painted; its shutters are the state's.
  toned(frame, entry) {
    const said = this.of(entry);
    if (!said || said.problem) return frame;
    if (this.held?.frame !== frame || this.held.said !== said) this.held = {frame, said, seen: tonedOf(frame, said)};
    return this.held.seen;
  }

  // After the image is painted: shutters below, then what is drawn and written. Shutters and bits
  // are hidden with the graphics that images bring.
  draw(frame, entry, place) {
    const said = frame && this.of(entry);
    this.tell(said);
    if (!entry?.presentation) this.applied = "";
    const isSaid = said && !said.problem;
    this.covers = isSaid && this.pane.area.graphics ? said : {shutters: [], bitmaps: []};
    if (!isSaid) {
      if (this.node.firstChild) this.node.replaceChildren();
      return;
    }
    const {shutters, bitmaps} = this.covers;
    const screen = (point) => onScreen(place, point);
    this.node.replaceChildren(
      ...shutters.map((one) => shutterOf(one, screen, this.pane.size, frame.info.aspect)),
      ...bitmaps.map((one) => bitmapOf(one, place)),
      ...said.graphics.flatMap((one) => graphicOf(one, screen)),
      ...said.labels.map((one) => labelOf(one, screen)),
    );
  }

  tell(said) {
    const text = said ? said.problem || [said.title, said.note, ...remarksOn(said.area)].filter(Boolean).join("\n") : "";
    this.note.hidden = !text;
    if (this.note.textContent !== text) this.note.textContent = text;
  }
}

const CSS_MM = 25.4 / 96; // a browser's idea of a pixel

// Pixels of the screen for one of the image, where the state asks for so many.
function sizeAskedBy({mode, spacing, magnification}) {
  if (mode === "TRUE SIZE" && spacing) return spacing[1] / CSS_MM;
  if (mode === "MAGNIFY" && magnification) return magnification / (devicePixelRatio || 1);
  return null;
}

// What the reader has to know of how an area is shown.
function remarksOn(area) {
  const remarks = [];
  if (area && sizeAskedBy(area) && area.mode === "TRUE SIZE") remarks.push("True size, on a screen of 96 dots an inch");
  if (area?.mode === "TRUE SIZE" && !area.spacing) remarks.push("Not applied: its true size, which it does not say");
  return remarks;
}

function tonedOf(frame, {tones, modality}) {
  const info = {...frame.info, shutters: []};
  if (info.format === "rgb8") return {...frame, info};
  if (tones.function) Object.assign(info, {voi_function: tones.function, voi_curve: tones.curve});
  // What is subtracted has passed it already.
  if (info.masks?.length) return {...frame, info: tones.levels ? {...info, levels: tones.levels} : info};
  if (modality?.entries) info.modality = modality;
  else if (modality) Object.assign(info, modality);
  if (tones.levels) info.levels = tones.levels;
  return {...frame, info};
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
  const drawn = path();
  const {colour, fill, width, dashed} = one.style;
  if (colour) drawn.style.stroke = colour;
  if (fill && one.filled) drawn.style.fill = fill;
  if (width) {
    drawn.style.strokeWidth = width;
    under.style.strokeWidth = width + 2;
  }
  if (dashed) for (const each of [drawn, under]) each.style.strokeDasharray = "6 4";
  return [under, drawn];
}

const ANCHORS = {left: "start", center: "middle", right: "end"};

function labelOf({text, box, anchor, pointing, justified, style}, screen) {
  const group = svgOf("g");
  const corners = box?.map(screen);
  const tip = anchor ? screen(anchor) : null;
  const ends = corners && [0, 1].map((k) => corners.map((one) => one[k]).sort((a, b) => a - b));
  // A box is filled from the side that its text keeps to; without one, the text stands beside the point.
  const share = {left: 0, center: 0.5, right: 1}[justified];
  const at = ends ? [ends[0][0] + share * (ends[0][1] - ends[0][0]), ends[1][0]] : [tip[0] + (justified === "left" ? 8 : 0), tip[1] - 8];
  if (tip && corners && pointing) {
    const near = [0, 1].map((k) => Math.min(Math.max(tip[k], ends[k][0]), ends[k][1]));
    const [under, pointer] = ["under", ""].map((kind) => svgOf("path", {d: `M${near}L${tip}`, class: kind}));
    if (style.colour) pointer.style.stroke = style.colour;
    group.append(under, pointer);
  }
  const node = svgOf("text", {x: at[0], y: at[1] + (corners ? 13 : 0), "text-anchor": ANCHORS[justified]});
  if (style.colour) node.style.fill = style.colour;
  text.split("\n").forEach((line, i) => {
    const span = svgOf("tspan", {x: at[0], dy: i ? "1.25em" : 0});
    span.textContent = line;
    node.append(span);
  });
  group.append(node);
  return group;
}

// All but what is to be seen, in black or the state's colour.
function shutterOf(one, screen, [width, height], aspect) {
  const hole = openingOf(one, aspect).map((point) => screen(point).join(" ")).join("L");
  const drawn = svgOf("path", {d: `M0 0H${width}V${height}H0ZM${hole}Z`, class: "shutter", "fill-rule": "evenodd"});
  if (one.colour) drawn.style.fill = one.colour;
  return drawn;
}

// Bits that lie on the image as its pixels do, in one colour.
function bitmapOf(one, {matrix}) {
  const {left, top, columns, rows, picture: {canvas, address}} = one;
  const place = {x: left, y: top, width: columns, height: rows, preserveAspectRatio: "none", transform: `matrix(${matrix.join(" ")})`};
  const node = svgOf("image", {...place, class: "bitmap", href: address});
  return Object.assign(node, {picture: canvas, isShutter: one.is_shutter}); // for a picture that leaves
}

function pictureOf({rows, columns, bits, colour, is_shutter: isShutter}) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, {width: columns, height: rows});
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const words = new Uint32Array(image.data.buffer);
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  const word = colour ? BLACK | (blue << 16) | (green << 8) | red : isShutter ? BLACK : PLANE_COLOUR;
  bytesOf(bits).forEach((byte, i) => {
    for (let bit = 0; byte >> bit; bit += 1) if ((byte >> bit) & 1) words[8 * i + bit] = word;
  });
  context.putImageData(image, 0, 0);
  return {canvas, address: canvas.toDataURL()};
}
