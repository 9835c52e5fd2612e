// Wall: the panes, how they are arranged and what hangs in them: series of the study, and of earlier
// ones beside it.
const MOST_ACROSS = 3;
// What panes can do together, and the param that says so.
const JOINS = {scroll: "scroll_together", lines: "reference_lines", window: "same_window"};
const BESIDE_PX = 900; // room for a study and its prior side by side
const NARROW_PX = 720; // room for one pane only

class Wall extends Parts {
  // Every pane says whose images it shows, and of which study.
  label(pane) {
    const {overlay} = pane;
    const {notice, banner, studies} = this.model;
    overlay.notice.textContent = notice;
    overlay.notice.hidden = !notice;
    const {name = "", id = "", birth_date: born = ""} = banner ?? {};
    this.root.dataset.whose = [name || "Patient not identified", id, born].filter(Boolean).join(" · "); // for paper
    const home = studies.find((study) => study.id === pane.chosen?.study);
    overlay.identify(home?.is_prior ? home.banner : banner);
    pane.port.classList.toggle("prior", Boolean(home?.is_prior));
  }

  // Panes without a series get theirs: what Python wishes, else the next that no pane shows.
  hang(wishes = this.model.panes) {
    const {model, panes, active} = this;
    if (!this.series.length) return;
    const wished = panes.map((pane, i) => pane.current ?? this.find(wishes[i])?.id ?? null);
    const own = panes.indexOf(active);
    if (!active.current) wished[own] = this.find(model.selected_series)?.id ?? wished[own] ?? this.series[0].id;
    for (const [i, pane] of panes.entries()) {
      if (pane.current) continue;
      wished[i] ??= this.series.find((one) => !wished.includes(one.id) && !this.isPrior(one))?.id ?? null;
      if (!wished[i]) continue;
      const asked = pane === active && wished[i] === model.selected_series;
      pane.open(wished[i], asked ? model.index : 0);
      // As the reader left it: only the first time, and only the series it was said of.
      if (!asked) continue;
      if (this.opening) Object.assign(pane.state, this.opening);
      pane.maskBy(model.mask);
      pane.stand(model.rotation, model.mirrored);
      pane.aim(model.area);
    }
    this.opening = null;
  }

  isPrior(series) {
    return this.model.studies.some(({id, is_prior: earlier}) => earlier && id === series?.study);
  }

  // How a series is set where it was looked at last, for a pane that shows it too.
  stateOf(id) {
    const held = [this.active, ...this.panes].find((pane) => pane?.states.has(id))?.states.get(id);
    return held && {...held, camera: Object.assign(new Camera(), held.camera)};
  }

  // Fewer panes keep the active one and those before it; more begin with what no pane shows.
  arrange(rows, columns, wishes) {
    this.mpr?.leave();
    const bounded = (count) => Math.max(1, Math.min(MOST_ACROSS, Math.round(count) || 1));
    this.shape = [bounded(rows), bounded(columns)];
    const count = this.shape[0] * this.shape[1];
    const at = this.panes.indexOf(this.active);
    if (at >= count) {
      this.panes.splice(at, 1);
      this.panes.splice(count - 1, 0, this.active);
    }
    this.isEnlarged = false;
    for (const pane of this.panes.splice(count)) pane.close();
    while (this.panes.length < count) {
      const pane = new Pane(this);
      this.label(pane);
      pane.chrome();
      this.panes.push(pane);
    }
    this.grid.style.setProperty("--rows", this.shape[0]);
    this.grid.style.setProperty("--columns", this.shape[1]);
    this.grid.classList.toggle("single", count === 1);
    this.panes.forEach(({port}, i) => {
      const there = this.grid.children[i];
      if (there !== port) this.grid.insertBefore(port, there);
    });
    this.activate(this.active ?? this.panes[this.model.active_pane] ?? this.panes[0]);
    this.seePanes();
    this.hang(wishes);
    this.together.anchor();
    this.layouts.update();
    this.report();
  }

