// Volume: sections cut from a block of slices along its own axes. Nothing here touches the page. Voxels
// are counted from zero along x, y and z.
const SLABS = {max: "MIP", min: "MinIP", mean: "Mean"};
const WEIGHT_BITS = 14; // of an interpolation between two 16-bit values in 32-bit arithmetic

class Volume extends Block {
  get middle() {
    return this.size.map((count) => Math.floor(count / 2));
  }

  // -- where things are ----------------------------------------------------------------------

  // Patient coordinates (LPS, mm) of a voxel, and back to the nearest one.
  world(voxel) {
    const {origin, grid: {axes}} = this;
    return origin.map((start, i) => start + axes.reduce(
      (sum, axis, a) => sum + axis[i] * voxel[a] * this.spacing[a], 0,
    ));
  }

  voxel(point) {
    const {origin, grid: {axes}} = this;
    return axes.map((axis, a) => {
      const along = axis.reduce((sum, part, i) => sum + part * (point[i] - origin[i]), 0);
      return this.bounded(a, Math.round(along / this.spacing[a]));
    });
  }

  bounded(axis, index) {
    return Math.max(0, Math.min(this.size[axis] - 1, index));
  }

  // The first and last layer of a slab about a voxel: the nearest whole number of layers.
  layers(section, at, thickness) {
    const {normal} = section;
    const count = Math.max(1, Math.min(this.size[normal], Math.round(thickness / this.spacing[normal])));
    const first = Math.max(0, Math.min(this.size[normal] - count, at - ((count - 1) >> 1)));
    return [first, first + count - 1];
  }

  // Pixels of a section along one of the grid's axes: slices farther apart than pixels are filled in.
  extent(section, axis) {
    if (axis !== 2) return this.size[axis];
    const other = section.across === 2 ? section.down : section.across;
    const ratio = this.spacing[2] / this.spacing[other];
    return ratio > 1.001 ? Math.round(this.size[2] * ratio) : this.size[2];
  }

  // Image coordinates of a voxel's centre on a section; pixel c covers [c, c + 1).
  toImage(section, voxel) {
    return [["across", "across_reversed"], ["down", "down_reversed"]].map(([way, reversed]) => {
      const axis = section[way];
      const place = ((voxel[axis] + 0.5) * this.extent(section, axis)) / this.size[axis];
      return section[reversed] ? this.extent(section, axis) - place : place;
    });
  }

  // The voxel under a point of a section; ``at`` gives the layer.
  fromImage(section, [x, y], at) {
    const voxel = [...at];
    for (const [way, reversed, place] of [["across", "across_reversed", x], ["down", "down_reversed", y]]) {
      const axis = section[way];
      const extent = this.extent(section, axis);
      const along = section[reversed] ? extent - place : place;
      voxel[axis] = this.bounded(axis, Math.floor((along * this.size[axis]) / extent));
    }
    return voxel;
  }

  value([x, y, z]) {
    if (!this.have[z]) return null;
    const stored = this.data[z * this.strides[2] + y * this.strides[1] + x];
    return this.absent?.(stored) ? NaN : stored * this.info.slope + this.info.intercept;
  }

  // -- sections ------------------------------------------------------------------------------

  // A section through the layers first to last as an image: its pixels, what they mean, how many
  // layers are missing from it, and which of its rows or columns are.
  cut(section, [first, last], mode = "max") {
    const {down, across} = section;
    const layers = [];
    const has = (layer) => (section.normal === 2 ? this.have[layer] : this.data);
    for (let i = first; i <= last; i += 1) if (has(i)) layers.push(i);
    const missing = last - first + 1 - layers.length;
    let pixels = layers.length ? this.gather(section, layers, mode) : null;
    let format = this.info?.format;
    const middle = (first + last) / 2;
    if (!pixels) return {pixels, missing, gaps: [], info: this.describe(section, format, middle)};
    const gaps = across === 2 || down === 2 ? this.gaps(section) : [];
    const filled = this.extent(section, 2) !== this.size[2];
    if (filled && down === 2) pixels = this.betweenRows(section, pixels);
    if (filled && across === 2) pixels = this.betweenColumns(section, pixels);
    let scale = null;
    if (format === "float32") [pixels, scale] = narrow(pixels);
    format = scale ? "uint16" : format;
    const changed = this.changeOf(section, [first, last], mode);
    const info = {...this.describe(section, format, middle), ...scale, changed};
    return {pixels, missing, gaps, info, absent: info.padding};
  }

  gather(section, layers, mode) {
    const {strides, size, data} = this;
    const {normal, across, down} = section;
    const [columns, rows] = [size[across], size[down]];
    const stepX = section.across_reversed ? -strides[across] : strides[across];
    const stepY = section.down_reversed ? -strides[down] : strides[down];
    const start = (stepX < 0 ? strides[across] * (columns - 1) : 0) + (stepY < 0 ? strides[down] * (rows - 1) : 0);
    const from = {data, columns, rows, stepX, stepY, start, step: strides[normal]};
    if (layers.length === 1) return copy(from, layers[0]);
    if (this.absent) return projectPresent(from, layers, mode, this.absent);
    if (strides[normal] === 1) return projectRuns(from, layers, mode);
    return projectLayers(from, layers, mode);
  }

