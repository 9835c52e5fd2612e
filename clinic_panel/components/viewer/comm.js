// Comm: what comes over the connection of the page where no HTTP route exists, as in a notebook: pixels,
// and by errands whatever else is asked for.
class Comm {
  constructor(model, heard) {
    this.model = model;
    this.heard = heard; // told of the first answer
    this.isHeard = Boolean(model.frame_url); // in a notebook what is said before that is lost
    this.waiting = new Map(); // key of a frame, or number of an errand -> who waits for it
    this.errands = 0;
  }

  load(entry, {signal}) {
    return new Promise((resolve, reject) => {
      this.waiting.set(entry.key, {resolve, reject});
      signal.addEventListener("abort", () => {
        this.waiting.delete(entry.key);
        reject(new DOMException("dropped", "AbortError"));
      });
      this.model.send_msg({want: entry.key, series: entry.series, id: entry.id, frame: entry.frame, mask: entry.mask ?? ""});
    });
  }

  ask(wish) {
    return new Promise((resolve, reject) => {
      this.errands += 1;
      this.waiting.set(this.errands, {resolve, reject});
      this.model.send_msg({errand: this.errands, ...wish});
    });
  }

  received({key, errand, info, pixels, found, bytes, problem}) {
    const waiting = this.waiting.get(errand ?? key);
    this.waiting.delete(errand ?? key);
    if (!this.isHeard) {
      this.isHeard = true;
      this.heard();
    }
    if (!waiting) return;
    try {
      if (problem) throw new Error(problem);
      if (errand) {
        waiting.resolve(found ?? bytes);
        return;
      }
      const view = pixels instanceof ArrayBuffer ? pixels : pixels.buffer.slice(pixels.byteOffset, pixels.byteOffset + pixels.byteLength);
      waiting.resolve(frameOf(info, view));
    } catch (error) {
      waiting.reject(error);
    }
  }
}
