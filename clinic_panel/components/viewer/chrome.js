// Chrome: the parts round the picture. All text that comes from outside goes in by textContent.
const ICONS = {
  window: '<circle cx="12" cy="12" r="8.5"/><path d="M12 3.5a8.5 8.5 0 0 1 0 17z" fill="currentColor"/>',
  scroll: '<path d="M12 3 3.5 7.5 12 12l8.5-4.5zM3.5 12 12 16.5l8.5-4.5M3.5 16.5 12 21l8.5-4.5"/>',
  zoom: '<circle cx="10.5" cy="10.5" r="6.5"/><path d="m15.5 15.5 5 5M10.5 7.5v6M7.5 10.5h6"/>',
  pan: '<path d="M12 3v18M3 12h18M12 3 9.5 5.5M12 3l2.500 2.500M12 21l-2.500-2.500M12 21l2.500-2.500M3 12l2.500-2.500M3 12l2.500 2.500M21 12l-2.500-2.500M21 12l-2.500 2.500"/>',
  invert: '<rect x="4" y="4" width="16" height="16" rx="2"/><path d="M12 4h6a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2h-6z" fill="currentColor"/>',
  subtract: '<path d="M9 4.500a6 6 0 1 0 0 12 6 6 0 0 0 0-12z"/><path d="M15.500 8.200a6 6 0 1 1-5 11M17.500 14h-6" />',
  remask: '<rect x="3.500" y="5" width="17" height="14" rx="1.500"/><path d="M8 12h8"/><path d="M3.500 8.500h2M3.500 12h2M3.500 15.500h2M18.500 8.500h2M18.500 12h2M18.500 15.500h2"/>',
  graphics: '<rect x="4" y="4" width="16" height="16" rx="2"/><path d="M8 16v-5M8 13.500h4M12 16v-5M15.500 8h.01M16 16v-5"/>',
  fit: '<path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"/>',
  actual: '<path d="M5 8l2-1.500V17M17 8l2-1.500V17M12 10v.01M12 15v.01"/>',
  reset: '<path d="M4 12a8 8 0 1 0 2.500-5.800M4 4v4.500h4.500"/>',
  key: '<path d="m12 3.500 2.600 5.400 5.900.8-4.300 4.100 1.100 5.900L12 16.900l-5.300 2.800 1.100-5.900L3.500 9.700l5.900-.8z"/>',
  play: '<path d="M7 4.500v15l12-7.500z" fill="currentColor"/>',
  pause: '<path d="M8 5v14M16 5v14" stroke-width="3.500"/>',
  full: '<path d="M8 3H3v5M16 3h5v5M21 16v5h-5M3 16v5h5M3 3l6 6M21 3l-6 6M21 21l-6-6M3 21l6-6"/>',
  share: '<path d="M12 15V4M12 4 8 8M12 4l4 4M5 13v5.500a1.500 1.500 0 0 0 1.500 1.500h11a1.500 1.500 0 0 0 1.500-1.500V13"/>',
  layout: '<rect x="3.500" y="4.500" width="17" height="15" rx="1.500"/><path d="M12 4.500v15M3.500 12h17"/>',
  prior: '<path d="M4 12a8 8 0 1 0 2.500-5.800M4 4v4.500h4.500M12 7.500V12l3 2"/>',
  window2: '<rect x="3.500" y="4.500" width="12" height="10" rx="1.500"/><path d="M18.500 9.500h2v10h-12v-2"/>',
  help: '<circle cx="12" cy="12" r="8.500"/><path d="M9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.300-1 .8-1 1.700M12 16.500v.01"/>',
  close: '<path d="m6 6 12 12M18 6 6 18"/>',
  cross: '<path d="M12 2.500v7M12 14.500v7M2.500 12h7M14.500 12h7"/>',
  mpr: '<path d="M12 3 4 7v10l8 4 8-4V7zM4 7l8 4 8-4M12 11v10"/>',
  length: '<path d="m4 16 12-12 4 4L8 20zM8 12l2 2M11 9l2 2M14 6l2 2"/>',
  angle: '<path d="M18 5 5 19h15M11 12.500c2.500 1.500 3.500 4 3.500 6.500"/>',
  rectangle: '<rect x="4" y="6" width="16" height="12"/>',
  ellipse: '<ellipse cx="12" cy="12" rx="8.500" ry="6"/>',
  bidirectional: '<path d="m5 19 14-14M8.500 8.500l7 7M5 16v3h3M16 5h3v3"/>',
  cobb: '<path d="m4 5 15 3M4 19l15-5"/><path d="M11.500 7v9.500" stroke-dasharray="2 2.500"/>',
  polygon: '<path d="m5 9 7-5 8 6-3 9H7z"/>',
  calibration: '<path d="M4 12h16M4 7v10M20 7v10M9.300 9.500v5M14.600 9.500v5"/>',
  arrow: '<path d="M20 20 5 5M5 5v6.500M5 5h6.500"/>',
  turn: '<path d="M20 12a8 8 0 1 1-2.500-5.800M20 4v4.500h-4.500"/>',
  back: '<path d="M4 12a8 8 0 1 0 2.500-5.800M4 4v4.500h4.500"/>',
  across: '<path d="M12 3v18" stroke-dasharray="2 2.500"/><path d="M9 7v10H3.500zM15 7v10h5.500z"/>',
  down: '<path d="M3 12h18" stroke-dasharray="2 2.500"/><path d="M7 9h10V3.500zM7 15h10v5.500z"/>',
  magnify: '<circle cx="10.500" cy="10.500" r="7"/><path d="m16 16 5 5M8 8h5v5H8z"/>',
  settings: '<path d="M4 7h9M17 7h3M4 12h3M11 12h9M4 17h11M19 17h1"/><circle cx="15" cy="7" r="2"/><circle cx="9" cy="12" r="2"/><circle cx="17" cy="17" r="2"/>',
  text: '<path d="M5 6V4.500h14V6M12 4.500v15M9 19.500h6"/>',
  header: '<rect x="4" y="3.500" width="16" height="17" rx="2"/><path d="M7.500 8h2M12 8h5M7.500 12h2M12 12h5M7.500 16h2M12 16h5"/>',
  pdf: '<path d="M6 3.500h8l4.500 4.500v12.500h-12.500zM14 3.500v4.500h4.500M9 12.500h6M9 16h6"/>',
  wave: '<path d="M2.500 12h4l2-3 2 3h1.500l2-8 3 16 1.500-8h3"/>',
  copy: '<rect x="8.500" y="8.500" width="11" height="12" rx="2"/><path d="M5 15.500H4.500v-11a1 1 0 0 1 1-1h10v1.500"/>',
  before: '<path d="m15 5-7 7 7 7"/>',
  after: '<path d="m9 5 7 7-7 7"/>',
  undo: '<path d="M4 9h10a5.500 5.500 0 0 1 0 11h-3M4 9l4.500-4.500M4 9l4.500 4.500"/>',
  redo: '<path d="M20 9H10a5.500 5.500 0 0 0 0 11h3M20 9l-4.500-4.500M20 9l-4.500 4.500"/>',
};

