// A caliper: the time and the voltage between two points, and the rate that the time makes. A mouse
// or a pen drags it; a finger, which also moves the paper, taps its two ends.
function measureOn(svg, {speed, gain, say}) {
  const box = svgOf("rect", {class: "caliper-box", width: 0, height: 0});
  svg.append(box);
  let from = null;
  const at = (event) => {
    const {left, top, width} = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / width;
    return [(event.clientX - left) * scale, (event.clientY - top) * scale];
  };
  const span = (to) => {
    const [x, y] = [Math.min(from[0], to[0]), Math.min(from[1], to[1])];
    const [w, h] = [Math.abs(from[0] - to[0]), Math.abs(from[1] - to[1])];
    for (const [name, value] of Object.entries({x, y, width: w, height: h})) box.setAttribute(name, value);
    const seconds = w / speed;
    const words = [`${Math.round(seconds * 1000)} ms`];
    if (seconds > 0.15) words.push(`${Math.round(60 / seconds)} /min`);
    if (gain) words.push(`${(h / gain).toFixed(2)} mV`);
    say(words.join(" · "));
  };
  svg.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch") return;
    from = at(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (from && event.pointerType !== "touch") span(at(event));
  });
  svg.addEventListener("pointerup", (event) => {
    if (event.pointerType !== "touch" || from) {
      if (event.pointerType === "touch") span(at(event));
      from = null;
      return;
    }
    from = at(event);
    span(from);
    say("Tap the other end.");
  });
  svg.addEventListener("pointercancel", (event) => {
    if (event.pointerType !== "touch") from = null;
  });
}
