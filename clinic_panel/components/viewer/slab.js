// Slab: the buttons and fields for sections in the toolbar.
class SectionTools {
  constructor(area) {
    this.area = area;
    this.button = makeButton("mpr", "Sections", "V", () => area.showSections(!area.mpr));
    this.button.append(make("span", "word", "MPR"));
    this.mode = makeSelect("What a section shows", "slab");
    fillSelect(this.mode, [["slice", "One slice"], ["max", "MIP"], ["min", "MinIP"], ["mean", "Mean"]], "slice");
    this.mode.addEventListener("change", () => area.mpr?.setSlab({mode: this.mode.value}));
    this.size = make("input", "thick");
    Object.assign(this.size, {type: "number", min: "0", step: "1", inputMode: "decimal"});
    this.size.setAttribute("aria-label", "Thickness of the slab in millimetres");
    this.size.addEventListener("change", () => area.mpr?.setSlab({mm: this.size.value}));
    this.slab = makeGroup("Slab", this.mode, this.size, make("span", "unit", "mm"));
    this.groups = [makeGroup("Volume", this.button), this.slab];
  }

  // What cannot be done says why.
  update(pane) {
    const {area, button} = this;
    const {mpr} = area;
    const reason = mpr ? "" : Multiplanar.reason(pane.chosen);
    button.setAttribute("aria-pressed", String(Boolean(mpr)));
    button.setAttribute("aria-disabled", String(Boolean(reason)));
    button.title = reason ? `No sections. ${reason}` : "Axial, coronal and sagittal sections (V)";
    area.toolButtons.get("cross").hidden = !mpr;
    for (const native of [area.keyButton, area.headerButton]) {
      native.disabled = Boolean(mpr);
      native.dataset.title ??= native.title;
      native.title = mpr ? ONLY_ORIGINALS : native.dataset.title;
    }
    this.slab.hidden = !mpr;
    if (!mpr) return;
    this.mode.value = mpr.slab.mode;
    this.size.value = String(Number(mpr.slab.mm.toFixed(1)));
    this.size.disabled = mpr.slab.mode === "slice";
  }
}
