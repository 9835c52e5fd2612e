// Section: a pane that shows one plane of a volume, and the lines where the other two cross it.
const LIES_ALONG = Math.cos(Math.PI / 1800); // planes less than a tenth of a degree apart

class SectionPane extends Pane {
  constructor(area, mpr, section) {
    super(area);
    this.mpr = mpr;
    this.section = section;
    this.current = mpr.series.id;
    this.held = new SectionState(mpr, section);
    this.tag = make("div", "section-name");
    this.tag.style.setProperty("--section", SECTION_COLOURS[section.name]);
    this.overlay.node.append(this.tag);
    this.port.dataset.section = section.name;
    this.fill("section");
  }

  makeShapes(options) {
    return new SectionShapes(this.area.ledger, options, this);
  }

  get state() {
    return this.held;
  }

  get stack() {
    return [];
  }

  get entry() {
    return undefined;
  }

  get count() {
    return this.mpr.volume.size[this.section.normal];
  }

  get isSlab() {
    const [first, last] = this.mpr.layers(this.section);
    return first < last;
  }

  get axis() {
    return this.mpr.series.grid.axes[this.section.normal];
  }

  // Whether a plane that a shape was drawn on lies as this section does.
  isAlong({orientation}) {
    return Math.abs(dot(normalOf(orientation), this.axis)) >= LIES_ALONG;
  }

  // Whether the cross-hair is on such a plane.
  standsOn({position}) {
    const {mpr, section: {normal}} = this;
    const off = dot(minus(position, mpr.volume.world(mpr.at)), this.axis);
    return Math.abs(off) <= 0.501 * mpr.volume.spacing[normal];
  }

  renew() {}

  // Another series is read as a stack again.
  open(id, index = 0) {
    const {area} = this;
    area.showSections(false);
    area.active.open(id, index);
  }

  go(index) {
    const voxel = [...this.mpr.at];
    voxel[this.section.normal] = index;
    this.mpr.moveTo(voxel);
  }

  // The cross-hair goes to a point of the screen.
  cross(point) {
    const {mpr, section, state, size} = this;
    const {info} = mpr.frameOf(section);
    const place = state.camera.place(info, ...size);
    mpr.moveTo(mpr.volume.fromImage(section, onImage(place, point), mpr.at));
  }

  // One voxel to a side of the screen.
  nudge(dx, dy) {
    const {mpr, section} = this;
    if (dx) mpr.moveBy(section.across, section.across_reversed ? -dx : dx);
    if (dy) mpr.moveBy(section.down, section.down_reversed ? -dy : dy);
    return true;
  }

  reset() {
    this.mpr.reset();
    this.chrome();
  }

  schedule() {
    this.mpr.schedule(); // the window belongs to all three; what did not change is not painted
  }

  advance(now) {
    if (!this.playing || now < this.due) return;
    this.go((this.state.index + 1) % this.count);
    this.due = Math.max(this.due + this.interval, now - this.interval);
  }

  // -- what is written on it -----------------------------------------------------------------

  tell() {
    const {volume, filling} = this.mpr;
    const [problem] = filling.problems.values();
    let text = "";
    if (!volume.loaded) text = problem ? `The volume cannot be shown.\n${problem.message}` : "Loading…";
    this.message.hidden = !text;
    if (this.said === text) return;
    this.said = text;
    const [head, ...rest] = text.split("\n");
    this.message.replaceChildren(make("strong", "", head), ...rest.map((line) => make("span", "", line)));
  }

