// Pane: one viewport. It knows its series, its place in the stack and how the reader set each series
// there; what it shows is its content.
const REST_MS = 250; // of the wheel, before the slider follows
const VALUE_WIDE = 5; // digits and sign of most values: what is before them keeps its place

class Pane extends Reader {
  constructor(area) {
    super();
    this.area = area;
    this.states = new Map(); // series id -> what the reader did with it here
    this.current = null;
    this.lane = area.store.lane();
    this.size = [1, 1];
    this.shown = null;
    this.cursor = null;
    this.playing = false;
    this.due = 0;
    this.dirty = false;
    this.slid = ""; // where the gauge stands
    this.settling = 0;
    this.said = null;
    this.build();
    this.fill("images");
  }

  get store() {
    return this.area.store;
  }

  get isActive() {
    return this.area.active === this;
  }

  get isPreview() {
    return Boolean(this.entry && this.store.previews.has(this.entry.key));
  }

  // One pane stands alone where there is no room, or where it was enlarged.
  get isSeen() {
    return this.isActive || !this.area.isSolo;
  }

  get failure() {
    return this.entry && this.store.problems.get(this.entry.key);
  }

  get title() {
    const what = this.entry?.paper ? this.entry.name : "image";
    return `${this.chosen?.label || "Series"}, ${what} ${this.state.index + 1}`;
  }

