// Actions: everything a key can do, with the keys it usually has; a reader may choose others. `run`
// gets {viewer, pane} and returns false when there was nothing to do.
const ACTIONS = [
  {group: "Images", id: "previous", label: "Previous image", keys: ["ArrowUp", "ArrowLeft"], run: ({pane}) => pane.step(-1)},
  {group: "Images", id: "next", label: "Next image", keys: ["ArrowDown", "ArrowRight"], run: ({pane}) => pane.step(1)},
  {group: "Images", id: "back_ten", label: "Ten images back", keys: ["PageUp"], run: ({pane}) => pane.step(-10)},
  {group: "Images", id: "on_ten", label: "Ten images on", keys: ["PageDown"], run: ({pane}) => pane.step(10)},
  {group: "Images", id: "first", label: "First image", keys: ["Home"], run: ({pane}) => pane.go(0)},
  {group: "Images", id: "last", label: "Last image", keys: ["End"], run: ({pane}) => pane.go(pane.count - 1)},
  {group: "Images", id: "previous_series", label: "Previous series", keys: ["["], run: ({pane}) => pane.nextSeries(-1)},
  {group: "Images", id: "next_series", label: "Next series", keys: ["]"], run: ({pane}) => pane.nextSeries(1)},
  {group: "Images", id: "play", label: "Play or pause", keys: [" "], run: ({pane}) => pane.play(!pane.playing)},
  {group: "Images", id: "faster", label: "Play faster", keys: [], run: ({viewer}) => viewer.pace(1)},
  {group: "Images", id: "slower", label: "Play slower, at last as recorded", keys: [], run: ({viewer}) => viewer.pace(-1)},
  {group: "Images", id: "key_image", label: "Mark as key image", keys: ["k"], run: ({viewer}) => viewer.toggleKey()},

  {group: "Mouse", id: "window", label: "Drag sets the window", keys: ["w"], run: ({viewer}) => viewer.use("window")},
  {group: "Mouse", id: "scroll", label: "Drag scrolls", keys: ["s"], run: ({viewer}) => viewer.use("scroll")},
  {group: "Mouse", id: "pan", label: "Drag moves", keys: ["p"], run: ({viewer}) => viewer.use("pan")},
  {group: "Mouse", id: "zoom", label: "Drag zooms", keys: ["z"], run: ({viewer}) => viewer.use("zoom")},

  {group: "Mouse", id: "cross", label: "Drag moves the cross-hair of the sections", keys: ["x"], run: ({viewer}) => viewer.use("cross")},

  {group: "View", id: "fit", label: "Fit to the window", keys: ["f"], run: ({pane}) => pane.fit()},
  {group: "View", id: "actual", label: "One image pixel to one of the screen", keys: ["o"], run: ({pane}) => pane.actual()},
  {group: "View", id: "reset", label: "Reset the view", keys: ["r"], run: ({pane}) => pane.reset()},
  {group: "View", id: "larger", label: "Larger", keys: ["+", "="], run: ({pane}) => pane.zoomAt(1.2)},
  {group: "View", id: "smaller", label: "Smaller", keys: ["-"], run: ({pane}) => pane.zoomAt(1 / 1.2)},
  {group: "View", id: "turn_right", label: "Turn right", keys: ["Shift+r"], run: ({pane}) => pane.turn(1)},
  {group: "View", id: "turn_left", label: "Turn left", keys: ["Shift+l"], run: ({pane}) => pane.turn(-1)},
  {group: "View", id: "flip_across", label: "Flip left and right", keys: ["u"], run: ({pane}) => pane.mirror("across")},
  {group: "View", id: "flip_down", label: "Flip top and bottom", keys: ["Shift+u"], run: ({pane}) => pane.mirror("down")},
  {group: "View", id: "magnify", label: "Magnifier, while held", keys: ["q"], run: ({pane}) => pane.magnify()},
  {group: "View", id: "graphics", label: "Graphics that an image brings", keys: ["y"], run: ({viewer}) => viewer.toggleGraphics()},
  {group: "View", id: "full_screen", label: "Full screen", keys: [], run: ({viewer}) => viewer.fullScreen()},
  {group: "View", id: "second_window", label: "Second window", keys: [], run: ({viewer}) => viewer.windows.open()},
  {group: "View", id: "share", label: "Save and hand out", keys: ["Shift+h"], run: ({viewer}) => viewer.share.toggle()},

  {group: "Sections", id: "sections", label: "Axial, coronal and sagittal sections", keys: ["v"], run: ({viewer}) => viewer.showSections(!viewer.mpr)},
  ...["Axial", "Coronal", "Sagittal"].map((name) => ({
    group: "Sections", id: name.toLowerCase(), label: `To the ${name.toLowerCase()} section`, keys: [`Shift+${name[0].toLowerCase()}`],
    run: ({viewer}) => viewer.mpr?.front(name) ?? false,
  })),
  {group: "Sections", id: "slab", label: "Next kind of slab", keys: ["j"], run: ({viewer}) => viewer.mpr?.nextSlab()},
  {group: "Sections", id: "thinner", label: "Thinner slab", keys: [","], run: ({viewer}) => viewer.mpr?.thicken(-2)},
  {group: "Sections", id: "thicker", label: "Thicker slab", keys: ["."], run: ({viewer}) => viewer.mpr?.thicken(2)},

  {group: "Panes", id: "layout", label: "Choose the layout", keys: ["0"], run: ({viewer}) => viewer.layouts.toggle()},
  {group: "Panes", id: "previous_pane", label: "Previous pane", keys: ["<"], run: ({viewer}) => viewer.nextPane(-1)},
  {group: "Panes", id: "next_pane", label: "Next pane", keys: [">"], run: ({viewer}) => viewer.nextPane(1)},
  {group: "Panes", id: "enlarge", label: "One pane large, or all again", keys: ["Shift+x"], run: ({viewer}) => viewer.enlarge()},
  {group: "Panes", id: "scroll_together", label: "Scroll panes together", keys: ["Shift+j"], run: ({viewer}) => viewer.join("scroll")},
  {group: "Panes", id: "reference_lines", label: "Reference lines", keys: [], run: ({viewer}) => viewer.join("lines")},
  {group: "Panes", id: "same_window", label: "Same window in all panes", keys: [], run: ({viewer}) => viewer.join("window")},
  {group: "Panes", id: "prior", label: "Prior beside, or this study alone", keys: ["Shift+p"], run: ({viewer}) => viewer.compare()},

  {group: "Window", id: "invert", label: "Invert", keys: ["i"], run: ({pane}) => pane.flip()},
  {group: "Window", id: "subtract", label: "Subtraction of a recording by X-rays", keys: ["Shift+d"], run: ({pane}) => pane.subtract()},
  {group: "Window", id: "remask", label: "Take this image as the mask", keys: ["Shift+m"], run: ({pane}) => pane.remask()},
  {group: "Window", id: "colours", label: "Next colour map", keys: [";"], run: ({pane}) => pane.nextPalette()},
  {group: "Window", id: "full_range", label: "Full range", keys: [], run: ({pane}) => pane.fullRange()},
  ...Array.from({length: 9}, (_, i) => (
    {group: "Window", id: `preset_${i + 1}`, label: `Window preset ${i + 1}`, keys: [String(i + 1)], run: ({pane}) => pane.preset(i)}
  )),

  ...Object.entries(MEASURES).map(([kind, {label, key}]) => (
    {group: "Measure", id: kind, label, keys: [key], run: ({viewer}) => viewer.use(kind)}
  )),
  {group: "Measure", id: "place", label: "Close the polygon, or place the shape in the middle", keys: ["Enter"], run: ({pane}) => pane.place()},
  {group: "Measure", id: "next_shape", label: "Choose the next shape", keys: ["'"], run: ({pane}) => pane.shapes.nextShape()},
  {group: "Measure", id: "next_point", label: "Choose its next point", keys: ["/"], run: ({pane}) => pane.shapes.nextPoint()},
  ...[["Up", 0, -1], ["Down", 0, 1], ["Left", -1, 0], ["Right", 1, 0]].map(([name, x, y]) => ({
    group: "Measure", id: `nudge_${name.toLowerCase()}`, label: `Move the shape, its point or the cross-hair ${name.toLowerCase()}`,
    keys: [`Shift+Arrow${name}`], run: ({pane}) => pane.shapes.nudge([x, y]) || pane.nudge(x, y),
  })),
  {group: "Measure", id: "remove", label: "Remove the shape", keys: ["Delete"], run: ({viewer}) => viewer.ledger.remove()},
  {
    group: "Measure", id: "take_back", label: "Take back the last corner, or remove", keys: ["Backspace"],
    run: ({viewer, pane}) => pane.shapes.retreat() || viewer.ledger.remove(),
  },
  {group: "Measure", id: "undo", label: "Undo", keys: ["Ctrl+z"], run: ({viewer}) => viewer.ledger.undo()},
  {group: "Measure", id: "redo", label: "Redo", keys: ["Ctrl+y", "Ctrl+Shift+z"], run: ({viewer}) => viewer.ledger.redo()},
  {group: "Measure", id: "list", label: "List of measurements", keys: ["m"], run: ({viewer}) => viewer.marks.toggle()},
  {group: "Measure", id: "let_go", label: "Let go", keys: ["Escape"], run: ({pane}) => pane.letGo()},

  {group: "Help", id: "header", label: "DICOM header of the image", keys: ["h"], run: ({viewer}) => viewer.showHeader()},
  {group: "Help", id: "help", label: "Keyboard and mouse help", keys: ["?"], run: ({viewer}) => viewer.help.show()},
  {group: "Help", id: "settings", label: "Settings of the viewer", keys: [], run: ({viewer}) => viewer.settings.show()},
];