  // As Python wishes; series that are still on their way hang once they are here.
  hangAs(wish) {
    const {layout, panes: wished, ...joined} = wish;
    const isWhole = wished.every((id) => !id || this.find(id));
    this.wish = isWhole ? null : wish;
    if (!isWhole) return;
    const {hoped} = this;
    this.hoped = null;
    // What the reader arranged or chose while it was on its way stands.
    if (hoped && hoped.arranged !== this.arranged) return;
    const panes = [...wished];
    const {current} = this.active;
    if (hoped && current && current !== hoped.series) panes[Math.max(0, wished.indexOf(hoped.series))] = current;
    this.arrange(...layout, panes);
    panes.forEach((id, i) => id && this.panes[i]?.select(id));
    this.activate(this.panes[0]);
    for (const [name, of] of Object.entries(JOINS)) if (of in joined) this.join(name, joined[of]);
  }

  get arranged() {
    return `${this.shape} ${Boolean(this.mpr)}`;
  }

  askPrior() {
    if (!this.model.prior.id) return;
    this.hoped = {series: this.active.current, arranged: this.arranged};
    this.ask("prior", {series: this.hoped.series});
  }

  get isSolo() {
    return this.panes.length > 1 && (this.isEnlarged || (this.isNarrow && !this.mpr)); // sections need each other
  }

  enlarge() {
    this.isEnlarged = !this.isEnlarged;
    this.seePanes();
  }

  fitPanes(width) {
    this.isNarrow = width < NARROW_PX;
    this.seePanes();
  }

  // Once the first image is there, the prior comes beside it: as a rule says, or where there is room.
  offerPrior() {
    this.isOffered = true;
    const {prior, beside} = this.model;
    const isWide = this.root.clientWidth >= BESIDE_PX;
    const isWanted = beside === "always" ? !this.isNarrow : beside === "wide" && isWide;
    if (prior.id && isWanted && !this.isComparing) this.askPrior();
  }

  get isComparing() {
    return this.panes.some((pane) => this.isPrior(pane.chosen));
  }

  // The prior beside the study, or the study alone again.
  compare() {
    if (!this.isComparing) {
      this.askPrior();
      return;
    }
    this.activate(this.panes.find((pane) => pane.chosen && !this.isPrior(pane.chosen)));
    this.arrange(1, 1);
    if (this.isPrior(this.active.chosen)) this.active.select(this.series[0].id);
  }

  keepRule() {
    const [rows, columns] = this.shape;
    const joined = Object.fromEntries(Object.entries(JOINS).map(([name, of]) => [of, this.together[name]]));
    this.ask("keep_rule", {rows, columns, panes: (this.mpr?.held.panes ?? this.panes).map((pane) => pane.current ?? ""), ...joined});
  }

  // Panes that are not seen neither paint nor ask for images.
  seePanes() {
    this.grid.classList.toggle("solo", this.isSolo);
    for (const pane of this.panes) pane.lane.awake = pane.isSeen;
  }

  nextPane(step) {
    const {panes, active} = this;
    const next = panes[(panes.indexOf(active) + step + panes.length) % panes.length];
    this.activate(next);
    next.port.focus({preventScroll: true});
  }

  // Scrolling, lines or windows of the panes are joined, or no longer.
  join(name, on = !this.together[name]) {
    this.together.set(name, on);
    this.layouts.update();
    this.report();
  }

  activate(pane) {
    if (!pane || pane === this.active) return;
    this.active?.shapes.cancel();
    this.active?.port.classList.remove("active");
    this.active = pane;
    pane.port.classList.add("active");
    this.seePanes();
    this.hung();
    this.chrome();
    this.follow();
    this.together.draw();
    this.report();
  }

  // Which series hang where has changed.
  hung() {
    const hung = new Set(this.panes.map((pane) => pane.current));
    this.rail.update(this.series, this.active?.current ?? null, hung, this.model.studies);
    this.layouts.update();
  }

  select(id) {
    this.active.select(id);
  }

  // From the rail: what comes next is about the picture.
  choose(id) {
    this.select(id);
    this.active.port.focus({preventScroll: true});
  }
}
