"""The viewer and Cornerstone3D on one server, with one stack: 300 x 512 x 512 int16."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import panel as pn
import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import FileResponse, HTMLResponse
from panel.io.fastapi import add_applications
from pydicom import Dataset, dcmwrite
from pydicom.uid import JPEG2000Lossless

from clinic_panel.components.viewer.viewer import StudyViewer
from clinic_panel.imaging.grid import Grid, grid_of
from clinic_panel.imaging.phantom import ct_phantom, ultrasound
from clinic_panel.imaging.picture import Picture, describe
from clinic_panel.imaging.pixels import read_frame
from clinic_panel.imaging.thumbnail import render
from clinic_panel.services.frames import PREVIEW_EDGE_PX, PREVIEW_QUALITY

SLICES: Final = 300
PORT_PIXELS: Final = 768  # the picture's own height and width in either page
_AROUND: Final = {"width": 154, "height": 85}  # our rail and toolbar beside it
CLIP: Final = 1_000_000  # our number of the clip
CLIP_FRAMES: Final = 500
_BEAT: Final = 20  # frames of it that differ
KINDS: Final = ("uncompressed", "JPEG 2000", "radiograph")
_PEER: Final = Path(__file__).parent / "cornerstone"
_BUILT: Final = Path(__file__).parents[1] / ".tools" / "cornerstone"
_SECTIONS_PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Cornerstone3D</title>
<style>body { margin: 0 } main { display: grid; grid: 364px 364px / 520px 346px; gap: 2px }
#AXIAL { grid-row: span 2 }</style>
<main><div id="AXIAL"></div><div id="CORONAL"></div><div id="SAGITTAL"></div></main>
<script src="/peer-mpr.js"></script>"""  # each as large as ours
_PEER_PAGE: Final = f"""<!doctype html><meta charset="utf-8"><title>Cornerstone3D</title>
<style>body {{ margin: 0 }} #port {{ width: {PORT_PIXELS}px; height: {PORT_PIXELS}px }}</style>
<div id="port"></div><script src="/peer.js"></script>"""


def build_peer() -> Path:
    """Fetch Cornerstone3D from npm, as locked, and bundle its page; once."""
    bundle = _BUILT / "page.bundle.js"
    names = ("package.json", "package-lock.json", "stack.js", "mpr.js", "page.js")
    sources = [_PEER / name for name in names]
    if bundle.exists() and all(one.stat().st_mtime < bundle.stat().st_mtime for one in sources):
        return bundle
    _BUILT.mkdir(parents=True, exist_ok=True)
    for one in sources:
        shutil.copy(one, _BUILT)
    quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    subprocess.run(["npm", "ci", *quiet], cwd=_BUILT, check=True)
    options = ["--bundle", "--minify", "--define:global=globalThis"]
    esbuild = str(_BUILT / "node_modules" / ".bin" / "esbuild")
    for page in ("mpr", "page"):
        built = [*options, f"--outfile={_BUILT / page}.bundle.js"]
        subprocess.run([esbuild, f"{page}.js", *built], cwd=_BUILT, check=True, capture_output=True)
    return bundle


