// Gestures: wheel, mouse and touch turned into the verbs of the pane they are over, keys into those
// of the active one.
const TOOLS = ["window", "scroll", "pan", "zoom", "magnify", "cross"];
const WHEEL_STEP = 40; // pixels of a touchpad's wheel that make one image

function listen(pane) {
  const {port} = pane;
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
      pane.zoomAt(Math.exp(-event.deltaY / (event.deltaMode ? 12 : 400)), ...at(event));
      return;
    }
    // A notch is one image however far it claims to roll; a touchpad adds up.
    const notch = event.deltaMode !== 0 || Math.abs(event.deltaY) >= WHEEL_STEP;
    rolled = notch ? 0 : rolled + event.deltaY;
    const step = notch ? Math.sign(event.deltaY) : Math.trunc(rolled / WHEEL_STEP);
    if (!notch) rolled -= step * WHEEL_STEP;
    if (!step) return;
    pane.area.activate(pane);
    pane.step(pane.area.ways.wheel === "up" ? -step : step);
  }, {passive: false});

  port.addEventListener("contextmenu", (event) => event.preventDefault());

  port.addEventListener("pointerdown", (event) => {
    if (event.target.closest("button, input, select")) return;
    port.focus({preventScroll: true});
    port.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    let tool = event.button === 2 ? "zoom" : event.button === 1 || event.shiftKey ? "pan" : pane.area.tool;
    const alone = event.button === 0 && !event.shiftKey && pointers.size === 1;
    if (alone && pane.shapes.press(tool, at(event), event.pointerType)) tool = "shape";
    drag = {tool, moved: 0, from: at(event)};
    if (tool === "cross") pane.cross(at(event));
    if (tool === "magnify") pane.magnify(at(event), event.pointerType === "touch");
    if (event.button === 1) event.preventDefault();
  });

  port.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (!pointers.has(event.pointerId)) {
      pane.probe(x, y);
      if (pane.loupe.isShown) pane.magnify(); // the key is held
      if (pane.shapes.draft) pane.shapes.drag([x, y]); // what follows the hand between two presses
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
    if (drag.tool === "shape") pane.shapes.drag([x, y]);
    else if (drag.tool === "cross") pane.cross([x, y]);
    else if (drag.tool === "magnify") pane.magnify([x, y], event.pointerType === "touch");
    else if (drag.tool === "window") pane.windowBy(dx, dy);
    else if (drag.tool === "pan") pane.moveBy(dx, dy);
    else if (drag.tool === "zoom") pane.zoomAt(Math.exp(-dy / 150), ...drag.from);
    else if (drag.tool === "scroll") {
      drag.moved += dy;
      const pace = Math.max(4, Math.min(24, port.clientHeight / Math.max(pane.count, 1)));
      const step = Math.trunc(drag.moved / pace);
      drag.moved -= step * pace;
      if (step) pane.step(step);
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
    pane.moveBy(now[0] - middle[0], now[1] - middle[1]);
    if (before > 0) pane.zoomAt(after / before, ...now);
    pane.shapes.cancel();
    pane.loupe.hide();
    drag = null;
  }

  const release = (event) => {
    pointers.delete(event.pointerId);
    if (drag?.tool === "shape") {
      if (event.type === "pointercancel") pane.shapes.cancel();
      else if (pane.shapes.release()) pane.drawn();
      pane.area.marks.update();
      pane.report(); // which shape is chosen
    }
    if (drag?.tool === "magnify") pane.loupe.hide();
    drag = null;
  };
  port.addEventListener("pointerup", release);
  port.addEventListener("pointercancel", release);
  port.addEventListener("pointerleave", () => pane.probe(null));

  port.addEventListener("dblclick", (event) => {
    if (event.target.closest("button, input, select")) return;
    if (pane.shapes.draft) {
      pane.shapes.finish();
      return;
    }
    const found = pane.shown && pane.shapes.under(at(event));
    if (found) pane.write(found.id);
    else if (pane.area.panes.length > 1) pane.area.enlarge();
    else pane.fit();
  });
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