const BY_HAND = [
  ["Wheel, drag the slider", "Previous or next image"],
  ["Right drag, Ctrl + wheel", "Zoom"],
  ["Middle drag, Shift + drag", "Move the image"],
  ["Two fingers", "Zoom and move"],
  ["A finger that rests", "Value under a magnifier; on a shape, its text"],
  ["Double-click a shape", "Its text"],
  ["Double-click one of several panes", "That one large, or all again"],
  ["Drag a series into a pane", "Hangs there"],
];

const LONE = ["Shift", "Control", "Alt", "Meta", "CapsLock", "Dead", "Process", "Unidentified", "AltGraph", "Tab"];

// A key as it is kept: "l", "Shift+l", "Ctrl+z", "ArrowUp"; null for one that cannot be had.
function keyNamed({key, code, ctrlKey, metaKey, shiftKey}) {
  if (LONE.includes(key)) return null;
  let name = key;
  // On a keyboard of another script a letter is the one that stands there in Latin.
  if (key.length === 1 && key > "~" && /^Key[A-Z]$/.test(code)) name = code.slice(3);
  const letter = /^[a-zA-Z]$/.test(name);
  if (letter) name = name.toLowerCase();
  const shifted = shiftKey && (letter || name.length > 1); // a sign says by itself that it is shifted
  return `${ctrlKey || metaKey ? "Ctrl+" : ""}${shifted ? "Shift+" : ""}${name}`;
}

