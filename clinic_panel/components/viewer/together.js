// Together: what panes do with each other. Scrolling by position, one window for one modality, and
// the line in which the active pane's image crosses the others.
class Together {
  constructor(area) {
    this.area = area;
    this.scroll = false;
    this.lines = true;
    this.window = false;
    this.anchors = new Map(); // pane -> the place it had when scrolling was joined
  }

  set(name, on) {
    if (this[name] === on) return;
    this[name] = on;
    const {active} = this.area;
    if (name === "scroll") {
      this.anchor();
      if (on) this.moved(active);
    }
    if (name === "window" && on) this.windowed(active);
    this.draw();
  }

  // From here on, stacks that share no frame of reference keep the distance they have now.
  anchor() {
    this.anchors = new Map(this.area.panes.map((pane) => [pane, pane.state?.index ?? 0]));
  }

  moved(pane) {
    if (!this.scroll || !pane.chosen) return;
    for (const other of this.area.panes) {
      if (other === pane || other.current === pane.current || !other.chosen) continue;
      const place = this.placeFor(pane, other);
      if (place !== null) other.standAt(place);
    }
  }

  // Where another pane has to stand; null where the two have no position in common.
  placeFor(pane, other) {
    const {planes: mine} = pane.chosen;
    const {planes: theirs} = other.chosen;
    const {index} = pane.state;
    const [from, start] = [this.anchors.get(pane), this.anchors.get(other)];
    if (!mine && !theirs) return start + index - from;
    if (!mine?.positions[index] || !theirs) return null;
    const way = facing(mine.orientation, theirs.orientation);
    if (!way) return null;
    const normal = normalOf(theirs.orientation);
    if (sameFrame(pane, other)) return nearestPlace(theirs.positions, normal, dot(mine.positions[index], normal));
    if (!mine.positions[from] || !theirs.positions[start]) return null;
    const passed = way * dot(minus(mine.positions[index], mine.positions[from]), normalOf(mine.orientation));
    return nearestPlace(theirs.positions, normal, dot(theirs.positions[start], normal) + passed);
  }

  windowed(pane) {
    const {state, chosen} = pane;
    if (!this.window || !state?.width) return;
    for (const other of this.area.panes) {
      if (other === pane || !other.state?.width || other.chosen.modality !== chosen.modality) continue;
      if (Boolean(other.state.isSubtracted) !== Boolean(state.isSubtracted)) continue; // values of another kind
      Object.assign(other.state, {center: state.center, width: state.width, invert: state.invert});
      other.schedule();
    }
  }

  // -- cross-reference lines -----------------------------------------------------------------

  draw() {
    const {panes, active} = this.area;
    for (const pane of panes) {
      const line = this.lines && !this.area.mpr && pane !== active && this.crossing(pane, active);
      pane.guide.classList.toggle("off", !line);
      if (!line) continue;
      const [[x1, y1], [x2, y2]] = line.map((point) => pane.shapes.toScreen(point));
      for (const node of pane.guide.children) {
        for (const [name, value] of Object.entries({x1, y1, x2, y2})) node.setAttribute(name, value.toFixed(1));
      }
    }
  }

  crossing(pane, active) {
    if (!pane.shown || !active.shown || !pane.shapes.view || !sameFrame(pane, active)) return null;
    return crossingOf(pane.shown.info, active.shown.info);
  }
}

function sameFrame(one, other) {
  const uid = one.chosen?.frame_of_reference;
  return Boolean(uid) && uid === other.chosen?.frame_of_reference;
}
