// Painter: stored values through a look-up table onto a canvas, in true aspect ratio.
const BLACK = 0xff000000;
const TABLE_SIZES = {uint8: 256, rgb8: 256, int16: 65536, uint16: 65536};

class Painter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", {alpha: false});
    this.size = [1, 1]; // of the canvas where it fills the port
    this.sheet = null; // the image's own pixels
    this.laid = ""; // where a plain canvas lies
    this.lut = null;
    this.lutKey = "";
    this.painted = "";
    this.planes = new Planes();
    this.shutters = []; // of the image, that are over it now
  }

  resize(width, height, ratio) {
    this.ratio = ratio;
    this.size = [width, height].map((each) => Math.max(1, Math.round(each * ratio)));
    if (!this.sheet?.isPlain) this.spread();
  }

  // The canvas fills the port, in the pixels of the screen.
  spread() {
    if (this.sheet?.isPlain) this.sheet = null;
    [this.canvas.width, this.canvas.height] = this.size;
    this.canvas.removeAttribute("style");
    this.laid = "";
  }

  clear() {
    if (this.sheet?.isPlain) this.spread();
    this.painted = "";
    this.context.setTransform(1, 0, 0, 1, 0, 0);
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw(frame, view) {
    const {info} = frame;
    this.shutters = (view.graphics && info.shutters) || [];
    this.prepare(info, Boolean(view.plain) && this.mayBePlain(frame, view));
    this.tables(info, view, frame.tints);
    const wanted = frame.key + this.lutKey;
    if (this.painted !== wanted) {
      if (info.format === "rgb8") this.colour(frame.pixels);
      else if (this.levels) this.wide(frame.pixels);
      else this.grey(frame.pixels);
      this.sheet.context.putImageData(this.sheet.image, 0, 0);
    }
    this.isSmooth = view.smooth !== false && view.scale < 6;
    if (this.sheet.isPlain) this.lay(view.matrix);
    else {
      this.clear();
      this.put(this.context, view.matrix.map((each) => each * this.ratio));
      for (const one of this.shutters) this.shut(one, info);
      if (view.graphics) this.planes.draw(this.context, frame);
    }
    this.painted = wanted;
  }

  // Whether the canvas can be the image itself: nothing is drawn over it, and it is the smaller of the two.
  mayBePlain({info: {rows, columns}, overlay}, {graphics}) {
    const [width, height] = this.size;
    return rows * columns <= width * height && !this.shutters.length && !(graphics && overlay);
  }

  // A plain canvas lies where the image is to be seen: the browser scales it as it puts the page
  // together, which is less work than to draw it anew in another size.
  lay(matrix) {
    this.matrix = matrix;
    const transform = `matrix(${matrix.join()})`;
    const imageRendering = this.isSmooth ? "auto" : "pixelated";
    if (this.laid === transform + imageRendering) return;
    this.laid = transform + imageRendering;
    Object.assign(this.canvas.style, {transform, imageRendering});
  }

  put(context, matrix) {
    context.imageSmoothingEnabled = this.isSmooth;
    context.transform(...matrix);
    context.drawImage(this.sheet.canvas, 0, 0);
  }

  // What is to be seen, onto another canvas in the coordinates of the port.
  copy(context, width, height) {
    if (!this.sheet?.isPlain) {
      context.drawImage(this.canvas, 0, 0, width, height);
      return;
    }
    context.save();
    context.beginPath();
    context.rect(0, 0, width, height);
    context.clip();
    this.put(context, this.matrix);
    context.restore();
  }

  // All but what is to be seen of an image, in black or its own colour; hidden with its graphics.
  shut(shutter, {columns, rows, aspect}, context = this.context) {
    const [first, ...rest] = openingOf(shutter, aspect);
    context.fillStyle = shutter.colour || "#000";
    context.beginPath();
    context.rect(-1, -1, columns + 2, rows + 2);
    context.moveTo(...first);
    for (const point of rest) context.lineTo(...point);
    context.closePath();
    context.fill("evenodd");
  }

  sketch(bitmap, info, view) {
    const {context, ratio} = this;
    this.clear();
    context.imageSmoothingEnabled = true;
    context.setTransform(...view.matrix.map((each) => each * ratio));
    context.drawImage(bitmap, 0, 0, info.columns, info.rows);
  }

  // The image's own pixels lie on the canvas itself, or behind it.
  prepare({rows, columns}, isPlain) {
    const {sheet} = this;
    if (sheet?.rows === rows && sheet.columns === columns && sheet.isPlain === isPlain) return;
    if (sheet?.isPlain && !isPlain) this.spread();
    const canvas = isPlain ? this.canvas : new OffscreenCanvas(columns, rows);
    if (isPlain) {
      Object.assign(canvas, {width: columns, height: rows});
      Object.assign(canvas.style, {width: `${columns}px`, height: `${rows}px`});
    }
    const context = canvas.getContext("2d", {alpha: false});
    const image = context.createImageData(columns, rows);
    this.sheet = {canvas, context, image, rows, columns, isPlain, words: new Uint32Array(image.data.buffer)};
    this.painted = "";
  }

  // The table holds one opaque pixel for each stored value (PS3.3 C.11.2.1.2 and .3): grey, or of the
  // palette's colours. `tints` are the image's own, for values that are none (C.8.16.2.1.1).
  tables(info, {center, width, invert, palette, colours}, tints) {
    const {format, slope, intercept, voi_function: kind, voi_curve: shape, padding, modality, levels} = info;
    const name = colours && palette;
    const own = info.colours && [info.colours.key, info.colours.first];
    const key = [format, slope, intercept, kind, shape, center, width, invert, padding, name, own, modality?.entries, levels].join();
    if (key === this.lutKey) return;
    this.lutKey = key;
    const curve = shape ? levelsOf(shape) : null;
    // Of a presentation state: what stored values are, and what becomes of the levels.
    const table = modality ? new Uint16Array(bytesOf(modality.entries).buffer) : null;
    const ladder = levels ? bytesOf(levels) : null;
    const valueOf = table
      ? (stored) => table[Math.max(0, Math.min(table.length - 1, stored - modality.first))]
      : (stored) => stored * slope + intercept;
    const flip = invert !== info.inverted;
    const span = kind === "LINEAR" ? Math.max(width - 1, 1e-6) : Math.max(width, 1e-6);
    const middle = kind === "LINEAR" ? center - 0.5 : center;
    // Outside the picture it stays black, inverted or not (PS3.3 C.7.5.1.1.2).
    const [least, most] = padding ?? [Infinity, -Infinity];
    const start = tints ? info.colours.first : Infinity;
    const grey = (stored) => {
      const x = (valueOf(stored) - middle) / span;
      let level = kind === "SIGMOID" ? 255 / (1 + Math.exp(-4 * x)) : (x + 0.5) * 255;
      if (kind === "LINEAR" && width <= 1) level = x > 0 ? 255 : 0;
      if (curve) level = curve[Math.max(0, Math.min(curve.length - 1, Math.floor((x + 0.5) * curve.length)))];
      level = level < 0 ? 0 : level > 255 ? 255 : Math.round(level);
      if (ladder) level = ladder[level];
      if (flip) level = 255 - level;
      return colours ? colours[level] : 0xff000000 | (level << 16) | (level << 8) | level;
    };
    const wordOf = (stored) => {
      if (stored >= least && stored <= most) return BLACK;
      return stored >= start ? tintOf(tints, stored - start) : grey(stored);
    };
    const size = TABLE_SIZES[format];
    this.levels = size ? null : wordOf; // too many stored values for a table
    if (!size) return;
    if (!this.lut || this.lut.length !== size) this.lut = new Uint32Array(size);
    const {lut} = this;
    const first = format === "int16" ? -32768 : 0;
    const last = first + size - 1;
    // Beyond the ramp every value has the level of its end; a table has no ramp.
    const reach = kind === "SIGMOID" ? 2 : 0.5; // in windows from its middle
    const ends = table ? [first, last]
      : [-reach, reach].map((x) => (x * span + middle - intercept) / (slope || 1)).sort((a, b) => a - b);
    const low = Math.max(first, Math.min(last, Math.floor(ends[0]) - 1));
    const high = Math.min(last, Math.max(first, Math.ceil(ends[1]) + 1));
    const fill = (word, from, to) => { // stored values from one to another, which is left out
      if (from < 0) lut.fill(word, from + size, Math.min(to, 0) + size);
      if (to > 0) lut.fill(word, Math.max(from, 0), to);
    };
    fill(grey(first), first, low);
    for (let stored = low; stored <= high; stored += 1) lut[stored & (size - 1)] = grey(stored);
    fill(grey(last), high + 1, last + 1);
    for (let stored = Math.max(first, start); stored <= last; stored += 1) lut[stored & (size - 1)] = wordOf(stored);
    fill(BLACK, Math.max(first, Math.ceil(least)), Math.min(last, Math.floor(most)) + 1);
  }

  wide(pixels) {
    const {words} = this.sheet;
    const {levels} = this;
    for (let i = 0, n = words.length; i < n; i += 1) words[i] = levels(pixels[i]);
  }

  grey(pixels) {
    const {words} = this.sheet;
    const {lut} = this;
    const stored = pixels.BYTES_PER_ELEMENT === 2
      ? new Uint16Array(pixels.buffer, pixels.byteOffset, pixels.length) : pixels;
    for (let i = 0, n = words.length; i < n; i += 1) words[i] = lut[stored[i]];
  }

  colour(pixels) {
    const {words} = this.sheet;
    const {lut} = this;
    for (let i = 0, j = 0, n = words.length; i < n; i += 1, j += 3) {
      words[i] = 0xff000000 | (lut[pixels[j + 2]] & 0xff0000)
        | (lut[pixels[j + 1]] & 0xff00) | (lut[pixels[j]] & 0xff);
    }
  }
}

