// Masks: recordings by X-rays, seen with or without what was there before the contrast medium came. The
// server subtracts (imaging/subtraction.py); a mask is asked for with the address of each frame:
// nothing is what the image recommends, "none" as it is stored, "own" its own mask, a number that frame.
const NO_MASKS = "There is nothing to subtract: this is no recording by X-rays.";

function maskedAs(entry, mask) {
  const bare = entry.bare ?? entry;
  const asking = (address) => address && `${address}${address.includes("?") ? "&" : "?"}mask=${mask}`;
  const {image, url, preview} = bare;
  return {...bare, bare, mask, key: `${image}?${mask}`, url: asking(url), preview: asking(preview)};
}

// A series as it is seen through a mask; each form of it is made once.
function stackAs(series, mask) {
  if (!mask) return series.stack;
  series.forms ??= new Map();
  if (!series.forms.has(mask)) series.forms.set(mask, series.stack.map((entry) => maskedAs(entry, mask)));
  return series.forms.get(mask);
}

// A window of what is subtracted and one of what is stored, each for its kind of values; one that the
// reader did not choose (`isUsual`) gives way to that of another mask.
function suitWindow(state, {masks, window_center: center, window_width: width}) {
  const isSubtracted = masks.length > 0;
  const {isSubtracted: before, other, isUsual} = state;
  const isOther = before !== isSubtracted;
  if (!isOther && !isUsual) return false;
  Object.assign(state, {isSubtracted, isUsual: false});
  if (before === undefined) return false; // the first that is seen here has the window it came with
  if (isOther) state.other = isUsual ? null : {center: state.center, width: state.width};
  Object.assign(state, isOther && other ? other : {center, width});
  return true;
}

class MaskTools {
  constructor(area) {
    this.area = area;
    this.button = makeButton("subtract", "Subtraction", "Shift+D", () => area.active.subtract());
    this.choose = makeButton("remask", "Mask: this image", "Shift+M", () => area.active.remask());
    this.mode = null;
  }

  get buttons() {
    return [this.button, this.choose];
  }

  update(info) {
    const mode = info?.mask_mode ?? "";
    if (mode === this.mode) return;
    this.mode = mode;
    this.button.hidden = !mode;
    this.choose.hidden = mode !== "on";
    this.button.setAttribute("aria-pressed", String(mode === "on"));
    this.area.sections.groups[0].hidden = Boolean(mode); // a recording is no volume
  }
}
