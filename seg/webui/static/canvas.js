'use strict';
// Draws a picture with masks, boxes and clicks, and says where on it a pointer is.

/** Runs of COCO's text: background first, column by column. */
function decodeRuns(text) {
  const runs = [];
  let place = 0;
  while (place < text.length) {
    let value = 0, shift = 0, more = true;
    while (more) {
      const code = text.charCodeAt(place++) - 48;
      value |= (code & 31) << shift;
      more = (code & 32) !== 0;
      shift += 5;
      if (!more && (code & 16)) value |= -1 << shift;
    }
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
  }
  return runs;
}

/** Masks [run lengths, colour] as one picture, their borders opaque; null where all are empty. */
function paintMasks(masks, width, height) {
  const sheet = document.createElement('canvas');
  sheet.width = width; sheet.height = height;
  const context = sheet.getContext('2d');
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  let seen = false;
  for (const [text, color] of masks) seen = paintMask(pixels, decodeRuns(text), width, height, color) || seen;
  if (!seen) return null;
  context.putImageData(image, 0, 0);
  return sheet;
}

/** Paint a mask, whose runs go column by column, into pixels, which go row by row. */
function paintMask(pixels, runs, width, height, color) {
  const inside = new Uint8Array(width * height);
  let place = 0;
  runs.forEach((run, index) => { if (index % 2) inside.fill(1, place, place + run); place += run; });
  const rgb = color[0] | (color[1] << 8) | (color[2] << 16);
  const fill = rgb | (110 << 24), edge = rgb | (255 << 24);
  place = 0;
  let seen = false;
  runs.forEach((run, index) => {
    const end = place + run;
    for (let at = place; index % 2 && at < end; at++) {
      const x = (at / height) | 0, y = at - x * height;
      const whole = y > 0 && y < height - 1 && x > 0 && x < width - 1 &&
        inside[at - 1] && inside[at + 1] && inside[at - height] && inside[at + height];
      pixels[y * width + x] = whole ? fill : edge;
    }
    seen = seen || (index % 2 === 1 && run > 0);
    place = end;
  });
  return seen;
}

class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.image = null;
    this.size = [1, 1];
    this.layer = null;
    this.marks = { clicks: [], box: null, color: [0, 0, 0] };
    this.draft = null;
    this.zoom = 1;
    this.shift = [0, 0];
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  setSize(width, height) {
    if (width === this.size[0] && height === this.size[1]) return;
    this.size = [width, height];
    this.zoom = 1;
    this.shift = [0, 0];
  }

  /** Scale and place of the picture in CSS pixels. */
  frame() {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    const [width, height] = this.size;
    const scale = Math.min((w - 16) / width, (h - 16) / height) * this.zoom;
    return [scale, (w - width * scale) / 2 + this.shift[0], (h - height * scale) / 2 + this.shift[1]];
  }

  toPicture(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const [scale, left, top] = this.frame();
    return [(event.clientX - bounds.left - left) / scale, (event.clientY - bounds.top - top) / scale];
  }

  isInside([x, y]) {
    return x >= 0 && y >= 0 && x < this.size[0] && y < this.size[1];
  }

  clamp([x, y]) {
    return [Math.min(Math.max(x, 0), this.size[0]), Math.min(Math.max(y, 0), this.size[1])];
  }

  /** Number of the click under a pointer, or -1. */
  clickAt(event, reach) {
    const [x, y] = this.toPicture(event);
    const near = reach / this.frame()[0];
    return this.marks.clicks.findIndex((click) => Math.hypot(click[0] - x, click[1] - y) <= near);
  }

  zoomAt(event, factor) {
    const [x, y] = this.toPicture(event);
    this.zoom = Math.min(Math.max(this.zoom * factor, 1), 16);
    if (this.zoom === 1) this.shift = [0, 0];
    const [nx, ny] = this.toPicture(event), scale = this.frame()[0];
    if (this.zoom > 1) this.shift = [this.shift[0] + (nx - x) * scale, this.shift[1] + (ny - y) * scale];
    this.draw();
  }

  draw() {
    const { canvas } = this, ratio = window.devicePixelRatio || 1;
    const w = Math.round(canvas.clientWidth * ratio), h = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    const context = canvas.getContext('2d');
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    if (!this.image) return;
    const [scale, left, top] = this.frame();
    context.imageSmoothingEnabled = scale < 3;
    const place = [left, top, this.size[0] * scale, this.size[1] * scale];
    context.drawImage(this.image, ...place);
    if (this.layer) context.drawImage(this.layer, ...place);
    this.drawMarks(context, scale, left, top);
  }

  drawMarks(context, scale, left, top) {
    const rgb = `rgb(${this.marks.color.join(' ')})`;
    for (const box of [this.marks.box, this.draft]) {
      if (!box) continue;
      const place = [left + box[0] * scale, top + box[1] * scale, (box[2] - box[0]) * scale, (box[3] - box[1]) * scale];
      context.lineWidth = 3; context.strokeStyle = '#fff'; context.strokeRect(...place);
      context.lineWidth = 2; context.strokeStyle = rgb; context.setLineDash([6, 4]);
      context.strokeRect(...place); context.setLineDash([]);
    }
    for (const [x, y, positive] of this.marks.clicks) {
      const cx = left + x * scale, cy = top + y * scale;
      context.beginPath(); context.arc(cx, cy, 7, 0, 7);
      context.fillStyle = positive ? '#12a150' : '#d92d20'; context.fill();
      context.lineWidth = 2; context.strokeStyle = '#fff'; context.stroke();
      context.beginPath(); context.moveTo(cx - 3.5, cy); context.lineTo(cx + 3.5, cy);
      if (positive) { context.moveTo(cx, cy - 3.5); context.lineTo(cx, cy + 3.5); }
      context.stroke();
    }
  }
}