def serve() -> str:
    """Serve ``/study`` (ours) and ``/peer`` until the process ends; return the origin.

    ``?preload`` fills the browser's cache at once; ``?slices=N`` makes the stack longer; ``?clip``
    shows ours an ultrasound of 500 frames in colour; ``?mpr`` opens ours in sections.
    """
    bundle = build_peer()
    clip = _described(ultrasound(frames=_BEAT, rows=600, columns=800))
    pictures = [_described(ds) for ds in ct_phantom(slices=SLICES)]
    kinds = dict(zip(KINDS, map(_described, _kinds()), strict=True))
    api = FastAPI()

    @api.get("/frames/{number}/{frame}")
    def frame(number: int, frame: int) -> Response:
        is_clip = number == CLIP
        picture = clip if is_clip else pictures[number % SLICES]
        found = read_frame(picture, frame % _BEAT if is_clip else frame)
        return Response(found.data, headers={"X-Frame-Info": found.info.as_header()})

    @api.get("/kinds/{kind}/{frame}")
    def kind_of(kind: str, frame: int) -> Response:
        found = read_frame(kinds[kind], frame)
        return Response(found.data, headers={"X-Frame-Info": found.info.as_header()})

    @api.get("/previews/{kind}/{frame}")
    def preview(kind: str, frame: int) -> Response:
        found = read_frame(kinds[kind], frame)
        out = BytesIO()
        render(found, PREVIEW_EDGE_PX).save(out, "JPEG", quality=PREVIEW_QUALITY)
        return Response(out.getvalue(), headers={"X-Frame-Info": found.info.as_header()})

    @api.get("/peer")
    def peer() -> HTMLResponse:
        return HTMLResponse(_PEER_PAGE)

    @api.get("/peer-mpr")
    def sections() -> HTMLResponse:
        return HTMLResponse(_SECTIONS_PAGE)

    @api.get("/peer-mpr.js")
    def sections_script() -> FileResponse:
        return FileResponse(bundle.with_name("mpr.bundle.js"), media_type="text/javascript")

    @api.get("/peer.js")
    def peer_script() -> FileResponse:
        return FileResponse(bundle, media_type="text/javascript")

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    grid = grid_of([(picture, 0) for picture in pictures])
    add_applications({"/study": lambda: _page(grid)}, app=api)
    server = uvicorn.Server(uvicorn.Config(api, port=port, log_level="warning"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    return f"http://127.0.0.1:{port}"


def _described(ds: Dataset) -> Picture:
    out = BytesIO()
    dcmwrite(out, ds, enforce_file_format=True)
    return describe(out.getvalue())


def _kinds() -> list[Dataset]:
    """A slice as it is, the same as JPEG 2000, and a radiograph of 2,500 x 2,048 pixels."""
    plain, packed, large = (next(iter(ct_phantom(slices=1))) for _ in KINDS)
    packed.compress(JPEG2000Lossless)
    rng = np.random.default_rng(1)
    large.Rows, large.Columns = 2500, 2048
    large.PixelData = rng.integers(0, 2000, (2500, 2048), np.int16).tobytes()
    return [plain, packed, large]


def _page(grid: Grid) -> Any:
    wish = pn.state.session_args
    if "kinds" in wish:
        first = {"id": "0", "label": "first", "modality": "CT", "thumbnail_url": ""}
        others = [
            {"id": kind, "label": kind, "modality": "CT", "thumbnail_url": ""}
            | {
                "frames": [
                    {"id": number, "url": f"/kinds/{kind}/0", "preview": f"/previews/{kind}/0"}
                ]
            }
            for number, kind in enumerate(KINDS, SLICES)
        ]
        series = [first | {"frames": [{"id": 0}]}, *others]
        return StudyViewer(
            series=series, frame_url="/frames/{id}/{frame}", width=1024, height=820, preload=False
        )
    slices = int(wish.get("slices", [b"300"])[0])
    stack = [{"id": number} for number in range(slices)]
    ct = {"id": "1", "label": "CT", "modality": "CT", "thumbnail_url": "", "frames": stack}
    longer = replace(grid, size=(*grid.size[:2], slices))  # the phantom again and again
    series = [ct | {"grid": longer.as_dict()}]
    if "clip" in wish:
        us = {"id": "2", "label": "Clip", "modality": "US", "thumbnail_url": ""}
        series = [us | {"frames": [{"id": CLIP, "count": CLIP_FRAMES}]}]
    is_mpr = "mpr" in wish
    stands = {name: PORT_PIXELS + around for name, around in _AROUND.items()}
    return StudyViewer(
        series=series,
        frame_url="/frames/{id}/{frame}",
        preload="preload" in wish,
        mpr=is_mpr,
        **({"width": 1024, "height": 820} if is_mpr else stands),
    )
