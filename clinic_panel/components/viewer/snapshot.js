// Snapshot: the active view as one picture: the image as it is shown, what was drawn on it if wanted,
// and whose it is, on the image or beside it. A picture that leaves always says what it is not for.
const STRIP = {line: 20, pad: 10};
const BADGE = 26;
const INK = {mark: "#fde047", text: "#fef9c3", letter: "#fde68a", notice: "#fcd34d", plain: "#ffffff", badge: "#f59e0b", onBadge: "#1c1203"};

// The picture as a canvas, or null where there is no image.
function snapshotOf(pane, {identity, marks}) {
  const {overlay, content: {painter}} = pane;
  if (!pane.shown || !painter) return null;
  const [width, height] = pane.size;
  const {ratio} = painter;
  const who = identity === "none" ? [] : [overlay.name, overlay.identity, overlay.parts.study].flatMap(
    (node) => node.textContent.split("\n").filter(Boolean),
  );
  const badge = overlay.parts.prior.textContent;
  const earlier = identity === "none" ? badge.split(" ")[0] : badge; // without its date
  const below = earlier && identity === "burnt" ? BADGE : 0;
  const beside = identity === "beside" ? who.length * STRIP.line + 2 * STRIP.pad : 0;
  const sheet = document.createElement("canvas");
  sheet.width = Math.round(width * ratio);
  sheet.height = Math.round((height + beside) * ratio);
  const context = sheet.getContext("2d", {alpha: false});
  context.scale(ratio, ratio);
  context.fillStyle = "#000";
  context.fillRect(0, 0, width, height + beside);
  context.translate(0, beside);
  painter.copy(context, width, height);
  context.translate(0, -beside);
  who.forEach((line, i) => writeOn(context, line, STRIP.pad, below + STRIP.pad + (i + 0.5) * STRIP.line, {bold: i === 0, most: width - 2 * STRIP.pad}));
  context.translate(0, beside);
  drawPresented(context, pane.presented?.node, marks);
  if (marks) drawMarks(context, pane.shapes.node);
  if (earlier) drawBadge(context, earlier, width / 2);
  const letters = {left: [12, height / 2, "left"], right: [width - 36, height / 2, "right"], top: [width / 2, earlier ? 42 : 20, "center"], bottom: [width / 2, height - 44, "center"]};
  for (const [side, [x, y, align]] of Object.entries(letters)) {
    writeOn(context, overlay.parts[side].textContent, x, y, {align, ink: INK.letter, bold: true});
  }
  const values = overlay.parts.values.textContent.split("\n").filter((line) => !line.startsWith("x ")); // not what was under the cursor
  writeOn(context, values.join("   "), width - 12, height - 18, {align: "right"});
  writeOn(context, overlay.parts.place.textContent, 12, height - 18, {});
  if (!overlay.notice.hidden) writeOn(context, overlay.notice.textContent, width / 2, height - 18, {align: "center", ink: INK.notice});
  return sheet;
}

// That it is an old study, as plain as on the screen: a picture travels without its neighbours.
function drawBadge(context, text, x) {
  context.font = "700 13px Roboto, system-ui, sans-serif";
  const half = context.measureText(text).width / 2 + 14;
  context.fillStyle = INK.badge;
  context.beginPath();
  context.roundRect(x - half, 0, 2 * half, BADGE, [0, 0, 8, 8]);
  context.fill();
  Object.assign(context, {textAlign: "center", textBaseline: "middle", fillStyle: INK.onBadge});
  context.fillText(text, x, BADGE / 2);
}

function writeOn(context, text, x, y, {align = "left", ink = INK.plain, bold = false, size = 13, most}) {
  if (!text) return;
  context.font = `${bold ? 600 : 400} ${size}px Roboto, system-ui, sans-serif`;
  Object.assign(context, {textAlign: align, textBaseline: "middle", lineJoin: "round", lineWidth: 3, strokeStyle: "#000", fillStyle: ink});
  context.strokeText(text, x, y, most);
  context.fillText(text, x, y, most);
}

// The shapes as they stand on the screen: their outlines twice, dark under light, and their words.
function drawMarks(context, svg) {
  const number = (node, name) => Number(node.getAttribute(name));
  for (const node of svg.querySelectorAll("path, rect, ellipse, line, polyline, polygon")) {
    const path = outlineOf(node, number);
    if (!path) continue;
    for (const [width, ink] of [[3.6, "#000a"], [1.6, INK.mark]]) {
      Object.assign(context, {lineWidth: width, strokeStyle: ink, lineJoin: "round"});
      context.stroke(path);
    }
  }
  for (const span of svg.querySelectorAll("tspan")) {
    const lines = [...span.parentNode.children];
    const y = number(span.parentNode, "y") + lines.indexOf(span) * 17;
    writeOn(context, span.textContent, number(span, "x"), y, {ink: INK.text, bold: true});
  }
}

// What a presentation state puts over the image: its shutters as they are shown, what it draws and
// writes, planes of bits too, as marks.
function drawPresented(context, svg, marks) {
  const size = (node, name) => Number(node.getAttribute(name));
  for (const node of svg?.querySelectorAll("path, image, tspan") ?? []) {
    const style = getComputedStyle(node);
    if (node.tagName === "image") {
      if (!marks && !node.isShutter) continue;
      context.save();
      context.transform(...node.getAttribute("transform").match(/[-\d.e]+/g).map(Number));
      context.imageSmoothingEnabled = false;
      context.drawImage(node.picture, size(node, "x"), size(node, "y"), size(node, "width"), size(node, "height"));
      context.restore();
    } else if (node.classList.contains("shutter")) {
      context.fillStyle = style.fill;
      context.fill(new Path2D(node.getAttribute("d")), "evenodd");
    } else if (marks && node.tagName === "path") {
      const path = new Path2D(node.getAttribute("d"));
      Object.assign(context, {lineWidth: parseFloat(style.strokeWidth), strokeStyle: style.stroke, fillStyle: style.fill});
      context.setLineDash(style.strokeDasharray.match(/[\d.]+/g)?.map(Number) ?? []);
      if (style.fill !== "none") context.fill(path);
      context.stroke(path);
      context.setLineDash([]);
    } else if (marks && node.tagName === "tspan") {
      const align = {start: "left", middle: "center", end: "right"}[style.textAnchor];
      const y = size(node.parentNode, "y") + [...node.parentNode.children].indexOf(node) * 16.25 - 4;
      writeOn(context, node.textContent, size(node, "x"), y, {align, ink: style.fill, bold: true});
    }
  }
}

function outlineOf(node, number) {
  const at = (...names) => names.map((name) => number(node, name));
  const path = new Path2D(node.tagName === "path" ? node.getAttribute("d") : undefined);
  if (node.tagName === "rect") path.rect(...at("x", "y", "width", "height"));
  else if (node.tagName === "ellipse") path.ellipse(...at("cx", "cy", "rx", "ry"), 0, 0, 2 * Math.PI);
  else if (node.tagName === "line") {
    path.moveTo(...at("x1", "y1"));
    path.lineTo(...at("x2", "y2"));
  } else if (node.points) {
    [...node.points].forEach(({x, y}, i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
    if (node.tagName === "polygon") path.closePath();
  }
  return path;
}