const SPOKEN = {
  " ": "Space", ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", PageUp: "Page Up", PageDown: "Page Down",
  Escape: "Esc", Backspace: "Backspace", "-": "−",
};

function keyShown(key) {
  const parts = key === "+" || key.endsWith("++") ? [...key.slice(0, -1).split("+"), "+"] : key.split("+");
  return parts.filter(Boolean).map((part) => SPOKEN[part] ?? (part.length === 1 ? part.toUpperCase() : part)).join(" + ");
}

// Action -> its keys: what the reader chose goes before what another action usually has.
function bindingsOf(chosen) {
  const taken = new Set(ACTIONS.flatMap(({id}) => chosen[id] ?? []));
  return new Map(ACTIONS.map(({id, keys}) => [id, chosen[id] ?? keys.filter((key) => !taken.has(key))]));
}

// The keys of one reader.
class Keys {
  constructor(chosen) {
    this.bindings = bindingsOf(chosen);
    this.actions = new Map();
    for (const action of ACTIONS) for (const key of this.bindings.get(action.id)) this.actions.set(key, action);
  }

  actionOf(event) {
    return this.actions.get(keyNamed(event));
  }

  shown(id) {
    return this.bindings.get(id).map(keyShown).join(", ");
  }

  // Buttons say the key that works; `usual` is the key they were made with.
  label(root) {
    for (const button of root.querySelectorAll("button[data-usual]")) {
      const {usual, name} = button.dataset;
      const wanted = usual === "Space" ? " " : usual.replace(/[A-Z]$/, (letter) => letter.toLowerCase());
      const action = ACTIONS.find(({keys}) => keys.includes(wanted));
      if (!action) continue;
      const keys = this.bindings.get(action.id);
      button.title = keys.length ? `${name} (${keyShown(keys[0])})` : name;
      if (keys[0]?.length === 1 && keys[0] !== " ") button.setAttribute("aria-keyshortcuts", keyShown(keys[0]));
      else button.removeAttribute("aria-keyshortcuts");
    }
  }
}
