// Frames: fetched by key, kept within one budget of bytes for all panes. Each pane stands somewhere
// in its stack (a lane): what the panes show comes first, then their neighbours in the direction of
// travel, pane by pane, then the rest of the stacks.
const FLIGHTS = 6; // browsers open six connections to one HTTP/1.1 origin
const IDLE_FLIGHTS = 3; // filling the stacks leaves room for what the reader asks next
const SLOW = 4000; // bytes a millisecond: on slower lines, what is looked at comes alone
const SLOW_FLIGHTS = 2;
const LATE_MS = 200; // an image that takes longer is shown in a smaller, lossy form first

class Lane {
  constructor(store) {
    this.store = store;
    this.stack = [];
    this.places = new Map(); // key -> index in the stack
    this.index = 0;
    this.direction = 1;
    this.frameBytes = 0;
    this.awake = true; // a pane that is not seen asks for nothing
    this.counted = {at: -1, loaded: 0};
  }

  get key() {
    return this.stack[this.index]?.key;
  }

  get loaded() {
    const {counted, store} = this;
    if (counted.at !== store.changes) {
      counted.at = store.changes;
      counted.loaded = 0;
      for (const entry of this.stack) if (store.frames.has(entry.key)) counted.loaded += 1;
    }
    return counted.loaded;
  }

  // How many images ahead fit in this lane's share of the budget, with those behind.
  get reach() {
    const {capacity, lanes, ahead} = this.store;
    if (!this.frameBytes) return ahead;
    return Math.min(ahead, Math.floor((0.9 * capacity) / lanes.size / (1.25 * this.frameBytes)));
  }

  show(stack) {
    this.stack = stack;
    this.places = new Map(stack.map((entry, index) => [entry.key, index]));
    this.frameBytes = 0;
    this.counted.at = -1;
    this.store.dropBeyond(Infinity);
  }

  want(index) {
    const {store} = this;
    const entry = this.stack[index];
    if (index !== this.index) {
      this.direction = index > this.index ? 1 : -1;
      // Coming to an image that failed for a passing reason asks for it again.
      if (entry && store.problems.get(entry.key)?.passing) store.problems.delete(entry.key);
    }
    this.index = index;
    if (!entry) return;
    if (store.flights.size > store.most) store.dropBeyond(store.ahead + 5);
    if (!store.frames.has(entry.key)) store.fetch(entry, "high");
    store.prefetch();
  }

  retry(index) {
    const entry = this.stack[index];
    if (!entry) return;
    this.store.problems.delete(entry.key);
    this.store.fetch(entry, "high");
  }

  ask(index) {
    const entry = this.stack[index];
    if (entry) this.store.ask(entry);
  }

  close() {
    this.store.lanes.delete(this);
    this.show([]);
  }
}

class FrameStore {
  constructor({load, arrived, failed}) {
    Object.assign(this, {load, arrived, failed});
    this.frames = new Map(); // key -> frame, oldest first
    this.flights = new Map(); // key -> {abort}
    this.problems = new Map(); // key -> Error
    this.lanes = new Set();
    this.previews = new Map(); // key -> a smaller, lossy form, while the image is on its way
    this.pace = 0; // bytes a millisecond, of late
    this.changes = 0;
    this.bytes = 0;
    this.capacity = 256 * 2 ** 20;
    this.ahead = 24;
    this.full = true; // whether to fill the whole stacks when idle
  }

  lane() {
    const lane = new Lane(this);
    this.lanes.add(lane);
    return lane;
  }

  // How far a frame is from what any pane shows; infinite where it is in no pane's stack.
  distance(key) {
    let least = Infinity;
    for (const {places, index} of this.lanes) {
      const place = places.get(key);
      if (place !== undefined) least = Math.min(least, Math.abs(place - index));
    }
    return least;
  }

  dropBeyond(far) {
    for (const [key, flight] of this.flights) if (this.distance(key) >= far) flight.abort.abort();
  }

  get most() {
    return this.pace < SLOW ? SLOW_FLIGHTS : FLIGHTS;
  }

  async fetch(entry, priority) {
    const {key} = entry;
    if (this.flights.has(key) || this.problems.has(key)) return;
    const abort = new AbortController();
    this.flights.set(key, {abort});
    const late = entry.preview && setTimeout(() => this.sketch(entry, abort.signal), LATE_MS);
    const began = performance.now();
    try {
      const frame = await this.load(entry, {signal: abort.signal, priority});
      const pace = frame.bytes / Math.max(performance.now() - began, 1);
      this.pace = this.pace ? 0.8 * this.pace + 0.2 * pace : pace;
      this.keep(key, frame);
      this.land(key, late);
      this.arrived(key, frame);
    } catch (error) {
      this.land(key, late);
      if (error.name !== "AbortError") {
        this.problems.set(key, error);
        this.failed(key, error);
      } else if (this.distance(key) === 0) {
        this.fetch(entry, "high"); // left and come back to while the request was dropped
      }
    }
    this.prefetch();
  }

  land(key, late) {
    clearTimeout(late);
    this.flights.delete(key);
    this.previews.get(key)?.bitmap.close();
    this.previews.delete(key);
  }

