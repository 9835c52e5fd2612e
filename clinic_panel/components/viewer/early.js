// Early: the viewer begins from the page's own HTML, before any script of Bokeh ran. The first image
// stands there under its patient's name while the rest of the page loads; then the model of the page
// takes the place of what stood in for it, and the same viewer goes on where the page has it.
const PATIENCE_MS = 1000; // the rest of the page waits no longer for the first image
// The rest of the stack comes after the rest of the page.
const MODEST = {preload: false, prefetch: 2};

let early = null; // {area, host, model}: what began, until the page takes it over

// Begins in `host` with the params of a viewer; done once an image is painted, or none will be.
export async function begin(host, params) {
  const model = new StandIn({...params, ...MODEST});
  const area = new ReadingArea(model.face);
  try {
    const frame = make("div", "study-viewer");
    frame.append(area.root);
    host.attachShadow({mode: "open"}).append(frame);
    area.sync.watch();
    area.read();
  } catch (error) {
    area.close(); // the page begins with another
    throw error;
  }
  early = {area, host, model};
  const pause = (ms) => new Promise((over) => setTimeout(over, ms));
  let isPatient = true; // a tab in the background paints nothing
  const settled = async () => {
    while (isPatient && !area.isSettled) await new Promise(requestAnimationFrame);
  };
  await Promise.race([settled(), pause(PATIENCE_MS)]);
  isPatient = false;
  await pause(0); // in the task after its frame, an image is on the screen
}

// The same viewer goes on with the model of the page, and moves into `el` as soon as the page has made
// room for it: until then it stands where it began, and nobody sees it move.
function takeOver(model, el) {
  const {area, host, model: standIn} = early;
  early = null;
  standIn.become(model);
  const room = new ResizeObserver(([{contentRect}]) => {
    if (!contentRect.width || !contentRect.height) return;
    room.disconnect();
    settle(area.root, el);
    host.remove();
  });
  room.observe(el.getRootNode().host);
  model.on("remove", () => {
    room.disconnect();
    host.remove();
  });
  return area;
}

// Focus and a drag that is under way go along where the browser can do that.
function settle(node, el) {
  if (el.moveBefore && node.isConnected) {
    el.moveBefore(node, null);
    return;
  }
  const focused = node.getRootNode().activeElement;
  el.append(node);
  focused?.focus({preventScroll: true});
}

// Stands in for the model of the page: answers with the params of the HTML, and keeps what is said.
class StandIn {
  constructor(values) {
    this.values = values;
    this.model = null; // once it is here
    this.said = new Set();
    this.heard = []; // [names, what to do when one of them changes]
    this.messages = [];
    const own = {
      on: (names, act) => (this.model ? this.model.on(names, act) : this.heard.push([names, act])),
      send_msg: (message) => (this.model ? this.model.send_msg(message) : this.messages.push(message)),
    };
    this.face = new Proxy(this, {
      get: (_, name) => own[name] ?? (this.model ?? this.values)[name],
      set: (_, name, value) => {
        if (!this.model) this.said.add(name);
        (this.model ?? this.values)[name] = value;
        return true;
      },
    });
  }

  // The model hears what was said here; what it says otherwise than the HTML did is news.
  become(model) {
    const {said, heard, messages, values} = this;
    this.model = model;
    for (const name of said) model[name] = values[name];
    const is = (one, other) => JSON.stringify(one) === JSON.stringify(other);
    const news = new Set(Object.keys(values).filter((name) => !said.has(name) && !is(values[name], model[name])));
    for (const [names, act] of heard) {
      model.on(names, act);
      if ([names].flat().some((name) => news.has(name))) act();
    }
    for (const message of messages) model.send_msg(message);
  }
}
