function card(item) {
  const value = h("span", { class: "value" });
  const name = h("span", { class: "name" });
  const more = h("span", { class: "more" });
  const badge = h("span", {});
  const node = h("li", {}, name, badge, value, more);
  const write = (next, first) => {
    if (!first && value.textContent !== String(next.value)) {
      value.classList.remove("fresh");
      void value.offsetWidth;
      value.classList.add("fresh");
    }
    name.textContent = next.label;
    value.textContent = String(next.value);
    more.textContent = next.detail || "";
    more.title = next.detail || "";
    badge.className = `badge ${next.tone || ""}`;
    badge.replaceChildren(icon(next.icon || "info"));
  };
  write(item, true);
  return { node, write };
}

export function render({ model, el }) {
  const list = h("ul", { "aria-label": model.label });
  let cards = [];
  const fill = () => {
    cards = model.items.map(card);
    list.replaceChildren(...cards.map(({ node }) => node));
  };
  fill();
  model.on("items", () => {
    if (cards.length !== model.items.length) fill();
    else model.items.forEach((item, index) => cards[index].write(item, false));
  });
  el.append(list);
}
