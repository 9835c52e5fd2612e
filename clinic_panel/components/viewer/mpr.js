// Multiplanar: one volume in three panes that share its cross-hair, its window and its slab.
const SECTION_COLOURS = {Axial: "#f87171", Coronal: "#4ade80", Sagittal: "#7dd3fc"};
const ONLY_ORIGINALS = "This belongs to the original images: leave the sections (V) for it.";
const LEAST_FRAMES = 32 * 2 ** 20; // bytes of images kept beside a volume
const OF_ORIGINALS = ["calibration"]; // what cannot be drawn on a section
const SIDES = [["R", "L"], ["A", "P"], ["F", "H"]]; // of LPS below and above zero

class Multiplanar {
  constructor(area, series) {
    const {model} = area;
    const {state} = area.active;
    this.area = area;
    this.series = series;
    this.look = {center: state?.center ?? 0, width: state?.width ?? 0, invert: state?.invert ?? false};
    this.slab = {mode: model.slab_mode, mm: model.slab_mm};
    this.cuts = new Map(); // section -> {key, frame}
    this.pausing = 0;
    this.fillFrom(series);
    this.at = this.volume.middle;
    // Where the reader stands in the stack; at its first image they have not looked yet.
    if (state?.index) this.at[2] = this.volume.bounded(2, this.volume.layerOf(state.index));
    this.panes = series.grid.sections.map((section) => new SectionPane(area, this, section));
  }

  static open(area, point) {
    const series = area.active.chosen;
    const reason = Multiplanar.reason(series);
    if (reason) {
      area.note(reason);
      area.report(); // Python may have thought otherwise
      return;
    }
    const mpr = new Multiplanar(area, series);
    mpr.held = {panes: area.panes, active: area.active, tool: area.tool};
    area.mpr = mpr;
    mpr.hang(mpr.panes, mpr.panes[0]);
    area.use("cross");
    if (point.length === 3) mpr.at = mpr.volume.voxel(point);
    mpr.begin();
  }

  // To a shape on a section: to its volume, its plane and its slab.
  static lead(area, series, {section, points}) {
    if (area.mpr?.series.id !== series.id) {
      area.showSections(false);
      area.activate(area.panes.find((pane) => pane.current === series.id));
      area.active.select(series.id);
      area.showSections(true);
    }
    const {mpr} = area;
    const {slab_mode: mode, slab_mm: mm} = section;
    mpr.setSlab(mode === "slice" ? {mode} : {mode, mm});
    mpr.seek(placeOn(section, centreOf(points)));
    area.activate(mpr.panes.find((pane) => pane.isAlong(section)));
  }

  leave() {
    const {area, held, look, index} = this;
    area.mpr = null;
    area.store.hold(area.model.cache_mb * 2 ** 20);
    for (const pane of held.panes) pane.renew(); // images may have come meanwhile
    const {state, lane} = held.active;
    if (state) Object.assign(state, {index: Math.min(index, held.active.count - 1), ...look});
    this.hang(held.panes, held.active);
    this.close();
    area.use(held.tool);
    if (state) lane.want(state.index);
    area.schedule();
  }

  // Other panes in the place of those that are there.
  hang(panes, active) {
    const {area} = this;
    for (const pane of area.panes) {
      pane.play(false);
      pane.lane.awake = false;
      pane.port.classList.remove("active");
      pane.port.remove();
    }
    area.panes = panes;
    area.active = null;
    area.isEnlarged = false;
    area.grid.classList.toggle("mpr", panes === this.panes);
    area.grid.prepend(...panes.map((pane) => pane.port));
    for (const pane of panes) area.label(pane);
    area.activate(active);
  }

  // Why a series cannot be shown in sections, or nothing.
  static reason(series) {
    if (!series) return "Choose a series first.";
    return series.grid ? "" : series.no_volume || "The images of this series do not form a volume.";
  }

  // Values of whole numbers take two bytes each, others four.
  fillFrom(series, each = 2) {
    this.filling?.close();
    const {store, model} = this.area;
    const room = model.volume_mb * 2 ** 20;
    const factors = factorsFor(series.grid, room, each);
    this.volume = new Volume(series.grid, factors, each === 2 ? room : Infinity);
    this.filling = new Filling(this.volume, series.stack, {
      load: (entry, options) => store.load(entry, options),
      known: (key) => store.frames.get(key),
      changed: () => this.arrived(),
      wider: () => this.refill(series, 4),
    });
    this.cuts.clear();
    this.follow(series);
  }

  follow(series) {
    this.ids = new Set(series.stack.map(({id}) => id));
    this.filling.follow(series.stack);
  }

  // Images that came meanwhile: more of the same stack begin a new volume at the same place.
  renew(series) {
    if (!series?.grid) {
      this.area.showSections(false);
      return;
    }
    const same = JSON.stringify(series.grid) === JSON.stringify(this.series.grid);
    this.series = series;
    if (same) this.follow(series);
    else this.refill(series);
  }

  refill(series, each) {
    const point = this.volume.world(this.at);
    this.fillFrom(series, each);
    this.at = this.volume.voxel(point);
    this.begin();
  }

