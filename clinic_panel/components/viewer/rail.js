// Rail: the series of the study, and of the patient's earlier ones under their dates. Buttons are
// kept by id, so that arriving images disturb neither focus nor scroll.
const SERIES_DRAG = "application/x-clinic-series";
const SIGNS = {report: "header", "key images": "key", waveform: "wave", pdf: "pdf"}; // in place of a small picture

class Rail {
  constructor({choose, ask}) {
    Object.assign(this, {choose, ask});
    this.node = make("nav", "rail");
    this.node.setAttribute("aria-label", "Series");
    this.items = new Map(); // series id -> its button
    this.heads = new Map(); // study id -> what stands above its series
  }

  // `hung` are the series in the panes, `selected` that of the active one.
  update(series, selected, hung, studies) {
    const seen = new Set();
    const nodes = [];
    const homes = studies.length ? studies : [{id: undefined}];
    for (const study of homes) {
      if (study.id !== undefined) nodes.push(this.head(study));
      for (const one of series) {
        if (studies.length && one.study !== study.id) continue;
        seen.add(one.id);
        nodes.push(this.item(one, selected, hung));
      }
    }
    for (const id of this.items.keys()) if (!seen.has(id)) this.items.delete(id);
    for (const id of this.heads.keys()) if (!homes.some((study) => study.id === id)) this.heads.delete(id);
    nodes.forEach((node, i) => {
      const there = this.node.children[i];
      if (there !== node) this.node.insertBefore(node, there ?? null);
    });
    while (this.node.children.length > nodes.length) this.node.lastChild.remove();
  }

  head(study) {
    let head = this.heads.get(study.id);
    if (!head) {
      head = make("div", "study-head");
      head.when = make("strong");
      head.what = make("span");
      head.open = make("button", "open", "Open");
      head.open.type = "button";
      head.open.addEventListener("click", () => {
        head.open.disabled = true;
        this.ask(study.id);
      });
      head.append(head.when, head.what, head.open);
      this.heads.set(study.id, head);
    }
    head.classList.toggle("earlier", study.is_prior);
    head.when.textContent = study.is_prior ? `Prior ${study.date || "without date"}` : "This study";
    head.what.textContent = study.is_prior ? study.label : study.date;
    head.open.hidden = study.is_open;
    head.open.disabled = false;
    head.open.setAttribute("aria-label", `Open prior of ${study.date}, ${study.label}`);
    return head;
  }

  item(one, selected, hung) {
    const item = this.items.get(one.id) ?? this.add(one.id);
    const current = one.id === selected;
    item.button.classList.toggle("current", current);
    item.button.classList.toggle("hung", !current && hung.has(one.id));
    if (current) item.button.setAttribute("aria-current", "true");
    else item.button.removeAttribute("aria-current");
    const count = one.stack.length;
    const what = one.kind === "papers" ? "document" : "image";
    const images = count === 1 ? `1 ${what}` : `${count} ${what}s`;
    item.chip.textContent = one.modality || "–";
    item.label.textContent = one.label || "Series";
    item.count.textContent = images;
    item.button.title = one.label || "Series";
    item.button.setAttribute("aria-label", `${one.modality} ${one.label}, ${images}`);
    item.draw(signOf(one));
    if (item.url !== one.thumbnail_url) {
      item.url = one.thumbnail_url;
      item.picture.hidden = !one.thumbnail_url;
      if (one.thumbnail_url) item.picture.src = one.thumbnail_url;
    }
    return item.button;
  }

  add(id) {
    const button = make("button", "series");
    button.type = "button";
    button.draggable = true;
    const frame = make("span", "thumb");
    const picture = make("img");
    picture.alt = "";
    picture.draggable = false;
    picture.addEventListener("error", () => (picture.hidden = true));
    picture.addEventListener("load", () => (picture.hidden = false));
    const chip = make("span", "chip");
    frame.append(picture, chip);
    const label = make("span", "label");
    const count = make("span", "count");
    button.append(frame, label, count);
    function draw(sign) {
      if (this.sign === sign) return;
      this.sign = sign;
      frame.querySelector("svg")?.remove();
      frame.classList.toggle("sign", Boolean(sign));
      if (sign) frame.prepend(iconOf(sign));
    }
    button.addEventListener("click", () => this.choose(id));
    button.addEventListener("dragstart", ({dataTransfer}) => {
      dataTransfer.setData(SERIES_DRAG, id);
      dataTransfer.effectAllowed = "copy";
    });
    const item = {button, picture, chip, label, count, url: null, sign: "", draw};
    this.items.set(id, item);
    return item;
  }
}

// What stands for a series that has no picture of its own.
function signOf({thumbnail_url: url, kind, stack: [first]}) {
  if (url || !first) return "";
  if (first.presentation) return "arrow";
  return kind === "papers" ? SIGNS[first.paper] ?? "header" : "";
}

// A pane takes a series that is dragged onto it.
function takeSeries(pane) {
  const {port} = pane;
  const carries = ({dataTransfer}) => dataTransfer.types.includes(SERIES_DRAG);
  port.addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
    port.classList.add("target");
  });
  port.addEventListener("dragleave", () => port.classList.remove("target"));
  port.addEventListener("drop", (event) => {
    port.classList.remove("target");
    if (!carries(event)) return;
    event.preventDefault();
    pane.area.activate(pane);
    pane.select(event.dataTransfer.getData(SERIES_DRAG));
    port.focus({preventScroll: true});
  });
}
