// Viewer: one reading area. It holds the state of each series, paints on the screen's clock, and
// tells Python where the reader stands only once the hand rests.
class ReadingArea extends Reader {
  constructor(model) {
    super();
    this.model = model;
    this.states = new Map(); // series id -> what the reader did with it
    this.series = [];
    this.current = null;
    // A finger expects to scroll; a mouse has a wheel for that.
    const finger = matchMedia("(pointer: coarse)").matches && model.tool === "window";
    this.tool = finger ? "scroll" : model.tool;
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
    this.shapes.replace(model.measurements);
    this.opening = model.window_width > 0
      ? {center: model.window_center, width: model.window_width, invert: model.invert} : null;
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
      // As the reader left it: only the first time, and only the series it was said of.
      if (this.opening && found.id === model.selected_series) Object.assign(this.state, this.opening);
      this.opening = null;
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
    model.on("selected_measurement", () => this.fromPython(() => {
      const one = this.shapes.list.find((each) => each.id === model.selected_measurement);
      if (one) this.jump(one);
    }));
    model.on("measurements", () => this.fromPython(() => {
      this.shapes.replace(model.measurements);
      this.marks.update();
    }));
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
        found.selected_measurement = this.shapes.selected ?? "";
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
      this.shapes.show(frame, place, entry);
      this.canvas.dataset.shown = String(state.index);
      this.canvas.dataset.key = entry.key;
    } else if (!entry || problem || this.shownSeries !== this.current) {
      this.shown = null;
      this.painter.clear();
      this.annotate(null, null);
      this.shapes.show(null);
      delete this.canvas.dataset.shown;
    }
    this.tell(entry, frame, problem);
    this.load();
    if (this.playing) this.schedule();
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
