export function render({ model, el }) {
  const list = h("dl", { "aria-label": model.label });
  const write = () => list.replaceChildren(...model.items.map((item) => h("div", { class: `${item.tone || ""} ${item.wide ? "wide" : ""}` },
    h("dt", {}, item.label), h("dd", { dir: "auto" }, item.value || "–"))));
  write();
  model.on("items", write);
  el.append(list);
}
