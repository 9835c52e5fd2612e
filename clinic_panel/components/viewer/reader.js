// Reader: where the reader stands and what they can do, by mouse, touch, key or from Python.
class Reader extends Parts {
  get state() {
    return this.states.get(this.current);
  }

  get stack() {
    return this.store.stack;
  }

  get count() {
    return this.store.stack.length;
  }

  get entry() {
    return this.state ? this.store.stack[this.state.index] : undefined;
  }

  open(id, index = 0) {
    const series = this.series.find((one) => one.id === id);
    if (!series) return;
    this.play(false);
    this.current = id;
    if (!this.states.has(id)) {
      this.states.set(id, {index, center: 0, width: 0, invert: false, camera: new Camera()});
    }
    this.store.show(series.stack);
    const {state} = this;
    state.index = Math.max(0, Math.min(series.stack.length - 1, state.index));
    this.store.want(state.index);
    this.rail.update(this.series, id);
    this.chrome();
    this.schedule();
    this.report();
  }

  select(id) {
    if (id !== this.current) this.open(id);
  }

  nextSeries(step) {
    const place = this.series.findIndex((one) => one.id === this.current) + step;
    if (this.series[place]) this.open(this.series[place].id);
  }

  go(index) {
    const {state} = this;
    if (!state || !this.count) return;
    const bounded = Math.max(0, Math.min(this.count - 1, Math.round(index)));
    if (bounded === state.index) return;
    state.index = bounded;
    this.store.want(bounded);
    this.schedule();
    this.report();
  }

  step(by) {
    if (this.state) this.go(this.state.index + by);
  }

  use(tool) {
    if (!TOOLS.includes(tool) && !(tool in MEASURES)) return;
    this.shapes.cancel();
    this.tool = tool;
    this.chrome();
    this.report();
  }

  setWindow(center, width) {
    const {state} = this;
    if (!state) return;
    Object.assign(state, {center, width: Math.max(width, 1e-3)});
    this.schedule();
    this.report();
  }

  // Across widens, down darkens; the pace follows the window, so that narrow ones can be set finely.
  windowBy(dx, dy) {
    const {state} = this;
    if (!state?.width) return;
    const pace = Math.max(state.width, this.shown?.info.format === "rgb8" ? 64 : 1) / 250;
    const least = pace < 0.02 ? 1e-3 : 1;
    this.setWindow(state.center + dy * pace, Math.max(least, state.width + dx * pace));
  }

  get chosen() {
    return this.series.find((one) => one.id === this.current);
  }

  get windows() {
    const series = this.chosen;
    const usual = series?.presets ?? this.model.presets?.[series?.modality] ?? [];
    const {info} = this.shown ?? {};
    if (!info) return usual;
    const label = info.format === "rgb8" ? "Original" : "Automatic";
    const own = {label, center: info.window_center, width: info.window_width};
    return [...(info.windows.length ? info.windows : [own]), ...usual];
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
    for (const value of shown.pixels) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const {slope, intercept} = shown.info;
    const ends = [low * slope + intercept, high * slope + intercept].sort((a, b) => a - b);
    this.setWindow((ends[0] + ends[1]) / 2, Math.max(ends[1] - ends[0], 1));
  }

  flip() {
    const {state} = this;
    if (!state) return;
    state.invert = !state.invert;
    this.chrome();
    this.schedule();
    this.report();
  }

  zoomAt(factor, x = this.size[0] / 2, y = this.size[1] / 2) {
    this.state?.camera.zoomBy(factor, x, y, ...this.size);
    this.schedule();
  }

  moveBy(dx, dy) {
    this.state?.camera.moveBy(dx, dy);
    this.schedule();
  }

  fit() {
    this.state?.camera.reset();
    this.schedule();
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
    state.invert = false;
    if (shown) this.setWindow(shown.info.window_center, shown.info.window_width);
    this.chrome();
    this.schedule();
  }

