// Shapes: the hand that draws and moves measurements on the picture of one pane.
const NEAR = 7; // screen pixels that count as on a line
const NEAR_HANDLE = {mouse: 9, pen: 14, touch: 22};

// Not secret, only unlike the others: randomUUID does not exist on a LAN without TLS.
function newId() {
  return `${Date.now().toString(36)}-${Math.floor(Math.random() * 2 ** 40).toString(36)}`;
}

class Shapes extends Sketch {
  // `ask` is shown a calibration whose length is to be typed.
  constructor(ledger, {ask, home}) {
    super(ledger, home);
    this.ask = ask;
    this.dismiss = null; // takes the question back
  }

  // -- drawing by hand -----------------------------------------------------------------------

  // What lies under the hand: a handle before a line, the selected shape before the others.
  under([x, y], pointer = "mouse") {
    const shapes = [...this.here].sort((a, b) => (b.id === this.selected) - (a.id === this.selected));
    const reach = NEAR_HANDLE[pointer] ?? NEAR_HANDLE.mouse;
    for (const one of shapes) {
      const handle = one.points.findIndex((point) => {
        const [hx, hy] = this.toScreen(point);
        return Math.hypot(hx - x, hy - y) <= reach;
      });
      if (handle >= 0) return {id: one.id, handle};
    }
    const touched = shapes.find((one) => this.distance(one, x, y) <= NEAR);
    return touched ? {id: touched.id, handle: -1} : null;
  }

