// Geometry: image planes in the patient's frame, LPS in millimetres (PS3.3 C.7.6.2.1.1). Values in,
// values out; the same arithmetic stands in imaging/geometry.py, and the tests compare the two.
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const PARALLEL = Math.cos((5 * Math.PI) / 180); // planes less than five degrees apart scroll together

function normalOf(orientation) {
  const normal = cross(orientation.slice(0, 3), orientation.slice(3, 6));
  const size = Math.hypot(...normal);
  return normal.map((one) => one / size);
}

// Whether two orientations face the same way (1), opposite ways (-1) or are not parallel (0).
function facing(one, other) {
  const cosine = dot(normalOf(one), normalOf(other));
  return Math.abs(cosine) < PARALLEL ? 0 : Math.sign(cosine);
}

// The place in a stack nearest to a height along a normal.
function nearestPlace(positions, normal, height) {
  let best = 0;
  let least = Infinity;
  positions.forEach((position, i) => {
    const off = Math.abs(dot(position, normal) - height);
    if (off < least) {
      least = off;
      best = i;
    }
  });
  return best;
}

// Where the image `other` crosses the image `one`: two points in the pixel coordinates of `one`, or
// null. Both are FrameInfo: position and orientation of the first pixel's centre, rows, columns, spacing.
function crossingOf(one, other) {
  if (![one, other].every(({position, orientation, spacing}) => position && orientation && spacing)) return null;
  if (facing(one.orientation, other.orientation)) return null;
  const normal = normalOf(one.orientation);
  const corners = outerCornersOf(other);
  const heights = corners.map((corner) => dot(minus(corner, one.position), normal));
  const met = [];
  corners.forEach((corner, i) => {
    const next = corners[(i + 1) % 4];
    const [from, to] = [heights[i], heights[(i + 1) % 4]];
    if (from === to || from * to > 0) return;
    const share = from / (from - to);
    met.push(corner.map((value, axis) => value + share * (next[axis] - value)));
  });
  if (met.length < 2) return null;
  const ends = met.map((point) => pixelOf(one, point));
  // A corner that lies in the plane is met twice: take the two that are farthest apart.
  const [first] = ends;
  const far = ends.reduce((a, b) => (apart(b, first) > apart(a, first) ? b : a));
  return apart(first, far) > 1e-6 ? [first, far] : null;
}

function apart(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

// The outer corners of an image, going round.
function outerCornersOf({position, orientation, rows, columns, spacing: [rowMm, columnMm]}) {
  const [along, down] = [orientation.slice(0, 3), orientation.slice(3, 6)];
  return [[-0.5, -0.5], [columns - 0.5, -0.5], [columns - 0.5, rows - 0.5], [-0.5, rows - 0.5]].map(
    ([x, y]) => position.map((value, axis) => value + x * columnMm * along[axis] + y * rowMm * down[axis]),
  );
}

// Image coordinates of a point: pixel (c, r) covers [c, c + 1) x [r, r + 1).
function pixelOf({position, orientation, spacing: [rowMm, columnMm]}, point) {
  const away = minus(point, position);
  return [dot(away, orientation.slice(0, 3)) / columnMm + 0.5, dot(away, orientation.slice(3, 6)) / rowMm + 0.5];
}