  build() {
    this.port = make("div", "port");
    this.port.tabIndex = 0;
    this.port.setAttribute("role", "application");
    this.port.setAttribute("aria-roledescription", "image viewport");
    this.overlay = new Overlay();
    this.presented = new Presented(this);
    this.shapes = this.makeShapes({
      ask: (one, done) => askLength(this, one, done),
      home: (id) => this.area.homeOf(id),
    });
    this.guide = svgOf("svg", {class: "guide off", "aria-hidden": "true"});
    this.guide.append(svgOf("line", {class: "under"}), svgOf("line"));
    this.message = make("div", "message");
    this.message.setAttribute("role", "alert");
    this.slider = make("input", "slider");
    this.slider.type = "range";
    this.slider.setAttribute("aria-label", "Image in the series");
    this.slider.addEventListener("input", () => {
      this.area.activate(this);
      this.go(Number(this.slider.value));
    });
    for (const kind of ["pointerenter", "focus", "keydown"]) this.slider.addEventListener(kind, () => this.settle());
    this.gauge = make("div", "gauge");
    this.gauge.setAttribute("aria-hidden", "true");
    this.gauge.append(make("i"));
    this.progress = make("div", "progress");
    this.progress.setAttribute("role", "progressbar");
    this.progress.setAttribute("aria-label", "Images loaded");
    this.progressBar = make("i");
    this.progress.append(this.progressBar);
    this.loupe = new Loupe();
    this.port.append(this.guide, this.presented.node, this.presented.note, this.shapes.node, this.overlay.node, this.message, this.slider, this.gauge, this.progress);
    new ResizeObserver(([{target}]) => { // a sheet begins below what is said of the study
      this.port.style.setProperty("--banner-end", `${target.offsetTop + target.offsetHeight}px`);
    }).observe(this.overlay.parts.banner);
    this.port.addEventListener("focusin", () => this.area.activate(this));
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.port);
    this.hand = new Hand(this);
    takeSeries(this);
  }

  makeShapes(options) {
    return new Shapes(this.area.ledger, options);
  }

  fill(kind) {
    if (kind === this.kind) return;
    this.content?.close();
    this.content?.node.remove();
    this.kind = kind;
    this.shown = null;
    this.content = new (CONTENTS[kind] ?? Images)(this);
    this.port.prepend(this.content.node);
    this.resize();
  }

  close() {
    this.play(false);
    this.sizes.disconnect();
    clearTimeout(this.settling);
    this.lane.close();
    this.content.close();
    this.port.remove();
  }

  // -- painting ------------------------------------------------------------------------------

  schedule() {
    this.dirty = true;
    this.area.wake();
  }

  report() {
    this.area.report();
  }

  resize() {
    const {width, height} = this.port.getBoundingClientRect();
    if (!width || !height) return;
    this.size = [width, height];
    this.content.resize(width, height, Math.min(devicePixelRatio || 1, 2));
    this.paint(performance.now());
    this.area.together.draw();
  }

  paint(now) {
    this.dirty = false;
    this.advance(now);
    this.content.paint(now);
    this.tell();
    this.load();
    if (this.playing) this.schedule();
  }

  // -- what is written on it -----------------------------------------------------------------

  tell() {
    const {entry, failure: problem} = this;
    const {series} = this.area;
    let text = "";
    if (!series.length) text = "No images yet\nThey appear here as they arrive.";
    else if (!this.current) text = "Empty\nChoose a series for this place.";
    else if (!entry) text = `This series cannot be shown.\n${this.chosen?.problem || "It holds no images."}`;
    else if (problem) text = `${entry.paper ? entry.name : "This image"} cannot be shown.\n${problem.message}`;
    else if (this.isPreview) text = "Preview\nThe exact image is on its way.";
    else if (!this.shown && !this.content.isReady) text = "Loading…";
    this.message.classList.toggle("aside", this.isPreview);
    if (this.said !== text) {
      this.message.hidden = !text;
      this.said = text;
      const [head, ...rest] = text.split("\n");
      this.message.replaceChildren(make("strong", "", head), ...rest.map((line) => make("span", "", line)));
      if (problem && !problem.final) {
        const retry = make("button", "retry", "Try again");
        retry.type = "button";
        retry.addEventListener("click", () => {
          this.lane.retry(this.state.index);
          this.schedule();
        });
        this.message.append(retry);
      }
      if (entry && text !== "Loading…") this.message.append(...this.area.headerOffer(this));
      this.port.classList.toggle("empty", !this.current);
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
    const edges = info?.edges && state ? state.camera.edges(info.edges) : ["", "", "", ""];
    ["left", "right", "top", "bottom"].forEach((name, i) => overlay.write(name, edges[i]));
    const isPlain = !this.area.keyImages.has(this.entry?.image);
    if (overlay.star.hidden !== isPlain) overlay.star.hidden = isPlain;
    overlay.colours.write(info, state, frame?.pixels && this.colours);
    overlay.measure(info, place, this.entry && this.shapes.knownFor(this.entry));
    this.values();
    this.slide();
    if (this.isActive) this.area.follow();
  }

  // The gauge moves with each image. The slider below it, for hands and screen readers, follows once the
  // wheel rests or somebody turns to it: laying it out would hold each image up.
  slide() {
    const {count} = this;
    const index = this.state?.index ?? 0;
    const wanted = `${index} of ${count}`;
    if (this.slid === wanted) return;
    this.slid = wanted;
    const share = count > 1 ? index / (count - 1) : 0;
    this.gauge.firstChild.style.transform = `translateY(calc(${share} * (100% - 16px)))`;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.settle(), REST_MS);
  }

  settle() {
    clearTimeout(this.settling);
    const {slider, count} = this;
    const index = this.state?.index ?? 0;
    if (Number(slider.value) !== index) slider.value = String(index);
    slider.setAttribute("aria-valuetext", `${index + 1} of ${count}`);
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
    if (info.note) text += `\n${info.note}`;
    if (cursor) {
      const place = state.camera.place(info, ...this.size);
      const [column, row] = onImage(place, cursor).map(Math.floor);
      if (column >= 0 && row >= 0 && column < info.columns && row < info.rows) {
        const at = row * info.columns + column;
        const value = info.format === "rgb8"
          ? [...pixels.subarray(at * 3, at * 3 + 3)].join(" ")
          : pixels[at] >= (info.colours?.first ?? Infinity) ? "colour"
            : `${Number((pixels[at] * info.slope + info.intercept).toPrecision(6))}`.padStart(VALUE_WIDE, "\u2007") + unit;
        text = `x ${column}  y ${row}  ${value}\n${text}`;
      }
    }
    this.overlay.write("values", text);
  }

  load() {
    const {count} = this;
    const {loaded} = this.lane;
    const now = `${loaded} of ${count}`;
    if (this.progressed === now) return;
    this.progressed = now;
    this.progress.hidden = count < 2 || loaded === count;
    this.progress.setAttribute("aria-valuemax", String(count));
    this.progress.setAttribute("aria-valuenow", String(loaded));
    this.progress.title = `${now} images loaded`;
    this.progressBar.style.width = count ? `${(100 * loaded) / count}%` : "0";
  }

  // What changes with the series, not with every image.
  chrome() {
    const {chosen, count} = this;
    this.slider.hidden = count < 2;
    this.slider.max = String(Math.max(count - 1, 0));
    this.settle();
    this.port.setAttribute("aria-label", chosen ? `Images of ${chosen.label || "the series"}` : "No images");
    if (this.isActive) this.area.chrome();
  }
}
