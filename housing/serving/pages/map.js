// A map drawn from the training rows themselves: one dot each, coloured by value; the problem may
// add outlines and names of places.

function colour(ramp, share) {
  const at = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const low = Math.min(Math.floor(at), ramp.length - 2);
  const mix = ramp[low].map((from, i) => Math.round(from + (at - low) * (ramp[low + 1][i] - from)));
  return `rgb(${mix.join(",")})`;
}

// The colours of the page, in the mode in force.
function palette(canvas) {
  const style = getComputedStyle(canvas);
  const named = (name) => style.getPropertyValue(`--${name}`).trim();
  const channels = (hex) => [1, 3, 5].map((i) => Number.parseInt(hex.slice(i, i + 2), 16));
  return { ink: named("ink"), land: named("panel"), water: named("water"), edge: named("edge"),
    ramp: [1, 2, 3, 4, 5].map((i) => channels(named(`ramp-${i}`))) };
}

export class PointMap {
  // `range` has the values at both ends of the colours, `ratio` the length of a step of x against one of y;
  // `outlines` are closed lines, the first one the land in which the others are water or islands.
  constructor(canvas, data, { range, ratio, outlines, landmarks, onPick, onMove }) {
    Object.assign(this, { canvas, data, ratio, outlines, landmarks, onPick, onMove, zoom: 1, ring: [] });
    [this.low, this.high] = range;
    const corners = outlines.flat();
    const [x, y] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
    this.bounds = {
      west: Math.min(...data.x, ...x), east: Math.max(...data.x, ...x),
      south: Math.min(...data.y, ...y), north: Math.max(...data.y, ...y),
    };
    this.cross = this.centre = {
      x: (this.bounds.west + this.bounds.east) / 2, y: (this.bounds.south + this.bounds.north) / 2,
    };
    canvas.addEventListener("click", (event) => this.#clicked(event));
    canvas.addEventListener("keydown", (event) => this.#pressed(event));
    canvas.addEventListener("wheel", (event) => this.#wheeled(event), { passive: false });
    canvas.addEventListener("focus", () => this.draw());
    canvas.addEventListener("blur", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(x, y, ring) {
    this.cross = { x, y };
    this.ring = ring;
    this.draw();
  }

  draw() {
    const { canvas, data } = this;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const colours = palette(canvas);
    this.#land(pen, colours);
    const size = Math.max(1.6, Math.min(width, height) / 260) * Math.sqrt(this.zoom);
    for (let i = 0; i < data.x.length; i += 1) {
      const [px, py] = this.#pixel(data.x[i], data.y[i]);
      if (px < -9 || py < -9 || px > width + 9 || py > height + 9) continue;
      pen.fillStyle = colour(colours.ramp, (data.value[i] - this.low) / (this.high - this.low || 1));
      pen.beginPath();
      pen.arc(px, py, size, 0, 7);
      pen.fill();
    }
    this.#names(pen, colours);
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 1.5;
    for (const point of this.ring) {
      const [px, py] = this.#pixel(point.x, point.y);
      pen.beginPath();
      pen.arc(px, py, size + 3, 0, 7);
      pen.stroke();
    }
    const [px, py] = this.#pixel(this.cross.x, this.cross.y);
    pen.lineWidth = 2.5;
    pen.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(px + 4 * dx, py + 4 * dy);
      pen.lineTo(px + 13 * dx, py + 13 * dy);
    }
    pen.stroke();
  }

  // Land with its borders; lines that lie one in the other alternate between land and water.
  #land(pen, { land, edge }) {
    pen.beginPath();
    for (const line of this.outlines) {
      line.forEach(([x, y], i) => pen[i ? "lineTo" : "moveTo"](...this.#pixel(x, y)));
      pen.closePath();
    }
    pen.fillStyle = land;
    pen.fill("evenodd");
    pen.strokeStyle = edge;
    pen.lineWidth = 1;
    pen.stroke();
  }

  // Names of places, with a rim that keeps them readable over the dots.
  #names(pen, { ink, land }) {
    pen.font = "600 12px system-ui, sans-serif";
    pen.lineJoin = "round";
    const written = []; // boxes; a name that would cover another one waits for a larger zoom
    for (const [name, [x, y]] of Object.entries(this.landmarks)) {
      const [px, py] = this.#pixel(x, y);
      const room = pen.measureText(name).width + 8;
      const at = px + room > this.canvas.clientWidth ? px - room : px + 6;
      if (written.some(([left, right, middle]) => at < right && at + room > left && Math.abs(py - middle) < 16)) continue;
      written.push([at, at + room, py]);
      pen.strokeStyle = land;
      pen.lineWidth = 4;
      pen.strokeText(name, at, py + 4);
      pen.fillStyle = ink;
      pen.fillText(name, at, py + 4);
      pen.beginPath();
      pen.rect(px - 2, py - 2, 4, 4);
      pen.fill();
    }
  }

  // Coordinates to pixels and back.
  #scale() {
    const { west, east, south, north } = this.bounds;
    const room = 0.94;
    const across = this.canvas.clientWidth * room / ((east - west) * this.ratio || 1);
    const up = this.canvas.clientHeight * room / (north - south || 1);
    const scale = Math.min(across, up) * this.zoom;
    return [scale * this.ratio, scale];
  }

  #pixel(x, y) {
    const [across, up] = this.#scale();
    return [
      this.canvas.clientWidth / 2 + (x - this.centre.x) * across,
      this.canvas.clientHeight / 2 - (y - this.centre.y) * up,
    ];
  }

  #coordinates(px, py) {
    const [across, up] = this.#scale();
    return {
      x: this.centre.x + (px - this.canvas.clientWidth / 2) / across,
      y: this.centre.y - (py - this.canvas.clientHeight / 2) / up,
    };
  }

  #clicked(event) {
    const box = this.canvas.getBoundingClientRect();
    this.cross = this.#coordinates(event.clientX - box.left, event.clientY - box.top);
    this.draw();
    this.onPick(this.cross);
  }