  // Rows of a section between the slices, interpolated along z.
  betweenRows(section, pixels) {
    const columns = this.size[section.across];
    const [slices, rows, {absent}] = [this.size[2], this.extent(section, 2), this];
    const out = new pixels.constructor(columns * rows);
    for (let row = 0; row < rows; row += 1) {
      const [near, far, weight] = between(row, slices, rows);
      const [a, b] = [pixels.subarray(near * columns, (near + 1) * columns), pixels.subarray(far * columns, (far + 1) * columns)];
      const target = out.subarray(row * columns, (row + 1) * columns);
      if (weight === 0) target.set(a);
      else mix(a, b, weight, target, absent);
    }
    return out;
  }

  betweenColumns(section, pixels) {
    const [slices, columns, rows] = [this.size[2], this.extent(section, 2), this.size[section.down]];
    const out = new pixels.constructor(columns * rows);
    const places = Array.from({length: columns}, (_, column) => between(column, slices, columns));
    const [a, b, mixed] = Array.from({length: 3}, () => new pixels.constructor(rows));
    const {absent} = this;
    for (const [column, [near, far, weight]] of places.entries()) {
      for (let row = 0; row < rows; row += 1) {
        a[row] = pixels[row * slices + near];
        b[row] = pixels[row * slices + far];
      }
      mix(a, b, weight, mixed, absent);
      for (let row = 0; row < rows; row += 1) out[row * columns + column] = mixed[row];
    }
    return out;
  }

  // Runs of rows (or columns) for which a slice has not come: [first, last) in image coordinates.
  gaps(section) {
    const slices = this.size[2];
    if (this.loaded === slices) return [];
    const extent = this.extent(section, 2);
    const reversed = section.down === 2 ? section.down_reversed : section.across_reversed;
    const has = (z) => this.have[reversed ? slices - 1 - z : z];
    const runs = [];
    for (let row = 0; row < extent; row += 1) {
      const [near, far, weight] = between(row, slices, extent);
      if (has(near) && (weight === 0 || has(far))) continue;
      if (runs.length && runs.at(-1)[1] === row) runs.at(-1)[1] = row + 1;
      else runs.push([row, row + 1]);
    }
    return runs;
  }

  // Who vouches for a section's millimetres: within the images their pixels, else their distance too.
  sourceOf(section) {
    const {spacing_source: source, spacing} = this.grid;
    if (section.normal === 2) return this.factors[0] > 1 ? `${source}, resampled` : source;
    return `${source}, resampled; slices ${Number(spacing[2].toPrecision(4))} mm apart`;
  }

  // What has become of the values of the images on a section; empty where they are as they were.
  changeOf(section, [first, last], mode) {
    const changes = [];
    if (this.reduction) changes.push(`averaged ${this.reduction}`);
    if (section.normal !== 2 && this.extent(section, 2) !== this.size[2]) changes.push("interpolated between slices");
    if (last > first) changes.push(`${SLABS[mode]} of ${((last - first + 1) * this.spacing[section.normal]).toFixed(1)} mm`);
    return changes.length ? `Values ${changes.join(", ")}` : "";
  }

  describe(section, format, layer) {
    const {across, down} = section;
    const [columns, rows] = [this.extent(section, across), this.extent(section, down)];
    const [x, y] = [[across, columns], [down, rows]].map(([axis, count]) => (this.spacing[axis] * this.size[axis]) / count);
    const {axes} = this.grid;
    const ways = [[across, section.across_reversed], [down, section.down_reversed]].map(
      ([axis, reversed]) => axes[axis].map((part) => (reversed ? -part : part)),
    );
    const corner = [layer, layer, layer]; // of the first pixel's centre, in voxels
    for (const [axis, reversed, count] of [[across, section.across_reversed, columns], [down, section.down_reversed, rows]]) {
      const first = (0.5 * this.size[axis]) / count - 0.5;
      corner[axis] = reversed ? this.size[axis] - 1 - first : first;
    }
    return {
      ...this.info,
      format,
      rows,
      columns,
      spacing: [y, x],
      aspect: y / x,
      spacing_source: this.sourceOf(section),
      edges: section.edges,
      position: this.world(corner),
      orientation: [...ways[0], ...ways[1]],
      regions: [],
      overlay: false,
      frame_time_ms: null,
    };
  }
}

// Where row ``row`` of ``out`` lies among ``count`` slices: the two about it and the second's weight.
function between(row, count, out) {
  const place = Math.max(0, Math.min(count - 1, ((row + 0.5) * count) / out - 0.5));
  const near = Math.floor(place);
  return [near, Math.min(near + 1, count - 1), place - near];
}

// Between two lines; where one has no value, the nearer line alone.
function mix(a, b, weight, out, absent) {
  const count = out.length;
  if (out instanceof Float32Array) {
    for (let i = 0; i < count; i += 1) out[i] = a[i] + (b[i] - a[i]) * weight;
  } else {
    const one = 1 << WEIGHT_BITS;
    const [far, half] = [Math.round(weight * one), one >> 1];
    const near = one - far;
    for (let i = 0; i < count; i += 1) out[i] = (a[i] * near + b[i] * far + half) >> WEIGHT_BITS;
  }
  if (!absent) return;
  const nearer = weight < 0.5 ? a : b;
  for (let i = 0; i < count; i += 1) if (absent(a[i]) || absent(b[i])) out[i] = nearer[i];
}

// Values of any range in 16 bits, with the scale that gives them back; 0 stands for none.
function narrow(values) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  if (low > high) [low, high] = [0, 0]; // no value at all
  const slope = high > low ? (high - low) / 65534 : 1;
  const out = new Uint16Array(values.length);
  for (let i = 0; i < out.length; i += 1) out[i] = Number.isNaN(values[i]) ? 0 : 1 + Math.round((values[i] - low) / slope);
  return [out, {slope, intercept: low - slope, padding: [0, 0]}];
}
