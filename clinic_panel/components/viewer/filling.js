// Filling: brings the slices of a stack into its volume, outward from where the reader stands.
const FILLING_FLIGHTS = 4; // of the browser's six connections; the others stay free for the reader
const FILLING_MS = 10; // of what is here already, before the screen has its turn

class Filling {
  // known(key): a frame that is here already; wider(): the volume needs more room than it was given.
  constructor(volume, stack, {load, known, changed, wider}) {
    Object.assign(this, {volume, load, known, changed, wider});
    this.problems = new Map(); // slice -> Error
    this.flights = new Map(); // slice -> AbortController
    this.at = 0;
    this.closed = false;
    this.follow(stack);
  }

  // The stack may have grown or moved; slices that came keep their place as long as it is the same.
  follow(stack) {
    this.stack = stack.slice(0, this.volume.grid.size[2]); // papers follow the images
  }

  get done() {
    return this.volume.received + this.problems.size >= this.stack.length;
  }

  // What failed for a passing reason is asked for again when the reader moves on.
  towards(layer) {
    this.at = this.volume.sliceOf(layer);
    if (!this.flights.size) {
      for (const [slice, problem] of this.problems) if (problem.passing) this.problems.delete(slice);
    }
    this.pump();
  }

  next() {
    const {volume, stack, problems, flights, at} = this;
    const open = (z) => z >= 0 && z < stack.length && !volume.came[z] && !problems.has(z) && !flights.has(z);
    for (let step = 0; step < stack.length; step += 1) {
      if (open(at + step)) return at + step;
      if (open(at - step)) return at - step;
    }
    return null;
  }

  pump() {
    const began = performance.now();
    clearTimeout(this.resting);
    while (!this.closed && this.flights.size < FILLING_FLIGHTS) {
      if (performance.now() - began > FILLING_MS) {
        this.resting = setTimeout(() => this.pump());
        return;
      }
      const z = this.next();
      if (z === null) return;
      const frame = this.known(this.stack[z].key);
      if (frame) this.put(z, frame);
      else this.fetch(z);
    }
  }

  async fetch(z) {
    const abort = new AbortController();
    this.flights.set(z, abort);
    try {
      const frame = await this.load(this.stack[z], {signal: abort.signal, priority: "low"});
      if (!this.closed) this.put(z, frame);
    } catch (error) {
      if (this.closed) return;
      this.problems.set(z, error);
      this.changed();
    } finally {
      this.flights.delete(z);
    }
    this.pump();
  }

  put(z, frame) {
    try {
      this.volume.put(z, frame);
    } catch (error) {
      if (error === TOO_WIDE) {
        this.close();
        this.wider();
        return;
      }
      const full = error instanceof RangeError; // no room for the block: no slice will find any
      this.problems.set(z, full ? new Error("This computer has too little memory for the volume.") : error);
      if (full) this.close();
    }
    this.changed();
  }

  close() {
    this.closed = true;
    clearTimeout(this.resting);
    for (const abort of this.flights.values()) abort.abort();
  }
}
