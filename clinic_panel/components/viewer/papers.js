// Papers: what a study holds beside images (reports, key images, recordings, PDFs), shown in a pane
// where the images would be. All text that comes from outside goes in by textContent.
const SHEETS = {}; // kind -> (paper, papers, entry) => what to show

class Papers {
  constructor(pane) {
    this.pane = pane;
    this.node = make("div", "papers");
    this.held = null; // what is on the sheet
    this.recording = null; // what is on it, where that is one
    this.lent = []; // addresses of bytes that the sheet shows
    // The sheet scrolls and lets text be marked; the pane's gestures are for images.
    for (const kind of ["wheel", "pointerdown", "pointermove", "dblclick", "contextmenu"]) {
      this.node.addEventListener(kind, (event) => event.stopPropagation());
    }
  }

  get isReady() {
    return this.held !== null;
  }

  resize() {}

  paint() {
    const {pane} = this;
    const {entry} = pane;
    const found = entry && pane.store.frames.get(entry.key);
    pane.shown = null;
    if (found !== this.held) {
      this.giveBack();
      this.recording = null;
      this.held = found ?? null;
      this.node.replaceChildren(...(found ? [this.sheet(found.paper, entry)] : []));
    }
    if (entry) this.node.dataset.shown = found ? entry.key : "";
    pane.annotate(null, null);
    pane.shapes.show(null);
  }

  sheet(paper, entry) {
    const sheet = make("article", `sheet ${paper.kind.replace(" ", "-")}`);
    sheet.tabIndex = 0;
    sheet.setAttribute("aria-label", paper.title || paper.name);
    const head = make("header", "sheet-head");
    head.append(make("h2", "", paper.title || paper.name));
    const facts = make("p", "facts", [paper.name, ...paper.facts.map((fact) => fact.join(": "))].join(" · "));
    head.append(facts);
    sheet.append(head, ...SHEETS[paper.kind](paper, this, entry));
    return sheet;
  }

  // A button that leads to an image of this study.
  way({id, frame, frames}, label = "") {
    const {area} = this.pane;
    const place = id ? area.placeOf({instance_id: id, frame}) : null;
    if (!place) return make("span", "nowhere", label ? `${label} (not in this study)` : "an object that is not in this study");
    const button = make("button", "way");
    button.type = "button";
    const {series, index} = place;
    const what = series.kind === "papers" ? "document" : "image";
    const more = frames > 1 ? ` and ${frames - 1} more` : "";
    button.append(iconOf("after"), make("span", "", label || `${series.label || "Series"}, ${what} ${index + 1}${more}`));
    button.addEventListener("click", () => area.goTo(place, this.pane));
    return button;
  }

  giveBack() {
    for (const address of this.lent.splice(0)) URL.revokeObjectURL(address);
  }

  close() {
    this.giveBack();
    this.node.replaceChildren();
  }
}

CONTENTS.papers = Papers;

// -- reports: containers are headings, what they hold is lines --------------------------------------

SHEETS.report = ({content}, papers) => {
  const body = make("div", "report-body");
  body.append(...content.items.map((item) => contentOf(item, papers, 3)));
  if (!content.items.length) body.append(make("p", "none", "The report is empty."));
  if (content.cut) body.append(make("p", "none", "The report is longer than what is shown."));
  return [body];
};

function contentOf(item, papers, level) {
  if (item.kind === "CONTAINER") {
    const section = make("section");
    if (item.name) section.append(make(`h${Math.min(level, 6)}`, "", item.name));
    section.append(...(item.items ?? []).map((one) => contentOf(one, papers, level + 1)));
    return section;
  }
  const line = make("div", item.aside ? "line aside" : "line");
  const name = make("span", "name", item.name);
  const value = make("span", "value", item.value);
  if (item.note) value.title = item.note;
  if (item.name) line.append(name);
  if (item.image) line.append(papers.way(item.image));
  else if (item.value) line.append(value);
  if (item.items) {
    const below = make("div", "below");
    below.append(...item.items.map((one) => contentOf(one, papers, level + 1)));
    line.append(below);
  }
  return line;
}

// -- key images: their title, what is said of them, and ways to them -------------------------------

SHEETS["key images"] = ({content}, papers) => {
  const words = content.items.filter((item) => !item.image).map((item) => contentOf(item, papers, 3));
  const list = make("ol", "ways");
  for (const image of content.images) {
    const item = make("li");
    item.append(papers.way(image));
    list.append(item);
  }
  return [...words, content.images.length ? list : make("p", "none", "No image is chosen.")];
};

// -- PDF: by the browser's own viewer, from our origin ----------------------------------------------

SHEETS.pdf = (paper, papers, entry) => {
  const open = make("a", "plain", "Open in a new tab");
  Object.assign(open, {target: "_blank", rel: "noopener"});
  const save = make("a", "plain", "Download");
  save.download = `document-${entry.id}.pdf`;
  const bar = make("p", "paper-bar");
  bar.append(open, save);
  const shown = navigator.pdfViewerEnabled ? make("iframe") : make("p", "none", "This browser does not show PDF files in a page.");
  shown.title = paper.title;
  papers.pane.area.sources.pdf(entry).then(([address, saved]) => {
    if (address.startsWith("blob:")) papers.lent.push(address);
    Object.assign(open, {href: address});
    Object.assign(save, {href: saved});
    if (shown.localName === "iframe") shown.src = `${address}#navpanes=0&view=FitH`;
  }).catch((error) => shown.replaceWith(make("p", "none", error.message)));
  return [bar, shown];
};
