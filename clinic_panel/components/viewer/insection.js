// In section: measurements on a plane of a volume. Each keeps the plane it was drawn on, as an image has
// it (position, orientation and spacing in the patient), so that it is found again however the volume
// was filled or averaged; it shows where the cross-hair stands on that plane.
class SectionShapes extends Shapes {
  constructor(ledger, options, pane) {
    super(ledger, options);
    this.pane = pane;
  }

  show(frame, place, entry) {
    super.show(frame, place, frame && entry && {...entry, key: frame.key});
  }

  // The plane that is shown, as it is kept with a shape.
  get plane() {
    const {mpr, section, isSlab} = this.pane;
    const {position: centre, orientation, spacing} = this.view.frame.info;
    const axis = mpr.series.grid.axes[section.normal];
    const off = dot(minus(mpr.volume.world(mpr.at), centre), axis);
    return {
      name: section.name,
      position: centre.map((part, i) => part + off * axis[i]), // the cross-hair's layer, also of a slab
      orientation,
      spacing,
      slab_mode: isSlab ? mpr.slab.mode : "slice",
      slab_mm: mpr.thickness(section),
    };
  }

  isHere({section: plane, instance_id: id}) {
    const {pane, view} = this;
    return Boolean(plane && view) && pane.mpr.holds(id) && pane.isAlong(plane) && pane.standsOn(plane);
  }

  local(one) {
    const {info} = this.view.frame;
    const {section: plane} = one;
    const same = ["position", "orientation", "spacing"].every((name) => String(plane[name]) === String(info[name]));
    return same ? one : {...one, points: one.points.map((point) => pixelOf(info, placeOn(plane, point)))};
  }

  placed(points) {
    return {points, section: this.plane};
  }

  blank() {
    return {...super.blank(), section: this.plane};
  }

  // A calibration by hand belongs to the images it was drawn on.
  knownFor() {
    return undefined;
  }

  // Values are those of what is shown; while slices are missing there are none to speak of.
  measured(one) {
    const {frame} = this.view;
    const isWhole = !frame.missing && !frame.gaps.length;
    return valuesOf(one, isWhole ? frame : {info: frame.info, missing: true});
  }
}

// Where a point of a plane is in the patient.
function placeOn({position, orientation, spacing: [rowMm, columnMm]}, [x, y]) {
  return position.map((start, axis) => (
    start + (x - 0.5) * columnMm * orientation[axis] + (y - 0.5) * rowMm * orientation[3 + axis]
  ));
}

function centreOf(points) {
  return [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
}
