// Block: the slices of one series as one block of stored values; one too large for its room is averaged
// (reduction.js). Nothing here touches the page. A grid is what imaging/grid.py says of the stack.
const BLOCKS = {int16: Int16Array, uint16: Uint16Array, uint8: Uint8Array}; // others become floats
const AS_STORED = {slope: 1, intercept: 0};
const TOO_WIDE = new Error("The values of the volume need more room than was thought.");

class Block {
  // ``factors`` say how many columns, rows and slices meet in one voxel; ``room`` is in bytes.
  constructor(grid, factors = WHOLE, room = Infinity) {
    const [columns, rows, layers] = grid.size.map((count, axis) => Math.ceil(count / factors[axis]));
    this.grid = grid;
    this.factors = factors;
    this.room = room;
    this.size = [columns, rows, layers];
    this.spacing = grid.spacing.map((mm, axis) => mm * factors[axis]);
    // Of the first voxel's centre: the middle of what meets in it.
    this.origin = grid.origin.map((start, i) => start + grid.axes.reduce(
      (sum, axis, a) => sum + (axis[i] * (factors[a] - 1) * grid.spacing[a]) / 2, 0,
    ));
    this.strides = [1, columns, columns * rows];
    this.came = new Uint8Array(grid.size[2]); // which slices
    this.received = 0;
    this.have = new Uint8Array(layers); // which layers are whole
    this.loaded = 0;
    this.open = new Map(); // layer -> its Meeting, while slices of it have not come
    this.version = 0; // counts what came, for those who keep a section
    this.data = null;
    this.info = null;
  }

  get reduction() {
    return reductionSaid(this.factors);
  }

  // Of what came; the rest of the block is no memory yet.
  get bytes() {
    return this.data ? (this.data.byteLength * this.loaded) / this.size[2] : 0;
  }

  // The layer that a slice of the stack is in, and the slice in the middle of a layer.
  layerOf(slice) {
    return Math.floor(slice / this.factors[2]);
  }

  sliceOf(layer) {
    const through = this.factors[2];
    return Math.min(this.grid.size[2] - 1, layer * through + (through >> 1));
  }

  // -- filling -------------------------------------------------------------------------------

  put(slice, {info, pixels}) {
    if (this.came[slice]) return;
    const [columns, rows] = this.grid.size;
    if (info.rows !== rows || info.columns !== columns || info.format === "rgb8") {
      throw new Error("An image of the series has another size or is in colour.");
    }
    if (!this.data) this.begin(info);
    const alike = ["format", "slope", "intercept", "padding"].every((name) => String(info[name]) === String(this.info[name]));
    if (!alike && this.info.format !== "float32") this.widen();
    const layer = this.layerOf(slice);
    const block = this.data.subarray(layer * this.strides[2], (layer + 1) * this.strides[2]);
    const isWhole = this.reduction ? this.gathered(layer, {info, pixels}, block) : this.laid({info, pixels}, block);
    this.received += 1;
    this.came[slice] = 1;
    if (!isWhole) return;
    this.loaded += 1;
    this.have[layer] = 1;
    this.version += 1;
  }

  begin(info) {
    const whole = info.format in BLOCKS;
    this.data = this.allotted(BLOCKS[info.format] ?? Float32Array);
    this.info = whole ? info : inUnit(info);
  }

  allotted(Kind) {
    const count = this.size[0] * this.size[1] * this.size[2];
    if (count * Kind.BYTES_PER_ELEMENT > this.room) throw TOO_WIDE;
    return new Kind(count);
  }

  laid({info, pixels}, block) {
    if (this.info.format === "float32") toUnit(pixels, info, block);
    else block.set(pixels);
    return true;
  }

  // True once the last slice of the layer came.
  gathered(layer, {info, pixels}, block) {
    const {factors, open, grid} = this;
    if (!open.has(layer)) {
      const slices = Math.min(factors[2], grid.size[2] - layer * factors[2]);
      open.set(layer, new Meeting(grid, factors, slices));
    }
    const meeting = open.get(layer);
    meeting.add(pixels, info, this.info.format === "float32" ? info : AS_STORED);
    if (meeting.rest) return false;
    open.delete(layer);
    meeting.mean(block, this.info.padding);
    return true;
  }

  // Slices that are scaled each in its own way (as PET's are) meet in the unit of the image.
  widen() {
    const wide = this.allotted(Float32Array);
    toUnit(this.data, this.info, wide);
    for (const meeting of this.open.values()) meeting.scale(this.info);
    this.data = wide;
    this.info = inUnit(this.info);
  }

  // Which values are none: padding outside the picture, or no number; nothing where all are values.
  get absent() {
    if (this.info.format === "float32") return Number.isNaN;
    if (!this.info.padding) return null;
    const [least, most] = this.info.padding;
    return (value) => value >= least && value <= most;
  }
}

function inUnit(info) {
  return {...info, format: "float32", slope: 1, intercept: 0, padding: null};
}

function toUnit(pixels, {slope, intercept, padding}, out) {
  const [least, most] = padding ?? [Infinity, -Infinity];
  for (let i = 0; i < out.length; i += 1) {
    const value = pixels[i];
    out[i] = value >= least && value <= most ? NaN : value * slope + intercept;
  }
}
