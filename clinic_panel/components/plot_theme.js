// A canvas knows no colour scheme: its axes are painted anew when the page's theme changes. The
// colours are those of tokens.css. They stay in the browser (`sync: false`): the server need not
// know, and its next plot comes with colours that any theme can show until it is painted here.
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

function paint() {
  const theme = document.documentElement.dataset.theme === "dark" ? "dark" : "light";
  for (const doc of globalThis.Bokeh?.documents ?? []) {
    for (const model of doc.all_models) {
      const changed = model.type === "Title" ? { text_color: STRONG[theme] } : {};
      for (const [name, colours] of Object.entries(COLOURS)) {
        if (name in model.properties && model[name] !== null) changed[name] = colours[theme];
      }
      if (Object.keys(changed).length) model.setv(changed, { sync: false });
    }
  }
}

export function render({ model }) {
  const watch = new MutationObserver(paint);
  watch.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  model.on("painted", () => requestAnimationFrame(paint));
  model.on("remove", () => watch.disconnect());
  requestAnimationFrame(paint);
}
