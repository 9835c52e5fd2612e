// Reader: where the reader stands in one pane and what they can do there, by mouse, touch, key or
// from Python.
class Reader {
  get state() {
    return this.states.get(this.current);
  }

  get stack() {
    return this.lane.stack;
  }

  get count() {
    return this.lane.stack.length;
  }

  get entry() {
    return this.state ? this.lane.stack[this.state.index] : undefined;
  }

  get chosen() {
    return this.area.find(this.current);
  }

  open(id, index = 0) {
    const series = this.area.find(id);
    if (!series) return;
    this.play(false);
    this.current = id;
    this.area.label(this);
    // Brought here from another pane, a series looks as it does there.
    if (!this.states.has(id)) this.states.set(id, this.area.stateOf(id) ?? stateAt(index));
    this.lane.show(stackAs(series, this.state.mask));
    this.fill(series.kind ?? "images"); // which paints at once, from the new stack
    const {state} = this;
    state.index = Math.max(0, Math.min(series.stack.length - 1, state.index));
    this.lane.want(state.index);
    this.chrome();
    this.schedule();
    this.area.hung();
    this.area.together.anchor();
    this.report();
  }

  select(id) {
    if (id !== this.current) this.open(id);
  }

  nextSeries(step) {
    const {series} = this.area;
    const place = series.findIndex((one) => one.id === this.current) + step;
    if (series[place]) this.open(series[place].id);
  }

  // More of the series arrived: the reader stays at the image, wherever it moves in the stack.
  renew() {
    const held = this.entry?.key;
    const {chosen, state} = this;
    if (!chosen) {
      this.current = null;
      this.lane.show([]);
    } else {
      this.lane.show(stackAs(chosen, state.mask));
      // Several presentation states may show one image: then the place says which is meant.
      const still = this.stack[state.index]?.key === held;
      const place = held && !still ? this.lane.places.get(held) : undefined;
      state.index = Math.max(0, Math.min(chosen.stack.length - 1, place ?? state.index));
      this.lane.want(state.index);
    }
    this.chrome();
    this.schedule();
  }

  go(index) {
    const {state} = this;
    if (!state || !this.count) return;
    if (this.standAt(index)) this.area.together.moved(this);
  }

  // To an image, without taking other panes along; true when that is another one.
  standAt(index) {
    const {state} = this;
    const bounded = Math.max(0, Math.min(this.count - 1, Math.round(index)));
    if (bounded === state.index) return false;
    state.index = bounded;
    this.lane.want(bounded);
    this.schedule();
    this.report();
    return true;
  }

  step(by) {
    if (this.state) this.go(this.state.index + by);
  }

  // What a key moves where no shape is chosen: nothing on an image.
  nudge() {
    return false;
  }

  setWindow(center, width) {
    const {state} = this;
    if (!state) return;
    Object.assign(state, {center, width: Math.max(width, 1e-3)});
    this.area.together.windowed(this);
    this.schedule();
    this.report();
  }

  // Across widens, down darkens; the pace follows the window, so that narrow ones can be set finely.
  windowBy(dx, dy) {
    const {state} = this;
    if (!state?.width) return;
    const hand = {slow: 0.4, fast: 2.5}[this.area.ways.window_pace] ?? 1;
    const pace = (hand * Math.max(state.width, this.shown?.info.format === "rgb8" ? 64 : 1)) / 250;
    const least = pace < 0.02 ? 1e-3 : 1;
    this.setWindow(state.center + dy * pace, Math.max(least, state.width + dx * pace));
  }

  // The image's own, then the reader's for what it shows, then the usual ones.
  get windows() {
    const {modality, presets, body_part: part} = this.chosen ?? {};
    const {held} = this.area.sync;
    const mine = (held.preferences?.presets ?? []).filter((one) => (
      (!one.modality || one.modality === modality) && (!one.body_part || one.body_part === part)
    ));
    const usual = [...mine, ...(presets ?? held.presets?.[modality] ?? [])];
    const {info} = this.shown ?? {};
    if (!info) return usual;
    const label = info.format === "rgb8" ? "Original" : "Automatic";
    const own = {label, center: info.window_center, width: info.window_width};
    const fitting = usual.filter(({unit}) => !unit || unit === info.unit);
    return [...(info.windows.length ? info.windows : [own]), ...fitting];
  }