// The corners of what a shutter leaves open, in image coordinates; a circle's radius counts columns.
function openingOf({shape, points, radius}, aspect = 1) {
  const [[left, top], [right, bottom] = []] = points;
  if (shape === "rectangle") return [[left, top], [right, top], [right, bottom], [left, bottom]];
  if (shape !== "circle") return points;
  return Array.from({length: 180}, (_, i) => (
    [left + radius * Math.cos((i * Math.PI) / 90), top + (radius / (aspect || 1)) * Math.sin((i * Math.PI) / 90)]
  ));
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
}

// Brightness at even steps over a window, from runs: a level, and how many more of it follow.
function levelsOf(text) {
  const runs = bytesOf(text);
  const counts = [];
  for (let i = 0; i < runs.length; i += 3) counts.push(1 + runs[i + 1] + 256 * runs[i + 2]);
  const curve = new Uint8Array(counts.reduce((sum, count) => sum + count, 0));
  let at = 0;
  counts.forEach((count, i) => curve.fill(runs[3 * i], at, (at += count)));
  return curve;
}

function tintOf(tints, place) {
  const at = 3 * Math.min(place, tints.length / 3 - 1);
  return 0xff000000 | (tints[at + 2] << 16) | (tints[at + 1] << 8) | tints[at];
}

