// The footprints of soundings, four corners each, as differences to the place of their row in 16 bits. It stands below
// columns.js in one module, and answers what the map asks of any areas: how wide one is, and the ring of a row.

const NO_FOOTPRINT = -32768;

export class Footprints {
  constructor(info, bytes) {
    [this.dx, this.dy] = [unpack(bytes, info.dx), unpack(bytes, info.dy)];
    [this.stepX, this.stepY] = info.steps; // degrees
    this.width = info.width; // degrees of longitude, of a footprint of the usual size
    [this.x, this.y] = [new Float64Array(4), new Float64Array(4)];
  }

  has(i) {
    return this.dx[4 * i] !== NO_FOOTPRINT;
  }

  // Calls `act` with the corners of a row, as degrees from its place; not where it has none. They are good until the
  // next call.
  rings(i, act) {
    if (!this.has(i)) return;
    for (let k = 0; k < 4; k++) {
      this.x[k] = this.dx[4 * i + k] * this.stepX;
      this.y[k] = this.dy[4 * i + k] * this.stepY;
    }
    act(this.x, this.y);
  }
}
