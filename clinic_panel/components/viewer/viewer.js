// Viewer: one reading area of one to nine panes. It holds what they share (series, tool, marks, the
// frames), paints them on the screen's clock, and tells Python where the reader stands only once the
// hand rests.
class ReadingArea extends Wall {
  constructor(model) {
    super();
    this.model = model;
    this.series = [];
    this.byId = new Map();
    this.panes = [];
    this.active = null;
    this.shape = [0, 0]; // rows and columns of panes
    // A finger expects to scroll; a mouse has a wheel for that.
    const finger = matchMedia("(pointer: coarse)").matches && model.tool === "window";
    this.tool = finger ? "scroll" : model.tool;
    this.keyImages = new Set((model.key_images ?? []).map(keyOf));
    this.mpr = null; // the volume in sections, while it is looked at
    this.wishesSections = model.mpr;
    this.waiting = new Map(); // requests over the comm, by key
    this.scheduled = 0;
    this.timer = 0;
    this.graphics = true; // whether to paint those that images bring along
    this.ledger = new Ledger({
      drawn: () => this.panes.forEach((pane) => pane.shapes.draw()),
      changed: () => this.marked(),
    });
    this.store = new FrameStore({
      load: (entry, options) => (entry.paper ? loadPaper(entry, this.paperUrl(entry)) : entry.url ? loadByHttp(entry, options) : this.loadByComm(entry, options)),
      arrived: (key, frame) => this.arrived(key, frame),
      failed: (key) => this.panes.forEach((pane) => pane.entry?.key === key && pane.schedule()),
    });
    this.together = new Together(this);
    this.isEnlarged = false;
    this.isNarrow = false;
    this.wish = null; // a hanging whose series have not come
    this.isOffered = false; // the prior, for once
    this.build();
    this.share.offer(model.offers);
    this.preferred();
    this.ledger.replace(model.measurements);
    this.opening = model.window_width > 0
      ? {center: model.window_center, width: model.window_width, invert: model.invert, palette: model.colour_map} : null;
  }

  // -- what Python says ----------------------------------------------------------------------

  read() {
    const {model} = this;
    this.store.capacity = model.cache_mb * 2 ** 20;
    this.store.ahead = model.prefetch;
    this.store.full = model.preload;
    this.series = (model.series ?? []).map((one) => ({...one, stack: this.stackOf(one)}));
    this.byId = new Map(this.series.map((one) => [one.id, one]));
    if (!this.panes.length) {
      for (const [name, of] of Object.entries(JOINS)) this.together[name] = model[of];
      this.arrange(...model.layout);
    }
    for (const pane of this.panes) {
      this.label(pane);
      pane.renew();
    }
    this.hang();
    this.hung();
    this.mpr?.renew(this.find(this.mpr.series.id));
    if (this.wishesSections && this.series.length) this.showSections(true, model.cross_hair);
    if (this.wish) this.hangAs(this.wish);
  }

  find(id) {
    return this.byId.get(id);
  }

  // Which series an instance is in.
  homeOf(id) {
    return this.series.find((one) => one.stack.some((entry) => entry.id === id))?.id;
  }

  stackOf(one) {
    const {frame_url: template, preview_url: small} = this.model;
    const stack = [];
    for (const entry of one.frames ?? []) {
      const first = entry.frame ?? 0;
      for (let frame = first; frame < first + (entry.count ?? 1); frame += 1) {
        const at = (address) => address.replace("{id}", entry.id).replace("{frame}", frame);
        const {id, info, paper, name, problem, presentation} = entry;
        const url = paper ? "" : entry.url ?? at(template);
        const preview = entry.preview ?? (url && at(small));
        stack.push({key: `${id}/${frame}`, id, frame, url, preview, info, series: one.id, paper, name, problem, presentation});
      }
    }
    return stack;
  }

  // Keys and ways as the reader wants them.
  preferred() {
    this.keys = new Keys(this.model.preferences?.keys ?? {});
    this.ways = behaviourOf(this.model);
    this.keys.label(this.root);
    this.schedule();
  }

  // What the reader chose in the settings; Python keeps it with their account.
  prefer(chosen) {
    this.tellPython({preferences: chosen});
    this.preferred();
    this.chrome();
  }

