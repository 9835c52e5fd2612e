// Sources: where frames, headers and documents come from: by HTTP, and where there is no route for
// them, as in a notebook, from Python over the comm.
class Sources {
  constructor(area) {
    this.area = area;
  }

  get model() {
    return this.area.model;
  }

  get hasHeaders() {
    return Boolean(this.model.header_url || this.model.over_comm);
  }

  entry(entry, options) {
    if (entry.paper) return this.paper(entry);
    return entry.url ? loadByHttp(entry, options) : this.area.comm.load(entry, options);
  }

  async paper(entry) {
    if (entry.problem || entry.paper === "other") {
      throw Object.assign(new Error(entry.problem || "There is no way to show it here."), {final: true});
    }
    const paper = await this.document({what: "paper", id: entry.id}, "");
    return {paper, bytes: 4 * JSON.stringify(paper).length};
  }

  header({id, frame}) {
    const {header_url: url} = this.model;
    return url ? loadJson(`${url.replace("{id}", id)}?frame=${frame}`) : this.area.comm.ask({what: "header", id, frame});
  }

  part({id}, group, start) {
    return this.document({what: "part", id, group, start}, `/parts/${group}?start=${start}`);
  }

  presented(id, {id: image, frame}) {
    return this.document({what: "presented", id, image, frame}, `/on/${image}/${frame}`);
  }

  document(wish, path) {
    const {paper_url: url} = this.model;
    return url ? loadJson(url.replace("{id}", wish.id) + path) : this.area.comm.ask(wish);
  }

  // The address of a PDF, and of the same to be saved.
  async pdf({id}) {
    const {paper_url: url} = this.model;
    if (url) {
      const address = `${url.replace("{id}", id)}/pdf`;
      return [address, `${address}?save=true`];
    }
    const bytes = await this.area.comm.ask({what: "pdf", id});
    const address = URL.createObjectURL(new Blob([bytes], {type: "application/pdf"}));
    return [address, address];
  }
}
