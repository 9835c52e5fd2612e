// Projection: one layer of a block of values, or many seen as one. ``from`` says where the pixels of the
// first layer lie: ``start``, and the steps from pixel to pixel, row to row and layer to layer.
function copy({data, columns, rows, stepX, stepY, start, step}, layer) {
  const out = new data.constructor(columns * rows);
  for (let row = 0, to = 0; row < rows; row += 1) {
    let at = start + layer * step + row * stepY;
    if (stepX === 1) {
      out.set(data.subarray(at, at + columns), to);
      to += columns;
    } else for (const end = to + columns; to < end; to += 1, at += stepX) out[to] = data[at];
  }
  return out;
}

// One row of a layer upon what was found before it, in whole numbers. A function a mode: each meets
// one kind of array and stays fast; no branch, which noise would make the processor guess.
const UPON = {
  max(out, first, data, from, step, count) {
    for (let to = first, at = from; to < first + count; to += 1, at += step) {
      const more = data[at] - out[to];
      out[to] += more & ~(more >> 31);
    }
  },
  min(out, first, data, from, step, count) {
    for (let to = first, at = from; to < first + count; to += 1, at += step) {
      const more = data[at] - out[to];
      out[to] += more & (more >> 31);
    }
  },
  mean(out, first, data, from, step, count) {
    for (let to = first, at = from; to < first + count; to += 1, at += step) out[to] += data[at];
  },
};

// A row of pixels from the runs of values behind each; of a mean, their sums.
const ALONG = {
  max(out, first, data, from, step, columns, count) {
    for (let to = first, start = from; to < first + columns; to += 1, start += step) {
      let found = data[start];
      for (let at = start + 1; at < start + count; at += 1) {
        const more = data[at] - found;
        found += more & ~(more >> 31);
      }
      out[to] = found;
    }
  },
  min(out, first, data, from, step, columns, count) {
    for (let to = first, start = from; to < first + columns; to += 1, start += step) {
      let found = data[start];
      for (let at = start + 1; at < start + count; at += 1) {
        const more = data[at] - found;
        found += more & (more >> 31);
      }
      out[to] = found;
    }
  },
  mean(out, first, data, from, step, columns, count) {
    for (let to = first, start = from; to < first + columns; to += 1, start += step) {
      let sum = 0;
      for (let at = start; at < start + count; at += 1) sum += data[at];
      out[to] = sum;
    }
  },
};

// Layer after layer upon the first: for sections whose pixels lie nearer together than their layers.
function projectLayers(from, layers, mode) {
  const {data, columns, rows, stepX, stepY, start, step} = from;
  const first = copy(from, layers[0]);
  const out = mode === "mean" ? new Float64Array(first) : first;
  const upon = UPON[mode];
  for (const layer of layers.slice(1)) {
    for (let row = 0; row < rows; row += 1) upon(out, row * columns, data, start + layer * step + row * stepY, stepX, columns);
  }
  return mode === "mean" ? average(out, layers.length, first) : out;
}

// Pixel after pixel: the layers of one lie side by side.
function projectRuns({data, columns, rows, stepX, stepY, start}, layers, mode) {
  const count = layers.length;
  const kept = new data.constructor(columns * rows);
  const out = mode === "mean" ? new Float64Array(kept.length) : kept;
  for (let row = 0; row < rows; row += 1) {
    ALONG[mode](out, row * columns, data, start + layers[0] + row * stepY, stepX, columns, count);
  }
  return mode === "mean" ? average(out, count, kept) : kept;
}

function average(sums, count, out) {
  const whole = !(out instanceof Float32Array);
  for (let i = 0; i < out.length; i += 1) out[i] = whole ? Math.round(sums[i] / count) : sums[i] / count;
  return out;
}

// Voxels without a value take no part; where none has one, it stays so.
function projectPresent({data, columns, rows, stepX, stepY, start, step}, layers, mode, absent) {
  const out = new data.constructor(columns * rows);
  for (let row = 0, to = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1, to += 1) {
      const at = start + row * stepY + column * stepX;
      let [found, count] = [data[at + layers[0] * step], 0];
      for (const layer of layers) {
        const value = data[at + layer * step];
        if (absent(value)) continue;
        count += 1;
        if (count === 1) found = value;
        else if (mode === "mean") found += value;
        else if (mode === "max" ? value > found : value < found) found = value;
      }
      out[to] = mode === "mean" && count > 1 ? meanOf(found, count, data) : found;
    }
  }
  return out;
}

function meanOf(sum, count, data) {
  return data instanceof Float32Array ? sum / count : Math.round(sum / count);
}