  watch() {
    const {model} = this;
    const feeds = ["series", "studies", "banner", "notice", "cache_mb", "prefetch", "preload", "frame_url", "preview_url"];
    model.on(feeds, () => this.read());
    const follow = (names, act) => model.on(names, () => this.fromPython(() => act(this.active)));
    follow("layout", () => this.arrange(...model.layout));
    follow("panes", () => model.panes.forEach((id, i) => id && this.panes[i]?.select(id)));
    follow("active_pane", () => this.activate(this.panes[model.active_pane]));
    follow("selected_series", (pane) => model.selected_series && pane.select(model.selected_series));
    follow("index", (pane) => (this.mpr ? this.mpr.goto(model.index) : pane.go(model.index)));
    follow(["window_center", "window_width"], (pane) => {
      const {state} = pane;
      if (!state || !(model.window_width > 0)) return;
      if (state.center !== model.window_center || state.width !== model.window_width) {
        pane.setWindow(model.window_center, model.window_width);
      }
    });
    follow("invert", (pane) => pane.state && pane.state.invert !== model.invert && pane.flip());
    follow(["rotation", "mirrored"], (pane) => pane.stand(model.rotation, model.mirrored));
    follow("colour_map", (pane) => pane.palette !== model.colour_map && pane.paintIn(model.colour_map));
    model.on(["palettes", "usual_colours"], () => this.schedule());
    follow("preferences", () => {
      this.preferred();
      this.chrome();
    });
    model.on(["prior", "rules", "subject"], () => this.layouts.update());
    for (const [name, of] of Object.entries(JOINS)) follow(of, () => this.join(name, model[of]));
    follow("tool", () => this.use(model.tool));
    follow("mpr", () => this.showSections(model.mpr, model.cross_hair));
    follow("cross_hair", () => this.mpr?.seek(model.cross_hair));
    follow(["slab_mode", "slab_mm"], () => this.mpr?.setSlab({mode: model.slab_mode, mm: model.slab_mm}));
    follow("selected_measurement", () => {
      const one = this.ledger.list.find((each) => each.id === model.selected_measurement);
      if (one) this.jump(one);
    });
    follow("measurements", () => {
      this.ledger.replace(model.measurements);
      this.marks.update();
      this.schedule();
    });
    follow("key_images", () => {
      this.keyImages = new Set(model.key_images.map(keyOf));
      this.schedule();
    });
    model.on("offers", () => this.share.offer(model.offers));
    model.on("msg:custom", (message) => this.received(message.data ?? message));
  }

  // Our own reports come back as changes too; only what Python changed by itself counts.
  fromPython(act) {
    if (!this.reporting) act();
  }

  tellPython(values) {
    const {model} = this;
    const said = (name, value) => (Array.isArray(value) ? String(model[name]) === String(value) : model[name] === value);
    this.reporting = true;
    try {
      for (const [name, value] of Object.entries(values)) if (!said(name, value)) model[name] = value;
    } finally {
      this.reporting = false;
    }
  }

