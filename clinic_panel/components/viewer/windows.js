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
    if (own) this.channel.postMessage({study: own});
    if (isSecond) this.channel.addEventListener("message", ({data}) => this.follow(data?.study));
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
