// Viewer: one reading area. It holds the state of each series, paints on the screen's clock, and
// tells Python where the reader stands only once the hand rests.
class ReadingArea {
  constructor(model) {
    this.model = model;
    this.states = new Map(); // series id -> what the reader did with it
    this.series = [];
    this.current = null;
    this.tool = TOOLS.includes(model.tool) ? model.tool : "window";
    this.playing = false;
    this.keyImages = new Set((model.key_images ?? []).map(keyOf));
    this.waiting = new Map(); // requests over the comm, by key
    this.scheduled = 0;
    this.timer = 0;
    this.size = [1, 1];
    this.shown = null;
    this.cursor = null;
    this.store = new FrameStore({
      load: (entry, options) => (entry.url ? loadByHttp(entry, options) : this.loadByComm(entry, options)),
      arrived: (key, frame) => this.arrived(key, frame),
      failed: (key) => key === this.entry?.key && this.schedule(),
    });
    this.build();
  }

  // -- parts ---------------------------------------------------------------------------------

  build() {
    this.root = make("section", "reading");
    this.root.setAttribute("aria-label", "Image viewer");
    this.help = makeHelp(this.root);
    this.rail = new Rail((id) => this.select(id));
    this.port = make("div", "port");
    this.port.tabIndex = 0;
    this.port.setAttribute("role", "application");
    this.port.setAttribute("aria-roledescription", "image viewport");
    this.canvas = make("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.painter = new Painter(this.canvas);
    this.overlay = new Overlay(this.model.notice);
    this.message = make("div", "message");
    this.message.setAttribute("role", "alert");
    this.slider = make("input", "slider");
    this.slider.type = "range";
    this.slider.setAttribute("aria-label", "Image in the series");
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.progress = make("div", "progress");
    this.progress.setAttribute("role", "progressbar");
    this.progress.setAttribute("aria-label", "Images loaded");
    this.progressBar = make("i");
    this.progress.append(this.progressBar);
    this.live = make("div", "spoken");
    this.live.setAttribute("aria-live", "polite");
    this.port.append(this.canvas, this.overlay.node, this.message, this.slider, this.progress, this.live);
    const area = make("div", "area");
    area.append(this.toolbar(), this.rail.node, this.port);
    this.root.append(area);
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.port);
    this.forget = listen(this);
  }

  toolbar() {
    const bar = make("div", "bar");
    bar.setAttribute("role", "toolbar");
    bar.setAttribute("aria-label", "Image tools");
    const names = {window: ["Window and level", "W"], scroll: ["Scroll", "S"], pan: ["Move", "P"], zoom: ["Zoom", "Z"]};
    this.toolButtons = new Map(TOOLS.map((tool) => [tool, makeButton(tool, ...names[tool], () => this.use(tool))]));
    this.presets = makeSelect("Window preset", "presets");
    this.presets.addEventListener("change", () => this.preset(Number(this.presets.value)));
    this.invertButton = makeButton("invert", "Invert", "I", () => this.flip());
    this.keyButton = makeButton("key", "Key image", "K", () => this.toggleKey());
    this.keyButton.append(make("span", "word", "Key image"));
    this.playButton = makeButton("play", "Play", "Space", () => this.play(!this.playing));
    this.rate = makeSelect("Frames per second", "rate");
    fillSelect(this.rate, [["0", "As recorded"], ["5", "5 /s"], ["10", "10 /s"], ["15", "15 /s"], ["25", "25 /s"], ["40", "40 /s"]], "0");
    this.cine = makeGroup("Cine", this.playButton, this.rate);
    bar.append(
      makeGroup("Mouse tool", ...this.toolButtons.values()),
      makeGroup("Window", this.presets, this.invertButton),
      makeGroup(
        "View",
        makeButton("fit", "Fit to window", "F", () => this.fit()),
        makeButton("actual", "Actual pixels", "O", () => this.actual()),
        makeButton("reset", "Reset view", "R", () => this.reset()),
      ),
      this.cine,
      makeGroup("Marks", this.keyButton),
      make("span", "spring"),
      makeGroup(
        "More",
        makeButton("full", "Full screen", "", () => this.fullScreen()),
        makeButton("help", "Keyboard and mouse help", "?", () => this.help.showModal()),
      ),
    );
    return bar;
  }

