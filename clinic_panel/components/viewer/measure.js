// Measure: what a shape on an image measures. Points are image coordinates: x in columns, y in rows,
// pixel (c, r) covering [c, c + 1) x [r, r + 1); the same arithmetic stands in imaging/measure.py.
const MEASURES = {
  length: {label: "Length", key: "l", points: 2},
  angle: {label: "Angle", key: "a", points: 3},
  rectangle: {label: "Rectangle", key: "b", points: 2},
  ellipse: {label: "Ellipse", key: "e", points: 2},
  arrow: {label: "Arrow with text", key: "t", points: 2},
};

// What a pixel is in millimetres for this shape, and who says so: on ultrasound only the region that
// holds the whole shape may speak for it (PS3.3 C.8.5.5).
function calibrationOf(info, points) {
  const {regions} = info;
  if (regions?.length) {
    const home = regions.find(({left, top, right, bottom}) => points.every(
      ([x, y]) => x >= left && x <= right && y >= top && y <= bottom,
    ));
    if (home) return {row: home.row_mm, column: home.column_mm, source: "Ultrasound region calibration"};
    return {row: null, column: null, source: "Outside one calibrated region: pixels only"};
  }
  const [row, column] = info.spacing ?? [null, null];
  return {row, column, source: info.spacing_source};
}

function boxOf([[x1, y1], [x2, y2]]) {
  return [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
}

// Pixels whose centres lie in the shape.
function* spansOf(kind, points, rows, columns) {
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

function statisticsOf(kind, points, {info, pixels}) {
  let count = 0;
  let sum = 0;
  let squares = 0;
  let least = Infinity;
  let most = -Infinity;
  for (const [row, from, to] of spansOf(kind, points, info.rows, info.columns)) {
    for (let at = row * info.columns + from, end = row * info.columns + to; at <= end; at += 1) {
      const value = pixels[at];
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

function valuesOf({kind, points}, frame) {
  const {info} = frame;
  const {row, column, source} = calibrationOf(info, points);
  const inMm = row !== null && column !== null;
  const [h, w] = inMm ? [row, column] : [info.aspect || 1, 1];
  const values = {unit: inMm ? "mm" : "px", source};
  const leg = ([x1, y1], [x2, y2]) => [(x2 - x1) * w, (y2 - y1) * h];
  if (kind === "length") values.length = Math.hypot(...leg(points[0], points[1]));
  if (kind === "angle" && points.length === 3) {
    const [a, b] = [leg(points[1], points[0]), leg(points[1], points[2])];
    const size = Math.hypot(...a) * Math.hypot(...b);
    const cosine = size ? (a[0] * b[0] + a[1] * b[1]) / size : 1;
    values.angle = (Math.acos(Math.min(1, Math.max(-1, cosine))) * 180) / Math.PI;
    // An angle needs the shape of a pixel, not its size.
    values.source = inMm || info.aspect ? "" : source;
  }
  if (kind === "rectangle" || kind === "ellipse") {
    const [left, top, right, bottom] = boxOf(points);
    const share = kind === "ellipse" ? Math.PI / 4 : 1;
    values.area = (right - left) * w * (bottom - top) * h * share;
    if (info.format !== "rgb8") values.statistics = statisticsOf(kind, points, frame);
  }
  return values;
}

function figuresOf(values, info) {
  const lines = [];
  const show = (number, digits = 1) => number.toFixed(Math.abs(number) < 10 && digits ? digits + 1 : digits);
  if (values.length !== undefined) lines.push(`${show(values.length)} ${values.unit}`);
  if (values.angle !== undefined) lines.push(`${values.angle.toFixed(1)}°`);
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

function linesOf({kind, text}, values, info) {
  const source = kind === "arrow" ? "" : values.source;
  return [text, ...figuresOf(values, info), source].filter(Boolean);
}