  #pressed(event) {
    const { west, east, south, north } = this.bounds;
    const step = Math.max(east - west, north - south) / 100 / this.zoom * (event.shiftKey ? 5 : 1);
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) {
      const [dx, dy] = moves[event.key];
      this.cross = {
        x: Math.min(Math.max(this.cross.x + dx, west), east),
        y: Math.min(Math.max(this.cross.y + dy, south), north),
      };
      if (this.zoom > 1) this.centre = this.cross;
      this.onMove(this.cross);
    } else if (event.key === "Enter" || event.key === " ") {
      this.onPick(this.cross);
    } else if (event.key === "+" || event.key === "=") {
      this.#zoomed(1.5, this.cross);
    } else if (event.key === "-") {
      this.#zoomed(1 / 1.5, this.cross);
    } else if (event.key === "0") {
      this.#zoomed(0, this.cross);
    } else {
      return;
    }
    event.preventDefault();
    this.draw();
  }

  #wheeled(event) {
    if (!event.ctrlKey && document.activeElement !== this.canvas) return; // scroll the page
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    this.#zoomed(event.deltaY < 0 ? 1.2 : 1 / 1.2, this.#coordinates(event.clientX - box.left, event.clientY - box.top));
    this.draw();
  }

  #zoomed(factor, about) {
    const before = this.zoom;
    this.zoom = Math.min(Math.max(before * factor, 1), 40);
    if (this.zoom === 1) {
      const { west, east, south, north } = this.bounds;
      this.centre = { x: (west + east) / 2, y: (south + north) / 2 };
      return;
    }
    const kept = before / this.zoom;
    this.centre = {
      x: about.x + (this.centre.x - about.x) * kept, y: about.y + (this.centre.y - about.y) * kept,
    };
  }
}
