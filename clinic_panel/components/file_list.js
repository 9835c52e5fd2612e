export function render({ model, el }) {
  const list = h("ul"), card = h("section", { class: "card", "aria-label": model.label }, h("h2", {}, model.label), model.note && h("p", {}, model.note), list);
  const line = (item) => h("li", {}, icon("report"),
    h("div", { class: "what" }, h("b", {}, item.label), h("small", { dir: "auto" }, item.detail)),
    item.href ? h("a", { class: "btn small", href: item.href, target: "_blank", rel: "noopener", "aria-label": `Download ${item.label}, ${item.detail}` }, icon("download"), "Download")
      : h("span", { class: `chip ${item.tone} ${item.tone === "blue" ? "live" : ""}`, role: "status" }, item.state));
  const write = () => {
    list.replaceChildren(...model.items.map(line));
    card.hidden = !model.items.length;
  };
  write();
  model.on("items", steady(card, write));
  el.append(card);
}