  distance({kind, points}, x, y) {
    const on = points.map((point) => this.toScreen(point));
    if (kind === "ellipse") {
      const [left, top, right, bottom] = boxOf(on);
      const [rx, ry] = [(right - left) / 2 || 1, (bottom - top) / 2 || 1];
      const share = Math.hypot((x - (left + right) / 2) / rx, (y - (top + bottom) / 2) / ry);
      return Math.abs(share - 1) * Math.min(rx, ry);
    }
    let strands = strandsOf(kind, on);
    if (kind === "rectangle") {
      const [left, top, right, bottom] = boxOf(on);
      strands = [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]];
    }
    return Math.min(...strands.flatMap((strand) => strand.slice(1).map((end, i) => {
      const [x1, y1] = strand[i];
      const [dx, dy] = [end[0] - x1, end[1] - y1];
      const along = Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
      return Math.hypot(x - x1 - along * dx, y - y1 - along * dy);
    })));
  }

  // True when the hand is taken: something is being drawn or moved.
  press(kind, spot, pointer) {
    if (!this.view) return false;
    if (this.draft && (this.draft.asked || !this.isHere(this.draft))) this.cancel();
    if (this.draft) {
      pressOn(this.draft, this.toImage(spot), this.apart(spot, this.draft.points[0]) <= (NEAR_HANDLE[pointer] ?? NEAR_HANDLE.mouse));
      this.draw();
      return true;
    }
    const found = this.under(spot, pointer);
    if (found) {
      this.selected = found.id;
      const {points, kind: held} = this.here.find((one) => one.id === found.id);
      this.held = {...found, kind: held, from: this.toImage(spot), points, before: points};
      this.draw();
      return true;
    }
    this.selected = null;
    if (!(kind in MEASURES)) {
      this.draw();
      return false;
    }
    this.draft = {...this.blank(), ...strokeFrom(kind, this.toImage(spot))};
    this.draw();
    return true;
  }

  blank() {
    const {entry} = this.view;
    return {id: newId(), instance_id: entry.id, frame: entry.frame, text: ""};
  }

  // Screen pixels from a spot to a point of the image.
  apart([x, y], point) {
    const [px, py] = this.toScreen(point);
    return Math.hypot(px - x, py - y);
  }

  drag(spot) {
    if (!this.view) return;
    const point = this.toImage(spot);
    if (this.draft) {
      if (this.draft.asked || !this.isHere(this.draft)) return;
      dragOn(this.draft, point, this.aspect);
    } else if (this.held) {
      const {from, before, handle, kind} = this.held;
      const [dx, dy] = [point[0] - from[0], point[1] - from[1]];
      this.held.points = handle < 0
        ? before.map((each) => [each[0] + dx, each[1] + dy])
        : bent({kind, points: before}, handle, point, this.aspect);
    } else return;
    this.draw();
  }

  // True when a shape is complete and may want a text.
  release() {
    const {draft, held} = this;
    if (held) {
      this.held = null;
      if (held.points !== held.before) this.ledger.rewrite(held.id, this.placed(held.points));
      return false;
    }
    if (!draft || draft.asked) return false;
    const last = draft.kind === "bidirectional" ? [0, 1] : [-2, -1];
    const [from, to] = last.map((place) => draft.points.at(place));
    const done = liftFrom(draft, this.apart(this.toScreen(from), to) >= 4);
    if (done === null) this.cancel();
    else if (done) return this.finish();
    else this.draw();
    return false;
  }

  // As if the hand had not come down: what was drawn before stays.
  withdraw() {
    const {draft} = this;
    if (this.held || !draft || draft.asked) this.held = null;
    else if (!unpress(draft)) this.draft = null;
    this.draw();
  }

  // The draft becomes a shape, as far as it can; true when it did.
  finish() {
    const {draft} = this;
    if (!draft) return false;
    if (draft.kind === "polygon") {
      draft.points = cornersOf(draft.points, (a, b) => this.apart(this.toScreen(a), b) >= 3) ?? [];
    }
    if (draft.points.length < MEASURES[draft.kind].points) {
      this.cancel();
      return false;
    }
    const {free, closing, ...made} = draft;
    return this.add(made);
  }

  // A calibration is none before its length is known; true when the shape is in the list.
  add(made) {
    if (made.kind === "calibration") {
      this.draft = {...made, free: -1, asked: true};
      this.draw();
      this.dismiss = this.ask(this.draft, (answer) => {
        if (this.draft?.id !== made.id) return;
        this.draft = null;
        if (answer) this.include({...made, ...answer});
        else this.draw();
      });
      return false;
    }
    this.draft = null;
    this.include(made);
    return true;
  }

  include(made) {
    this.selected = made.id;
    this.ledger.commit([...this.list, made]);
  }

  // Take back the last corner; true when there was one to take.
  retreat() {
    const {draft} = this;
    if (draft?.kind !== "polygon" || draft.points.length < 3) return false;
    draft.points.splice(-2, 1);
    draft.free = draft.points.length - 1;
    this.draw();
    return true;
  }

  cancel() {
    this.draft = null;
    this.held = null;
    this.dismiss?.();
    this.dismiss = null;
    this.draw();
  }

  // By key: a shape in the middle of the picture, to be moved from there.
  place(kind) {
    if (!this.view || !(kind in MEASURES)) return false;
    const {info} = this.view.frame;
    const reach = Math.min(info.columns, info.rows) / 8;
    const points = standing(kind, info.columns / 2, info.rows / 2, reach, this.aspect);
    return this.add({...this.blank(), kind, points});
  }

  // -- by key --------------------------------------------------------------------------------

  nextShape() {
    const ids = this.here.map((one) => one.id);
    if (!ids.length) return false;
    this.ledger.choose(ids[(ids.indexOf(this.selected) + 1) % ids.length]);
    return true;
  }

  // After the last point it is the whole shape's turn again.
  nextPoint() {
    const one = this.here.find((each) => each.id === this.selected);
    if (!one) return false;
    this.point = this.pointOf(one) + 1;
    if (this.point >= one.points.length) this.point = -1;
    this.pointed = one.id;
    this.draw();
    return true;
  }

  // One pixel of the image, in a direction of the screen: the chosen point, or the whole shape.
  nudge(way) {
    const one = this.here.find((each) => each.id === this.selected);
    if (!one) return false;
    const [dx, dy] = this.stepOf(way);
    const {kind, points} = one;
    const at = this.pointOf(one);
    const moved = at < 0
      ? points.map(([x, y]) => [x + dx, y + dy])
      : bent({kind, points}, at, [points[at][0] + dx, points[at][1] + dy], this.aspect);
    this.ledger.rewrite(one.id, this.placed(moved));
    return true;
  }
}
