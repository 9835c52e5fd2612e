// The same stack under Cornerstone3D: wheel scrolls, dragging sets the window. ?cpu=1 takes its CPU
// path; ?preload=1 fills its cache first. `window.spy` notes what the benchmark reads.
import {Enums, RenderingEngine, cache, imageLoader, init, setUseCPURendering} from "@cornerstonejs/core";
import {answerLoads, numberOf} from "./stack.js";

const wish = new URLSearchParams(location.search);
const count = Number(wish.get("slices"));
async function start() {
  init();
  setUseCPURendering(wish.has("cpu"));
  answerLoads();
  cache.setMaxCacheSize(2 ** 30);
  const host = document.querySelector("#port");
  const engine = new RenderingEngine("engine");
  engine.enableElement({viewportId: "CT", type: Enums.ViewportType.STACK, element: host});
  const viewport = engine.getViewport("CT");
  const ids = Array.from({length: count}, (_, number) => `frame:${number}`);
  const spy = window.spy = {host, viewport, events: [], paints: [], shown: 0};
  const channel = new MessageChannel();
  channel.port1.onmessage = ({data}) => spy.paints.push([performance.now(), data]);
  host.addEventListener(Enums.Events.STACK_NEW_IMAGE, ({detail}) => (spy.shown = numberOf(detail.image.imageId)));
  host.addEventListener(Enums.Events.IMAGE_RENDERED, () => channel.port2.postMessage(spy.shown));
  await viewport.setStack(ids, 0);
  if (wish.has("preload")) await Promise.all(ids.map((id) => imageLoader.loadAndCacheImage(id)));
  let {lower, upper} = viewport.getProperties().voiRange;
  host.addEventListener("wheel", (event) => {
    event.preventDefault();
    spy.events.push(event.timeStamp);
    viewport.scroll(Math.sign(event.deltaY), false);
  }, {passive: false});
  host.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    spy.events.push(event.timeStamp);
    lower += event.movementY - event.movementX;
    upper += event.movementY + event.movementX;
    viewport.setProperties({voiRange: {lower, upper: Math.max(upper, lower + 1)}});
    viewport.render();
  });
  spy.go = (index) => viewport.setImageIdIndex(index);
  spy.ready = true;
}

start();