// Where the picture stands in the viewport: fitted, or zoomed about a point and moved; and which way
// up: mirrored left to right, then turned clockwise by quarters.
class Camera {
  constructor() {
    this.reset();
    this.upright();
  }

  reset() {
    Object.assign(this, {fitted: true, zoom: 1, panX: 0, panY: 0});
  }

  upright() {
    Object.assign(this, {quarter: 0, mirrored: false});
  }

  turn(quarters) {
    this.quarter = (((this.quarter + quarters) % 4) + 4) % 4;
    for (let i = ((quarters % 4) + 4) % 4; i > 0; i -= 1) [this.panX, this.panY] = [-this.panY, this.panX];
  }

  // As it stands on the screen: its left and right change places, or its top and bottom.
  mirror(way) {
    this.mirrored = !this.mirrored;
    this.quarter = ((way === "across" ? 4 : 6) - this.quarter) % 4;
    if (way === "across") this.panX = -this.panX;
    else this.panY = -this.panY;
  }

  place({columns, rows, aspect: given}, width, height) {
    const aspect = given || 1;
    const {quarter} = this;
    const size = [columns, rows * aspect];
    const [wide, high] = quarter % 2 ? size.reverse() : size;
    const fit = Math.min(width / wide, height / high);
    const scale = fit * this.zoom;
    const [cos, sin] = [[1, 0], [0, 1], [-1, 0], [0, -1]][quarter];
    const across = this.mirrored ? -scale : scale;
    const down = scale * aspect;
    const [a, b, c, d] = [cos * across, sin * across, -sin * down, cos * down];
    const x = (width - a * columns - c * rows) / 2 + this.panX;
    const y = (height - b * columns - d * rows) / 2 + this.panY;
    return {aspect, scale, fit, x, y, matrix: [a, b, c, d, x, y]};
  }