  report() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const {active: pane, mpr} = this;
      const {state} = pane;
      const hanging = {
        layout: this.shape,
        panes: this.panes.map((one) => one.current ?? ""),
        active_pane: this.panes.indexOf(pane),
      };
      const found = {
        ...(mpr ? mpr.report : hanging),
        mpr: Boolean(mpr),
        selected_series: pane.current ?? "",
        tool: this.tool,
        ...Object.fromEntries(Object.entries(JOINS).map(([name, of]) => [of, this.together[name]])),
        problem: pane.problem ?? "",
      };
      if (state) {
        found.index = mpr ? mpr.index : state.index;
        found.invert = state.invert;
        found.rotation = state.camera.quarter * 90;
        found.mirrored = state.camera.mirrored;
        found.colour_map = pane.palette;
        found.selected_measurement = this.ledger.selected ?? "";
        if (state.width > 0) Object.assign(found, {window_center: state.center, window_width: state.width});
      }
      this.tellPython(found);
      const spoken = state ? `Image ${state.index + 1} of ${pane.count}` : "";
      if (this.live.textContent !== spoken) this.live.textContent = spoken;
    }, this.model.sync_ms);
  }

  // What only the page around can do.
  ask(what, values = {}) {
    this.model.send_msg({wall: what, ...values});
  }

  // The active series in sections along the axes of its volume, or its stack again.
  showSections(on, point = []) {
    this.wishesSections = false;
    if (on === Boolean(this.mpr)) return;
    if (on) Multiplanar.open(this, point);
    else this.mpr.leave();
  }

  use(tool) {
    if (!TOOLS.includes(tool) && !(tool in MEASURES)) return;
    if (tool === "cross" && !this.mpr) return;
    if (tool in MEASURES && this.mpr) {
      this.note(ONLY_ORIGINALS);
      return;
    }
    this.active.shapes.cancel();
    this.tool = tool;
    this.chrome();
    this.report();
  }

  toggleKey() {
    const {active: {entry, chosen}, keyImages} = this;
    if (!entry || entry.paper || !this.model.can_mark || this.isPrior(chosen)) return; // key images are this study's
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

  // To an image that a document speaks of: beside the document where another pane is free for it.
  goTo({series, index}, from) {
    const other = this.panes.find((pane) => pane.current === series.id)
      ?? this.panes.find((pane) => pane !== from) ?? from;
    this.activate(other);
    other.select(series.id);
    other.go(index);
    other.port.focus({preventScroll: true});
  }

  paperUrl({id}) {
    return this.model.paper_url.replace("{id}", id);
  }

  // -- the header ----------------------------------------------------------------------------

  showHeader() {
    const {active: pane} = this;
    if (pane.entry && this.model.header_url) this.header.show(pane.entry, pane.title);
  }

  headerOffer(pane) {
    if (!this.model.header_url) return [];
    const offer = make("button", "retry", "Show its header");
    offer.type = "button";
    offer.addEventListener("click", () => {
      this.activate(pane);
      this.showHeader();
    });
    return [offer];
  }

  neighbour(by) {
    const {active: pane} = this;
    const before = pane.entry;
    pane.step(by);
    return pane.entry === before ? null : {entry: pane.entry, label: pane.title};
  }

  toggleGraphics() {
    this.graphics = !this.graphics;
    this.schedule();
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.().catch(() => {}); // refused by the browser's policy
  }

  // -- measurements --------------------------------------------------------------------------

  placeOf(one) {
    const key = keyOf(one);
    for (const series of this.series) {
      const index = series.stack.findIndex((entry) => entry.key === key && !entry.presentation);
      if (index >= 0) return {series, index};
    }
    return null;
  }

  // To the pane that shows the series, else into the active one.
  jump(one) {
    const place = this.placeOf(one);
    if (!place) return false;
    this.showSections(false);
    const {id} = place.series;
    if (this.active.current !== id) this.activate(this.panes.find((pane) => pane.current === id));
    this.active.select(id);
    this.active.go(place.index);
    this.ledger.choose(one.id);
    this.marks.update();
    this.active.schedule();
    return true;
  }

  // A list changed by hand: Python is told at once, since it keeps it.
  marked() {
    this.reporting = true;
    try {
      this.model.measurements = this.ledger.list;
    } finally {
      this.reporting = false;
    }
    this.marks.update();
    this.schedule(); // a calibration changes the scale bar too
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

  received({hang, key, info, pixels, problem, picture}) {
    if (hang) {
      this.hangAs(hang);
      return;
    }
    if (picture) {
      this.share.picture(picture);
      return;
    }
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
    for (const pane of this.panes) {
      if (key === pane.entry?.key) pane.schedule();
      else if (!this.progressScheduled && pane.lane.places.has(key)) {
        this.progressScheduled = setTimeout(() => {
          this.progressScheduled = 0;
          for (const one of this.panes) one.load();
        }, 100);
      }
    }
  }

  // -- painting ------------------------------------------------------------------------------

  schedule() {
    for (const pane of this.panes) pane.schedule();
  }

  wake() {
    if (!this.scheduled) this.scheduled = requestAnimationFrame((now) => this.paint(now));
  }

  paint(now) {
    this.scheduled = 0;
    for (const pane of this.panes) if (pane.dirty && pane.isSeen) pane.paint(now);
    if (this.panes.length > 1) this.together.draw();
    if (!this.isOffered && this.active.shown) this.offerPrior();
  }

  close() {
    this.forget();
    this.mpr?.close();
    this.sizes.disconnect();
    this.windows.close();
    cancelAnimationFrame(this.scheduled);
    clearTimeout(this.timer);
    for (const pane of this.panes.splice(0)) pane.close();
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