  toggleKey() {
    const {entry, keyImages} = this;
    if (!entry) return;
    if (!keyImages.delete(entry.key)) keyImages.add(entry.key);
    const places = new Map(this.series.flatMap((one) => one.stack.map((each) => [each.key, one.id])));
    this.reporting = true;
    try {
      this.model.key_images = [...keyImages].map((key) => {
        const [id, frame] = key.split("/").map(Number);
        return {series_id: places.get(key) ?? "", instance_id: id, frame};
      });
    } finally {
      this.reporting = false;
    }
    this.schedule();
  }

  // -- measurements --------------------------------------------------------------------------

  placeOf(one) {
    const key = keyOf(one);
    for (const series of this.series) {
      const index = series.stack.findIndex((entry) => entry.key === key);
      if (index >= 0) return {series, index};
    }
    return null;
  }

  jump(one) {
    const place = this.placeOf(one);
    if (!place) return false;
    this.select(place.series.id);
    this.go(place.index);
    this.shapes.selected = one.id;
    this.shapes.draw();
    this.marks.update();
    this.schedule();
    return true;
  }

  // A list changed by hand: Python is told at once, since it keeps it.
  marked() {
    this.reporting = true;
    try {
      this.model.measurements = this.shapes.list;
    } finally {
      this.reporting = false;
    }
    this.marks.update();
  }

  drawn() {
    const {shapes} = this;
    const made = shapes.list.find((one) => one.id === shapes.selected);
    if (made?.kind === "arrow") this.write(made.id);
  }

  letGo() {
    const {shapes} = this;
    if (shapes.draft || shapes.held) shapes.cancel();
    else if (shapes.selected) {
      shapes.selected = null;
      shapes.draw();
      this.marks.update();
    } else if (this.tool in MEASURES) this.use("window");
  }

  // Words beside a shape, typed on the image.
  write(id) {
    const one = this.shapes.list.find((each) => each.id === id);
    if (!one || !this.shown) return;
    const input = make("input", "words");
    input.value = one.text;
    input.maxLength = 120;
    input.setAttribute("aria-label", "Text of the shape");
    const [x, y] = this.shapes.toScreen(one.points.at(-1));
    const bounded = (value, most) => `${Math.max(8, Math.min(value, most))}px`;
    Object.assign(input.style, {left: bounded(x, this.size[0] - 230), top: bounded(y + 10, this.size[1] - 44)});
    let open = true;
    const close = (keep) => {
      if (!open) return;
      open = false;
      const text = input.value.trim();
      input.remove();
      if (keep && text !== one.text) this.shapes.rewrite(id, {text});
      this.port.focus({preventScroll: true});
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") close(true);
      else if (event.key === "Escape") close(false);
    });
    input.addEventListener("blur", () => close(true));
    this.port.append(input);
    input.focus();
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.().catch(() => {}); // refused by the browser's policy
  }

  // -- cine ----------------------------------------------------------------------------------

  play(on) {
    const wanted = on && this.count > 1;
    if (wanted === this.playing) return;
    this.playing = wanted;
    this.playButton.replaceChildren(iconOf(wanted ? "pause" : "play"));
    this.playButton.setAttribute("aria-label", wanted ? "Pause" : "Play");
    this.playButton.setAttribute("aria-pressed", String(wanted));
    this.due = performance.now();
    if (wanted) this.schedule();
  }

  get interval() {
    const rate = Number(this.rate.value);
    return rate ? 1000 / rate : this.shown?.info.frame_time_ms || 100;
  }

  advance(now) {
    if (!this.playing || now < this.due) return;
    const next = (this.state.index + 1) % this.count;
    this.store.want(next);
    const {key} = this.stack[next];
    if (!this.store.frames.has(key) && !this.store.problems.has(key)) return; // wait, do not skip
    this.state.index = next;
    // Keep the recorded pace, but do not race to catch up after a pause.
    this.due = Math.max(this.due + this.interval, now - this.interval);
    this.report();
  }
}
