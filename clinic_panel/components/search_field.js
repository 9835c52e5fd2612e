export function render({ model, el }) {
  const input = h("input", { type: "search", "aria-label": model.label, placeholder: model.placeholder, value: model.text, autocomplete: "off", spellcheck: "false", dir: "auto" });
  const ask = debounce(220, () => { if (model.text !== input.value.trim()) model.text = input.value.trim(); });
  input.addEventListener("input", ask);
  input.addEventListener("keydown", (event) => event.stopPropagation());
  model.on("text", () => { if (model.text !== input.value.trim()) input.value = model.text; });
  el.append(h("div", { class: "box" }, icon("search"), input));
  if (matchMedia("(pointer: fine)").matches) setTimeout(() => input.focus());
}
