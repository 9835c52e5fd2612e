// The same stack under Cornerstone3D: wheel scrolls, dragging sets the window. ?cpu=1 takes its CPU
// path; ?preload=1 fills its cache first. `window.spy` notes what the benchmark reads.
import {
  Enums, RenderingEngine, cache, imageLoader, imageLoadPoolManager, init, metaData, setUseCPURendering,
} from "@cornerstonejs/core";

const wish = new URLSearchParams(location.search);
const count = Number(wish.get("slices"));
const infos = new Map(); // imageId -> what the server says of the frame
const numberOf = (imageId) => Number(imageId.split(":")[1]);

async function load(imageId) {
  const response = await fetch(`/frames/${numberOf(imageId)}/0`);
  const info = JSON.parse(response.headers.get("X-Frame-Info"));
  infos.set(imageId, info);
  const pixels = new Int16Array(await response.arrayBuffer());
  let [low, high] = [32767, -32768];
  for (const value of pixels) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return {
    imageId,
    minPixelValue: low,
    maxPixelValue: high,
    slope: info.slope,
    intercept: info.intercept,
    windowCenter: info.window_center,
    windowWidth: info.window_width,
    voiLUTFunction: "LINEAR",
    getPixelData: () => pixels,
    imageFrame: {pixelData: pixels},
    rows: info.rows,
    columns: info.columns,
    height: info.rows,
    width: info.columns,
    color: false,
    rgba: false,
    numberOfComponents: 1,
    columnPixelSpacing: info.spacing[1],
    rowPixelSpacing: info.spacing[0],
    invert: false,
    photometricInterpretation: "MONOCHROME2",
    dataType: "Int16Array",
    sizeInBytes: pixels.byteLength,
  };
}

function provide(kind, imageId) {
  const info = infos.get(imageId) ?? infos.values().next().value;
  if (!info) return undefined;
  const [rowSpacing, columnSpacing] = info.spacing;
  switch (kind) {
    case "imagePixelModule":
      return {
        bitsAllocated: 16, bitsStored: 16, highBit: 15, pixelRepresentation: 1, samplesPerPixel: 1,
        photometricInterpretation: "MONOCHROME2", rows: info.rows, columns: info.columns,
      };
    case "generalSeriesModule":
      return {modality: "CT", seriesInstanceUID: "1.2.3"};
    case "imagePlaneModule":
      return {
        rows: info.rows, columns: info.columns, pixelSpacing: info.spacing, rowPixelSpacing: rowSpacing,
        columnPixelSpacing: columnSpacing, frameOfReferenceUID: "1.2.3.4",
        imageOrientationPatient: [1, 0, 0, 0, 1, 0], rowCosines: [1, 0, 0], columnCosines: [0, 1, 0],
        imagePositionPatient: [0, 0, numberOf(imageId)],
      };
    case "voiLutModule":
      return {windowCenter: [info.window_center], windowWidth: [info.window_width]};
    case "modalityLutModule":
      return {rescaleSlope: info.slope, rescaleIntercept: info.intercept};
    default:
      return undefined;
  }
}

async function start() {
  init();
  setUseCPURendering(wish.has("cpu"));
  imageLoader.registerImageLoader("frame", (imageId) => ({promise: load(imageId)}));
  metaData.addProvider(provide, 1000);
  for (const kind of ["interaction", "prefetch", "thumbnail"]) {
    imageLoadPoolManager.setMaxSimultaneousRequests(kind, 6);
  }
  imageLoadPoolManager.grabDelay = 0;
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
