// Adjust: how the picture stands and in which colours, in a panel of the toolbar.
class Adjust extends Popup {
  constructor(viewer) {
    super(viewer, {kind: "popup adjust", label: "Turn and colour", icon: "across"});
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
    this.node.append(this.head(), turns, label);
  }

  update() {
    const {active: pane, model} = this.viewer;
    const {quarter, mirrored} = pane.state?.camera ?? {};
    this.button.setAttribute("aria-pressed", String(Boolean(quarter || mirrored)));
    if (!this.isOpen) return;
    const names = ["", ...Object.keys(model.palettes)];
    fillSelect(this.colours, names.map((name) => [name, name || "Grey"]), pane.palette);
    for (const button of this.node.querySelectorAll(".kinds button")) button.disabled = !pane.turnable;
    this.colours.disabled = !pane.turnable || !pane.shown || pane.shown.info.format === "rgb8";
  }
}
