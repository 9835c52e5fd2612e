const REST_MS = 1000;     // of the hands, before what was typed is saved
const PATIENCE_MS = 8000; // without an answer, the connection counts as lost
const ROWS = { clinical_information: 2, technique: 1, findings: 6, impression: 3 };

const same = (one, other) => trimmed(one) === trimmed(other);
const trimmed = (text) => String(text ?? "").replace(/\r\n?/g, "\n").replace(/^\n+|\n+$/g, "");

// What was typed and not yet saved; only in this tab, only until it is saved.
const drawer = {
  key: (shown) => `clinic-draft-${shown.owner}-${shown.report_id}`,
  read(shown) {
    try {
      for (const key of Object.keys(sessionStorage))
        if (key.startsWith("clinic-draft-") && !key.startsWith(`clinic-draft-${shown.owner}-`)) sessionStorage.removeItem(key);
      return JSON.parse(sessionStorage.getItem(this.key(shown)));
    } catch { return null; }
  },
  keep(shown, value) { try { sessionStorage.setItem(this.key(shown), JSON.stringify(value)); } catch { /* full or forbidden: the database has the last save */ } },
  clear(shown) { try { sessionStorage.removeItem(this.key(shown)); } catch { /* forbidden */ } },
};

// Key images of two who changed them since `base`: what one of them added, removed or named is done;
// what one named is not removed, and where both wrote a caption it says what both wrote.
const place = ({ instance_id, frame }) => `${instance_id}/${frame}`;
const listed = (images) => new Map(images.map((image) => [place(image), image]));
const sameImages = (one, other) => one.length === other.length
  && one.every((image, at) => place(image) === place(other[at]) && image.caption === other[at].caption);
const CAPTION = 200;  // characters; the service keeps no more

function mergedImages(base, mine, theirs) {
  const before = listed(base), held = listed(mine), there = listed(theirs);
  const isNews = (image) => image.caption !== before.get(place(image))?.caption;  // added, or named
  const kept = theirs.filter((image) => held.has(place(image)) || isNews(image));
  const added = mine.filter((image) => !there.has(place(image)) && isNews(image));
  return [...kept, ...added].map((image) => {
    const own = held.get(place(image))?.caption ?? image.caption, old = before.get(place(image))?.caption ?? "";
    if (own === old || own === image.caption) return image;
    return { ...image, caption: image.caption === old ? own : `${own} / ${image.caption}`.slice(0, CAPTION) };
  });
}