  // -- what Python says ----------------------------------------------------------------------

  read() {
    const {model} = this;
    this.store.capacity = model.cache_mb * 2 ** 20;
    this.store.ahead = model.prefetch;
    this.store.full = model.preload;
    this.overlay.notice.textContent = model.notice;
    this.overlay.notice.hidden = !model.notice;
    this.overlay.identify(model.banner);
    this.series = (model.series ?? []).map((one) => ({...one, stack: this.stackOf(one)}));
    const held = this.entry?.key; // the reader stays at the image, wherever it moves in the stack
    const wanted = this.current ?? model.selected_series;
    const found = this.series.find((one) => one.id === wanted) ?? this.series[0];
    if (!found) {
      this.current = null;
      this.store.show([]);
      this.rail.update([], null);
      this.chrome();
      this.schedule();
      return;
    }
    if (found.id !== this.current) {
      const start = found.id === model.selected_series ? model.index : 0;
      this.open(found.id, start);
      return;
    }
    this.store.show(found.stack);
    const place = held ? this.store.places.get(held) : undefined;
    this.state.index = Math.max(0, Math.min(found.stack.length - 1, place ?? this.state.index));
    this.store.want(this.state.index);
    this.rail.update(this.series, this.current);
    this.chrome();
    this.schedule();
  }

  stackOf(one) {
    const {frame_url: template} = this.model;
    const stack = [];
    for (const entry of one.frames ?? []) {
      const first = entry.frame ?? 0;
      for (let frame = first; frame < first + (entry.count ?? 1); frame += 1) {
        const url = entry.url ?? template.replace("{id}", entry.id).replace("{frame}", frame);
        stack.push({key: `${entry.id}/${frame}`, id: entry.id, frame, url, info: entry.info, series: one.id});
      }
    }
    return stack;
  }

  watch() {
    const {model} = this;
    const feeds = ["series", "banner", "notice", "cache_mb", "prefetch", "preload", "frame_url"];
    model.on(feeds, () => this.read());
    model.on("selected_series", () => this.fromPython(() => model.selected_series && this.select(model.selected_series)));
    model.on("index", () => this.fromPython(() => this.go(model.index)));
    model.on(["window_center", "window_width"], () => this.fromPython(() => {
      const {state} = this;
      if (!state || !(model.window_width > 0)) return;
      if (state.center !== model.window_center || state.width !== model.window_width) {
        this.setWindow(model.window_center, model.window_width);
      }
    }));
    model.on("invert", () => this.fromPython(() => this.state && this.state.invert !== model.invert && this.flip()));
    model.on("tool", () => this.fromPython(() => this.use(model.tool)));
    model.on("key_images", () => this.fromPython(() => {
      this.keyImages = new Set(model.key_images.map(keyOf));
      this.schedule();
    }));
    model.on("msg:custom", (message) => this.received(message.data ?? message));
  }

  // Our own reports come back as changes too; only what Python changed by itself counts.
  fromPython(act) {
    if (!this.reporting) act();
  }

