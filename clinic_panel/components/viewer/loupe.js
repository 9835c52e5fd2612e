// Loupe: a round glass over the picture, each image pixel a whole number of screen pixels.
const GLASS = 210; // CSS pixels across
const AT_LEAST = 2; // screen pixels for one of the image

class Loupe {
  constructor() {
    this.node = make("canvas", "loupe");
    this.node.setAttribute("aria-hidden", "true");
  }

  get isShown() {
    return this.node.isConnected;
  }

  // About a spot of the pane; above a finger, which would cover it.
  show(pane, [x, y], finger = false) {
    const {shown, state, content} = pane;
    const sheet = content.painter?.sheet;
    if (!shown || !sheet) {
      this.hide();
      return;
    }
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const across = Math.round(GLASS * ratio);
    const place = state.camera.place(shown.info, ...pane.size);
    const times = Math.max(AT_LEAST, Math.ceil(pane.area.ways.loupe * place.scale * ratio));
    if (this.node.width !== across) this.node.width = this.node.height = across;
    const context = this.node.getContext("2d", {alpha: false});
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, across, across);
    const [a, b, c, d] = place.matrix.map((each) => (each * times) / place.scale);
    const [px, py] = onImage(place, [x, y]);
    context.imageSmoothingEnabled = false;
    context.setTransform(a, b, c, d, across / 2 - a * px - c * py, across / 2 - b * px - d * py);
    context.drawImage(sheet.canvas, 0, 0);
    this.cover(context, pane);
    this.aim(context, across / 2, ratio);
    if (!this.isShown) pane.port.append(this.node);
    this.node.dataset.times = String(times);
    this.node.style.left = `${x - GLASS / 2}px`;
    this.node.style.top = `${y - GLASS / 2 - (finger ? GLASS * 0.7 : 0)}px`;
  }

  // What is covered in the pane stays so under the glass.
  cover(context, {shown, content: {painter}, presented}) {
    const {shutters, bitmaps} = presented.covers;
    for (const one of [...painter.shutters, ...shutters]) painter.shut(one, shown.info, context);
    for (const {is_shutter: isShutter, picture, left, top, columns, rows} of bitmaps) {
      if (isShutter) context.drawImage(picture.canvas, left, top, columns, rows);
    }
  }

  // What the value is of: between four strokes, dark under light.
  aim(context, middle, ratio) {
    context.setTransform(ratio, 0, 0, ratio, middle, middle);
    for (const [width, ink] of [[3, "#000a"], [1.2, "#5eead4"]]) {
      Object.assign(context, {lineWidth: width, strokeStyle: ink});
      context.beginPath();
      for (const [x, y] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(8 * x, 8 * y);
        context.lineTo(20 * x, 20 * y);
      }
      context.stroke();
    }
  }

  hide() {
    this.node.remove();
  }
}
