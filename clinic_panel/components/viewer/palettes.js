// Palettes: colours for the levels of a grey image, and the bar that says which value has which.
const unpacked = new Map(); // Base64 of 256 x RGB -> Uint32Array of the same, as canvas words

function coloursOf(packed) {
  if (!packed) return null;
  if (!unpacked.has(packed)) {
    const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
    const words = new Uint32Array(256);
    for (let i = 0; i < 256; i += 1) {
      words[i] = 0xff000000 | (bytes[3 * i + 2] << 16) | (bytes[3 * i + 1] << 8) | bytes[3 * i];
    }
    unpacked.set(packed, words);
  }
  return unpacked.get(packed);
}

class ColourBar {
  constructor() {
    this.node = make("div", "colours");
    this.node.hidden = true;
    this.bar = make("i");
    this.ends = ["most", "middle", "least"].map((name) => make("span", name));
    this.node.append(this.bar, ...this.ends);
    this.painted = "";
  }

  // Values at both ends of the window and in its middle, in the unit of the image.
  write(info, state, colours) {
    this.node.hidden = !colours || !state?.width;
    if (this.node.hidden) return;
    const flip = state.invert !== info.inverted;
    const key = `${state.palette} ${flip} ${colours[0]} ${colours[255]}`;
    if (key !== this.painted) {
      this.painted = key;
      const stops = Array.from({length: 33}, (_, i) => colours[Math.round((flip ? 32 - i : i) * 255 / 32)]);
      const css = stops.map((word) => `rgb(${word & 255} ${(word >> 8) & 255} ${(word >> 16) & 255})`);
      this.bar.style.background = `linear-gradient(to top, ${css.join(", ")})`;
    }
    const {center, width} = state;
    const digits = width < 10 ? 2 : 0;
    const unit = info.unit ? ` ${info.unit}` : "";
    [center + width / 2, center, center - width / 2].forEach((value, i) => {
      const text = `${value.toFixed(digits)}${i ? "" : unit}`;
      if (this.ends[i].textContent !== text) this.ends[i].textContent = text;
    });
  }
}
