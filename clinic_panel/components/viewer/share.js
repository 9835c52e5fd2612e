// Share: what can be done with the view beside reading it. Python says what it offers, is told what
// was chosen, and does it; only a picture of the view is made here, where the view is.
class Share {
  constructor(area) {
    this.area = area;
    this.node = make("div", "share");
    this.node.hidden = true;
    this.node.setAttribute("role", "menu");
    this.node.setAttribute("aria-label", "Save and hand out");
    this.button = makeButton("share", "Save and hand out", "", () => this.toggle());
    this.button.setAttribute("aria-haspopup", "menu");
    this.button.setAttribute("aria-expanded", "false");
    this.group = makeGroup("Save and hand out", this.button);
    this.foot = make("button", "save", "Save as DICOM…"); // for the list of measurements
    this.foot.type = "button";
    this.foot.addEventListener("click", () => this.ask("dicom"));
    this.node.addEventListener("keydown", (event) => this.key(event));
    this.outside = (event) => {
      const path = event.composedPath();
      if (!path.includes(this.node) && !path.includes(this.button)) this.toggle(false);
    };
    for (const kind of ["pointerdown", "wheel"]) this.node.addEventListener(kind, (event) => event.stopPropagation());
    this.offer([]);
  }

  // Each: id, label, hint.
  offer(offers) {
    this.group.hidden = !offers.length;
    this.foot.hidden = !offers.some(({id}) => id === "dicom");
    this.node.replaceChildren(...offers.map(({id, label, hint}) => {
      const item = make("button", "offer");
      item.type = "button";
      item.setAttribute("role", "menuitem");
      item.append(make("span", "", label), make("small", "", hint ?? ""));
      item.addEventListener("click", () => this.ask(id));
      return item;
    }));
  }

  toggle(open = this.node.hidden) {
    if (open === !this.node.hidden) return;
    this.node.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) {
      document.addEventListener("pointerdown", this.outside, true);
      this.node.querySelector("button")?.focus();
    } else document.removeEventListener("pointerdown", this.outside, true);
  }

  key(event) {
    event.stopPropagation();
    const items = [...this.node.children];
    const at = items.indexOf(this.node.getRootNode().activeElement);
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (step) {
      event.preventDefault();
      items.at((at + step + items.length) % items.length).focus();
    } else if (event.key === "Escape") {
      this.toggle(false);
      this.button.focus();
    } else if (event.key === "Tab") this.toggle(false);
  }

  // Python must know the view as it is now, not as it was before the hand came to rest.
  ask(what) {
    this.toggle(false);
    this.area.model.send_msg({ask: what, view: this.view()});
  }

  view() {
    const {entry, state} = this.area.active;
    return entry && state?.width > 0
      ? {instance_id: entry.id, frame: entry.frame, center: state.center, width: state.width, invert: state.invert} : null;
  }

  async picture({format, identity, marks, name}) {
    const sheet = snapshotOf(this.area.active, {identity, marks});
    const answer = {picture: false};
    if (sheet) {
      const blob = await new Promise((done) => sheet.toBlob(done, `image/${format}`, 0.92));
      const link = make("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${name}.${format === "jpeg" ? "jpg" : format}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      answer.picture = true;
    }
    this.area.model.send_msg(answer);
  }

  close() {
    document.removeEventListener("pointerdown", this.outside, true);
  }
}
