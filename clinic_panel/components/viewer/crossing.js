// Crossing: what a section's pane paints: its pixels, what is missing of them, and the lines of the
// other two.
class SectionView {
  constructor(pane) {
    this.pane = pane;
    this.node = make("div", "section");
    this.canvas = make("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.painter = new Painter(this.canvas);
    this.lines = svgOf("svg", {class: "cross", "aria-hidden": "true"});
    this.node.append(this.canvas, this.lines);
    this.drawn = "";
  }

  resize(width, height, ratio) {
    this.painter.resize(width, height, ratio);
    this.drawn = "";
  }

  paint() {
    const {pane} = this;
    const {mpr, section, state} = pane;
    const frame = mpr.frameOf(section);
    const {look} = mpr;
    if (frame.pixels && !look.width) {
      Object.assign(look, {center: frame.info.window_center, width: frame.info.window_width});
      pane.chrome();
      pane.report();
    }
    pane.shown = frame.pixels ? frame : null;
    const place = state.camera.place(frame.info, ...pane.size);
    const smooth = pane.area.ways.smooth === "yes";
    const key = [frame.key, look.center, look.width, look.invert, smooth, place.matrix].join();
    if (key !== this.drawn) {
      if (frame.pixels) this.painter.draw(frame, {...place, ...look, smooth});
      else this.painter.clear();
      this.hatch(frame, place);
      this.drawn = key;
    }
    pane.annotate(frame, place);
    pane.shapes.show(pane.shown, place, mpr.anchor);
    this.cross(place);
    this.canvas.dataset.shown = String(state.index);
    this.canvas.dataset.key = frame.key;
  }

  // Slices that have not come: hatched, so that nobody takes them for air.
  hatch({info, gaps, pixels}, place) {
    const {section} = this.pane;
    const rows = section.down === 2;
    const runs = pixels ? gaps : [[0, rows ? info.rows : info.columns]];
    if (!runs.length) return;
    const {context, ratio} = this.painter;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const [first, last] of runs) {
      const [x, width] = rows ? [0, info.columns] : [first, last - first];
      const [y, height] = rows ? [first, last - first] : [0, info.rows];
      const down = place.scale * place.aspect;
      context.fillStyle = "#000";
      context.fillRect(place.x + x * place.scale, place.y + y * down, width * place.scale, height * down);
      context.fillStyle = hatching(context);
      context.fillRect(place.x + x * place.scale, place.y + y * down, width * place.scale, height * down);
    }
  }

  // The two other sections as lines with a gap about the cross-hair; the edges of their slabs dashed.
  cross(place) {
    const {pane} = this;
    const {mpr, section} = pane;
    const [width, height] = pane.size;
    const [x, y] = onScreen(place, mpr.volume.toImage(section, mpr.at));
    const lines = [];
    for (const other of mpr.panes) {
      if (other === pane) continue;
      const upright = other.section.normal === section.across;
      const colour = SECTION_COLOURS[other.section.name];
      const gap = 14;
      const line = (from, to, dash) => lines.push({colour, dash, from, to});
      if (upright) {
        line([x, 0], [x, y - gap]);
        line([x, y + gap], [x, height]);
      } else {
        line([0, y], [x - gap, y]);
        line([x + gap, y], [width, y]);
      }
      if (!other.isSlab) continue;
      for (const edge of this.edges(other, place)) {
        if (upright) line([edge[0], 0], [edge[0], height], true);
        else line([0, edge[1]], [width, edge[1]], true);
      }
    }
    this.rule(lines);
  }

  edges(other, place) {
    const {mpr, section} = this.pane;
    const {normal} = other.section;
    const [first, last] = mpr.layers(other.section);
    return [first - 0.5, last + 0.5].map((layer) => {
      const voxel = [...mpr.at];
      voxel[normal] = layer;
      return onScreen(place, mpr.volume.toImage(section, voxel));
    });
  }

  rule(lines) {
    while (this.lines.childNodes.length > lines.length) this.lines.lastChild.remove();
    while (this.lines.childNodes.length < lines.length) this.lines.append(svgOf("line"));
    lines.forEach(({colour, dash, from, to}, i) => {
      const node = this.lines.childNodes[i];
      const wanted = {x1: from[0], y1: from[1], x2: to[0], y2: to[1], stroke: colour, "stroke-dasharray": dash ? "5 4" : "none"};
      for (const [name, value] of Object.entries(wanted)) node.setAttribute(name, value);
    });
  }

  close() {
    this.painter.clear();
  }
}

function hatching(context) {
  if (!hatching.tile) {
    const tile = new OffscreenCanvas(8, 8);
    const pen = tile.getContext("2d");
    pen.strokeStyle = "#475569";
    pen.lineWidth = 1.5;
    for (const shift of [-8, 0, 8]) {
      pen.moveTo(shift - 1, 9);
      pen.lineTo(shift + 9, -1);
    }
    pen.stroke();
    hatching.tile = tile;
  }
  return context.createPattern(hatching.tile, "repeat");
}

CONTENTS.section = SectionView;
