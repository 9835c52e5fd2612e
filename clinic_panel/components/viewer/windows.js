// Windows: the study in a second browser window, for a second monitor. It has its own layout and
// follows the first window from study to study.
const CHANNEL = "clinic-viewer"; // of this origin alone
const SECOND = "clinic-second"; // its name; the page closes a window so named at sign-out

class Windows {
  constructor(viewer) {
    this.model = viewer.model;
    this.button = makeButton("window2", "Second window", "", () => this.open());
    this.button.hidden = !this.model.second_url;
    this.channel = null;
    const {second_url: own, is_second: isSecond} = this.model;
    if (!own && !isSecond) return; // in a notebook
    this.channel = new BroadcastChannel(CHANNEL);
    const news = {study: own, at: Date.now()};
    if (own) this.channel.postMessage(news);
    // A second window that was still loading asks for what it missed; older than it is what opened it.
    this.channel.addEventListener("message", ({data}) => {
      if (isSecond) this.follow(data?.study);
      else if (data?.missed < news.at) this.channel.postMessage(news);
    });
    if (isSecond) this.channel.postMessage({missed: performance.timeOrigin});
  }

  open() {
    if (this.button.hidden) return;
    const {availWidth: width, availHeight: height} = screen;
    window.open(this.model.second_url, SECOND, `popup,width=${width},height=${height}`)?.focus();
  }

  follow(address) {
    const there = new URL(address ?? "", location.href);
    if (there.origin !== location.origin || there.pathname !== location.pathname) return;
    if (there.search !== location.search) location.assign(there);
  }

  close() {
    this.channel?.close();
  }
}
