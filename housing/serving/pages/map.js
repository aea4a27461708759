// A map drawn from the training rows themselves: one dot each, coloured by value.

const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];

function colour(share) {
  const at = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const low = Math.min(Math.floor(at), RAMP.length - 2);
  const mix = RAMP[low].map((from, i) => Math.round(from + (at - low) * (RAMP[low + 1][i] - from)));
  return `rgb(${mix.join(",")})`;
}

export class PointMap {
  // `range` has the values at both ends of the colours, `ratio` the length of a step of x against one of y.
  constructor(canvas, data, { range, ratio, onPick, onMove }) {
    Object.assign(this, { canvas, data, ratio, onPick, onMove, zoom: 1, ring: [] });
    [this.low, this.high] = range;
    this.bounds = {
      west: Math.min(...data.x), east: Math.max(...data.x),
      south: Math.min(...data.y), north: Math.max(...data.y),
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
    const size = Math.max(1.6, Math.min(width, height) / 260) * Math.sqrt(this.zoom);
    for (let i = 0; i < data.x.length; i += 1) {
      const [px, py] = this.#pixel(data.x[i], data.y[i]);
      if (px < -9 || py < -9 || px > width + 9 || py > height + 9) continue;
      pen.fillStyle = colour((data.value[i] - this.low) / (this.high - this.low || 1));
      pen.beginPath();
      pen.arc(px, py, size, 0, 7);
      pen.fill();
    }
    const ink = getComputedStyle(canvas).color;
    pen.strokeStyle = ink;
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
