// Adjust: how the picture stands and in which colours, in a panel of the toolbar.
class Adjust {
  constructor(viewer) {
    this.viewer = viewer;
    this.node = make("div", "marks adjust");
    this.node.hidden = true;
    this.node.setAttribute("role", "dialog");
    this.node.setAttribute("aria-label", "Turn and colour");
    this.button = makeButton("across", "Turn and colour", "", () => this.toggle());
    this.button.setAttribute("aria-expanded", "false");
    const head = make("div", "marks-head");
    head.append(make("strong", "", "Turn and colour"), makeButton("close", "Close turn and colour", "", () => this.toggle(false)));
    const ways = [
      ["turn", "Turn right", "Shift+R", (pane) => pane.turn(1)],
      ["back", "Turn left", "Shift+L", (pane) => pane.turn(-1)],
      ["across", "Flip left and right", "U", (pane) => pane.mirror("across")],
      ["down", "Flip top and bottom", "Shift+U", (pane) => pane.mirror("down")],
    ];
    const turns = makeGroup("Turn", ...ways.map(([icon, label, key, act]) => {
      const button = makeButton(icon, label, key, () => act(viewer.active));
      button.append(make("span", "", label));
      return button;
    }));
    turns.classList.add("kinds");
    this.colours = makeSelect("Colours", "palette");
    this.colours.addEventListener("change", () => viewer.active.paintIn(this.colours.value));
    const label = make("label", "field", "Colours");
    label.append(this.colours);
    this.node.append(head, turns, label);
    for (const kind of ["pointerdown", "wheel"]) this.node.addEventListener(kind, (event) => event.stopPropagation());
  }

  toggle(open = this.node.hidden) {
    this.node.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    if (open) this.viewer.marks.toggle(false);
    if (open) this.update();
    else this.viewer.active.port.focus({preventScroll: true});
  }

  update() {
    const {active: pane, model} = this.viewer;
    const {quarter, mirrored} = pane.state?.camera ?? {};
    this.button.setAttribute("aria-pressed", String(Boolean(quarter || mirrored)));
    if (this.node.hidden) return;
    const names = ["", ...Object.keys(model.palettes)];
    fillSelect(this.colours, names.map((name) => [name, name || "Grey"]), pane.palette);
    for (const button of this.node.querySelectorAll(".kinds button")) button.disabled = !pane.turnable;
    this.colours.disabled = !pane.turnable || !pane.shown || pane.shown.info.format === "rgb8";
  }
}