  report() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const {model, state} = this;
      const found = {
        selected_series: this.current ?? "",
        tool: this.tool,
        problem: this.problem ?? "",
      };
      if (state) {
        found.index = state.index;
        found.invert = state.invert;
        if (state.width > 0) Object.assign(found, {window_center: state.center, window_width: state.width});
      }
      this.reporting = true;
      try {
        for (const [name, value] of Object.entries(found)) if (model[name] !== value) model[name] = value;
      } finally {
        this.reporting = false;
      }
      const spoken = state ? `Image ${state.index + 1} of ${this.count}` : "";
      if (this.live.textContent !== spoken) this.live.textContent = spoken;
    }, this.model.sync_ms);
  }

  // -- pixels over the comm, where no HTTP route exists --------------------------------------

  loadByComm(entry, {signal}) {
    return new Promise((resolve, reject) => {
      this.waiting.set(entry.key, {resolve, reject});
      signal.addEventListener("abort", () => {
        this.waiting.delete(entry.key);
        reject(new DOMException("dropped", "AbortError"));
      });
      this.model.send_msg({want: entry.key, series: entry.series, id: entry.id, frame: entry.frame});
    });
  }

  received({key, info, pixels, problem}) {
    const waiting = this.waiting.get(key);
    this.waiting.delete(key);
    if (!waiting) return;
    try {
      if (problem) throw new Error(problem);
      const view = pixels instanceof ArrayBuffer ? pixels : pixels.buffer.slice(pixels.byteOffset, pixels.byteOffset + pixels.byteLength);
      waiting.resolve(frameOf(info, view));
    } catch (error) {
      waiting.reject(error);
    }
  }

  arrived(key, frame) {
    frame.key = key;
    if (key === this.entry?.key) this.schedule();
    else if (!this.progressScheduled) {
      this.progressScheduled = setTimeout(() => {
        this.progressScheduled = 0;
        this.load();
      }, 100);
    }
  }

  // -- where the reader stands ---------------------------------------------------------------

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
    if (!TOOLS.includes(tool)) return;
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
    if (!this.store.frames.has(this.stack[next].key)) return; // wait rather than skip
    this.state.index = next;
    // Keep the recorded pace, but do not race to catch up after a pause.
    this.due = Math.max(this.due + this.interval, now - this.interval);
    this.report();
  }

  // -- painting ------------------------------------------------------------------------------

  schedule() {
    if (!this.scheduled) this.scheduled = requestAnimationFrame((now) => this.paint(now));
  }

  resize() {
    const {width, height} = this.port.getBoundingClientRect();
    if (!width || !height) return;
    this.size = [width, height];
    this.painter.resize(width, height, Math.min(devicePixelRatio || 1, 2));
    this.paint(performance.now());
  }

  paint(now) {
    cancelAnimationFrame(this.scheduled);
    this.scheduled = 0;
    this.advance(now);
    const {entry, state} = this;
    const frame = entry && this.store.frames.get(entry.key);
    const problem = entry && this.store.problems.get(entry.key);
    if (frame) {
      const first = this.shown === null || this.shownSeries !== this.current;
      this.shown = frame;
      this.shownSeries = this.current;
      if (!state.width) Object.assign(state, {center: frame.info.window_center, width: frame.info.window_width});
      const place = state.camera.place(frame.info, ...this.size);
      this.painter.draw(frame, {...place, center: state.center, width: state.width, invert: state.invert});
      if (first) {
        this.chrome();
        this.report();
      }
      this.annotate(frame, place);
      this.canvas.dataset.shown = String(state.index);
      this.canvas.dataset.key = entry.key;
    } else if (!entry || problem || this.shownSeries !== this.current) {
      this.shown = null;
      this.painter.clear();
      this.annotate(null, null);
      delete this.canvas.dataset.shown;
    }
    this.tell(entry, frame, problem);
    this.load();
    if (this.playing) this.schedule();
  }

  tell(entry, frame, problem) {
    let text = "";
    if (!this.series.length) text = "No images yet\nThey appear here as they arrive.";
    else if (!entry) text = `This series cannot be shown.\n${this.chosen?.problem || "It holds no images."}`;
    else if (problem) text = `This image cannot be shown.\n${problem.message}`;
    else if (!frame && !this.shown) text = "Loading…";
    this.message.hidden = !text;
    if (this.said !== text) {
      this.said = text;
      const [head, ...rest] = text.split("\n");
      this.message.replaceChildren(make("strong", "", head), ...rest.map((line) => make("span", "", line)));
      if (problem) {
        const retry = make("button", "retry", "Try again");
        retry.type = "button";
        retry.addEventListener("click", () => {
          this.store.retry(this.state.index);
          this.schedule();
        });
        this.message.append(retry);
      }
      this.root.classList.toggle("empty", !this.series.length);
    }
    const now = problem ? problem.message : "";
    if (now !== (this.problem ?? "")) {
      this.problem = now;
      this.report();
    }
  }

  annotate(frame, place) {
    const {overlay, state, count} = this;
    const series = this.chosen;
    const line = series ? [series.label, series.modality].filter(Boolean).join(" · ") : "";
    overlay.write("study", line);
    const {info} = frame ?? {};
    const zoom = place ? ` · ${Math.round(place.scale * 100)} %` : "";
    overlay.write("place", state && count ? `${state.index + 1} / ${count}${zoom}` : "");
    const edges = info?.edges ?? ["", "", "", ""];
    ["left", "right", "top", "bottom"].forEach((name, i) => overlay.write(name, edges[i]));
    overlay.star.hidden = !this.keyImages.has(this.entry?.key);
    this.keyButton.setAttribute("aria-pressed", String(!overlay.star.hidden));
    overlay.measure(info, place);
    this.values();
    if (Number(this.slider.value) !== state?.index) this.slider.value = state?.index ?? 0;
    this.slider.setAttribute("aria-valuetext", `${(state?.index ?? 0) + 1} of ${count}`);
    const {windows} = this;
    const chosen = windows.findIndex((one) => one.center === state?.center && one.width === state?.width);
    if (this.presets.value !== String(chosen)) this.presets.value = String(chosen);
  }

  probe(x, y) {
    this.cursor = x === null ? null : [x, y];
    this.values();
  }

  // Window and the value under the cursor, in the unit of the image.
  values() {
    const {shown, state, cursor} = this;
    if (!shown || !state) {
      this.overlay.write("values", "");
      return;
    }
    const {info, pixels} = shown;
    const unit = info.unit ? ` ${info.unit}` : "";
    const digits = state.width < 10 ? 2 : 0;
    let text = `WW ${state.width.toFixed(digits)}  WL ${state.center.toFixed(digits)}`;
    if (state.invert) text += "  inverted";
    if (info.lossy) text += "\nLossy compressed";
    if (cursor) {
      const place = state.camera.place(info, ...this.size);
      const column = Math.floor((cursor[0] - place.x) / place.scale);
      const row = Math.floor((cursor[1] - place.y) / place.scale / place.aspect);
      if (column >= 0 && row >= 0 && column < info.columns && row < info.rows) {
        const at = row * info.columns + column;
        const value = info.format === "rgb8"
          ? [...pixels.subarray(at * 3, at * 3 + 3)].join(" ")
          : `${Number((pixels[at] * info.slope + info.intercept).toPrecision(6))}${unit}`;
        text = `x ${column}  y ${row}  ${value}\n${text}`;
      }
    }
    this.overlay.write("values", text);
  }

  load() {
    const {count} = this;
    const {loaded} = this.store;
    this.progress.hidden = count < 2 || loaded === count;
    this.progress.setAttribute("aria-valuemax", String(count));
    this.progress.setAttribute("aria-valuenow", String(loaded));
    this.progress.title = `${loaded} of ${count} images loaded`;
    this.progressBar.style.width = count ? `${(100 * loaded) / count}%` : "0";
  }

  // Buttons and lists that change with the series or the tool, not with every image.
  chrome() {
    for (const [tool, button] of this.toolButtons) button.setAttribute("aria-pressed", String(tool === this.tool));
    this.port.dataset.tool = this.tool;
    this.invertButton.setAttribute("aria-pressed", String(Boolean(this.state?.invert)));
    const {windows, count} = this;
    const short = (number) => Number(number.toPrecision(5));
    const options = windows.map((one, i) => {
      const name = `${i < 9 ? `${i + 1}  ` : ""}${one.label}`;
      return [String(i), one.label === "Original" ? name : `${name} ${short(one.width)}/${short(one.center)}`];
    });
    fillSelect(this.presets, [["-1", "Custom window"], ...options, [String(windows.length), "Full range"]], this.presets.value);
    this.presets.disabled = !this.series.length;
    this.slider.hidden = count < 2;
    this.slider.max = String(Math.max(count - 1, 0));
    this.cine.hidden = count < 2;
    const series = this.chosen;
    this.port.setAttribute("aria-label", series ? `Images of ${series.label || "the series"}` : "No images");
  }

  close() {
    this.forget();
    this.sizes.disconnect();
    cancelAnimationFrame(this.scheduled);
    clearTimeout(this.timer);
    this.store.show([]);
  }
}

function keyOf({instance_id: id, frame}) {
  return `${id}/${frame ?? 0}`;
}

export function render({model, el}) {
  const area = new ReadingArea(model);
  area.watch();
  area.read();
  model.on("remove", () => area.close());
  el.classList.add("viewer-host");
  return area.root;
}
