// Parts: what surrounds the picture, built once, and what is written on it when it changes.
class Parts {
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
    this.shapes = new Shapes(() => this.marked());
    this.marks = new Marks(this);
    this.port.append(this.canvas, this.shapes.node, this.overlay.node, this.message, this.slider, this.progress, this.live);
    this.port.append(this.marks.node);
    const area = make("div", "area");
    area.append(make("h1", "spoken", "Images"), this.toolbar(), this.rail.node, this.port);
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
      makeGroup("Marks", this.marks.button, this.keyButton),
      make("span", "spring"),
      makeGroup(
        "More",
        makeButton("full", "Full screen", "", () => this.fullScreen()),
        makeButton("help", "Keyboard and mouse help", "?", () => this.help.showModal()),
      ),
    );
    return bar;
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
    this.port.dataset.tool = this.tool in MEASURES ? "measure" : this.tool;
    this.marks.update();
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
}
