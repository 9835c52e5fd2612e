// Recordings on paper: squares of 1 and 5 mm, so many mm a second and a millivolt. One unit of the
// drawing is one millimetre of paper.
const ROW_MM = 22;
const MARGIN_MM = 9; // room for the calibration pulse
const SHEET_MM = 250; // of a long recording on one sheet: ten seconds at the usual speed
const LEGIBLE_PX = 2.2; // a millimetre at least, however narrow the pane
const LONG_S = 120; // from here on, times are as on a clock
const STEPS_A_MM = 8; // columns in which a dense trace is drawn by its least and greatest value
const TWELVE = [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"]];

SHEETS.waveform = ({content}, papers, entry) => {
  const recording = new Recording(content, papers.pane, entry);
  papers.recording = recording;
  return [recording.bar, recording.cut, recording.paper, ...recording.notes()];
};

// What a channel holds, in its unit; NaN where nothing was recorded.
function samplesOf({data, scale}) {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  return Float32Array.from(new Int16Array(bytes.buffer), (one) => (one === -32768 ? NaN : one * scale));
}

class Recording {
  constructor({groups, notes}, pane, entry) {
    Object.assign(this, {pane, entry});
    this.groups = groups.map(withValues).map((one) => ({...one, reach: heldOf(one)}));
    this.words = notes;
    this.group = makeSelect("Part of the recording");
    fillSelect(this.group, this.groups.map((one, i) => [String(i), `${one.label || `Part ${i + 1}`}, ${Number(one.seconds.toFixed(1))} s`]), "0");
    this.group.hidden = this.groups.length < 2;
    this.layout = makeSelect("Arrangement of the leads");
    this.speed = makeSelect("Paper speed");
    fillSelect(this.speed, [12.5, 25, 50].map((mm) => [String(mm), `${mm} mm/s`]), "25");
    this.gain = makeSelect("Gain");
    fillSelect(this.gain, [5, 10, 20].map((mm) => [String(mm), `${mm} mm/mV`]), "10");
    this.earlier = makeButton("before", "Earlier part of the recording", "", () => this.turn(-1));
    this.later = makeButton("after", "Later part of the recording", "", () => this.turn(1));
    this.seek = make("input", "seek");
    Object.assign(this.seek, {type: "range", min: "0", step: "any", title: "Where in the recording"});
    this.seek.setAttribute("aria-label", this.seek.title);
    this.seek.addEventListener("change", () => this.go(Number(this.group.value), Number(this.seek.value)));
    this.steps = makeGroup("Part", this.earlier, this.seek, this.later);
    this.bar = make("p", "paper-bar");
    this.bar.append(this.group, this.steps, this.layout, this.speed, this.gain);
    this.cut = make("p", "facts");
    this.cut.setAttribute("role", "status");
    this.paper = make("div", "ecg");
    const how = matchMedia("(pointer: coarse)").matches ? "Tap two places on the paper to measure." : "Drag over the paper to measure.";
    this.caliper = make("output", "caliper", how);
    this.bar.append(this.caliper);
    this.group.addEventListener("change", () => this.choose());
    const {document_id: wished, waveform_group: group, waveform_start_s: start} = pane.area.model;
    const asked = wished === entry.id && this.groups[group]; // by Python, or when it was seen last
    if (asked) this.group.value = String(group);
    for (const select of [this.layout, this.gain]) select.addEventListener("change", () => this.draw());
    this.speed.addEventListener("change", () => this.go(Number(this.group.value), this.from));
    this.choose();
    if (asked && start !== this.from) this.go(group, start);
  }

  get place() {
    return {waveform_group: Number(this.group.value), waveform_start_s: this.from};
  }

  // How many seconds of a group are on one sheet.
  spanOf({seconds, reach}) {
    return Math.min(SHEET_MM / Number(this.speed.value), seconds, reach);
  }

  // One sheet earlier or later.
  turn(by) {
    return this.go(Number(this.group.value), this.from + by * this.spanOf(this.current));
  }

  // To a sheet of the recording: of a long one only a part is held, from here on or, on the way
  // back, up to here.
  async go(number, start) {
    const group = this.groups[number];
    if (!group) return;
    const span = this.spanOf(group);
    const from = Math.max(0, Math.min(start, group.seconds - span));
    this.asked = `${number}/${from}`;
    const mine = this.asked;
    let problem = "";
    if (!isHeld(group, from, from + span)) {
      this.steps.toggleAttribute("data-busy", true);
      const first = from >= group.start ? from : Math.max(0, from + span - group.reach);
      try {
        const found = withValues(await this.pane.area.sources.part(this.entry, number, first));
        if (this.asked === mine) this.groups[number] = {...found, reach: group.reach};
      } catch (error) {
        problem = error.message;
      }
      if (this.asked !== mine) return; // another part was asked for meanwhile
      this.steps.toggleAttribute("data-busy", false);
    }
    this.group.value = String(number);
    this.choose(problem ? undefined : from);
    if (problem) this.cut.textContent = problem;
  }

  get current() {
    return this.groups[Number(this.group.value)];
  }

  // The usual sheet where the twelve leads are there, and long enough for four columns.
  choose(from = this.current.start) {
    const {channels, hz, seconds} = this.current;
    const span = this.spanOf(this.current);
    const [end, last] = [Math.min(from + span, seconds), seconds - span];
    const whole = last < 1 / hz;
    const clock = (time) => clockOf(time, seconds >= LONG_S);
    this.from = from;
    this.cut.hidden = this.steps.hidden = whole;
    this.cut.textContent = `Shown: ${clock(from)} to ${clock(end)} of ${clock(seconds)}.`;
    this.earlier.disabled = from === 0;
    this.later.disabled = from >= last;
    Object.assign(this.seek, {max: String(last), value: String(from)});
    this.seek.setAttribute("aria-valuetext", `${clock(from)} of ${clock(seconds)}`);
    const names = new Set(channels.map((one) => one.label));
    const twelve = TWELVE.flat().every((name) => names.has(name)) && span >= 4;
    const usual = twelve ? [["sheet", "3 × 4 leads and rhythm"]] : [];
    fillSelect(this.layout, [...usual, ["rows", "All, one below the other"]], twelve ? "sheet" : "rows");
    this.layout.hidden = !twelve;
    this.gain.hidden = !channels.some((one) => one.unit === "mV");
    this.draw();
  }

  // Pieces of traces: which channel, from when to when on the sheet, in which row.
  pieces() {
    const {channels} = this.current;
    const seconds = this.spanOf(this.current);
    if (this.layout.value !== "sheet") return channels.map((channel, row) => ({channel, row, from: 0, to: seconds}));
    const byName = new Map(channels.map((one) => [one.label, one]));
    const found = TWELVE.flatMap((names, row) => names.map((name, i) => (
      {channel: byName.get(name), row, from: (i * seconds) / 4, to: ((i + 1) * seconds) / 4}
    )));
    return [...found, {channel: byName.get("II"), row: 3, from: 0, to: seconds}];
  }

  draw() {
    const {channels} = this.current;
    const [speed, gain] = [Number(this.speed.value), Number(this.gain.value)];
    const pieces = this.pieces();
    const width = MARGIN_MM + this.spanOf(this.current) * speed + 2;
    const height = (Math.max(...pieces.map((one) => one.row)) + 1) * ROW_MM + 6;
    const svg = svgOf("svg", {viewBox: `0 0 ${width} ${height}`, role: "img"});
    svg.setAttribute("aria-label", `${channels.length} channels on paper, ${speed} mm/s`);
    svg.style.width = `${width}mm`; // its size on paper, and on the screen where there is room
    svg.style.minWidth = `${width * LEGIBLE_PX}px`;
    svg.append(gridOf(width, height));
    for (const row of new Set(pieces.map((one) => one.row))) {
      const {channel} = pieces.find((one) => one.row === row);
      if (channel.unit === "mV") svg.append(pulseOf(middleOf(row), gain));
    }
    for (const piece of pieces) svg.append(...this.trace(piece, speed, gain));
    const filters = [...new Set(channels.map((one) => one.filters).filter(Boolean))].join("; ");
    const scale = [`${speed} mm/s`, this.gain.hidden ? "" : `${gain} mm/mV`, filters].filter(Boolean).join("   ");
    svg.append(wordsOf(scale, 1, height - 1.2, "scale"));
    this.paper.replaceChildren(svg);
    this.pane.report();
    measureOn(svg, {speed, gain: this.gain.hidden ? null : gain, say: (text) => (this.caliper.textContent = text)});
  }

  trace({channel, row, from, to}, speed, gain) {
    const {hz, start} = this.current;
    const {values, unit, skew} = channel;
    const before = this.from - start; // seconds that are held and not on the sheet
    const first = Math.round((before + from) * hz);
    const last = Math.min(values.length, Math.round((before + to) * hz));
    const middle = middleOf(row);
    let [perUnit, zero, range] = [gain, 0, ""];
    if (unit !== "mV") {
      const [least, most] = endsOf(values);
      perUnit = (ROW_MM - 6) / (most - least || 1);
      zero = (least + most) / 2;
      range = ` ${shortOf(least)} to ${shortOf(most)} ${unit}`;
    }
    const x = (i) => MARGIN_MM + (i / hz - before + skew) * speed;
    const y = (value) => middle - (value - zero) * perUnit;
    const path = svgOf("path", {d: pathOf(values, first, last, hz / speed, x, y), class: "trace"});
    const name = wordsOf(channel.label + range, MARGIN_MM + from * speed + 1, middle - ROW_MM / 2 + 4, "lead");
    return from > 0 ? [path, name, svgOf("path", {d: `M${x(first)} ${middle - 3}v6`, class: "trace"})] : [path, name];
  }

  notes() {
    if (!this.words.length) return [];
    const list = make("ul", "device-notes");
    list.append(...this.words.map((one) => make("li", "", one)));
    return [make("h3", "", "Written by the device"), list];
  }
}

function withValues(group) {
  return {...group, channels: group.channels.map((one) => ({...one, values: samplesOf(one)}))};
}

const heldOf = ({channels, hz}) => channels[0].values.length / hz;

// Whether these seconds are among those held of a group.
function isHeld(group, from, to) {
  const sample = 1 / group.hz;
  return from > group.start - sample && to < group.start + heldOf(group) + sample;
}

// A time of a recording: in seconds, of a long one as on a clock.
function clockOf(seconds, isLong) {
  if (!isLong) return `${Number(seconds.toFixed(1))} s`;
  const two = (number) => String(number).padStart(2, "0");
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

const middleOf = (row) => (row + 0.5) * ROW_MM + 2;
const shortOf = (number) => Number(number.toPrecision(3));

function endsOf(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return least <= most ? [least, most] : [0, 1];
}

// A trace; where more samples than columns fall on a millimetre, the ends of each column are drawn,
// so that no peak is lost.
function pathOf(values, first, last, perMm, x, y) {
  const width = Math.max(1, Math.floor(perMm / STEPS_A_MM));
  let d = "";
  let pen = "M";
  const put = (i) => {
    d += `${pen}${x(i).toFixed(2)} ${y(values[i]).toFixed(2)}`;
    pen = "L";
  };
  for (let i = first; i < last; i += width) {
    let [low, high] = [-1, -1];
    for (let j = i; j < Math.min(i + width, last); j += 1) {
      if (Number.isNaN(values[j])) continue;
      if (low < 0 || values[j] < values[low]) low = j;
      if (high < 0 || values[j] > values[high]) high = j;
    }
    if (low < 0) pen = "M"; // nothing recorded: a gap
    else if (low === high) put(low);
    else [low, high].sort((a, b) => a - b).forEach(put);
  }
  return d;
}

function gridOf(width, height) {
  const lines = (step) => {
    let d = "";
    for (let x = 0; x <= width; x += step) d += `M${x} 0V${height}`;
    for (let y = 0; y <= height; y += step) d += `M0 ${y}H${width}`;
    return d;
  };
  const group = svgOf("g", {class: "paper-grid"});
  group.append(svgOf("path", {d: lines(1), class: "fine"}), svgOf("path", {d: lines(5), class: "coarse"}));
  return group;
}

// One millivolt for a fifth of a second, as every electrocardiograph writes it.
function pulseOf(middle, gain) {
  return svgOf("path", {d: `M1 ${middle}h1.5v${-gain}h5v${gain}h1`, class: "trace"});
}

function wordsOf(text, x, y, kind) {
  const node = svgOf("text", {x, y, class: kind});
  node.textContent = text;
  return node;
}
