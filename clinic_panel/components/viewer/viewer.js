// Viewer: one reading area of one to nine panes. It holds what they share (series, tool, marks, the
// frames) and paints them on the screen's clock.
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
    this.scheduled = 0;
    this.sync = new Sync(this);
    this.comm = new Comm(model, () => this.report());
    this.sources = new Sources(this);
    this.graphics = true; // whether to paint those that images bring along
    this.ledger = new Ledger({
      drawn: () => this.panes.forEach((pane) => pane.shapes.draw()),
      changed: () => this.marked(),
    });
    this.store = new FrameStore({
      load: (entry, options) => this.sources.entry(entry, options),
      arrived: (key, frame) => this.arrived(key, frame),
      failed: (key) => this.panes.forEach((pane) => pane.entry?.key === key && pane.schedule()),
    });
    this.together = new Together(this);
    this.isEnlarged = false;
    this.isNarrow = false;
    this.wish = null; // a hanging whose series have not come
    this.hoped = null; // what was seen, and how, when the prior was asked for
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
        const {id, info, paper, name, problem, presentation, mask} = entry;
        const url = paper ? "" : entry.url ?? at(template);
        const preview = entry.preview ?? (url && at(small));
        const image = `${id}/${frame}`; // the key is of the form it is seen in
        const made = {key: image, image, id, frame, url, preview, info, series: one.id, paper, name, problem, presentation};
        stack.push(mask ? maskedAs(made, mask) : made);
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
    this.sync.tell({preferences: chosen});
    this.preferred();
    this.chrome();
  }

  report() {
    this.sync.report();
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
    if (OF_ORIGINALS.includes(tool) && this.mpr) {
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
    this.sync.reportNow(); // Python keeps a key image with the window it has now
    if (!keyImages.delete(entry.image)) keyImages.add(entry.image);
    const own = ({stack}) => stack.filter(({presentation}) => !presentation);
    const places = new Map(this.series.flatMap((one) => own(one).map((each) => [each.image, one.id])));
    this.sync.say("key_images", [...keyImages].map((key) => {
      const [id, frame] = key.split("/").map(Number);
      return {series_id: places.get(key) ?? "", instance_id: id, frame};
    }));
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

  // To a document, or to the first image that a presentation state is for.
  showDocument(id) {
    if (!id || id === documentOf(this.active.entry)) return;
    for (const series of this.series) {
      const index = series.stack.findIndex((one) => documentOf(one) === id);
      if (index < 0) continue;
      this.showSections(false);
      this.active.select(series.id);
      this.active.go(index);
      return;
    }
  }

  // -- the header ----------------------------------------------------------------------------

  showHeader() {
    const {active: pane} = this;
    if (pane.entry && this.sources.hasHeaders) this.header.show(pane.entry, pane.title);
  }

  headerOffer(pane) {
    if (!this.sources.hasHeaders) return [];
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

  // The series and the image of a shape; one on a section needs the volume of its series.
  placeOf(one) {
    const key = keyOf(one);
    for (const series of this.series) {
      const index = series.stack.findIndex((entry) => entry.key === key && !entry.presentation);
      if (index >= 0) return one.section && !series.grid ? null : {series, index};
    }
    return null;
  }

  // To the pane that shows the series, else into the active one.
  jump(one) {
    const place = this.placeOf(one);
    if (!place) return false;
    if (one.section) Multiplanar.lead(this, place.series, one);
    else {
      this.showSections(false);
      const {id} = place.series;
      if (this.active.current !== id) this.activate(this.panes.find((pane) => pane.current === id));
      this.active.select(id);
      this.active.go(place.index);
    }
    this.ledger.choose(one.id);
    this.marks.update();
    this.active.schedule();
    return true;
  }

  // A list changed by hand: Python is told at once, since it keeps it.
  marked() {
    this.sync.say("measurements", this.ledger.list);
    this.marks.update();
    this.schedule(); // a calibration changes the scale bar too
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

  // Whether the active pane shows its image, or says why there is none.
  get isSettled() {
    const {active: pane, store} = this;
    const {entry, failure, isPreview, dirty} = pane;
    return !entry || Boolean(failure) || ((isPreview || store.frames.has(entry.key)) && !dirty);
  }

  close() {
    this.forget();
    this.mpr?.close();
    this.sizes.disconnect();
    this.windows.close();
    cancelAnimationFrame(this.scheduled);
    this.sync.close();
    for (const popup of this.popups) popup.close();
    for (const pane of this.panes.splice(0)) pane.close();
  }
}

// Our number of the document that an entry is, or of the presentation state it is seen through.
function documentOf(entry) {
  return (entry?.paper ? entry.id : entry?.presentation) ?? null;
}

function keyOf({instance_id: id, frame}) {
  return `${id}/${frame ?? 0}`;
}

export function render({model, el}) {
  el.classList.add("viewer-host");
  if (early) {
    const begun = takeOver(model, el);
    model.on("remove", () => begun.close());
    return null;
  }
  const area = new ReadingArea(model);
  area.sync.watch();
  area.read();
  model.on("remove", () => area.close());
  return area.root;
}