  // A part of the image in the middle: as large as there is room, or so large as is asked for.
  aim([left, top, right, bottom], info, size, scale = null) {
    this.reset();
    if (!scale && left <= 0 && top <= 0 && right >= info.columns && bottom >= info.rows) return;
    const sides = [right - left, (bottom - top) * (info.aspect || 1)];
    const [wide, high] = this.quarter % 2 ? sides.reverse() : sides;
    const {fit} = this.place(info, ...size);
    this.zoom = Math.min(40, Math.max(0.2, (scale ?? Math.min(size[0] / wide, size[1] / high)) / fit));
    this.fitted = false;
    const [x, y] = onScreen(this.place(info, ...size), [(left + right) / 2, (top + bottom) / 2]);
    Object.assign(this, {panX: size[0] / 2 - x, panY: size[1] / 2 - y});
  }

  // What of the image is in a view: left, top, right, bottom; nothing where all of it was fitted.
  area(info, size) {
    if (this.fitted) return [];
    const place = this.place(info, ...size);
    const [one, other] = [onImage(place, [0, 0]), onImage(place, size)];
    const ends = [0, 1].map((k) => [one[k], other[k]].sort((a, b) => a - b));
    return [ends[0][0], ends[1][0], ends[0][1], ends[1][1]].map((edge) => Math.round(edge * 100) / 100);
  }

  // The letters at left, right, top and bottom once the picture is turned.
  edges([left, right, top, bottom]) {
    let ring = this.mirrored ? [top, left, bottom, right] : [top, right, bottom, left]; // clockwise
    ring = ring.map((_, i) => ring[(i + 4 - this.quarter) % 4]);
    return [ring[3], ring[1], ring[0], ring[2]];
  }

  zoomBy(factor, x, y, width, height) {
    const zoom = Math.min(40, Math.max(0.2, this.zoom * factor));
    const change = zoom / this.zoom;
    // The point under the cursor stays where it is.
    this.panX = (this.panX + width / 2 - x) * change - width / 2 + x;
    this.panY = (this.panY + height / 2 - y) * change - height / 2 + y;
    this.zoom = zoom;
    this.fitted = false;
  }

  moveBy(dx, dy) {
    this.panX += dx;
    this.panY += dy;
    this.fitted = false;
  }
}

function onScreen({matrix: [a, b, c, d, e, f]}, [x, y]) {
  return [a * x + c * y + e, b * x + d * y + f];
}

function onImage({matrix: [a, b, c, d, e, f]}, [x, y]) {
  const whole = a * d - b * c;
  return [(d * (x - e) - c * (y - f)) / whole, (a * (y - f) - b * (x - e)) / whole];
}
