// Frames: fetched by key, kept within a budget of bytes, the shown one first, then its neighbours in
// the direction of travel, then the rest of the stack.
const FLIGHTS = 6; // browsers open six connections to one HTTP/1.1 origin
const IDLE_FLIGHTS = 3; // filling the stack leaves room for what the reader asks next

class FrameStore {
  constructor({load, arrived, failed}) {
    Object.assign(this, {load, arrived, failed});
    this.frames = new Map(); // key -> frame, oldest first
    this.flights = new Map(); // key -> {index, abort}
    this.problems = new Map(); // key -> Error
    this.stack = [];
    this.places = new Map(); // key -> index in the stack
    this.index = 0;
    this.direction = 1;
    this.bytes = 0;
    this.capacity = 256 * 2 ** 20;
    this.ahead = 24;
    this.full = true; // whether to fill the whole stack when idle
  }

  show(stack) {
    this.stack = stack;
    this.places = new Map(stack.map((entry, index) => [entry.key, index]));
    for (const [key, flight] of this.flights) if (!this.places.has(key)) flight.abort.abort();
  }

  get loaded() {
    let count = 0;
    for (const entry of this.stack) if (this.frames.has(entry.key)) count += 1;
    return count;
  }

  want(index) {
    const entry = this.stack[index];
    if (index !== this.index) {
      this.direction = index > this.index ? 1 : -1;
      // Coming to an image that failed for a passing reason asks for it again.
      if (entry && this.problems.get(entry.key)?.passing) this.problems.delete(entry.key);
    }
    this.index = index;
    if (!entry) return;
    const far = this.ahead + 4;
    if (this.flights.size > FLIGHTS) {
      for (const [key, flight] of this.flights) {
        if (Math.abs((this.places.get(key) ?? Infinity) - index) > far) flight.abort.abort();
      }
    }
    if (!this.frames.has(entry.key)) this.fetch(entry, "high");
    this.prefetch();
  }

  retry(index) {
    const entry = this.stack[index];
    if (!entry) return;
    this.problems.delete(entry.key);
    this.fetch(entry, "high");
  }

  async fetch(entry, priority) {
    const {key} = entry;
    if (this.flights.has(key) || this.problems.has(key)) return;
    const abort = new AbortController();
    this.flights.set(key, {abort});
    try {
      const frame = await this.load(entry, {signal: abort.signal, priority});
      this.keep(key, frame);
      this.flights.delete(key);
      this.arrived(key, frame);
    } catch (error) {
      this.flights.delete(key);
      if (error.name !== "AbortError") {
        this.problems.set(key, error);
        this.failed(key, error);
      } else if (this.stack[this.index]?.key === key) {
        this.fetch(entry, "high"); // left and come back to while the request was dropped
      }
    }
    this.prefetch();
  }

  prefetch() {
    const {stack, index, direction, ahead} = this;
    for (let step = 1; step <= ahead && this.flights.size < FLIGHTS; step += 1) {
      this.ask(index + direction * step);
      if (step % 4 === 1) this.ask(index - direction * Math.ceil(step / 4));
    }
    if (!this.full || this.flights.size) return;
    const room = 0.9 * this.capacity;
    for (let step = 1; step < stack.length && this.flights.size < IDLE_FLIGHTS; step += 1) {
      if (this.bytes > room) return;
      this.ask(index + step);
      this.ask(index - step);
    }
  }

  ask(index) {
    const entry = this.stack[index];
    if (entry && this.flights.size < FLIGHTS && !this.frames.has(entry.key)) this.fetch(entry, "low");
  }

  keep(key, frame) {
    this.frames.set(key, frame);
    this.bytes += frame.bytes;
    while (this.bytes > this.capacity && this.frames.size > 1) {
      let victim = null;
      let distance = -1;
      for (const candidate of this.frames.keys()) {
        const place = this.places.get(candidate);
        if (place === undefined) {
          victim = candidate; // another series: the oldest first
          break;
        }
        if (Math.abs(place - this.index) > distance) {
          distance = Math.abs(place - this.index);
          victim = candidate;
        }
      }
      this.bytes -= this.frames.get(victim).bytes;
      this.frames.delete(victim);
      if (victim === key) break;
    }
  }
}

const ARRAYS = {int16: Int16Array, uint16: Uint16Array, uint8: Uint8Array, rgb8: Uint8Array};

function frameOf(info, buffer) {
  const kind = ARRAYS[info.format];
  const samples = info.format === "rgb8" ? 3 : 1;
  const count = info.rows * info.columns * samples;
  if (!kind || buffer.byteLength !== count * kind.BYTES_PER_ELEMENT) {
    throw new Error("The image arrived incomplete.");
  }
  return {info, pixels: new kind(buffer), bytes: buffer.byteLength};
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
