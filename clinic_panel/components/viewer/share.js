// Share: what can be done with the view beside reading it. Python says what it offers, is told what
// was chosen, and does it; only a picture of the view is made here, where the view is.
class Share extends Popup {
  constructor(viewer) {
    super(viewer, {kind: "share", label: "Save and hand out", icon: "share", role: "menu", keys: "Shift+H"});
    this.button.setAttribute("aria-haspopup", "menu");
    this.group = makeGroup("Save and hand out", this.button);
    this.foot = make("button", "save", "Save as DICOM…"); // for the list of measurements
    this.foot.type = "button";
    this.foot.addEventListener("click", () => this.ask("dicom"));
    this.outside = (event) => {
      const path = event.composedPath();
      if (!path.includes(this.node) && !path.includes(this.button)) this.close();
    };
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

  open() {
    if (this.group.hidden) return; // nothing is offered
    super.open();
    document.addEventListener("pointerdown", this.outside, true);
  }

  close() {
    super.close();
    document.removeEventListener("pointerdown", this.outside, true);
  }

  enter() {
    this.node.querySelector("button")?.focus();
  }

  // A menu gives the focus back to its button.
  leave() {
    this.button.focus();
  }

  press(event) {
    event.stopPropagation();
    const items = [...this.node.children];
    const at = items.indexOf(this.node.getRootNode().activeElement);
    const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
    if (step) {
      event.preventDefault();
      items.at((at + step + items.length) % items.length).focus();
    } else if (event.key === "Tab") this.close();
    else super.press(event);
  }

  // Python must know the view as it is now, not as it was before the hand came to rest.
  ask(what) {
    this.close();
    this.viewer.model.send_msg({ask: what, view: this.view()});
  }

  view() {
    const {entry, state} = this.viewer.active;
    if (!entry || !(state?.width > 0)) return null;
    const {center, width, invert, mask} = state;
    return {instance_id: entry.id, frame: entry.frame, center, width, invert, mask: mask ?? null};
  }

  async picture({format, identity, marks, name}) {
    const sheet = snapshotOf(this.viewer.active, {identity, marks});
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
    this.viewer.model.send_msg(answer);
  }
}
