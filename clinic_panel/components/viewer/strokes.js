// Strokes: how the hand builds and bends each kind of shape, point by point. While it is drawn a shape
// has `free`: which point follows the hand, or -1.
const CORNERS = 200;

function strokeFrom(kind, point) {
  return {kind, points: [point, [...point]], free: 1};
}

// The hand comes down again on a shape that wants more points.
function pressOn(draft, point, atFirst) {
  const {points} = draft;
  if (draft.free < 0) {
    points.push(point, [...point]);
    draft.free = points.length - 1;
    return;
  }
  points[draft.free] = point;
  draft.closing = draft.kind === "polygon" && atFirst && points.length > 3;
}

// The hand that came down meant something else; false when nothing was there before it.
function unpress(draft) {
  const {kind, points} = draft;
  if (kind === "polygon") {
    draft.closing = false;
    return points.length > 2;
  }
  if (points.length < 3 || kind === "bidirectional") return false;
  if (kind === "cobb") {
    draft.points = points.slice(0, 2);
    draft.free = -1;
  }
  return true;
}

function dragOn(draft, point, aspect) {
  if (draft.free < 0) return;
  if (draft.kind === "bidirectional") draft.points = crossOf(draft.points[0], point, 0.5, [0.25, -0.25], aspect);
  else draft.points[draft.free] = point;
}

// True when the shape is complete, false when it wants more, null when there is none.
function liftFrom(draft, moved) {
  const {kind, points} = draft;
  if (kind === "polygon") {
    if (draft.closing) points.pop();
    if (draft.closing || points.length >= CORNERS) return true;
    points.push([...points.at(-1)]);
    draft.free = points.length - 1;
    return false;
  }
  if (!moved) { // a click, not a line
    if (kind === "cobb" && points.length === 4) {
      draft.points = points.slice(0, 2);
      draft.free = -1;
      return false;
    }
    return points.length > 2 && kind !== "bidirectional" ? false : null;
  }
  if (points.length === MEASURES[kind].points) return true;
  if (kind === "angle") points.push([...points[1]]);
  draft.free = kind === "angle" ? 2 : -1;
  return false;
}

// The corners of a polygon that are apart from one another, or null for fewer than three.
function cornersOf(points, apart) {
  const kept = [];
  for (const point of points) if (!kept.length || apart(kept.at(-1), point)) kept.push(point);
  while (kept.length > 1 && !apart(kept[0], kept.at(-1))) kept.pop();
  return kept.length < 3 ? null : kept;
}

function bent({kind, points}, handle, point, aspect) {
  if (kind !== "bidirectional") return points.map((each, i) => (i === handle ? point : each));
  const [a, b] = points;
  const {size, along, aside} = frameOn(a, b, aspect);
  if (!size) return points;
  let place = along(points[2]);
  const reach = [aside(points[2]), aside(points[3])];
  if (handle < 2) {
    const ends = handle ? [a, point] : [point, b];
    const grown = frameOn(...ends, aspect).size;
    return grown ? crossOf(...ends, place, reach.map((each) => (each * size) / grown), aspect) : points;
  }
  place = Math.min(1, Math.max(0, along(point)));
  reach[handle - 2] = aside(point);
  return crossOf(a, b, place, reach, aspect);
}

// Along and beside the line from a to b, as shares of its length, where pixels have their true shape.
function frameOn(a, b, aspect) {
  const [vx, vy] = [b[0] - a[0], (b[1] - a[1]) * aspect];
  const square = vx * vx + vy * vy;
  const from = ([x, y]) => [x - a[0], (y - a[1]) * aspect];
  return {
    size: Math.sqrt(square),
    along: (point) => { const [x, y] = from(point); return (x * vx + y * vy) / square; },
    aside: (point) => { const [x, y] = from(point); return (y * vx - x * vy) / square; },
  };
}

// A long axis, and one square to it that crosses at `place` and reaches so far to either side.
function crossOf(a, b, place, reach, aspect) {
  const [vx, vy] = [b[0] - a[0], (b[1] - a[1]) * aspect];
  const ends = reach.map((far) => [
    a[0] + place * vx - far * vy,
    a[1] + (place * vy + far * vx) / aspect,
  ]);
  return [a, b, ...ends];
}

// Where a shape stands that was placed by key: about the middle, to be moved from there.
function standing(kind, x, y, r, aspect) {
  const corners = [[x - r, y - r], [x + r, y + r]];
  if (kind === "angle") return [corners[0], [x - r, y + r], corners[1]];
  if (kind === "cobb") return [[x - r, y - r], [x + r, y - r / 2], [x - r, y + r], [x + r, y + r / 2]];
  if (kind === "bidirectional") return crossOf([x - r, y], [x + r, y], 0.5, [0.25, -0.25], aspect);
  if (kind === "calibration") return [[x - r, y], [x + r, y]];
  if (kind !== "polygon") return corners;
  return Array.from({length: 6}, (_, i) => [
    x + r * Math.cos((i * Math.PI) / 3), y + r * Math.sin((i * Math.PI) / 3),
  ]);
}

// The lines a shape is made of, each a row of points.
function strandsOf(kind, points, open) {
  if (kind === "cobb" || kind === "bidirectional") return [points.slice(0, 2), points.slice(2)].filter((each) => each.length > 1);
  if (kind === "polygon" && !open) return [[...points, points[0]]];
  return [points];
}
