// Measure: what a shape on an image measures. Points are image coordinates: x in columns, y in rows,
// pixel (c, r) covering [c, c + 1) x [r, r + 1); the same arithmetic stands in imaging/measure.py.
const MEASURES = {
  length: {label: "Length", key: "l", points: 2},
  bidirectional: {label: "Bidirectional", key: "d", points: 4},
  angle: {label: "Angle", key: "a", points: 3},
  cobb: {label: "Cobb angle", key: "c", points: 4},
  rectangle: {label: "Rectangle", key: "b", points: 2},
  ellipse: {label: "Ellipse", key: "e", points: 2},
  polygon: {label: "Polygon", key: "g", points: 3},
  arrow: {label: "Arrow with text", key: "t", points: 2},
  calibration: {label: "Calibrate", key: "n", points: 2},
};
const REGIONS = ["rectangle", "ellipse", "polygon"];

function boxOf([[x1, y1], [x2, y2]]) {
  return [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
}

// Pixels whose centres lie in the shape.
function* spansOf(kind, points, rows, columns) {
  if (kind === "polygon") {
    yield* spansInside(points, rows, columns);
    return;
  }
  const [left, top, right, bottom] = boxOf(points);
  const [cx, cy, rx, ry] = [(left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2];
  const first = Math.max(0, Math.ceil(top - 0.5));
  const last = Math.min(rows - 1, Math.floor(bottom - 0.5));
  for (let row = first; row <= last; row += 1) {
    let half = rx;
    if (kind === "ellipse") {
      const across = ry > 0 ? (row + 0.5 - cy) / ry : 2;
      if (Math.abs(across) > 1) continue;
      half = rx * Math.sqrt(1 - across * across);
    }
    const from = Math.max(0, Math.ceil(cx - half - 0.5));
    const to = Math.min(columns - 1, Math.floor(cx + half - 0.5));
    if (to >= from) yield [row, from, to];
  }
}

// Centres with an odd number of edges at or before them in their row.
function* spansInside(points, rows, columns) {
  const heights = points.map(([, y]) => y);
  const first = Math.max(0, Math.floor(Math.min(...heights)));
  const last = Math.min(rows - 1, Math.ceil(Math.max(...heights)));
  for (let row = first; row <= last; row += 1) {
    const y = row + 0.5;
    const crossings = [];
    points.forEach(([x1, y1], i) => {
      const [x2, y2] = points[(i + 1) % points.length];
      if ((y1 <= y) !== (y2 <= y)) crossings.push(x1 + ((y - y1) * (x2 - x1)) / (y2 - y1));
    });
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      const from = Math.max(0, Math.ceil(crossings[i] - 0.5));
      const to = Math.min(columns - 1, Math.ceil(crossings[i + 1] - 0.5) - 1);
      if (to >= from) yield [row, from, to];
    }
  }
}

function areaOf(kind, points) {
  if (kind === "polygon") {
    if (crossesItself(points)) return null;
    const twice = points.reduce((sum, [x1, y1], i) => {
      const [x2, y2] = points[(i + 1) % points.length];
      return sum + x1 * y2 - x2 * y1;
    }, 0);
    return Math.abs(twice) / 2;
  }
  const [left, top, right, bottom] = boxOf(points);
  return (right - left) * (bottom - top) * (kind === "ellipse" ? Math.PI / 4 : 1);
}

// Whether two edges that are no neighbours have a point in common.
function crossesItself(points) {
  const count = points.length;
  const edge = (i) => [points[i], points[(i + 1) % count]];
  for (let i = 0; i < count; i += 1) {
    for (let j = i + 2; j < count; j += 1) {
      if ((j + 1) % count !== i && meet(...edge(i), ...edge(j))) return true;
    }
  }
  return false;
}

function meet(a, b, c, d) {
  const side = (p, q, r) => (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
  const within = (p, q, r) => Math.min(p[0], q[0]) <= r[0] && r[0] <= Math.max(p[0], q[0])
    && Math.min(p[1], q[1]) <= r[1] && r[1] <= Math.max(p[1], q[1]);
  const sides = [side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)];
  if (sides[0] * sides[1] < 0 && sides[2] * sides[3] < 0) return true;
  return [[a, b, c], [a, b, d], [c, d, a], [c, d, b]].some((ends, i) => !sides[i] && within(...ends));
}

// Of a section, what lies outside the picture takes no part (``absent``: least and greatest).
function statisticsOf(kind, points, {info, pixels, absent}) {
  const [leastAbsent, mostAbsent] = absent ?? [Infinity, -Infinity];
  let count = 0;
  let sum = 0;
  let squares = 0;
  let least = Infinity;
  let most = -Infinity;
  const coloured = info.colours?.first ?? Infinity;
  for (const [row, from, to] of spansOf(kind, points, info.rows, info.columns)) {
    for (let at = row * info.columns + from, end = row * info.columns + to; at <= end; at += 1) {
      const value = pixels[at];
      if (value >= coloured) continue; // stands for a colour
      if ((value >= leastAbsent && value <= mostAbsent) || !Number.isFinite(value)) continue;
      count += 1;
      sum += value;
      squares += value * value;
      if (value < least) least = value;
      if (value > most) most = value;
    }
  }
  if (!count) return null;
  const {slope, intercept} = info;
  const mean = sum / count;
  const ends = [least * slope + intercept, most * slope + intercept].sort((a, b) => a - b);
  return {
    count,
    mean: mean * slope + intercept,
    sd: Math.abs(slope) * Math.sqrt(Math.max(squares / count - mean * mean, 0)),
    min: ends[0],
    max: ends[1],
  };
}

function valuesOf({kind, points}, frame, known) {
  const {info} = frame;
  const {row, column, source, across, down} = calibrationOf(info, points, known);
  const inMm = row !== null && column !== null;
  const [h, w] = inMm ? [row, column] : [info.aspect || 1, 1];
  const values = {unit: inMm ? "mm" : "px", source};
  const leg = ([x1, y1], [x2, y2]) => [(x2 - x1) * w, (y2 - y1) * h];
  const size = (from, to) => Math.hypot(...leg(from, to));
  if (across || down) {
    const [[x1, y1], [x2, y2]] = points;
    const ways = [[Math.abs(x2 - x1), across, "across"], [Math.abs(y2 - y1), down, "down"]].filter(([, scale]) => scale);
    if (kind === "length") values.extents = ways.map(([px, {per_px: each, unit}, way]) => [px * each, unit, way]);
    else values.source = `Region of ${ways.map(([, {unit}, way]) => `${unit} ${way}`).join(" and ")}: pixels only`;
  }
  if (kind === "length" && !values.extents) values.length = size(points[0], points[1]);
  if (kind === "bidirectional" && points.length === 4) {
    values.axes = [size(points[0], points[1]), size(points[2], points[3])].sort((a, b) => b - a);
  }
  if (kind === "angle" && points.length === 3) values.angle = degrees(leg(points[1], points[0]), leg(points[1], points[2]));
  if (kind === "cobb" && points.length === 4) {
    const wide = degrees(leg(points[0], points[1]), leg(points[2], points[3]));
    values.cobb = Math.min(wide, 180 - wide); // two lines name no direction
  }
  // An angle needs the shape of a pixel, not its size.
  if ((kind === "angle" || kind === "cobb") && !across && !down) values.source = inMm || info.aspect ? "" : source;
  if (REGIONS.includes(kind)) {
    const area = areaOf(kind, points);
    if (area === null) return {...values, crossed: true};
    values.area = area * w * h;
    if (info.masks?.length) values.changed = "Values only without subtraction";
    else if (frame.missing) values.changed = "Values once all slices are here";
    else if (frame.pixels && info.format !== "rgb8") {
      values.statistics = statisticsOf(kind, points, frame);
      values.changed = values.statistics && info.changed;
    }
  }
  return values;
}

// Three digits that count: seconds are mostly small, hertz large.
function fineOf(number) {
  return number < 100 ? number.toFixed(number >= 1 ? 2 : 3) : number.toFixed(0);
}

function degrees(a, b) {
  const size = Math.hypot(...a) * Math.hypot(...b);
  const cosine = size ? (a[0] * b[0] + a[1] * b[1]) / size : 1;
  return (Math.acos(Math.min(1, Math.max(-1, cosine))) * 180) / Math.PI;
}

function figuresOf(values, info) {
  const lines = [];
  const show = (number, digits = 1) => number.toFixed(Math.abs(number) < 10 && digits ? digits + 1 : digits);
  if (values.length !== undefined) lines.push(`${show(values.length)} ${values.unit}`);
  for (const [value, unit, way] of values.extents ?? []) lines.push(`${fineOf(value)} ${unit} ${way}`);
  if (values.axes) lines.push(`${values.axes.map((each) => show(each)).join(" × ")} ${values.unit}`);
  if (values.angle !== undefined) lines.push(`${values.angle.toFixed(1)}°`);
  if (values.cobb !== undefined) lines.push(`${values.cobb.toFixed(1)}°`, `or ${(180 - values.cobb).toFixed(1)}°`);
  if (values.crossed) lines.push("The outline crosses itself: no area");
  if (values.area !== undefined) {
    const large = values.unit === "mm" && values.area >= 1000;
    lines.push(large ? `${show(values.area / 100, 2)} cm²` : `${show(values.area)} ${values.unit}²`);
  }
  if (values.statistics) {
    const {mean, sd, min, max} = values.statistics;
    const unit = info.unit ? ` ${info.unit}` : "";
    const fine = Math.abs(max - min) < 10 ? 2 : 0;
    lines.push(`Mean ${show(mean)}${unit}  SD ${show(sd)}`);
    lines.push(`Min ${min.toFixed(fine)}  Max ${max.toFixed(fine)}`);
  }
  return lines;
}

function linesOf(one, values, info, known) {
  const {kind, text} = one;
  if (kind === "calibration") {
    if (!one.known_mm) return [];
    if (known && known.id !== one.id) return [text, `${one.known_mm} mm`, "A newer calibration holds"].filter(Boolean);
    return [text, `${one.known_mm} mm, for ${one.scope === "series" ? "the series" : "this image"}`, values.source].filter(Boolean);
  }
  const source = kind === "arrow" || values.crossed ? "" : values.source;
  return [text, ...figuresOf(values, info), values.changed, source].filter(Boolean);
}
