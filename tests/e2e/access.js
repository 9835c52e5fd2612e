// What WCAG 2.2 AA asks of text (1.4.3), names (4.1.2) and the keyboard (2.1.1), judged on the page
// as the browser has laid it out, shadow roots included. Each check returns what is wrong.
window.access = (() => {
  const all = (root = document) => [...root.querySelectorAll("*")].flatMap((node) =>
    node.shadowRoot ? [node, ...all(node.shadowRoot)] : [node]);
  const parent = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host ?? null;
  const up = (node) => { const line = []; for (let at = node; at; at = parent(at)) line.push(at); return line; };
  const style = (node) => getComputedStyle(node);
  const seen = (node) => {
    const box = node.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && up(node).every((at) => {
      const { visibility, display, clipPath } = style(at);
      return visibility !== "hidden" && display !== "none" && clipPath === "none";
    });
  };
  const off = (node) => up(node).some((at) => at.disabled || at.getAttribute("aria-disabled") === "true");

  const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const colour = (text) => {  // any CSS colour as red, green, blue and alpha, each 0 to 1
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = text;
    brush.fillRect(0, 0, 1, 1);
    return [...brush.getImageData(0, 0, 1, 1).data].map((value) => value / 255);
  };
  const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];
  const light = (rgb) => {
    const [r, g, b] = rgb.map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, two) => {
    const [low, high] = [light(one), light(two)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (node) => {
    const layers = [];
    for (const at of up(node)) {
      if (style(at).backgroundImage !== "none") return null;  // a picture: for eyes to judge
      const layer = colour(style(at).backgroundColor);
      layers.push(layer);
      if (layer[3] === 1) break;
    }
    const canvas = document.documentElement.dataset.theme === "dark" ? [0, 0, 0] : [1, 1, 1];
    return layers.reverse().reduce((below, layer) => over(layer, below), canvas);
  };
  const words = (node) => [...node.childNodes].filter((child) => child.nodeType === Node.TEXT_NODE)
    .map((child) => child.data.trim()).join(" ").trim() || (node.matches("input:not([type=range]), textarea") ? node.value || node.placeholder : "");
  const tell = (node) => `<${node.tagName.toLowerCase()} class="${node.getAttribute("class") ?? ""}">`;

  const faint = () => all().filter((node) => words(node) && seen(node) && !off(node)).flatMap((node) => {
    const below = ground(node);
    if (!below) return [];
    const { color, fontSize, fontWeight } = style(node);
    const ink = colour(color);
    ink[3] *= up(node).reduce((left, at) => left * Number(style(at).opacity), 1);
    const size = parseFloat(fontSize), large = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700);
    const found = ratio(over(ink, below), below);
    return found + 0.005 < (large ? 3 : 4.5) ? [`${tell(node)} ${found.toFixed(2)}:1`] : [];
  });

  const controls = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]";
  const name = (node) => node.getAttribute("aria-label")
    || (node.getAttribute("aria-labelledby") ?? "").split(" ").map((id) => node.getRootNode().getElementById(id)?.textContent).join("")
    || [...(node.labels ?? [])].map((label) => label.textContent).join("")
    || node.textContent.trim() || node.title;
  const nameless = () => all().filter((node) => node.matches("a[href], button, input:not([type=hidden]), select, textarea, [role=button], [role=img]"))
    .filter((node) => seen(node) && !name(node)).map(tell);

  // Where the hand is told that it may click, the keyboard must get there too.
  const mouseOnly = () => all().filter((node) => seen(node) && style(node).cursor === "pointer" && !off(node))
    .filter((node) => !up(node).some((at) => at.matches(`${controls}, label`))).map(tell);

  const tabbable = () => all().filter((node) => node.matches(controls) && node.tabIndex >= 0 && seen(node) && !off(node));
  const active = () => { let node = document.activeElement; while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement; return node; };
  let missed = new Set();
  return {
    faint, nameless, mouseOnly,
    begin: () => { missed = new Set(tabbable()); document.activeElement?.blur(); return missed.size; },
    step: () => { missed.delete(active()); return missed.size; },
    missed: () => [...missed].filter(seen).map(tell),
  };
})();