function make(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function iconOf(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = ICONS[name]; // constants of this file, never data
  return svg;
}

function makeButton(icon, label, shortcut, press) {
  const button = make("button", "tool");
  button.type = "button";
  button.append(iconOf(icon));
  button.setAttribute("aria-label", label);
  button.title = shortcut ? `${label} (${shortcut})` : label;
  if (shortcut) Object.assign(button.dataset, {usual: shortcut, name: label});
  if (shortcut && shortcut.length === 1) button.setAttribute("aria-keyshortcuts", shortcut);
  button.addEventListener("click", press);
  return button;
}

function makeSelect(label, className = "") {
  const select = make("select", className);
  select.setAttribute("aria-label", label);
  select.title = label;
  return select;
}

// A list that is open while images arrive stays as it is.
function fillSelect(select, options, value) {
  const fresh = options.map(([key, text]) => {
    const option = make("option", "", text);
    option.value = key;
    return option;
  });
  renew(select, fresh);
  select.value = value;
}

// Nodes that say the same stay: a press that began on one ends on it, and the focus is not lost.
function renew(parent, fresh) {
  fresh.forEach((node, i) => {
    const there = parent.children[i];
    if (!there) parent.append(node);
    else if (!there.isEqualNode(node)) there.replaceWith(node);
    else there.about = node.about; // what it is pressed for, as it is now
  });
  while (parent.children.length > fresh.length) parent.lastChild.remove();
}

function makeGroup(label, ...children) {
  const group = make("div", "group");
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", label);
  group.append(...children);
  return group;
}

// Text over the picture. Each corner is one node; it is written only when its text changes.
class Overlay {
  constructor() {
    this.node = make("div", "overlay");
    this.parts = {};
    this.said = {}; // what stands there: quicker than asking the page
    for (const name of ["banner", "study", "place", "values", "left", "right", "top", "bottom", "prior"]) {
      this.parts[name] = make("div", name);
      if (name !== "banner") this.parts[name].append("");
    }
    this.name = make("strong");
    this.identity = make("span");
    this.state = make("em");
    this.parts.banner.append(this.name, this.identity, this.state);
    this.notice = make("div", "notice");
    this.star = make("div", "star", "★ Key image");
    this.star.hidden = true;
    this.scale = make("div", "scale");
    this.scaleText = make("span");
    this.scaleBar = make("i");
    this.scale.append(this.scaleBar, this.scaleText);
    this.colours = new ColourBar();
    this.node.append(...Object.values(this.parts), this.notice, this.star, this.scale, this.colours.node);
  }

  write(name, text) {
    if (this.said[name] === text) return;
    this.said[name] = text;
    this.parts[name].firstChild.data = text; // less for the browser to do than with another node
  }

  identify(banner) {
    const {name, id, birth_date: born, sex, study_date: day, study, state, prior} = banner ?? {};
    // An old study must never be taken for the one to be read.
    this.write("prior", prior ? `PRIOR  ${prior}` : "");
    this.parts.prior.hidden = !prior;
    this.name.textContent = name || "Patient not identified";
    this.parts.banner.classList.toggle("unknown", !name);
    const lines = [
      [id && `ID ${id}`, born && `born ${born}`, sex].filter(Boolean).join(" · "),
      [day && `Study ${day}`, study].filter(Boolean).join(" · "),
    ];
    this.identity.textContent = lines.filter(Boolean).join("\n");
    if (this.state.textContent !== (state ?? "")) this.state.textContent = state ?? "";
  }

  // The longest round length that fits a quarter of the picture, with its source.
  measure(info, view, known) {
    const byHand = info && !info.regions?.length ? calibrated(info, known) : null;
    const column = byHand?.column ?? info?.spacing?.[1];
    this.scale.hidden = !column;
    if (!column) return;
    const perMm = view.scale / column;
    const lengths = [500, 200, 100, 50, 20, 10, 5, 2, 1];
    const length = lengths.find((mm) => mm * perMm <= 160) ?? 1;
    const wide = `${(length * perMm).toFixed(1)}px`;
    const text = `${length >= 10 ? `${length / 10} cm` : `${length} mm`} · ${byHand?.source ?? info.spacing_source}`;
    if (this.said.scale === wide + text) return;
    this.said.scale = wide + text;
    this.scaleBar.style.width = wide;
    this.scaleText.textContent = text;
  }
}
