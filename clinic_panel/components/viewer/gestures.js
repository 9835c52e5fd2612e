// Gestures: wheel, mouse, touch and keys turned into the viewer's verbs.
const TOOLS = ["window", "scroll", "pan", "zoom"];
const WHEEL_STEP = 40; // pixels of a touchpad's wheel that make one image

function listen(viewer) {
  const {port} = viewer;
  const pointers = new Map();
  let drag = null;
  let rolled = 0;

  const at = (event) => {
    const box = port.getBoundingClientRect();
    return [event.clientX - box.x, event.clientY - box.y];
  };

  port.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      viewer.zoomAt(Math.exp(-event.deltaY / (event.deltaMode ? 12 : 400)), ...at(event));
      return;
    }
    // A notch is one image however far it claims to roll; a touchpad adds up.
    const notch = event.deltaMode !== 0 || Math.abs(event.deltaY) >= WHEEL_STEP;
    rolled = notch ? 0 : rolled + event.deltaY;
    const step = notch ? Math.sign(event.deltaY) : Math.trunc(rolled / WHEEL_STEP);
    if (!notch) rolled -= step * WHEEL_STEP;
    if (step) viewer.step(step);
  }, {passive: false});

  port.addEventListener("contextmenu", (event) => event.preventDefault());

  port.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button, input, select")) return;
    port.focus({preventScroll: true});
    port.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    let tool = event.button === 2 ? "zoom" : event.button === 1 || event.shiftKey ? "pan" : viewer.tool;
    const alone = event.button === 0 && !event.shiftKey && pointers.size === 1;
    if (alone && viewer.shapes.press(tool, at(event), event.pointerType)) tool = "shape";
    drag = {tool, moved: 0, from: at(event)};
    if (event.button === 1) event.preventDefault();
  });

  port.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (!pointers.has(event.pointerId)) {
      viewer.probe(x, y);
      if (viewer.shapes.draft) viewer.shapes.drag([x, y]); // the last leg of an angle
      return;
    }
    const [oldX, oldY] = pointers.get(event.pointerId);
    if (pointers.size === 2) {
      pinch(event.pointerId, x, y);
      return;
    }
    pointers.set(event.pointerId, [x, y]);
    if (!drag) return;
    const dx = x - oldX;
    const dy = y - oldY;
    if (drag.tool === "shape") viewer.shapes.drag([x, y]);
    else if (drag.tool === "window") viewer.windowBy(dx, dy);
    else if (drag.tool === "pan") viewer.moveBy(dx, dy);
    else if (drag.tool === "zoom") viewer.zoomAt(Math.exp(-dy / 150), ...drag.from);
    else if (drag.tool === "scroll") {
      drag.moved += dy;
      const pace = Math.max(4, Math.min(24, port.clientHeight / Math.max(viewer.count, 1)));
      const step = Math.trunc(drag.moved / pace);
      drag.moved -= step * pace;
      if (step) viewer.step(step);
    }
  });

  function pinch(id, x, y) {
    const [a, b] = [...pointers.values()];
    const before = Math.hypot(a[0] - b[0], a[1] - b[1]);
    const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    pointers.set(id, [x, y]);
    const [c, d] = [...pointers.values()];
    const after = Math.hypot(c[0] - d[0], c[1] - d[1]);
    const now = [(c[0] + d[0]) / 2, (c[1] + d[1]) / 2];
    viewer.moveBy(now[0] - middle[0], now[1] - middle[1]);
    if (before > 0) viewer.zoomAt(after / before, ...now);
    viewer.shapes.cancel();
    drag = null;
  }

  const release = (event) => {
    pointers.delete(event.pointerId);
    if (drag?.tool === "shape") {
      if (event.type === "pointercancel") viewer.shapes.cancel();
      else if (viewer.shapes.release()) viewer.drawn();
      viewer.marks.update();
      viewer.report(); // which shape is chosen
    }
    drag = null;
  };
  port.addEventListener("pointerup", release);
  port.addEventListener("pointercancel", release);
  port.addEventListener("pointerleave", () => viewer.probe(null));

  port.addEventListener("dblclick", (event) => {
    if (event.target.closest("button, input, select")) return;
    const found = viewer.shown && viewer.shapes.under(at(event));
    if (found) viewer.write(found.id);
    else viewer.fit();
  });

  const keys = (event) => {
    if (event.defaultPrevented || event.altKey) return;
    const inside = event.composedPath().includes(viewer.root);
    const target = event.composedPath()[0];
    if (!inside && target !== document.body) return; // someone is typing elsewhere
    if (viewer.help.open || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
    if (target.tagName === "BUTTON" && (event.key === " " || event.key === "Enter")) return;
    const taken = event.ctrlKey || event.metaKey
      ? again(viewer, event) : nudge(viewer, event) || press(viewer, event.key);
    if (taken) event.preventDefault();
  };
  document.addEventListener("keydown", keys);
  return () => document.removeEventListener("keydown", keys);
}

function again(viewer, {key, shiftKey}) {
  const {shapes} = viewer;
  const wanted = key.toLowerCase();
  if (wanted === "y" || (wanted === "z" && shiftKey)) shapes.redo();
  else if (wanted === "z") shapes.undo();
  else return false;
  return true;
}

function nudge(viewer, {key, shiftKey}) {
  const way = {ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0]}[key];
  if (!shiftKey || !way || !viewer.shapes.selected) return false;
  viewer.shapes.nudge(...way);
  return true;
}

function press(viewer, key) {
  const far = viewer.count - 1;
  const moves = {
    ArrowUp: () => viewer.step(-1), ArrowLeft: () => viewer.step(-1),
    ArrowDown: () => viewer.step(1), ArrowRight: () => viewer.step(1),
    PageUp: () => viewer.step(-10), PageDown: () => viewer.step(10),
    Home: () => viewer.go(0), End: () => viewer.go(far),
    "[": () => viewer.nextSeries(-1), "]": () => viewer.nextSeries(1),
    w: () => viewer.use("window"), s: () => viewer.use("scroll"),
    p: () => viewer.use("pan"), z: () => viewer.use("zoom"),
    i: () => viewer.flip(), f: () => viewer.fit(), o: () => viewer.actual(),
    r: () => viewer.reset(), k: () => viewer.toggleKey(), " ": () => viewer.play(!viewer.playing),
    "+": () => viewer.zoomAt(1.2), "-": () => viewer.zoomAt(1 / 1.2),
    "?": () => viewer.help.showModal(), m: () => viewer.marks.toggle(),
    Delete: () => viewer.shapes.remove(), Backspace: () => viewer.shapes.remove(),
    Enter: () => viewer.shapes.place(viewer.tool) && viewer.drawn(), Escape: () => viewer.letGo(),
  };
  for (const [kind, {key: own}] of Object.entries(MEASURES)) moves[own] = () => viewer.use(kind);
  const move = moves[key.length === 1 ? key.toLowerCase() : key];
  if (move) move();
  else if (/^[1-9]$/.test(key)) viewer.preset(Number(key) - 1);
  else return false;
  return true;
}
