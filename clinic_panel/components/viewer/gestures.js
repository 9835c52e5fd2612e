// Gestures: wheel, mouse and touch turned into the verbs of the pane they are over, keys into those
// of the active one.
const CONTROLS = "button, input, select"; // which mind themselves
const TOOLS = ["window", "scroll", "pan", "zoom", "magnify", "cross"];
const WHEEL_STEP = 40; // pixels of a touchpad's wheel that make one image
const HOLD_MS = 500; // of a finger that rests
const REST_PX = 8; // how far a resting finger may tremble

// The hand over one pane: what the wheel, the buttons of a mouse and one or two fingers do there.
class Hand {
  constructor(pane) {
    const {port} = pane;
    this.pane = pane;
    this.pointers = new Map(); // id -> where it is on the pane
    this.drag = null; // {tool, moved, from}
    this.rolled = 0;
    this.holding = 0;
    this.asked = false; // whether the finger on the pane has just asked for words
    const on = (kind, act, options) => port.addEventListener(kind, (event) => act.call(this, event), options);
    on("wheel", this.roll, {passive: false});
    on("contextmenu", (event) => event.preventDefault());
    on("pointerdown", this.press);
    on("pointermove", this.move);
    on("pointerup", this.lift);
    on("pointercancel", this.lift);
    on("touchend", this.still, {passive: false});
    on("pointerleave", () => pane.probe(null));
    on("dblclick", this.twice);
  }

  at(event) {
    const box = this.pane.port.getBoundingClientRect();
    return [event.clientX - box.x, event.clientY - box.y];
  }