  // Only for what is looked at; should it fail, the image itself is still on its way.
  async sketch(entry, signal) {
    const {key} = entry;
    if (this.distance(key) !== 0) return;
    const frame = await loadPreview(entry, {signal}).catch(() => null);
    if (!frame) return;
    if (!this.flights.has(key) || signal.aborted) {
      frame.bitmap.close();
      return;
    }
    this.previews.set(key, frame);
    this.arrived(key, frame);
  }

  prefetch() {
    const lanes = [...this.lanes].filter((lane) => lane.awake && lane.loaded < lane.stack.length);
    if (!lanes.length) return;
    if (this.pace < SLOW && lanes.some((lane) => this.flights.has(lane.key))) return;
    for (let step = 1; step <= this.ahead && this.flights.size < this.most; step += 1) {
      for (const lane of lanes) {
        if (step > lane.reach) continue;
        lane.ask(lane.index + lane.direction * step);
        if (step % 4 === 1) lane.ask(lane.index - lane.direction * Math.ceil(step / 4));
      }
    }
    if (!this.full || this.flights.size) return;
    const room = 0.9 * this.capacity;
    const most = Math.max(0, ...lanes.map((lane) => lane.stack.length));
    for (let step = 1; step < most && this.flights.size < IDLE_FLIGHTS; step += 1) {
      if (this.bytes > room) return;
      for (const lane of lanes) {
        if (this.flights.size >= IDLE_FLIGHTS) return;
        lane.ask(lane.index + step);
        lane.ask(lane.index - step);
      }
    }
  }

  ask(entry) {
    if (this.flights.size < this.most && !this.frames.has(entry.key)) this.fetch(entry, "low");
  }

  // So many bytes from now on; what is too much goes at once.
  hold(bytes) {
    this.capacity = bytes;
    this.trim();
  }

  // What a pane shows stays; of the rest goes what no pane holds, then what is farthest from the eye.
  keep(key, frame) {
    this.frames.set(key, frame);
    this.bytes += frame.bytes;
    this.changes += 1;
    for (const lane of this.lanes) if (lane.places.has(key)) lane.frameBytes = frame.bytes;
    this.trim(key);
  }

  trim(newest) {
    while (this.bytes > this.capacity) {
      let victim = null;
      let farthest = 0;
      for (const candidate of this.frames.keys()) {
        const distance = this.distance(candidate);
        if (distance > farthest) {
          farthest = distance;
          victim = candidate;
        }
        if (distance === Infinity) break; // the oldest of another series
      }
      if (victim === null) return;
      this.bytes -= this.frames.get(victim).bytes;
      this.frames.delete(victim);
      this.changes += 1;
      if (victim === newest) return;
    }
  }
}

const ARRAYS = {
  int16: Int16Array, uint16: Uint16Array, uint8: Uint8Array, rgb8: Uint8Array,
  int32: Int32Array, uint32: Uint32Array, float32: Float32Array,
};

function frameOf(info, buffer) {
  const kind = ARRAYS[info.format];
  const samples = info.format === "rgb8" ? 3 : 1;
  const count = info.rows * info.columns * samples;
  const size = count * (kind?.BYTES_PER_ELEMENT ?? 0);
  const graphics = info.overlay ? Math.ceil((info.rows * info.columns) / 8) : 0;
  const tones = info.colours ? 3 * info.colours.count : 0;
  if (!kind || buffer.byteLength !== size + graphics + tones) {
    throw new Error("The image arrived incomplete.");
  }
  const overlay = graphics ? new Uint8Array(buffer, size, graphics) : null;
  const tints = tones ? new Uint8Array(buffer, size + graphics, tones) : null;
  return {info, overlay, tints, pixels: new kind(buffer, 0, count), bytes: buffer.byteLength};
}

async function reasonOf(response) {
  if (response.status === 401) return "You are signed out. Please sign in again.";
  if (response.status === 403) return "Your role does not allow you to see this image.";
  const kind = response.headers.get("Content-Type") ?? "";
  let reason = "";
  if (kind.startsWith("application/json")) reason = (await response.json().catch(() => ({}))).detail;
  else if (kind.startsWith("text/plain")) reason = await response.text();
  if (typeof reason !== "string" || reason.length > 300) reason = "";
  if (reason) return reason;
  return response.status === 404
    ? "The image is not in the archive." : `The server answered ${response.status}.`;
}

async function loadByHttp(entry, {signal, priority}) {
  let response;
  try {
    response = await fetch(entry.url, {credentials: "same-origin", signal, priority});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("The server cannot be reached."), {passing: true});
  }
  if (!response.ok) {
    const passing = response.status >= 500 || [401, 404, 429].includes(response.status);
    throw Object.assign(new Error(await reasonOf(response)), {passing});
  }
  const header = response.headers.get("X-Frame-Info");
  const info = header ? {...JSON.parse(header), ...entry.info} : entry.info;
  return frameOf(info, await response.arrayBuffer());
}

async function loadPreview(entry, {signal}) {
  const response = await fetch(entry.preview, {credentials: "same-origin", signal, priority: "high"});
  if (!response.ok) throw new Error("There is no preview.");
  const info = JSON.parse(response.headers.get("X-Frame-Info"));
  return {info, bitmap: await createImageBitmap(await response.blob())};
}
