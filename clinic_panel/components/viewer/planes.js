// Planes: graphics that an image brings along (PS3.3 C.9.2), one bit a pixel, painted over it.
const PLANE_COLOUR = 0xff4fd6ff; // amber, as alpha, blue, green, red

class Planes {
  constructor() {
    this.sheet = null;
    this.painted = null;
  }

  // In the context's coordinates: one unit a pixel of the image.
  draw(context, {overlay, info: {rows, columns}}) {
    if (!overlay) return;
    if (this.painted !== overlay) this.paint(overlay, rows, columns);
    context.drawImage(this.sheet, 0, 0);
  }

  paint(overlay, rows, columns) {
    if (this.sheet?.width !== columns || this.sheet.height !== rows) {
      this.sheet = new OffscreenCanvas(columns, rows);
    }
    const context = this.sheet.getContext("2d");
    const image = context.createImageData(columns, rows);
    const words = new Uint32Array(image.data.buffer);
    for (let i = 0, n = words.length; i < n; i += 1) {
      if ((overlay[i >> 3] >> (i & 7)) & 1) words[i] = PLANE_COLOUR;
    }
    context.putImageData(image, 0, 0);
    this.painted = overlay;
  }
}
