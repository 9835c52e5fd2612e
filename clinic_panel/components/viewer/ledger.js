// Ledger: the measurements of the study, one list for all panes, and what undoes and redoes it.
const UNDO_STEPS = 100;

class Ledger {
  constructor({drawn, changed}) {
    Object.assign(this, {drawn, changed}); // to paint again; and, told after, when a person changed it
    this.list = [];
    this.selected = null;
    this.past = [];
    this.future = [];
  }

  replace(list) {
    this.list = list ?? [];
    if (!this.list.some((one) => one.id === this.selected)) this.selected = null;
    this.drawn();
  }

  // What others drew or took away, beside what is drawn here; undoing does not take it back.
  join(shapes, gone) {
    const fresh = new Map(shapes.map((one) => [one.id, one]));
    const joined = (list) => {
      const held = new Set(list.map(({id}) => id));
      const left = list.filter(({id}) => !gone.includes(id)).map((one) => fresh.get(one.id) ?? one);
      return [...left, ...shapes.filter(({id}) => !held.has(id))];
    };
    this.past = this.past.map(joined);
    this.future = this.future.map(joined);
    this.replace(joined(this.list));
  }

  commit(list) {
    this.past.push(this.list);
    if (this.past.length > UNDO_STEPS) this.past.shift();
    this.future = [];
    this.list = list;
    this.tell();
  }

  tell() {
    if (!this.list.some((one) => one.id === this.selected)) this.selected = null;
    this.drawn();
    this.changed();
  }

  choose(id) {
    this.selected = id;
    this.drawn();
  }

  undo() {
    if (!this.past.length) return;
    this.future.push(this.list);
    this.list = this.past.pop();
    this.tell();
  }

  redo() {
    if (!this.future.length) return;
    this.past.push(this.list);
    this.list = this.future.pop();
    this.tell();
  }

  remove(id = this.selected) {
    if (this.list.some((one) => one.id === id)) this.commit(this.list.filter((one) => one.id !== id));
  }

  rewrite(id, change) {
    this.commit(this.list.map((one) => (one.id === id ? {...one, ...change} : one)));
  }
}
