// Content: what a pane shows. A series says its `kind`; "images", a stack on a canvas, is the usual
// one, others enter themselves in CONTENTS. The pane keeps identity, notice, focus and gestures, and
// asks its content for: node (what it puts behind them), resize(width, height, ratio), paint(now) on
// the screen's clock, close(). A content sets pane.shown to the frame it shows, or to null.
const CONTENTS = {};

class Images {
  constructor(pane) {
    this.pane = pane;
    this.node = make("canvas");
    this.node.setAttribute("aria-hidden", "true");
    this.painter = new Painter(this.node);
    this.series = null; // whose picture is on the canvas
  }

  resize(width, height, ratio) {
    this.painter.resize(width, height, ratio);
  }

  paint() {
    const {pane} = this;
    const {entry, state} = pane;
    const here = entry && pane.store.frames.get(entry.key);
    const frame = here && entry.presentation ? pane.presented.shaped(here, entry) : here;
    const preview = !frame && entry && pane.store.previews.get(entry.key);
    delete this.node.dataset.preview;
    if (preview) this.sketch(preview);
    else if (frame) {
      const first = pane.shown === null || this.series !== pane.current;
      pane.shown = frame;
      this.series = pane.current;
      const suited = frame.info.mask_mode && suitWindow(state, frame.info);
      if (!state.width) Object.assign(state, {center: frame.info.window_center, width: frame.info.window_width});
      pane.presented.apply(frame, entry, state);
      if (state.aimed) pane.aim(state.aimed);
      const place = state.camera.place(frame.info, ...pane.size);
      const {center, width, invert} = state;
      const {palette, colours, area: {graphics, ways}} = pane;
      const smooth = ways.smooth === "yes";
      this.painter.draw(pane.presented.toned(frame, entry), {...place, center, width, invert, palette, colours, graphics, smooth, plain: true});
      if (first || suited) {
        pane.chrome();
        pane.report();
      }
      pane.annotate(frame, place);
      pane.shapes.show(frame, place, entry);
      pane.presented.draw(frame, entry, place);
      this.node.dataset.shown = String(state.index);
      this.node.dataset.key = entry.key;
    } else if (!entry || pane.failure || this.series !== pane.current) {
      pane.shown = null;
      this.painter.clear();
      pane.annotate(null, null);
      pane.shapes.show(null);
      pane.presented.draw(null);
      delete this.node.dataset.shown;
    }
  }

  // A smaller, lossy form until the image itself is here: to look at, not to measure.
  sketch({info, bitmap}) {
    const {pane} = this;
    pane.shown = null;
    this.series = pane.current;
    const place = pane.state.camera.place(info, ...pane.size);
    this.painter.sketch(bitmap, info, place);
    pane.annotate({info}, place);
    pane.shapes.show(null);
    pane.presented.draw(null);
    delete this.node.dataset.shown;
    this.node.dataset.preview = pane.entry.key;
  }

  close() {
    this.painter.clear();
    this.pane.presented.draw(null);
  }
}

CONTENTS.images = Images;