  annotate(frame, place) {
    const {overlay, section, state, count, mpr} = this;
    const {info} = frame;
    const where = placeAlong(section.name, mpr.volume.world(mpr.at));
    const lines = [`${state.index + 1} / ${count} · ${where} · ${Math.round(place.scale * 100)} %`];
    overlay.write("place", [...lines, ...this.shortcomings(frame)].join("\n"));
    const slab = this.isSlab ? `\n${SLABS[mpr.slab.mode]} ${mpr.thickness(section).toFixed(1)} mm` : "";
    const tilt = section.tilt_degrees ? `, ${section.tilt_degrees}° oblique` : "";
    const tag = `${section.name}${tilt}${slab}`;
    overlay.write("study", `${mpr.series.label ?? ""}\n${tag}`); // not on the screen: for a picture that leaves
    if (this.tag.textContent !== tag) this.tag.textContent = tag;
    ["left", "right", "top", "bottom"].forEach((name, i) => overlay.write(name, section.edges[i]));
    overlay.measure(info, place);
    this.values();
    this.slide();
    if (this.isActive) this.area.follow();
  }

  // What a reader has to know before they trust the section.
  shortcomings({missing}) {
    const {volume, filling, series} = this.mpr;
    const lines = [];
    const whole = series.grid.size[2];
    if (volume.reduction) lines.push(`${volume.reduction} averaged for display`);
    const failed = filling.problems.size;
    if (volume.received + failed < whole) lines.push(`${volume.received} of ${whole} slices here`);
    if (failed) lines.push(failed === 1 ? "1 slice cannot be shown" : `${failed} slices cannot be shown`);
    if (missing && this.isSlab) lines.push(`${missing} missing in this slab`);
    return lines;
  }

  // Window, and the place and value under the cursor; without one, those of the cross-hair.
  values() {
    const {mpr, section, cursor, state, shown} = this;
    const {volume, look} = mpr;
    const digits = look.width < 10 ? 2 : 0;
    let text = `WW ${look.width.toFixed(digits)}  WL ${look.center.toFixed(digits)}${look.invert ? "  inverted" : ""}`;
    if (!shown) {
      this.overlay.write("values", "");
      return;
    }
    if (shown.info.lossy) text += "\nLossy compressed";
    let voxel = mpr.at;
    if (cursor) {
      const point = onImage(state.camera.place(shown.info, ...this.size), cursor);
      const {rows, columns} = shown.info;
      const within = point[0] >= 0 && point[1] >= 0 && point[0] < columns && point[1] < rows;
      if (within) voxel = volume.fromImage(section, point, mpr.at);
    }
    const unit = volume.info.unit ? ` ${volume.info.unit}` : "";
    const value = this.valueAt(voxel);
    const said = value === null ? "not here" : Number.isNaN(value) ? "no value" : `${Number(value.toPrecision(6))}${unit}`;
    this.overlay.write("values", `${sidesOf(volume.world(voxel)).join("  ")} mm\n${said}\n${text}`);
  }

  // Of one slice the voxel itself, of a slab what the screen shows.
  valueAt(voxel) {
    const {mpr, section, shown} = this;
    if (!this.isSlab) return mpr.volume.value(voxel);
    const {info, pixels} = shown;
    const [x, y] = mpr.volume.toImage(section, voxel).map(Math.floor);
    const stored = pixels[y * info.columns + x];
    const [least, most] = info.padding ?? [Infinity, -Infinity];
    return stored >= least && stored <= most ? NaN : stored * info.slope + info.intercept;
  }

  load() {
    const {volume, filling} = this.mpr;
    const count = volume.came.length;
    this.progress.hidden = filling.done;
    this.progress.setAttribute("aria-valuemax", String(count));
    this.progress.setAttribute("aria-valuenow", String(volume.received));
    this.progress.title = `${volume.received} of ${count} slices loaded`;
    this.progressBar.style.width = `${(100 * volume.received) / count}%`;
  }

  chrome() {
    const {section, count} = this;
    this.slider.hidden = false;
    this.slider.max = String(count - 1);
    this.settle();
    this.slider.setAttribute("aria-label", `${section.name} plane`);
    this.port.setAttribute("aria-label", `${section.name} section of ${this.mpr.series.label || "the series"}`);
    if (this.isActive) this.area.chrome();
  }
}
