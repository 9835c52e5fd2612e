// Sync: what Python says is done here, and Python is told where the reader stands once the hand rests.
//
// Each look at a param makes Bokeh gather them all, so those that painting needs are held here.
const HELD = ["palettes", "usual_colours", "presets", "preferences", "sync_ms"];

class Sync {
  constructor(area) {
    this.area = area;
    this.model = area.model;
    this.held = {};
    this.hold();
    this.isTelling = false;
    this.timer = 0;
  }

  hold() {
    for (const name of HELD) this.held[name] = this.model[name];
  }

  watch() {
    const {area, model} = this;
    model.on(HELD, () => this.hold());
    const feeds = ["series", "studies", "banner", "notice", "cache_mb", "prefetch", "preload", "frame_url", "preview_url"];
    model.on(feeds, () => area.read());
    // Our own reports come back as changes too; only what Python changed by itself counts.
    const follow = (names, act) => model.on(names, () => !this.isTelling && act(area.active));
    follow("layout", () => area.arrange(...model.layout));
    follow("panes", () => model.panes.forEach((id, i) => id && area.panes[i]?.select(id)));
    follow("active_pane", () => area.activate(area.panes[model.active_pane]));
    follow("selected_series", (pane) => model.selected_series && pane.select(model.selected_series));
    follow("document_id", () => area.showDocument(model.document_id));
    follow(["waveform_group", "waveform_start_s"], ({content}) => {
      content.recording?.go(model.waveform_group, model.waveform_start_s);
    });
    follow("index", (pane) => (area.mpr ? area.mpr.goto(model.index) : pane.go(model.index)));
    follow(["window_center", "window_width"], (pane) => {
      const {state} = pane;
      if (!state || !(model.window_width > 0)) return;
      if (state.center !== model.window_center || state.width !== model.window_width) {
        pane.setWindow(model.window_center, model.window_width);
      }
    });
    follow("invert", (pane) => pane.state && pane.state.invert !== model.invert && pane.flip());
    follow(["rotation", "mirrored"], (pane) => pane.stand(model.rotation, model.mirrored));
    follow("mask", (pane) => pane.turnable && pane.maskBy(model.mask));
    follow("area", (pane) => pane.part && String(pane.part) !== String(model.area) && pane.aim(model.area));
    follow("colour_map", (pane) => pane.palette !== model.colour_map && pane.paintIn(model.colour_map));
    model.on(["palettes", "usual_colours"], () => area.schedule());
    follow("preferences", () => {
      area.preferred();
      area.chrome();
    });
    model.on(["prior", "rules", "subject"], () => area.layouts.update());
    for (const [name, of] of Object.entries(JOINS)) follow(of, () => area.join(name, model[of]));
    follow("tool", () => area.use(model.tool));
    follow("mpr", () => area.showSections(model.mpr, model.cross_hair));
    follow("cross_hair", () => area.mpr?.seek(model.cross_hair));
    follow(["slab_mode", "slab_mm"], () => area.mpr?.setSlab({mode: model.slab_mode, mm: model.slab_mm}));
    follow("selected_measurement", () => {
      const one = area.ledger.list.find((each) => each.id === model.selected_measurement);
      if (one) area.jump(one);
    });
    follow("measurements", () => {
      area.ledger.replace(model.measurements);
      area.marks.update();
      area.schedule();
    });
    follow("key_images", () => {
      area.keyImages = new Set(model.key_images.map(keyOf));
      area.schedule();
    });
    model.on("offers", () => area.share.offer(model.offers));
    model.on("msg:custom", (message) => this.received(message.data ?? message));
  }

  received({hang, bring, picture, ...answer}) {
    if (hang) this.area.hangAs(hang);
    else if (bring) this.bring(bring);
    else if (picture) this.area.share.picture(picture);
    else this.area.comm.received(answer);
  }

  // Said in this order: once Python knows the number, the list it has holds what it brought.
  bring({shapes, gone, number}) {
    this.area.ledger.join(shapes, gone);
    this.area.marked();
    this.say("brought", number);
  }

  say(name, value) {
    this.isTelling = true;
    try {
      this.model[name] = value;
    } finally {
      this.isTelling = false;
    }
  }

  // Only what is another than Python has; not for lists of objects, which `say` says.
  tell(values) {
    const {model} = this;
    const said = (name, value) => (Array.isArray(value) ? String(model[name]) === String(value) : model[name] === value);
    for (const [name, value] of Object.entries(values)) if (!said(name, value)) this.say(name, value);
  }

  report() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.reportNow(), this.held.sync_ms);
  }

  reportNow() {
    clearTimeout(this.timer);
    if (this.area.comm.isHeard) this.tell(this.stand());
    const {active: {state, count}, live} = this.area;
    const spoken = state ? `Image ${state.index + 1} of ${count}` : "";
    if (live.textContent !== spoken) live.textContent = spoken;
  }

  stand() {
    const {area} = this;
    const {active: pane, mpr, panes} = area;
    const {state} = pane;
    const hanging = {layout: area.shape, panes: panes.map((one) => one.current ?? ""), active_pane: panes.indexOf(pane)};
    const found = {
      ...(mpr ? mpr.report : hanging),
      mpr: Boolean(mpr),
      selected_series: pane.current ?? "",
      tool: area.tool,
      ...Object.fromEntries(Object.entries(JOINS).map(([name, of]) => [of, area.together[name]])),
      problem: pane.problem ?? "",
      document_id: documentOf(pane.entry),
      ...pane.content.recording?.place,
    };
    if (!state) return found;
    const {index, invert, camera, center, width} = state;
    const {quarter, mirrored} = camera;
    Object.assign(found, {index: mpr ? mpr.index : index, invert, rotation: quarter * 90, mirrored, colour_map: pane.palette});
    if (pane.kind === "images") found.mask = state.mask ?? null;
    if (pane.part) found.area = pane.part;
    found.selected_measurement = area.ledger.selected ?? "";
    if (width > 0) Object.assign(found, {window_center: center, window_width: width});
    return found;
  }

  close() {
    clearTimeout(this.timer);
  }
}
