// Calibration: what a pixel is in millimetres for a shape, and who says so; imaging/calibration.py
// decides alike. A reader may calibrate on an object whose length they know.
const LEAST_MM = 0.1;
const MOST_MM = 2000;
const ULTRASOUND = "Ultrasound region calibration";
const OUTSIDE = "Outside one calibrated region: pixels only";
const UNSCALED = "Region without a scale: pixels only";

// On ultrasound only the region that holds the whole shape may speak for it (PS3.3 C.8.5.5), and a
// calibration by hand speaks for the region it was drawn in, but not where that shows no lengths.
function calibrationOf(info, points, known) {
  const byHand = calibrated(info, known);
  if (info.regions?.length) {
    const home = regionOf(info, points);
    if (!home) return {row: null, column: null, source: OUTSIDE};
    const {row_mm: row, column_mm: column, across, down} = home;
    if (byHand && !across && !down && home === regionOf(info, known.points)) return byHand;
    return {row, column, across, down, source: row || across || down ? ULTRASOUND : UNSCALED};
  }
  const [row, column] = info.spacing ?? [null, null];
  return byHand ?? {row, column, source: info.spacing_source};
}

// The region that speaks for a whole shape. Each point belongs to the first that holds it; where
// regions overlap and are scaled alike, a shape may reach from one into the other.
function regionOf({regions}, points) {
  const homes = points.map((point) => regions.find((one) => holds(one, point)));
  return regions.find((one) => points.every((point) => holds(one, point))
    && homes.every((home) => home && scaleOf(home) === scaleOf(one)));
}

function holds({left, top, right, bottom}, [x, y]) {
  return x >= left && x <= right && y >= top && y <= bottom;
}

function scaleOf({row_mm: row, column_mm: column, across, down}) {
  return JSON.stringify([row, column, across, down]);
}

function calibrated(info, known) {
  if (!known) return null;
  const [[x1, y1], [x2, y2]] = known.points;
  const aspect = info.aspect || 1;
  const size = Math.hypot(x2 - x1, (y2 - y1) * aspect);
  if (!size) return null;
  const column = known.known_mm / size;
  const own = info.spacing || info.regions?.length ? `, in place of ${ownSource(info)}` : "";
  const by = known.by ? ` by ${known.by}` : " by hand";
  const source = `Calibrated${by} on ${Number(known.known_mm.toPrecision(6))} mm${own}`;
  return {row: column * aspect, column, source};
}

function ownSource(info) {
  return info.regions?.length ? ULTRASOUND : info.spacing_source;
}

// The newest drawn on this very object; else the newest that speaks for its series.
function knownFor(list, entry, homeOf) {
  const made = list.filter((one) => one.kind === "calibration" && one.known_mm > 0);
  return made.findLast((one) => one.instance_id === entry.id)
    ?? made.findLast((one) => one.scope === "series" && homeOf(one.instance_id) === entry.series);
}

// What is asked: a length and how far it holds; or, across the regions of an ultrasound image, nothing.
function lengthForm(info, one, modality) {
  const form = make("form", "known");
  form.setAttribute("aria-label", "Calibrate on a known object");
  const length = make("input");
  Object.assign(length, {type: "number", min: LEAST_MM, max: MOST_MM, step: "any", required: true});
  length.value = one.known_mm || "";
  const scope = makeSelect("Holds for", "scope");
  fillSelect(scope, [["image", "this image"], ["series", "the whole series"]], one.scope ?? "image");
  const asked = make("label", "", "Length in mm");
  asked.append(length);
  const leave = make("button", "", "Cancel");
  leave.type = "button";
  const home = info.regions?.length && regionOf(info, one.points);
  if (info.regions?.length && (!home || home.across || home.down)) {
    const why = home ? "This region of the ultrasound image shows no lengths."
      : "Draw the line within one region of the ultrasound image: each has a scale of its own.";
    form.append(make("p", "caution", why), leave);
    return {form, length, scope, leave};
  }
  const own = info.spacing || info.regions?.length;
  const agree = make("button", "agree", own ? "Calibrate anyway" : "Calibrate");
  agree.type = "submit";
  form.append(asked, scope);
  if (own) form.append(make("p", "caution", cautionOf(info, modality)));
  form.append(agree, leave);
  return {form, length, scope, leave};
}

// How long is it? Asked beside the line; `done` gets {known_mm, scope, by}, or null. Returns what takes
// the question back.
function askLength(pane, one, done) {
  const {form, length, scope, leave} = lengthForm(pane.shown.info, one, pane.chosen?.modality);
  besideShape(pane, form, one);
  const finish = (answer) => {
    if (!form.isConnected) return;
    form.remove();
    pane.port.focus({preventScroll: true});
    done(answer);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    finish({known_mm: Number(length.value), scope: scope.value, by: pane.area.model.reader});
  });
  leave.addEventListener("click", () => finish(null));
  form.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Escape") finish(null);
  });
  for (const kind of ["pointerdown", "wheel", "dblclick"]) form.addEventListener(kind, (event) => event.stopPropagation());
  (length.isConnected ? length : leave).focus();
  return () => finish(null);
}

function cautionOf(info, modality) {
  const mm = (info.spacing ?? []).map((each) => Number(each.toPrecision(4))).join(" × ");
  const brings = `This image brings its own scale: ${ownSource(info)}${mm ? `, ${mm} mm` : ""}.`;
  if (modality === "CT" || modality === "MR") {
    return `${brings} The scanner's ${modality} geometry is true to scale; what you type replaces it.`;
  }
  return `${brings} What you type replaces it.`;
}

// A small box at the last point of a shape, wholly inside the port.
function besideShape(pane, box, one) {
  const [x, y] = pane.shapes.toScreen(one.points.at(-1));
  pane.port.append(box);
  const bounded = (value, most) => `${Math.max(8, Math.min(value, most))}px`;
  const [across, down] = pane.size;
  Object.assign(box.style, {
    left: bounded(x, across - box.offsetWidth - 10), top: bounded(y + 10, down - box.offsetHeight - 10),
  });
}