  begin() {
    for (const pane of this.panes) pane.chrome();
    this.filling.towards(this.at[2]);
    this.schedule();
  }

  arrived() {
    if (this.filling.done) this.filled();
    else this.pausing ||= setTimeout(() => this.filled(), 100);
  }

  filled() {
    clearTimeout(this.pausing);
    this.pausing = 0;
    this.makeRoom();
    this.schedule();
  }

  // The volume takes the room of frames as it fills: together they stay within what may be kept.
  makeRoom() {
    const {store, model} = this.area;
    store.hold(Math.max(LEAST_FRAMES, model.cache_mb * 2 ** 20 - this.volume.bytes));
  }

  schedule() {
    for (const pane of this.panes) pane.dirty = true;
    this.area.wake();
  }

  close() {
    clearTimeout(this.pausing);
    this.filling.close();
    for (const pane of this.panes) pane.close();
  }

  // -- what the reader does ------------------------------------------------------------------

  moveTo(voxel) {
    const bounded = voxel.map((index, axis) => this.volume.bounded(axis, Math.round(index)));
    if (bounded.every((index, axis) => index === this.at[axis])) return;
    this.at = bounded;
    this.filling.towards(bounded[2]);
    this.schedule();
    this.area.report();
  }

  // To a point of the patient, or to an image of the stack.
  seek(point) {
    if (point.length === 3) this.moveTo(this.volume.voxel(point));
  }

  goto(index) {
    this.moveTo([this.at[0], this.at[1], this.volume.layerOf(index)]);
  }

  moveBy(axis, by) {
    const voxel = [...this.at];
    voxel[axis] += by;
    this.moveTo(voxel);
  }

  setSlab(change) {
    const {size, spacing} = this.volume;
    const most = Math.max(...size.map((count, axis) => count * spacing[axis]));
    Object.assign(this.slab, change);
    this.slab.mm = Math.max(0, Math.min(most, Number(this.slab.mm) || 0));
    this.area.chrome();
    this.schedule();
    this.area.report();
  }

  nextSlab() {
    const modes = ["slice", ...Object.keys(SLABS)];
    this.setSlab({mode: modes[(modes.indexOf(this.slab.mode) + 1) % modes.length]});
  }

  thicken(mm) {
    if (this.slab.mode === "slice") this.area.note("One slice is shown: choose a slab first (J).");
    else this.setSlab({mm: this.slab.mm + mm});
  }

  // The section that keys are about.
  front(name) {
    const pane = this.panes.find(({section}) => section.name === name);
    this.area.activate(pane);
    pane.port.focus({preventScroll: true});
    return true;
  }

  reset() {
    const {info, middle} = this.volume;
    for (const pane of this.panes) pane.state.camera.reset();
    if (info) Object.assign(this.look, {center: info.window_center, width: info.window_width, invert: false});
    this.setSlab({mode: "slice"});
    this.moveTo(middle);
  }

  // -- what is shown -------------------------------------------------------------------------

  layers(section) {
    const {mode, mm} = this.slab;
    return this.volume.layers(section, this.at[section.normal], mode === "slice" ? 0 : mm);
  }

  // A section as a frame; cut again only when its layers, its mode or its slices changed.
  frameOf(section) {
    const {volume, slab} = this;
    const [first, last] = this.layers(section);
    const complete = section.normal === 2 && volume.have.subarray(first, last + 1).every(Boolean);
    const key = [section.name, first, last, first < last && slab.mode, complete || volume.version].join("/");
    const held = this.cuts.get(section);
    if (held?.key === key) return held;
    const made = {key, ...volume.cut(section, [first, last], slab.mode)};
    this.cuts.set(section, made);
    return made;
  }

  thickness(section) {
    const [first, last] = this.layers(section);
    return (last - first + 1) * this.volume.spacing[section.normal];
  }

  // Whether an instance is one of the volume's.
  holds(id) {
    return this.ids.has(id);
  }

  // The image of the stack at the cross-hair: a shape on a section is kept with it.
  get anchor() {
    return this.series.stack[this.index];
  }

  // What Python reads.
  get report() {
    const {mode, mm} = this.slab;
    const point = this.volume.world(this.at).map((part) => Number(part.toFixed(3)));
    return {cross_hair: point, slab_mode: mode, slab_mm: mm};
  }

  // The place in the series' own stack.
  get index() {
    return this.volume.sliceOf(this.at[2]);
  }
}

// How a section is set: where it stands and the window belong to all three, the camera to itself.
class SectionState {
  constructor(mpr, {normal}) {
    this.camera = new Camera();
    for (const name of ["center", "width", "invert"]) {
      Object.defineProperty(this, name, {get: () => mpr.look[name], set: (value) => (mpr.look[name] = value)});
    }
    Object.defineProperty(this, "index", {get: () => mpr.at[normal]});
  }
}

function sidesOf(point) {
  return point.map((mm, axis) => `${SIDES[axis][Number(mm >= 0)]} ${Math.abs(mm).toFixed(1)}`);
}

// Where a section of this name stands, through a point.
function placeAlong(name, point) {
  return `${sidesOf(point)[{Sagittal: 0, Coronal: 1, Axial: 2}[name]]} mm`;
}
