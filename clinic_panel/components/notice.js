const STAYS_MS = 7000;
const SIGNS = { success: "done", info: "info", warning: "warning", problem: "warning" };

function toast(model, message) {
  const urgent = message.kind === "problem" || message.kind === "warning";
  const node = h("div", { class: `toast ${message.kind}` }, icon(SIGNS[message.kind] || "info"), h("span", { class: "what", role: urgent ? "alert" : "status" }, message.text));
  let timer = 0;
  const shut = () => { clearTimeout(timer); node.remove(); };
  const start = () => { if (message.kind !== "problem" && !message.href) timer = setTimeout(shut, STAYS_MS); };
  if (message.href) node.append(h("a", { href: local(message.href), target: "_blank", rel: "noopener" }, message.action));
  else if (message.action) node.append(h("button", { type: "button", onclick: () => { model.send_msg({ kind: "action", n: message.n }); shut(); } }, message.action));
  node.append(h("button", { class: "shut", type: "button", "aria-label": "Dismiss", onclick: shut }, icon("close")));
  // Nobody has to race the clock: it stands still under the pointer and the focus.
  for (const name of ["pointerenter", "focusin"]) node.addEventListener(name, () => clearTimeout(timer));
  for (const name of ["pointerleave", "focusout"]) node.addEventListener(name, () => { clearTimeout(timer); start(); });
  start();
  return node;
}

export function render({ model, el }) {
  const stack = h("div", { class: "stack" });
  const show = () => {
    stack.replaceChildren(...(model.message?.text ? [toast(model, model.message)] : []));
    // Of a page whose viewer fills the screen only the top layer is seen.
    stack.popover = null;
    if (!document.fullscreenElement || !stack.firstChild) return;
    stack.popover = "manual";
    stack.showPopover();
  };
  show();
  model.on("message", show);
  el.append(stack);
}
