// Parts: what surrounds the panes, built once, and what changes there with the series or the tool.
const NOTE_MS = 8000;

class Parts {
  build() {
    this.root = make("section", "reading");
    this.root.setAttribute("aria-label", "Image viewer");
    this.help = new Help(this);
    this.settings = new Settings(this);
    this.header = new HeaderBrowser(this.root, {
      load: (entry) => this.sources.header(entry),
      step: (by) => this.neighbour(by),
    });
    this.rail = new Rail({choose: (id) => this.choose(id), ask: (id) => this.ask("study", {id})});
    this.live = make("div", "spoken");
    this.live.setAttribute("aria-live", "polite");
    this.popups = [];
    this.share = new Share(this);
    this.marks = new Marks(this);
    this.adjust = new Adjust(this);
    this.grid = make("div", "ports");
    this.layouts = new Layouts(this);
    this.windows = new Windows(this);
    this.grid.append(...this.popups.map(({node}) => node));
    const area = make("div", "area");
    area.append(make("h1", "spoken", "Images"), this.toolbar(), this.rail.node, this.grid, this.live);
    this.root.append(make("style", "", STYLES), area); // in whichever shadow root it stands
    this.forget = listenForKeys(this);
    this.sizes = new ResizeObserver(([{contentRect}]) => this.fitPanes(contentRect.width));
    this.sizes.observe(this.root);
  }

  toolbar() {
    const bar = make("div", "bar");
    bar.setAttribute("role", "toolbar");
    bar.setAttribute("aria-label", "Image tools");
    const names = {
      window: ["Window and level", "W"], scroll: ["Scroll", "S"], pan: ["Move", "P"], zoom: ["Zoom", "Z"],
      magnify: ["Magnifier", "Q"], cross: ["Cross-hair", "X"],
    };
    this.toolButtons = new Map(TOOLS.map((tool) => [tool, makeButton(tool, ...names[tool], () => this.use(tool))]));
    this.presets = makeSelect("Window preset", "presets");
    this.presets.addEventListener("change", () => this.active.preset(Number(this.presets.value)));
    this.invertButton = makeButton("invert", "Invert", "I", () => this.active.flip());
    this.graphicsButton = makeButton("graphics", "Graphics of the image", "Y", () => this.toggleGraphics());
    this.masks = new MaskTools(this);
    this.keyButton = makeButton("key", "Key image", "K", () => this.toggleKey());
    this.keyButton.append(make("span", "word", "Key image"));
    this.playButton = makeButton("play", "Play", "Space", () => this.active.play(!this.active.playing));
    this.rate = makeSelect("Frames per second", "rate");
    fillSelect(this.rate, [["0", "As recorded"], ["5", "5 /s"], ["10", "10 /s"], ["15", "15 /s"], ["25", "25 /s"], ["40", "40 /s"]], "0");
    this.headerButton = makeButton("header", "Header", "H", () => this.showHeader());
    this.sections = new SectionTools(this);
    this.cine = makeGroup("Cine", this.playButton, this.rate);
    this.forImages = [
      makeGroup("Mouse tool", ...this.toolButtons.values()),
      makeGroup("Marks", this.marks.button, this.keyButton),
      makeGroup("Window", this.presets, this.invertButton, ...this.masks.buttons, this.graphicsButton),
      makeGroup(
        "View",
        makeButton("fit", "Fit to window", "F", () => this.active.fit()),
        makeButton("actual", "Actual pixels", "O", () => this.active.actual()),
        makeButton("reset", "Reset view", "R", () => this.active.reset()),
        this.adjust.button,
      ),
    ];
    bar.append(
      ...this.forImages,
      ...this.sections.groups,
      this.cine,
      this.layouts.group,
      this.share.group,
      make("span", "spring"),
      makeGroup(
        "More",
        this.headerButton,
        this.windows.button,
        makeButton("full", "Full screen", "", () => this.fullScreen()),
        makeButton("settings", "Settings of the viewer", "", () => this.settings.show()),
        makeButton("help", "Keyboard and mouse help", "?", () => this.help.show()),
      ),
    );
    return bar;
  }

  // Another speed of the recording, as the list has them.
  pace(by) {
    const {rate} = this;
    rate.selectedIndex = Math.max(0, Math.min(rate.length - 1, rate.selectedIndex + by));
  }

  // What follows every image of the active pane.
  follow() {
    const {active: pane} = this;
    const isPaper = Boolean(pane.entry?.paper);
    for (const group of this.forImages) if (group.inert !== isPaper) group.inert = isPaper;
    this.keyButton.setAttribute("aria-pressed", String(!pane.overlay.star.hidden));
    const {overlay, shutters} = pane.shown?.info ?? {};
    this.graphicsButton.hidden = !(overlay || shutters?.length || pane.presented.hides(pane.entry));
    this.graphicsButton.setAttribute("aria-pressed", String(this.graphics));
    this.masks.update(pane.shown?.info);
    const {state} = pane;
    const chosen = pane.windows.findIndex((one) => one.center === state?.center && one.width === state?.width);
    if (this.presets.value !== String(chosen)) this.presets.value = String(chosen);
  }

  // Buttons and lists that change with the series or the tool, not with every image.
  chrome() {
    const {active: pane} = this;
    for (const [tool, button] of this.toolButtons) button.setAttribute("aria-pressed", String(tool === this.tool));
    this.grid.dataset.tool = this.tool in MEASURES ? "measure" : this.tool;
    this.marks.update();
    this.adjust.update();
    this.invertButton.setAttribute("aria-pressed", String(Boolean(pane.state?.invert)));
    const {windows} = pane;
    const short = (number) => Number(number.toPrecision(5));
    const options = windows.map((one, i) => {
      const name = `${i < 9 ? `${i + 1}  ` : ""}${one.label}`;
      return [String(i), one.label === "Original" ? name : `${name} ${short(one.width)}/${short(one.center)}`];
    });
    fillSelect(this.presets, [["-1", "Custom window"], ...options, [String(windows.length), "Full range"]], this.presets.value);
    this.presets.disabled = !pane.current;
    this.cine.hidden = pane.count < 2;
    this.sections.update(pane);
    if (!this.model.can_mark || this.isPrior(pane.chosen)) this.keyButton.disabled = true;
    const {playing} = pane;
    renew(this.playButton, [iconOf(playing ? "pause" : "play")]);
    this.playButton.setAttribute("aria-label", playing ? "Pause" : "Play");
    this.playButton.setAttribute("aria-pressed", String(playing));
    this.headerButton.hidden = !this.sources.hasHeaders;
  }

  // A sentence for a moment, where something asked for is not to be had.
  note(text) {
    clearTimeout(this.noteTimer);
    this.noted?.remove();
    this.noted = make("div", "noted", text);
    this.noted.setAttribute("role", "alert");
    this.grid.append(this.noted);
    this.noteTimer = setTimeout(() => this.noted.remove(), NOTE_MS);
  }
}
