// Reduction: a volume too large for its room is averaged, not thinned out, so that every slice counts.
// Factors say how many columns, rows and slices meet in one voxel. Nothing here touches the page.
const MOST_TOGETHER = 16; // columns or rows in one voxel
const WHOLE = [1, 1, 1];

// The factors that keep a voxel's longest edge shortest within so many bytes, ``each`` a voxel.
function factorsFor({size: [columns, rows, slices], spacing: [x, y, z]}, bytes, each = 2) {
  let best = null;
  for (let plane = 1; plane <= MOST_TOGETHER; plane += 1) {
    const layer = Math.ceil(columns / plane) * Math.ceil(rows / plane) * each;
    const most = Math.floor(bytes / layer);
    if (most < 2 && plane < MOST_TOGETHER) continue;
    const through = Math.ceil(slices / Math.max(2, most));
    const edge = Math.max(plane * x, plane * y, through * z);
    const together = plane * plane * through;
    if (best && (edge > best.edge || (edge === best.edge && together >= best.together))) continue;
    best = {edge, together, factors: [plane, plane, through]};
  }
  return best.factors;
}

// One layer of voxels on its way: the sums of what met in each so far, and of how many.
class Meeting {
  constructor({size: [columns, rows]}, factors, slices) {
    this.factors = factors;
    this.across = Math.ceil(columns / factors[0]);
    this.sums = new Float64Array(this.across * Math.ceil(rows / factors[1]));
    this.counts = new Uint16Array(this.sums.length);
    this.rest = slices; // that have not come
  }

  // A slice in whatever unit: value * slope + intercept; padding and what is no number take no part.
  add(pixels, {columns, rows, padding}, {slope, intercept}) {
    const {factors: [fx, fy], across, sums, counts} = this;
    const gather = padding || pixels instanceof Float32Array ? gatherPresent : gatherAll;
    const found = {sum: 0, count: 0};
    for (let voxel = 0; voxel < sums.length; voxel += 1) {
      const [left, top] = [(voxel % across) * fx, Math.floor(voxel / across) * fy];
      const [right, bottom] = [Math.min(left + fx, columns), Math.min(top + fy, rows)];
      gather(found, pixels, columns, left, top, right, bottom, padding);
      sums[voxel] += found.sum * slope + found.count * intercept;
      counts[voxel] += found.count;
    }
    this.rest -= 1;
  }

  // What was summed as stored, in the unit of the image.
  scale({slope, intercept}) {
    const {sums, counts} = this;
    for (let i = 0; i < sums.length; i += 1) sums[i] = sums[i] * slope + counts[i] * intercept;
  }

  // Into floats NaN where nothing has a value, into whole numbers the padding.
  mean(out, padding) {
    const {sums, counts} = this;
    const whole = !(out instanceof Float32Array);
    const none = whole ? padding?.[0] ?? 0 : NaN;
    for (let i = 0; i < out.length; i += 1) {
      const mean = sums[i] / counts[i];
      out[i] = counts[i] ? (whole ? Math.round(mean) : mean) : none;
    }
  }
}

function gatherAll(found, pixels, columns, left, top, right, bottom) {
  let sum = 0;
  for (let row = top; row < bottom; row += 1) {
    for (let at = row * columns + left, end = row * columns + right; at < end; at += 1) sum += pixels[at];
  }
  found.sum = sum;
  found.count = (right - left) * (bottom - top);
}

function gatherPresent(found, pixels, columns, left, top, right, bottom, padding) {
  const [least, most] = padding ?? [Infinity, -Infinity];
  let [sum, count] = [0, 0];
  for (let row = top; row < bottom; row += 1) {
    for (let at = row * columns + left, end = row * columns + right; at < end; at += 1) {
      const value = pixels[at];
      if (!(value < least || value > most)) continue;
      sum += value;
      count += 1;
    }
  }
  found.sum = sum;
  found.count = count;
}

// "2 × 2 × 1", or nothing where every voxel is one of the images'.
function reductionSaid(factors) {
  return factors.some((factor) => factor > 1) ? factors.join(" × ") : "";
}
