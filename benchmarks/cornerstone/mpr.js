// Three linked sections of the same volume under Cornerstone3D: dragging moves the point in which
// they meet. ?cpu takes its CPU path. `window.spy` notes what the benchmark reads.
import {
  Enums, RenderingEngine, cache, imageLoader, init, setUseCPURendering, utilities, volumeLoader,
} from "@cornerstonejs/core";
import {answerLoads} from "./stack.js";

const SECTIONS = ["AXIAL", "CORONAL", "SAGITTAL"];

async function start() {
  const wish = new URLSearchParams(location.search);
  const ids = Array.from({length: Number(wish.get("slices"))}, (_, number) => `frame:${number}`);
  init();
  setUseCPURendering(wish.has("cpu"));
  answerLoads();
  cache.setMaxCacheSize(2 ** 30);
  await imageLoader.loadAndCacheImage(ids[0]);
  const volumeId = "cornerstoneStreamingImageVolume:ct";
  const volume = await volumeLoader.createAndCacheVolume(volumeId, {imageIds: ids});
  await Promise.all(ids.map((id) => imageLoader.loadAndCacheImage(id)));
  await volume.load();
  utilities.genericViewportDisplaySetMetadataProvider.add("ct", {imageIds: ids, volumeId, kind: "planar"});
  const engine = new RenderingEngine("engine");
  for (const name of SECTIONS) {
    engine.enableElement({
      viewportId: name, type: Enums.ViewportType.PLANAR_NEXT, element: document.querySelector(`#${name}`),
      defaultOptions: {orientation: Enums.OrientationAxis[name]},
    });
    await engine.getViewport(name).setDisplaySets({
      displaySetId: "ct", options: {orientation: Enums.OrientationAxis[name]},
    });
  }
  const views = SECTIONS.map((name) => engine.getViewport(name));
  const spy = window.spy = {events: [], paints: []};
  const channel = new MessageChannel();
  channel.port1.onmessage = () => spy.paints.push([performance.now(), 0]);
  let rendered = new Set();
  for (const name of SECTIONS) {
    document.querySelector(`#${name}`).addEventListener(Enums.Events.IMAGE_RENDERED, () => {
      rendered.add(name);
      if (!rendered.has("CORONAL") || !rendered.has("SAGITTAL")) return;
      rendered = new Set();
      channel.port2.postMessage(0);
    });
  }
  const axial = document.querySelector("#AXIAL");
  axial.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    spy.events.push(event.timeStamp);
    const point = views[0].canvasToWorld([event.offsetX, event.offsetY]);
    for (const view of views.slice(1)) {
      view.setViewState({slice: {kind: "volumePoint", sliceWorldPoint: point}});
    }
    engine.renderViewports(SECTIONS.slice(1));
  });
  engine.render();
  spy.ready = true;
}

start().catch((error) => (window.failed = String(error?.stack ?? error)));