  roll(event) {
    const {pane} = this;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      pane.zoomAt(Math.exp(-event.deltaY / (event.deltaMode ? 12 : 400)), ...this.at(event));
      return;
    }
    // A notch is one image however far it claims to roll; a touchpad adds up.
    const notch = event.deltaMode !== 0 || Math.abs(event.deltaY) >= WHEEL_STEP;
    this.rolled = notch ? 0 : this.rolled + event.deltaY;
    const step = notch ? Math.sign(event.deltaY) : Math.trunc(this.rolled / WHEEL_STEP);
    if (!notch) this.rolled -= step * WHEEL_STEP;
    if (!step) return;
    pane.area.activate(pane);
    pane.step(pane.area.ways.wheel === "up" ? -step : step);
  }

  press(event) {
    if (event.target.closest(CONTROLS)) return;
    const {pane, pointers} = this;
    const spot = this.at(event);
    this.asked = false; // by a finger that the browser took away before it was lifted
    pane.port.focus({preventScroll: true});
    pane.port.setPointerCapture(event.pointerId);
    if (event.isPrimary) pointers.clear(); // one that left with its pane
    pointers.set(event.pointerId, spot);
    if (pointers.size > 1) {
      this.withdraw();
      return;
    }
    let tool = event.button === 2 ? "zoom" : event.button === 1 || event.shiftKey ? "pan" : pane.area.tool;
    const plain = event.button === 0 && !event.shiftKey;
    if (plain && pane.shapes.press(tool, spot, event.pointerType)) tool = "shape";
    const isFinger = event.pointerType === "touch";
    this.drag = {tool, moved: 0, from: spot, isFinger};
    if (["cross", "magnify"].includes(tool)) this.act(spot, 0, 0);
    if (isFinger) this.holding = setTimeout(() => this.hold(), HOLD_MS);
    if (event.button === 1) event.preventDefault();
  }

  move(event) {
    const {pane, pointers, drag} = this;
    const spot = this.at(event);
    if (!pointers.has(event.pointerId)) {
      pane.probe(...spot);
      if (pane.loupe.isShown) pane.magnify(); // the key is held
      if (pane.shapes.draft) pane.shapes.drag(spot); // what follows the hand between two presses
      return;
    }
    const before = pointers.get(event.pointerId);
    if (pointers.size === 2) this.pinch(event.pointerId, spot);
    pointers.set(event.pointerId, spot);
    if (!drag) return;
    const [x, y] = drag.from;
    if (this.holding && Math.hypot(spot[0] - x, spot[1] - y) <= REST_PX) return;
    this.unhold();
    this.act(spot, spot[0] - before[0], spot[1] - before[1]);
  }

  // What the hand holds, at a spot of the pane and so far from the last.
  act(spot, dx, dy) {
    const {pane, drag} = this;
    const {tool, isFinger} = drag;
    if (tool === "shape") pane.shapes.drag(spot);
    else if (tool === "cross") pane.cross(spot);
    else if (tool === "magnify") this.look(spot, isFinger);
    else if (tool === "window") pane.windowBy(dx, dy);
    else if (tool === "pan") pane.moveBy(dx, dy);
    else if (tool === "zoom") pane.zoomAt(Math.exp(-dy / 150), ...drag.from);
    else if (tool === "scroll") this.scroll(dy);
  }

  // A finger has no hover: the glass brings the value along.
  look(spot, isFinger) {
    this.pane.magnify(spot, isFinger);
    if (isFinger) this.pane.probe(...spot);
  }

  scroll(dy) {
    const {pane, drag} = this;
    drag.moved += dy;
    const pace = Math.max(4, Math.min(24, pane.port.clientHeight / Math.max(pane.count, 1)));
    const step = Math.trunc(drag.moved / pace);
    drag.moved -= step * pace;
    if (step) pane.step(step);
  }

  // A finger that rests: on a shape it asks for its words, else it looks closely.
  hold() {
    const {pane, drag} = this;
    this.holding = 0;
    if (!drag) return;
    const {held} = pane.shapes;
    if (drag.tool === "shape" && !held) return; // it draws
    if (held) {
      this.withdraw();
      this.asked = true;
      pane.write(held.id);
    } else if (drag.tool !== "cross") {
      drag.tool = "magnify";
      this.look(drag.from, true);
    }
  }

  // The finger that asked for words is no click beside them, which would send them away.
  still(event) {
    if (this.asked) event.preventDefault();
    this.asked = false;
  }

  unhold() {
    clearTimeout(this.holding);
    this.holding = 0;
  }

  // A second finger came: what the first began was not meant.
  withdraw() {
    const {pane, drag} = this;
    this.unhold();
    if (drag?.tool === "shape") pane.shapes.withdraw();
    this.leave();
    this.drag = null;
  }

  pinch(id, spot) {
    const {pane, pointers} = this;
    const other = [...pointers].find(([each]) => each !== id)[1];
    const before = pointers.get(id);
    const apart = ([x, y]) => Math.hypot(x - other[0], y - other[1]);
    const middle = [0, 1].map((axis) => (spot[axis] + other[axis]) / 2);
    pane.moveBy((spot[0] - before[0]) / 2, (spot[1] - before[1]) / 2);
    if (apart(before) > 0) pane.zoomAt(apart(spot) / apart(before), ...middle);
  }

  lift(event) {
    const {pane, pointers, drag} = this;
    this.unhold();
    pointers.delete(event.pointerId);
    if (drag?.tool === "shape") {
      if (event.type === "pointercancel") pane.shapes.cancel();
      else if (pane.shapes.release()) pane.drawn();
      pane.area.marks.update();
      pane.report(); // which shape is chosen
    }
    this.leave();
    this.drag = null;
  }

  // The glass goes with the hand that held it.
  leave() {
    const {pane, drag} = this;
    if (drag?.tool !== "magnify") return;
    pane.loupe.hide();
    if (drag.isFinger) pane.probe(null);
  }

  twice(event) {
    const {pane} = this;
    if (event.target.closest(CONTROLS)) return;
    if (pane.shapes.draft) {
      pane.shapes.finish();
      return;
    }
    const found = pane.shown && pane.shapes.under(this.at(event));
    if (found) pane.write(found.id);
    else if (pane.area.panes.length > 1) pane.area.enlarge();
    else pane.fit();
  }
}

function listenForKeys(viewer) {
  const keys = (event) => {
    if (event.defaultPrevented || event.altKey) return;
    const inside = event.composedPath().includes(viewer.root);
    const target = event.composedPath()[0];
    if (!inside && target !== document.body) return; // someone is typing elsewhere
    if (viewer.root.querySelector("dialog[open]") || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
    if (target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
    const action = viewer.keys.actionOf(event);
    if (action && action.run({viewer, pane: viewer.active}) !== false) event.preventDefault();
  };
  const lift = () => viewer.panes.forEach((pane) => pane.loupe.hide());
  const listeners = {keydown: keys, keyup: lift};
  for (const [kind, act] of Object.entries(listeners)) document.addEventListener(kind, act);
  return () => {
    for (const [kind, act] of Object.entries(listeners)) document.removeEventListener(kind, act);
  };
}
