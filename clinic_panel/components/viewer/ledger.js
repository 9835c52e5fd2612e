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
