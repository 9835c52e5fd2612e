// The stack as Cornerstone3D asks for it: its pixels and what their header says.
import {imageLoader, imageLoadPoolManager, metaData} from "@cornerstonejs/core";

const SLICE_MM = 1.5;
const infos = new Map(); // imageId -> what the server says of the frame
export const numberOf = (imageId) => Number(imageId.split(":")[1]);

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
        imagePositionPatient: [0, 0, SLICE_MM * numberOf(imageId)],
      };
    case "voiLutModule":
      return {windowCenter: [info.window_center], windowWidth: [info.window_width]};
    case "modalityLutModule":
      return {rescaleSlope: info.slope, rescaleIntercept: info.intercept};
    default:
      return undefined;
  }
}

export function answerLoads() {
  imageLoader.registerImageLoader("frame", (imageId) => ({promise: load(imageId)}));
  metaData.addProvider(provide, 1000);
  for (const kind of ["interaction", "prefetch", "thumbnail"]) {
    imageLoadPoolManager.setMaxSimultaneousRequests(kind, 6);
  }
  imageLoadPoolManager.grabDelay = 0;
}
