// Popup: what a button of the toolbar opens over the panes. One is open at a time; the focus goes into
// it and, once it is left, back to the picture.
class Popup {
  // `word` stands beside the icon of the button; `keys`, if any, are said with its name.
  constructor(viewer, {kind, label, icon, name = label, keys = "", word = "", role = "dialog"}) {
    this.viewer = viewer;
    this.label = label;
    this.node = make("div", kind);
    this.node.hidden = true;
    this.node.setAttribute("role", role);
    this.node.setAttribute("aria-label", label);
    this.node.addEventListener("keydown", (event) => this.press(event));
    this.button = makeButton(icon, name, keys, () => this.toggle());
    if (word) this.button.append(make("span", "word", word));
    this.button.setAttribute("aria-expanded", "false");
    viewer.popups.push(this);
  }

  // Its title, the buttons beside that, and the one that closes it.
  head(...buttons) {
    const head = make("div", "popup-head");
    const close = makeButton("close", `Close ${this.label.toLowerCase()}`, "", () => this.toggle(false));
    head.append(make("strong", "", this.label), ...buttons, close);
    return head;
  }

  get isOpen() {
    return !this.node.hidden;
  }

  toggle(open = !this.isOpen) {
    if (open === this.isOpen) return;
    if (open) this.open();
    else {
      this.close();
      this.leave();
    }
  }

  open() {
    for (const other of this.viewer.popups) if (other.isOpen) other.close();
    this.node.hidden = false;
    this.button.setAttribute("aria-expanded", "true");
    this.update();
    this.enter();
  }

  close() {
    this.node.hidden = true;
    this.button.setAttribute("aria-expanded", "false");
  }

  // What it shows has changed, or it opens.
  update() {}

  // Where the focus goes: a panel that one works beside leaves it where it is.
  enter() {}

  leave() {
    this.viewer.active.port.focus({preventScroll: true});
  }

  press(event) {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    this.toggle(false);
  }
}