// Marks the words of `text` that `other` does not have at that place (longest common subsequence).
function marked(text, other) {
  const words = text.split(/(\s+)/), against = other.split(/(\s+)/);
  if (words.length * against.length > 400000) return [text];
  const best = Array.from({ length: words.length + 1 }, () => new Uint16Array(against.length + 1));
  for (let i = words.length - 1; i >= 0; i -= 1)
    for (let j = against.length - 1; j >= 0; j -= 1)
      best[i][j] = words[i] === against[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
  const found = [];
  for (let i = 0, j = 0; i < words.length;) {
    if (j < against.length && words[i] === against[j]) { found.push(words[i]); i += 1; j += 1; }
    else if (j < against.length && best[i][j + 1] >= best[i + 1][j]) j += 1;
    else { found.push(words[i].trim() ? h("mark", {}, words[i]) : words[i]); i += 1; }
  }
  return found;
}

class Editor {
  constructor(model, el) {
    Object.assign(this, { model, el, n: 0, sent: 0, inputs: new Map(), base: {}, version: 0, images: [], baseImages: [], phase: "", conflict: null, password: null });
    this.title = h("h2", { tabindex: "-1" }, "Report");
    this.chip = h("span", { class: "chip" });
    this.savedAt = h("span", { class: "saved", role: "status" });
    this.body = h("div", { class: "body" });
    this.foot = h("footer");
    this.alert = h("p", { class: "alert", role: "alert", hidden: true });
    el.append(h("section", { class: "report", "aria-label": "Report" },
      h("header", { class: "top" }, this.title, this.chip, this.savedAt), this.body, this.foot), this.dialog());
    this.rest = debounce(REST_MS, () => this.save());
    this.hidden = () => { if (document.visibilityState === "hidden") this.save(); };
    document.addEventListener("visibilitychange", this.hidden);
  }

  leave() {
    document.removeEventListener("visibilitychange", this.hidden);
    clearTimeout(this.waiting);
    this.ask.close();
  }

  // --- what is shown ---

  show() {
    const shown = this.model.shown, before = this.phase;
    this.shown = shown;
    this.phase = shown.phase || "";
    if (this.phase === "draft") {
      if (before === "draft" && this.report === shown.report_id && this.inputs.size) return;  // the text is the browser's
      this.report = shown.report_id;
      this.showDraft(before);
    } else if (this.phase === "signed") {
      const typed = before === "draft" && this.report === shown.report_id ? this.texts() : drawer.read(shown)?.texts;
      this.report = shown.report_id;
      this.showSigned(typed, before);
    } else this.showNone();
  }

  status(text, tone, live) {
    this.chip.textContent = text;
    this.chip.className = `chip ${tone}${live ? " live" : ""}`;
    this.chip.hidden = !text;
  }

  saved(text, bad) {
    this.savedAt.className = `saved${bad ? " bad" : ""}`;
    if (this.savedAt.textContent === text) return;
    this.savedAt.replaceChildren(...(text ? [bad ? icon("warning") : icon("check"), text] : []));
  }

  warn(text, tone) {
    this.alert.hidden = !text;
    this.alert.className = `alert ${tone || ""}`;
    this.alert.replaceChildren(icon(tone === "info" ? "info" : "warning"), h("span", {}, text || ""));
  }

  showNone() {
    const { shown } = this;
    this.inputs.clear();
    this.ask.close();
    this.saved("");
    this.foot.hidden = true;
    this.status("", "");
    if (this.phase !== "none" || !shown.writes) {
      const said = { none: "There is no report yet.", hidden: "The report is being written.", refused: shown.text }[this.phase];
      this.body.replaceChildren(h("p", {}, said || ""));
      return;
    }
    const select = this.templates("Template");
    const start = h("button", { class: "btn primary", type: "button", onclick: () => { start.disabled = true; this.send({ kind: "start", template: select.value }); } }, icon("edit"), "Start report");
    this.start = start;
    this.warn("");
    this.body.replaceChildren(this.alert, h("div", { class: "field" }, h("label", { for: "template" }, "Template"), select), h("div", {}, start));
  }

  templates(label, chosen) {
    return h("select", { id: "template", "aria-label": label, value: chosen },
      this.shown.templates.map((one) => h("option", { value: one.name, selected: one.name === chosen }, one.title)));
  }

  showDraft(before) {
    const { shown } = this;
    this.inputs.clear();
    this.conflict = null;
    this.version = shown.version;
    this.base = { ...shown.texts };
    this.images = this.baseImages = shown.key_images;
    this.template = shown.template;
    this.warn("");
    this.status("Draft", "amber");
    this.saved(`Saved ${shown.at}`);
    const select = this.templates("Template", this.template);
    if (!this.template) { select.prepend(h("option", { value: "", disabled: true }, "Choose a template…")); select.value = ""; }
    select.addEventListener("change", () => this.apply(select.value));
    this.list = h("ul", { class: "images" });
    this.imagesPart = h("div", { class: "field" }, h("h3", {}, "Key images"), this.list);
    this.form = h("div", { class: "body", style: "padding:0" },
      h("div", { class: "field" }, h("label", { for: "template" }, "Template"), select),
      shown.sections.map((section) => this.section(section)), this.imagesPart);
    this.body.replaceChildren(this.alert, this.form);
    this.pictures();
    this.signButton = h("button", { class: "btn primary", type: "button", hidden: !shown.may_sign, onclick: () => this.openDialog() }, icon("check"), "Sign report");
    this.foot.hidden = false;
    this.foot.replaceChildren(h("span", { class: "hint" }, "Saved while you write."), this.signButton);
    const stored = drawer.read(shown);
    if (stored) this.restore(stored);
    if (before === "none") (shown.texts.findings ? this.inputs.get("findings") : this.inputs.get("clinical_information"))?.input.focus();
  }

  section({ name, label }) {
    const id = `s-${name}`;
    const input = h("textarea", { id, dir: "auto", style: `--rows:${ROWS[name] || 3}`, value: this.base[name], "aria-describedby": `${id}-wrong`, maxlength: 64000 });
    const wrong = h("p", { class: "wrong", id: `${id}-wrong`, hidden: true });
    input.addEventListener("input", () => this.typed(name));
    input.addEventListener("blur", () => this.save());
    input.addEventListener("keydown", (event) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") { event.preventDefault(); this.save(); }
    });
    this.inputs.set(name, { input, wrong, label });
    return h("div", { class: `field ${name}` }, h("label", { for: id }, label), input, wrong);
  }

  mark(name, problem) {
    const known = this.inputs.get(name);
    if (!known) return false;
    known.input.setAttribute("aria-invalid", String(Boolean(problem)));
    known.wrong.textContent = problem;
    known.wrong.hidden = !problem;
    if (problem) known.wrong.scrollIntoView({ block: "nearest" });
    return true;
  }

  pictures() {
    const focused = [...this.list.querySelectorAll("input")].indexOf(this.list.getRootNode().activeElement);
    this.imagesPart.hidden = !this.images.length;
    this.list.replaceChildren(...this.images.map((image, at) => {
      const seen = image.window_width ? `Window ${Math.round(image.window_width)}, level ${Math.round(image.window_center)}` : "";
      const caption = h("input", { value: image.caption, "aria-label": `Caption of key image ${at + 1}`, placeholder: "Caption", maxlength: CAPTION, dir: "auto" });
      caption.addEventListener("input", () => { this.images = this.images.with(at, { ...image, caption: caption.value }); this.typed(); });
      caption.addEventListener("blur", () => this.save());
      const drop = h("button", { class: "btn small square bare", type: "button", "aria-label": `Remove key image ${at + 1}`, onclick: () => {
        this.images = this.images.toSpliced(at, 1);
        this.typed();
        this.pictures();
        this.save();
      } }, icon("close"));
      return h("li", {}, h("span", { class: "no", "aria-hidden": "true" }, at + 1), caption, drop, seen && h("small", {}, seen));
    }));
    this.list.querySelectorAll("input")[focused]?.focus();
  }

  // Others chose or named images; a list that is the same is left alone, with the cursor in it.
  joinImages(base, theirs) {
    const joined = mergedImages(base, this.images, theirs), isOld = sameImages(joined, this.images);
    this.images = joined;
    if (!isOld) this.pictures();
  }

  showSigned(typed, before) {
    const { shown } = this;
    const lost = typed && shown.sections.some(({ name }) => !same(typed[name], shown.texts[name])) ? typed : null;
    if (!lost) drawer.clear(shown);
    this.inputs.clear();
    this.conflict = null;
    this.ask.close();
    this.saved("");
    this.foot.hidden = true;
    this.status("Signed", "violet");
    this.pdf = h("div", { class: "pdf", role: "status" });
    this.after = h("div", { class: "alert warn", role: "status" });
    const words = shown.sections.filter(({ name }) => trimmed(shown.texts[name])).map(({ name, label }) =>
      h("section", { class: name }, h("h3", {}, label), h("p", { dir: "auto" }, shown.texts[name])));
    const pictures = shown.key_images.length && h("p", { class: "hash" }, `${shown.key_images.length} key image${shown.key_images.length > 1 ? "s" : ""} in the PDF`);
    this.body.replaceChildren(...[
      h("div", { class: "meta" }, h("p", { class: "who" }, h("b", { dir: "auto" }, shown.by), h("span", {}, `Signed ${shown.at} · version ${shown.number}`)), this.pdf),
      this.after,
      lost && this.leftOver(lost),
      h("div", { class: "text body", style: "padding:0" }, words), pictures || "",
      h("p", { class: "hash" }, "SHA-256 of the signed content ", h("code", {}, shown.sha256.match(/.{8}/g).join(" "))),
    ].filter(Boolean));
    this.showPdf();
    if (before === "draft") this.title.focus();
  }

  showPdf() {
    const { shown } = this;
    const after = shown.images_after;
    this.after.hidden = !after;
    this.after.replaceChildren(icon("warning"), h("span", {}, after === 1 ? "1 image came after this report was signed." : `${after} images came after this report was signed.`));
    if (shown.pdf_ready) this.pdf.replaceChildren(h("a", { class: "btn primary", href: shown.pdf_href, target: "_blank", rel: "noopener" }, icon("report"), "Open PDF"));
    else if (shown.pdf_failed) {
      this.pdf.replaceChildren(h("span", { class: "chip red" }, "The PDF could not be made"),
        h("button", { class: "btn small", type: "button", onclick: () => this.model.send_msg({ kind: "print" }) }, icon("refresh"), "Try again"));
    } else this.pdf.replaceChildren(h("span", { class: "chip blue live" }, "PDF being prepared"));
  }

  leftOver(texts) {
    const box = h("details", { open: true }, h("summary", {}, "Your unsaved text"),
      h("p", {}, "The report was signed before these words were saved. They are not part of it."),
      this.shown.sections.filter(({ name }) => trimmed(texts[name])).map(({ name, label }) => h("p", { dir: "auto" }, h("b", {}, `${label}: `), texts[name])),
      h("button", { class: "btn small", type: "button", onclick: () => { drawer.clear(this.shown); box.remove(); } }, "Discard"));
    return box;
  }

  // --- writing and saving ---

  texts() {
    return Object.fromEntries([...this.inputs].map(([name, { input }]) => [name, input.value]));
  }

  get dirty() {
    return !sameImages(this.images, this.baseImages) || [...this.inputs].some(([name, { input }]) => input.value !== this.base[name]);
  }

  typed(name) {
    if (name) this.mark(name, "");
    this.saved("");
    this.keep();
    this.rest();
  }

  keep() {
    drawer.keep(this.shown, { version: this.version, base: this.base, texts: this.texts(), baseImages: this.baseImages, images: this.images });
  }

  apply(name) {
    const before = this.shown.templates.find((one) => one.name === this.template);
    const next = this.shown.templates.find((one) => one.name === name);
    this.template = name;
    for (const section of ["technique", "findings", "impression"]) {
      const { input } = this.inputs.get(section);
      const words = next[section], old = before ? before[section] : "";
      if (!trimmed(input.value) || same(input.value, old)) input.value = words;
      else if (trimmed(words) && !input.value.includes(words)) input.value = `${input.value.trimEnd()}\n\n${words}`;
    }
    this.typed();
  }

  send(message) {
    this.n += 1;
    this.sent = this.n;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.unanswered(), PATIENCE_MS);
    this.model.send_msg({ n: this.n, ...message });
  }

  unanswered() {
    this.sent = 0;
    this.busy(false);
    if (this.phase === "none") { this.start.disabled = false; this.warn("The clinic does not answer. Please try again."); return; }
    if (this.ask.open) this.refuseDialog("The clinic does not answer. Nothing was signed as far as is known here.");
    this.saved("Not saved; kept in this tab", true);
    this.rest();
  }

  written(kind, more) {
    this.going = this.texts();
    this.goingImages = this.images;
    this.send({ kind, version: this.version, texts: this.going, ...(sameImages(this.images, this.baseImages) ? {} : { key_images: this.images }), ...more });
  }

  save() {
    if (this.phase !== "draft" || this.conflict || this.sent || !this.dirty) return;
    this.written("save");
  }

  // --- answers ---

  received(answer) {
    if (answer.kind === "images") { this.gotImages(answer); return; }
    if (answer.n === undefined) { if (answer.kind === "conflict" && this.phase === "draft") this.gotConflict(answer); return; }
    if (answer.n !== this.sent) return;  // given up on, or overtaken
    this.sent = 0;
    clearTimeout(this.waiting);
    if (answer.kind === "saved") this.gotSaved(answer);
    else if (answer.kind === "unsigned") { this.gotSaved(answer); this.refuseDialog(answer.text, answer.field); }
    else if (answer.kind === "conflict") this.gotConflict(answer);
    else if (answer.kind === "refused") this.gotRefusal(answer);
    if (this.password !== null && !this.conflict && this.phase === "draft") this.sign();
  }

  gotSaved(answer) {
    this.version = answer.version;
    this.base = this.going;
    this.joinImages(this.goingImages, answer.key_images);
    this.baseImages = answer.key_images;
    if (this.dirty) { this.keep(); this.rest(); return; }
    drawer.clear(this.shown);
    this.saved(`Saved ${answer.at}`);
  }

  // The viewer chose images: only those and the version are new. The version counts where it follows
  // the one held here; after any other, words that never arrived are met as a conflict at the next save.
  gotImages(answer) {
    if (this.phase !== "draft") return;
    const holder = this.conflict ? this.conflict.theirs : this;
    if (holder.version === answer.was) holder.version = answer.version;
    if (this.conflict) { Object.assign(holder, { key_images: answer.key_images, chosen: null }); return; }
    this.joinImages(this.baseImages, answer.key_images);
    this.baseImages = answer.key_images;
    this.saved(this.dirty ? "" : `Saved ${answer.at}`);
  }

  gotRefusal(answer) {
    if (this.phase === "none") { this.start.disabled = false; this.warn(answer.text); return; }
    if (this.ask.open) this.refuseDialog(answer.text, answer.field);
    else if (!answer.field || !this.mark(answer.field, answer.text)) this.warn(answer.text);
    this.saved("Not saved; kept in this tab", true);
    this.keep();
  }

  // --- two who write ---

  restore(stored) {
    const { shown } = this;
    if (shown.sections.every(({ name }) => same(stored.texts[name], shown.texts[name])) && sameImages(stored.images, shown.key_images)) { drawer.clear(shown); return; }
    Object.assign(this, { images: stored.images, baseImages: stored.baseImages });
    this.pictures();
    for (const [name, { input }] of this.inputs) input.value = stored.texts[name] ?? "";
    if (stored.version === shown.version) { this.warn("Text that was not saved before is back.", "info"); this.saved(""); this.save(); return; }
    this.base = stored.base;
    this.gotConflict({ version: shown.version, texts: shown.texts, key_images: shown.key_images, at: shown.at, by: shown.by });
  }

  // Sections only one of the two changed are taken as they are; for the others the reader chooses.
  gotConflict(theirs) {
    this.password = null;
    this.ask.close();
    this.busy(false);
    const mine = this.texts(), open = [], taken = [];
    for (const { name, label } of this.shown.sections) {
      if (same(mine[name], theirs.texts[name]) || same(theirs.texts[name], this.base[name])) continue;
      if (same(mine[name], this.base[name])) { this.inputs.get(name).input.value = theirs.texts[name]; taken.push(label); }
      else open.push({ name, label, side: this.sideOf(name, theirs.texts[name]) });
    }
    if (!open.length) { this.settle(theirs, taken); return; }
    const isNews = !this.conflict;
    this.conflict = { theirs, open, taken };
    this.keep();
    this.choices(isNews);
  }

  // What was chosen already between the same two texts; a choice begins with the reader's own.
  sideOf(name, text) {
    const isSame = this.conflict?.theirs.texts[name] === text;
    return (isSame && this.body.querySelector(`input[name="c-${name}"]:checked`)?.value) || "mine";
  }

  choices(isNews) {
    const { theirs, open } = this.conflict, mine = this.texts();
    const side = (name, value, head, text, other) => h("label", { class: "side" },
      h("span", { class: "head" }, h("input", { type: "radio", name: `c-${name}`, value, checked: value === open.find((one) => one.name === name).side }), head),
      h("span", { class: "said", dir: "auto" }, marked(text, other)));
    const sets = open.map(({ name, label }) => h("fieldset", { class: "choice" }, h("legend", {}, label), h("div", { class: "pair" },
      side(name, "mine", "Keep mine", mine[name], theirs.texts[name]),
      side(name, "theirs", `Take ${theirs.by}'s, saved ${theirs.at}`, theirs.texts[name], mine[name]))));
    this.status("Two versions", "red");
    this.saved("");
    const heading = h("p", { class: "alert warn", role: "alert", tabindex: "-1" }, icon("people"),
      h("span", {}, `${theirs.by} saved this report while you were writing. Nothing is lost: choose what stays.`));
    this.body.replaceChildren(heading, ...sets);
    this.foot.replaceChildren(h("span", { class: "hint" }, "Marked words differ."),
      h("button", { class: "btn primary", type: "button", onclick: () => this.choose() }, "Use this text"));
    if (isNews) heading.focus();
  }

  choose() {
    const { theirs, open, taken } = this.conflict;
    for (const { name } of open)
      if (this.body.querySelector(`input[name="c-${name}"]:checked`).value === "theirs") this.inputs.get(name).input.value = theirs.texts[name];
    this.conflict = null;
    this.status("Draft", "amber");
    this.body.replaceChildren(this.alert, this.form);
    this.foot.replaceChildren(h("span", { class: "hint" }, "Saved while you write."), this.signButton);
    this.settle(theirs, taken);
    this.inputs.get(open[0].name).input.focus();
  }

  settle(theirs, taken) {
    this.version = theirs.version;
    this.base = { ...theirs.texts };
    this.joinImages(this.baseImages, theirs.chosen ?? theirs.key_images);
    this.baseImages = theirs.key_images;
    this.warn(taken.length ? `${theirs.by} also wrote in: ${taken.join(", ")}. Both are kept.` : "", "info");
    if (this.dirty) { this.saved(""); this.save(); }
    else { drawer.clear(this.shown); this.saved(`Saved ${theirs.at}`); }
  }

  // --- signing ---

  dialog() {
    this.secret = h("input", { id: "password", type: "password", autocomplete: "current-password", required: true, "aria-describedby": "password-wrong" });
    this.wrong = h("p", { class: "wrong", id: "password-wrong", role: "alert", hidden: true });
    this.go = h("button", { class: "btn primary", type: "submit" }, "Sign");
    this.pledge = h("p", { id: "pledge" });
    const form = h("form", { novalidate: true }, h("h2", { id: "sign-title" }, "Sign report"), this.pledge,
      h("div", { class: "field" }, h("label", { for: "password" }, "Password"), this.secret, this.wrong),
      h("footer", {}, h("button", { class: "btn", type: "button", onclick: () => this.ask.close() }, "Cancel"), this.go));
    form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    this.ask = h("dialog", { "aria-labelledby": "sign-title", "aria-describedby": "pledge" }, form);
    this.ask.addEventListener("close", () => { this.secret.value = ""; this.password = null; this.busy(false); });
    this.ask.addEventListener("keydown", (event) => event.stopPropagation());
    return this.ask;
  }

  openDialog() {
    for (const { name, label } of this.shown.sections) {
      const text = this.inputs.get(name).input.value;
      const problem = name === "impression" && !text.trim() ? "The impression is empty."
        : text.includes("___") ? `${label}: a blank of the template is left to fill in.` : "";
      this.mark(name, problem);
      if (problem) { this.inputs.get(name).input.focus(); return; }
    }
    this.pledge.textContent = `Signing as ${this.shown.signer} fixes this text for good.`;
    this.refuseDialog("");
    this.ask.showModal();
    this.secret.focus();
  }

  submit() {
    if (this.password !== null) return;
    if (!this.secret.value) { this.refuseDialog("Password is needed."); return; }
    this.password = this.secret.value;
    this.secret.value = "";
    this.busy(true);
    if (!this.sent) this.sign();
  }

  sign() {
    const password = this.password;
    this.password = null;
    this.written("sign", { password });
  }

  refuseDialog(text, field) {
    this.busy(false);
    if (field) { this.ask.close(); this.mark(field, text); this.inputs.get(field)?.input.focus(); return; }
    this.wrong.textContent = text;
    this.wrong.hidden = !text;
    this.secret.setAttribute("aria-invalid", String(Boolean(text)));
    if (this.ask.open) this.secret.focus();
  }

  busy(on) {
    this.go.disabled = on;
    this.go.textContent = on ? "Signing…" : "Sign";
  }
}

export function render({ model, el }) {
  const editor = new Editor(model, el);
  editor.show();
  model.on("shown", () => {
    if (editor.phase === "signed" && model.shown.phase === "signed" && editor.report === model.shown.report_id) { editor.shown = model.shown; editor.showPdf(); }
    else editor.show();
  });
  model.on("msg:custom", (message) => editor.received(message.data ?? message));
  model.on("remove", () => editor.leave());
}
