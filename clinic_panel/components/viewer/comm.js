// Comm: pixels over the connection of the page, where no HTTP route exists, as in a notebook.
class Comm {
  constructor(model) {
    this.model = model;
    this.waiting = new Map(); // key -> who waits for it
  }

  load(entry, {signal}) {
    return new Promise((resolve, reject) => {
      this.waiting.set(entry.key, {resolve, reject});
      signal.addEventListener("abort", () => {
        this.waiting.delete(entry.key);
        reject(new DOMException("dropped", "AbortError"));
      });
      this.model.send_msg({want: entry.key, series: entry.series, id: entry.id, frame: entry.frame});
    });
  }

  received({key, info, pixels, problem}) {
    const waiting = this.waiting.get(key);
    this.waiting.delete(key);
    if (!waiting) return;
    try {
      if (problem) throw new Error(problem);
      const view = pixels instanceof ArrayBuffer ? pixels : pixels.buffer.slice(pixels.byteOffset, pixels.byteOffset + pixels.byteLength);
      waiting.resolve(frameOf(info, view));
    } catch (error) {
      waiting.reject(error);
    }
  }
}
