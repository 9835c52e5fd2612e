// A canvas knows no colour scheme: its axes are painted anew when the page's theme changes, and for
// paper. The colours are those of tokens.css. They stay in the browser (`sync: false`): the server
// need not know, and its next plot comes with colours that any theme can show until it is painted here.
const INK = { light: "#50615d", dark: "#a3b6b1" };
const STRONG = { light: "#12211f", dark: "#e7efed" };
const LINE = { light: "#dde6e4", dark: "#2a3a3d" };
const TICK = { light: "#7c8d89", dark: "#6d827e" };
const COLOURS = {
  axis_label_text_color: INK,
  major_label_text_color: INK,
  group_text_color: INK,
  label_text_color: STRONG,
  axis_line_color: TICK,
  major_tick_line_color: TICK,
  minor_tick_line_color: TICK,
  grid_line_color: LINE,
};
const SEE_THROUGH = { background_fill_color: null, border_fill_color: null, outline_line_color: null };

const models = () => (globalThis.Bokeh?.documents ?? []).flatMap((doc) => [...doc.all_models]);

function paint(theme = document.documentElement.dataset.theme === "dark" ? "dark" : "light") {
  for (const model of models()) {
    const changed = model.type === "Title" ? { text_color: STRONG[theme] } : {};
    if (model.type === "Figure") Object.assign(changed, SEE_THROUGH);
    for (const [name, colours] of Object.entries(COLOURS)) {
      if (name in model.properties && model[name] !== null) changed[name] = colours[theme];
    }
    if (Object.keys(changed).length) model.setv(changed, { sync: false });
  }
}

// Paper is white and narrow, and waits for no turn of the screen's clock: a plot that finds itself
// laid out anew is empty until the next one. So a copy of it is printed, made smaller as it stands.
const PAPER_PX = 660; // what A4 takes, upright
const copies = [];

function plots() {
  const figures = models().filter((model) => model.type === "Figure");
  return figures.map((figure) => globalThis.Bokeh.index.find_one(figure)).filter(Boolean);
}

function print() {
  paint("light");
  for (const view of plots()) {
    const { offsetWidth: width, offsetHeight: height } = view.el;
    Object.assign(view.el.style, { width: `${width}px`, zoom: Math.min(1, PAPER_PX / width) });
    view.paint();
    const [shown] = view.canvas_view.shadow_el.querySelectorAll("canvas");
    const copy = document.createElement("canvas");
    Object.assign(copy, { width: shown.width, height: shown.height });
    copy.style.cssText = `position: absolute; left: 0; top: 0; width: ${width}px; height: ${height}px;`;
    copy.getContext("2d").drawImage(shown, 0, 0);
    view.shadow_el.append(copy);
    copies.push(copy);
  }
}

function leavePaper() {
  for (const copy of copies.splice(0)) copy.remove();
  for (const { el } of plots()) Object.assign(el.style, { width: "", zoom: "" });
  paint();
}

export function render({ model }) {
  const watch = new MutationObserver(() => paint());
  watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  model.on("painted", () => requestAnimationFrame(() => paint()));
  window.addEventListener("beforeprint", print);
  window.addEventListener("afterprint", leavePaper);
  model.on("remove", () => {
    watch.disconnect();
    window.removeEventListener("beforeprint", print);
    window.removeEventListener("afterprint", leavePaper);
  });
  requestAnimationFrame(() => paint());
}