  preset(place) {
    const {windows} = this;
    if (place === windows.length) this.fullRange();
    else if (windows[place]) this.setWindow(windows[place].center, windows[place].width);
  }

  fullRange() {
    const {shown} = this;
    if (!shown) return;
    let low = Infinity;
    let high = -Infinity;
    const [least, most] = shown.info.padding ?? [Infinity, -Infinity];
    for (const value of shown.pixels) {
      if (value >= least && value <= most) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return; // nothing but padding
    const {slope, intercept} = shown.info;
    const ends = [low * slope + intercept, high * slope + intercept].sort((a, b) => a - b);
    this.setWindow((ends[0] + ends[1]) / 2, Math.max(ends[1] - ends[0], 1));
  }

  flip() {
    const {state} = this;
    if (!state) return;
    state.invert = !state.invert;
    this.area.together.windowed(this);
    this.chrome();
    this.schedule();
    this.report();
  }

  zoomAt(factor, x = this.size[0] / 2, y = this.size[1] / 2) {
    this.state?.camera.zoomBy(factor, x, y, ...this.size);
    this.schedule();
    this.report();
  }

  moveBy(dx, dy) {
    this.state?.camera.moveBy(dx, dy);
    this.schedule();
    this.report();
  }

  // Sections stand as anatomy has them, in grey; a picture as the reader likes.
  get turnable() {
    return this.kind === "images" ? this.state : undefined;
  }

  turn(quarters) {
    this.turnable?.camera.turn(quarters);
    this.stood();
  }

  mirror(way) {
    this.turnable?.camera.mirror(way);
    this.stood();
  }

  stand(rotation, mirrored) {
    const {camera} = this.turnable ?? {};
    if (!camera || (camera.quarter === rotation / 90 && camera.mirrored === mirrored)) return;
    Object.assign(camera, {quarter: rotation / 90, mirrored});
    this.stood();
  }

  // The picture stands another way, or in other colours.
  stood() {
    this.chrome();
    this.schedule();
    this.report();
  }

  // Name of the palette; empty for grey. Until the reader chooses it is what the modality usually has.
  get palette() {
    const {usual_colours: usual, palettes} = this.area.sync.held;
    const name = this.state?.palette ?? usual[this.chosen?.modality] ?? "";
    return name in palettes ? name : "";
  }

  get colours() {
    return !this.turnable || this.shown?.info.format === "rgb8" ? null : coloursOf(this.area.sync.held.palettes[this.palette]);
  }

  paintIn(name) {
    if (!this.turnable) return;
    this.state.palette = name;
    this.stood();
  }

  nextPalette() {
    const names = ["", ...Object.keys(this.area.model.palettes)];
    this.paintIn(names[(names.indexOf(this.palette) + 1) % names.length]);
  }

  magnify(spot = this.cursor ?? this.size.map((each) => each / 2), finger = false) {
    this.loupe.show(this, spot, finger);
  }

  fit() {
    this.state?.camera.reset();
    this.schedule();
    this.report();
  }

  // What of the image is seen, in its own coordinates; nothing where it is all of it.
  get part() {
    const {shown, turnable} = this;
    return shown && turnable ? turnable.camera.area(shown.info, this.size) : null;
  }

  // To a part of the image; before that has come, once it is here.
  aim(area) {
    const {shown, turnable} = this;
    if (!turnable) return;
    turnable.aimed = shown ? null : area;
    if (!shown) return;
    if (area.length === 4) turnable.camera.aim(area, shown.info, this.size);
    else turnable.camera.reset();
    this.schedule();
    this.report();
  }

  actual() {
    const {shown, state} = this;
    if (!shown) return;
    state.camera.reset();
    const {fit} = state.camera.place(shown.info, ...this.size);
    this.zoomAt(1 / (fit * devicePixelRatio));
  }

  reset() {
    const {state, shown} = this;
    if (!state) return;
    state.camera.reset();
    state.camera.upright();
    Object.assign(state, {invert: false, palette: null, other: null});
    if (shown) this.setWindow(shown.info.window_center, shown.info.window_width);
    this.maskBy(null);
    this.chrome();
    this.schedule();
  }

  // -- subtraction ---------------------------------------------------------------------------

  // With a mask subtracted, or as it is stored; a mask that the reader chose gives way to its own.
  subtract() {
    const {state} = this;
    const mode = this.turnable && this.shown?.info.mask_mode;
    if (!mode) this.area.note(NO_MASKS);
    else if (mode === "on") {
      state.before = Number(state.mask) ? undefined : state.mask ?? null;
      this.maskBy("none");
    } else this.maskBy(state.mask === "none" && state.before !== undefined ? state.before : "own");
  }

  // The image that is shown becomes the mask of all.
  remask() {
    if (this.turnable && this.shown?.info.mask_mode) this.maskBy(String(this.entry.frame + 1));
    else this.area.note(NO_MASKS);
  }

  maskBy(mask) {
    const {state, chosen, shown} = this;
    if (!state || !chosen || (state.mask ?? null) === mask) return;
    const {window_center: center, window_width: width} = shown?.info ?? {};
    Object.assign(state, {mask, isUsual: state.center === center && state.width === width});
    this.lane.show(stackAs(chosen, mask));
    this.lane.want(state.index);
    this.stood();
  }

  // -- measurements --------------------------------------------------------------------------

  drawn() {
    const {shapes} = this;
    const made = shapes.list.find((one) => one.id === shapes.selected);
    if (made?.kind === "arrow") this.write(made.id);
  }

  // By key: the polygon that is drawn is closed; else the chosen shape stands in the middle.
  place() {
    const {shapes} = this;
    if (shapes.draft ? shapes.finish() : shapes.place(this.area.tool)) this.drawn();
  }

  letGo() {
    const {shapes} = this;
    if (shapes.draft || shapes.held) shapes.cancel();
    else if (shapes.selected) {
      this.area.ledger.choose(null);
      this.area.marks.update();
    } else if (this.area.tool in MEASURES) this.area.use(this.area.mpr ? "cross" : "window");
  }

  // Words beside a shape, typed on the image.
  write(id) {
    const kept = this.shapes.list.find((each) => each.id === id);
    if (!kept || !this.shown) return;
    const one = this.shapes.local(kept);
    if (one.kind === "calibration") {
      askLength(this, one, (answer) => answer && this.area.ledger.rewrite(id, answer));
      return;
    }
    const input = make("input", "words");
    input.value = one.text;
    input.maxLength = 120;
    input.setAttribute("aria-label", "Text of the shape");
    besideShape(this, input, one);
    let open = true;
    const close = (keep) => {
      if (!open) return;
      open = false;
      const text = input.value.trim();
      input.remove();
      if (keep && text !== one.text) this.area.ledger.rewrite(id, {text});
      this.port.focus({preventScroll: true});
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") close(true);
      else if (event.key === "Escape") close(false);
    });
    input.addEventListener("blur", () => close(true));
    input.focus();
  }

  // -- cine ----------------------------------------------------------------------------------

  play(on) {
    const wanted = on && this.count > 1;
    if (wanted === this.playing) return;
    this.playing = wanted;
    this.area.chrome();
    this.due = performance.now();
    if (wanted) this.schedule();
  }

  get interval() {
    const rate = Number(this.area.rate.value);
    return rate ? 1000 / rate : this.shown?.info.frame_time_ms || 100;
  }

  advance(now) {
    if (!this.playing || now < this.due) return;
    const next = (this.state.index + 1) % this.count;
    this.lane.want(next);
    const {key} = this.stack[next];
    const {frames, problems} = this.area.store;
    if (!frames.has(key) && !problems.has(key)) return; // wait, do not skip
    this.state.index = next;
    this.area.together.moved(this);
    // Keep the recorded pace, but do not race to catch up after a pause.
    this.due = Math.max(this.due + this.interval, now - this.interval);
    this.report();
  }
}

function stateAt(index) {
  return {index, center: 0, width: 0, invert: false, camera: new Camera()};
}
