const clockText = (minute) => `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;
const DRAG_FROM_PX = 6;

// Visits that overlap (a squeezed-in emergency) stand side by side, each in its own lane.
function lanes(visits) {
  const placed = [];
  let group = [], reach = -1;
  const close = () => { for (const one of group) one.of = Math.max(...group.map((other) => other.lane)) + 1; group = []; };
  for (const visit of [...visits].sort((a, b) => a.start - b.start || b.end - a.end)) {
    if (visit.start >= reach) close();
    const taken = new Set(group.filter((one) => one.visit.end > visit.start).map((one) => one.lane));
    let lane = 0;
    while (taken.has(lane)) lane += 1;
    const one = { visit, lane, of: 1 };
    group.push(one);
    placed.push(one);
    reach = Math.max(reach, visit.end);
  }
  close();
  return placed;
}

class Day {
  constructor(model, el) {
    Object.assign(this, { model, el });
    this.card = h("section", { class: "card", "aria-label": model.label });
    el.append(this.card);
    this.card.addEventListener("keydown", (event) => this.walk(event));
    this.card.addEventListener("pointerdown", (event) => this.grab(event));
    this.draw();
    // Only a plan wider than its place scrolls in itself: else the heading could not stay in view.
    this.watch = new ResizeObserver(() => this.fit());
    this.watch.observe(this.card);
  }

  fit() {
    this.card.querySelector(".scroll")?.classList.toggle("narrow", this.card.clientWidth < 52 + 150 * this.model.rooms.length);
  }

  // From the first to the last full hour that anything needs.
  bounds() {
    const { bookings, open_min: open, close_min: close } = this.model;
    this.from = Math.floor(Math.min(open, ...bookings.map((one) => one.start)) / 60) * 60;
    this.to = Math.ceil(Math.max(close, ...bookings.map((one) => one.end)) / 60) * 60;
  }

  at(minute) { return `calc(${minute - this.from} * var(--minute))`; }

  span(minutes) { return `calc(${minutes} * var(--minute) - 2px)`; }

  draw() {
    const { model } = this;
    const root = this.el.getRootNode(), focus = root.activeElement?.dataset?.key;
    this.bounds();
    const hours = h("div", { class: "hours", "aria-hidden": "true" });
    for (let hour = this.from; hour <= this.to; hour += 60) hours.append(h("span", { style: `top:${this.at(hour)}` }, clockText(hour)));
    this.columns = new Map(model.rooms.map((room) => [room.id, this.column(room)]));
    const top = h("div", { class: "top" }, h("div", {}, ""), model.rooms.map((room) => h("div", {}, h("b", { title: room.label }, room.label), room.detail && h("small", {}, room.detail))));
    const grid = h("div", { class: "grid", style: `--rooms:${Math.max(1, model.rooms.length)};--length:${this.to - this.from}` }, top, hours, [...this.columns.values()]);
    const left = this.card.querySelector(".scroll")?.scrollLeft || 0;
    const scroll = h("div", { class: "scroll" }, grid);
    this.card.replaceChildren(model.rooms.length ? scroll : h("div", { class: "empty" }, model.empty_text));
    this.fit();
    scroll.scrollLeft = left;
    if (focus) this.card.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus();
  }

  column(room) {
    const { model } = this;
    const column = h("div", { class: "room", role: "group", "aria-label": room.label });
    column.dataset.room = room.id;
    for (let minute = this.from; minute <= this.to; minute += 30) column.append(h("i", { class: `rule ${minute % 60 ? "half" : ""}`, style: `top:${this.at(minute)}` }));
    const visits = model.bookings.filter((one) => one.room === room.id);
    if (model.bookable) column.append(...this.slots(room, visits));
    column.append(...lanes(visits).map((one) => this.visit(room, one)));
    if (model.now_min >= this.from && model.now_min <= this.to) column.append(h("i", { class: "now", style: `top:${this.at(model.now_min)}` }));
    return column;
  }

  slots(room, visits) {
    const { open_min: open, close_min: close, step_min: step, earliest_min: earliest } = this.model;
    const free = [];
    for (let minute = open; minute + step <= close; minute += step) {
      if (minute < earliest || visits.some((one) => one.start < minute + step && one.end > minute)) continue;
      const slot = h("button", { class: "slot", type: "button", tabindex: free.length ? "-1" : "0", "aria-label": `Book ${room.label} at ${clockText(minute)}`,
        style: `top:${this.at(minute)};height:${this.span(step)}`, onclick: () => this.model.send_msg({ kind: "want", room: room.id, start: minute }) }, `+ ${clockText(minute)}`);
      slot.dataset.key = `s${room.id}-${minute}`;
      free.push(slot);
    }
    return free;
  }

  visit(room, { visit, lane, of }) {
    const length = visit.end - visit.start;
    const when = `${clockText(visit.start)}–${clockText(visit.end)}`;
    const place = `top:${this.at(visit.start)};height:${this.span(length)};left:calc(${(100 * lane) / of}% + 2px);width:calc(${100 / of}% - 4px)`;
    const node = h("button", { class: `visit ${visit.tone || ""} ${length <= 20 ? "short" : ""} ${visit.movable ? "can" : ""}`, type: "button", style: place, title: [visit.label, visit.detail, visit.status].filter(Boolean).join(" · "),
      "aria-label": [when, visit.label, visit.detail, visit.status, room.label].filter(Boolean).join(", ") },
      h("b", { dir: "auto" }, visit.label), h("span", {}, [when, length > 20 && visit.detail].filter(Boolean).join(" · ")), length >= 45 && visit.status && h("span", {}, visit.status));
    node.dataset.key = `v${visit.id}`;
    node.visit = visit;
    node.addEventListener("click", () => { if (!this.dropped) this.model.send_msg({ kind: "choose", id: visit.id }); this.dropped = false; });
    return node;
  }

  // Arrow keys walk through a room's free times, so that Tab leads from room to room.
  walk(event) {
    const slot = event.target.closest?.(".slot");
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!slot || !step) return;
    const all = [...slot.parentNode.querySelectorAll(".slot")];
    const next = all[all.indexOf(slot) + step];
    if (!next) return;
    event.preventDefault();
    slot.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  grab(event) {
    const node = event.target.closest?.(".visit");
    this.dropped = false;
    if (!node?.visit.movable || event.button !== 0 || event.pointerType === "touch") return;
    const { visit } = node;
    const length = visit.end - visit.start;
    const held = event.clientY - node.getBoundingClientRect().top;
    const ghost = h("div", { class: "ghost" });
    let target = null;
    const move = (now) => {
      if (!ghost.isConnected && Math.hypot(now.clientX - event.clientX, now.clientY - event.clientY) < DRAG_FROM_PX) return;
      node.classList.add("dragged");
      const column = [...this.columns.values()].find((one) => { const box = one.getBoundingClientRect(); return now.clientX >= box.left && now.clientX < box.right; });
      if (!column) { target = null; ghost.remove(); return; }
      const { step_min: step, open_min: open, close_min: close, bookings } = this.model;
      const scale = column.clientHeight / (this.to - this.from);
      const minute = this.from + (now.clientY - held - column.getBoundingClientRect().top) / scale;
      const start = Math.max(open, Math.min(close - length, Math.round(minute / step) * step));
      const room = this.model.rooms.find((one) => String(one.id) === column.dataset.room);
      const clear = (!visit.rooms || visit.rooms.includes(room.id)) && start >= this.model.earliest_min
        && !bookings.some((one) => one.id !== visit.id && one.room === room.id && one.start < start + length && one.end > start);
      target = clear ? { room: room.id, start } : null;
      ghost.className = `ghost ${clear ? "" : "bad"}`;
      ghost.style.cssText = `top:${this.at(start)};height:${this.span(length)}`;
      ghost.textContent = `${clockText(start)}–${clockText(start + length)}`;
      column.append(ghost);
    };
    const end = (drop) => {
      document.removeEventListener("pointermove", move);
      document.removeEventListener("pointerup", up);
      document.removeEventListener("keydown", key, true);
      node.classList.remove("dragged");
      this.dropped = ghost.isConnected;
      ghost.remove();
      if (drop && target && (target.room !== visit.room || target.start !== visit.start)) this.model.send_msg({ kind: "move", id: visit.id, ...target });
    };
    const up = () => end(true);
    const key = (pressed) => { if (pressed.key === "Escape") end(false); };
    document.addEventListener("pointermove", move);
    document.addEventListener("pointerup", up);
    document.addEventListener("keydown", key, true);
  }
}

export function render({ model, el }) {
  const day = new Day(model, el);
  model.on(["rooms", "bookings", "open_min", "close_min", "step_min", "earliest_min", "now_min", "bookable"], steady(day.card, () => day.draw()));
  model.on("remove", () => day.watch.disconnect());
}
