"""The page of a replay: style, controls and the script that draws; data and title go in."""

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>@TITLE@</title>
<style>
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 80rem; padding: 1rem 1.25rem 2rem; background: #fff;
  color: #1e1e1e; font: 15px/1.45 "DejaVu Sans", system-ui, "Segoe UI", Helvetica, sans-serif; }
h1 { font-size: 1.25rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
main { display: flex; flex-wrap: wrap; gap: 1.25rem; align-items: flex-start; }
#stage { flex: 2 1 30rem; min-width: 0; position: relative; }
#told { flex: 1 1 19rem; min-width: 0; max-height: 42rem; overflow: auto; }
#field { display: block; margin: 0 auto; border: 1px solid #d8d6ce; }
#field.picture { max-width: 100%; max-height: max(15rem, 100vh - 20rem); }
#course { display: block; width: 100%; height: 3rem; margin-top: .5rem; }
.line { display: flex; flex-wrap: wrap; gap: .35rem 1rem; justify-content: space-between;
  font-variant-numeric: tabular-nums; margin: .25rem 0; }
#note { font-weight: 700; }
.controls { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; margin-top: .25rem; }
#slider { width: 100%; margin: .25rem 0 0; }
button, select { font: inherit; min-width: 2.5rem; min-height: 2.2rem; padding: .1rem .5rem; }
.faint { color: #66645c; font-size: .85rem; }
kbd { border: 1px solid #c9c7bf; border-radius: 3px; padding: 0 .25rem; font: inherit; }
table { border-collapse: collapse; width: 100%; font-size: .82rem;
  font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .12rem .5rem .12rem 0; border-bottom: 1px solid #eceae2;
  overflow-wrap: anywhere; }
th { position: sticky; top: 0; background: #fff; }
td.n, th.n { text-align: right; white-space: nowrap; }
tr.dead { color: #a09e96; } tr.under { background: #fff3c4; }
#tip { position: absolute; display: none; pointer-events: none; background: #fffef6;
  border: 1px solid #8a887f; padding: .3rem .5rem; font-size: .82rem; white-space: pre-line;
  max-width: 18rem; }
</style></head><body>
<h1 id="title">@TITLE@</h1>
<main>
<section id="stage">
  <div class="line"><span id="when"></span><span id="note"></span><span id="earned"></span></div>
  <canvas id="field" role="img" aria-label="the present moment"></canvas>
  <div id="tip"></div>
  <canvas id="course" aria-hidden="true"></canvas>
  <input id="slider" type="range" min="0" value="0" step="1" aria-label="move">
  <div class="controls">
    <button id="first" title="first move (Home)" aria-label="first move">|&lt;</button>
    <button id="back" title="one move back (Left)" aria-label="one move back">&lt;</button>
    <button id="play" title="play or pause (Space)">play</button>
    <button id="on" title="one move on (Right)" aria-label="one move on">&gt;</button>
    <button id="last" title="last move (End)" aria-label="last move">&gt;|</button>
    <label>speed <select id="speed"></select></label>
    <select id="episode" aria-label="episode"></select>
  </div>
  <p class="faint"><kbd>Space</kbd> play, pause <kbd>&larr;</kbd> <kbd>&rarr;</kbd> one move
  <kbd>Home</kbd> <kbd>End</kbd> first, last <kbd>&uarr;</kbd> <kbd>&darr;</kbd> speed
  <kbd>Page Up</kbd> <kbd>Page Down</kbd> episode</p>
  <p class="faint" id="key"></p>
</section>
<section id="told"><table><thead></thead><tbody></tbody></table></section>
</main>
<script type="application/json" id="data">@DATA@</script>
<script>
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const field = $("field"), pen = field.getContext("2d");
const INK = "#1e1e1e", PAPER = "#ffffff", GROUND = "#faf9f5", GRID = "#eae8e0";
const BEYOND = "#e1dfd8";
const SPEEDS = [0.5, 1, 2, 4, 8, 16, 32, 64];
let episode = 0, at = 0, part = 0, playing = false, before = null, mouse = null;
let speed = SPEEDS.reduce((a, b) => Math.abs(b - data.fps) < Math.abs(a - data.fps) ? b : a);

const now = () => data.episodes[episode];
const moment = k => now().moments[Math.min(k, now().moments.length - 1)];
const end = () => now().moments.length - 1;
const mix = (a, b, t) => a + (b - a) * t;
const number = x => x === null ? "?" : String(Math.round(x * 100) / 100);

// A unit as it comes: [side, kind, label, doing, target, x, y, radius, health, of, shield, of]
function unit(row) {
  const [side, kind, label, doing, target, x, y, radius, health, most, shield, full] = row;
  return {side, kind, label, doing, target, x, y, radius, health, most, shield, full,
          alive: health > 0};
}

// Where units are between this move and the next; the next one's deeds, as they are done.
function units() {
  const here = moment(at).units.map(unit);
  if (part === 0 || at === end()) return here;
  const there = moment(at + 1).units.map(unit);
  if (here.length !== there.length) return here;
  return here.map((a, k) => {
    const b = there[k];
    const alive = a.alive && (b.alive || part < 0.7);
    return {...b, alive, x: mix(a.x, b.x, part), y: mix(a.y, b.y, part),
            health: mix(a.health, b.health, part), shield: mix(a.shield, b.shield, part)};
  });
}

let scale = 1, sharp = 1;
function resize(width, height) {
  sharp = window.devicePixelRatio || 1;
  const w = Math.round(width * sharp), h = Math.round(height * sharp);
  if (field.width !== w || field.height !== h) { field.width = w; field.height = h; }
}
const place = u => {
  const [left, , , top] = now().view;
  return [(u.x - left) * scale, (top - u.y) * scale, Math.max(u.radius * scale, 8)];
};

function battle() {
  const [left, bottom, right, top] = now().view, [wide, high] = now().map;
  // controls stay in sight
  const most = Math.max(240, window.innerHeight - 320) * (right - left) / (top - bottom);
  const width = Math.min($("stage").clientWidth - 2, most);
  scale = width / (right - left);
  field.className = "";
  field.style.width = width + "px";
  field.style.height = (top - bottom) * scale + "px";
  resize(width, (top - bottom) * scale);
  pen.setTransform(sharp, 0, 0, sharp, 0, 0);
  pen.fillStyle = BEYOND;
  pen.fillRect(0, 0, width, (top - bottom) * scale);
  pen.fillStyle = GROUND;
  pen.fillRect(-left * scale, (top - high) * scale, wide * scale, high * scale);
  pen.strokeStyle = GRID;
  const span = (x1, y1, x2, y2, thick) => {
    pen.lineWidth = thick; pen.beginPath();
    pen.moveTo((x1 - left) * scale, (top - y1) * scale);
    pen.lineTo((x2 - left) * scale, (top - y2) * scale); pen.stroke();
  };
  for (let x = 0; x <= wide; x++) span(x, 0, x, high, x % 4 ? 0.5 : 1.2);
  for (let y = 0; y <= high; y++) span(0, y, wide, y, y % 4 ? 0.5 : 1.2);
  const all = units();
  for (const u of all) if (!u.alive) fallen(u);
  for (const u of all) if (u.alive && all[u.target]) deed(u, all[u.target]);
  const living = all.filter(u => u.alive).sort((a, b) => b.radius - a.radius);  // small on top
  living.forEach(body);
  living.forEach(bars);
  return all;
}

function fallen(u) {
  const [x, y, r] = place(u), arm = 0.6 * r;
  pen.globalAlpha = 0.35; pen.strokeStyle = data.colours.sides[u.side]; pen.lineWidth = 2.5;
  pen.beginPath(); pen.moveTo(x - arm, y - arm); pen.lineTo(x + arm, y + arm);
  pen.moveTo(x - arm, y + arm); pen.lineTo(x + arm, y - arm); pen.stroke();
  pen.globalAlpha = 1;
}

function deed(u, other) {
  const [x, y] = place(u), [x2, y2, r2] = place(other), heals = u.side === other.side;
  const far = Math.hypot(x2 - x, y2 - y);
  pen.strokeStyle = pen.fillStyle = heals ? data.colours.healing : data.colours.sides[u.side];
  pen.globalAlpha = heals ? 1 : 0.7; pen.lineWidth = heals ? 3.5 : 1.7;
  pen.beginPath(); pen.moveTo(x, y); pen.lineTo(x2, y2); pen.stroke();
  if (far > r2) {
    pen.beginPath();
    pen.arc(x2 + (x - x2) * r2 / far, y2 + (y - y2) * r2 / far, 4, 0, 2 * Math.PI); pen.fill();
  }
  pen.globalAlpha = 1;
}

function outline(side, x, y, r) {
  pen.beginPath();
  if (side === 0) pen.arc(x, y, r, 0, 2 * Math.PI);
  else {
    const arm = 1.15 * r;
    pen.moveTo(x - arm, y); pen.lineTo(x, y - arm); pen.lineTo(x + arm, y); pen.lineTo(x, y + arm);
    pen.closePath();
  }
}

function bright(css) {
  const [r, g, b] = [1, 3, 5].map(k => parseInt(css.slice(k, k + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b > 140;
}

function body(u) {
  const [x, y, r] = place(u), colour = now().shades[u.kind][u.side];
  outline(u.side, x, y, r);
  pen.fillStyle = colour; pen.fill();
  pen.strokeStyle = u.side ? "#7a3c0f" : "#0f4868"; pen.lineWidth = 1.5; pen.stroke();
  pen.fillStyle = bright(colour) ? INK : PAPER;
  pen.font = Math.max(9, Math.min(r, 20)) + "px 'DejaVu Sans', sans-serif";
  pen.textAlign = "center"; pen.textBaseline = "middle";
  pen.fillText(u.label.slice(0, 3), x, y + 1);
}

function bars(u) {
  const [x, y, r] = place(u);
  let low = y - (u.side ? 1.15 : 1) * r - 1;
  for (const [value, most, colour] of [[u.health, u.most, data.colours.healing],
                                       [u.shield, u.full, data.colours.shield]]) {
    if (!(most > 0)) continue;
    const share = Math.max(0, Math.min(1, value / most));
    pen.fillStyle = INK; pen.fillRect(x - 0.85 * r, low - 5, 1.7 * r, 5);
    pen.fillStyle = PAPER; pen.fillRect(x - 0.85 * r + 1, low - 4, 1.7 * r - 2, 3);
    pen.fillStyle = colour; pen.fillRect(x - 0.85 * r + 1, low - 4, (1.7 * r - 2) * share, 3);
    low -= 5;
  }
}

const pictures = new Map();
function picture() {
  const key = episode + "/" + at;
  if (!pictures.has(key)) {
    if (pictures.size > 200) pictures.clear();
    const image = new Image();
    image.onload = () => { if (key === episode + "/" + at) draw(); };
    image.src = "data:image/png;base64," + moment(at).png;
    pictures.set(key, image);
  }
  const image = pictures.get(key);
  if (!image.complete || !image.naturalWidth) return;
  field.className = "picture"; field.style.width = field.style.height = "";
  if (field.width !== image.naturalWidth || field.height !== image.naturalHeight) {
    field.width = image.naturalWidth; field.height = image.naturalHeight;
  }
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, field.width, field.height);
  pen.drawImage(image, 0, 0);
}

// The whole episode in one strip: how much of each side is left, or the return.
function lines() {
  const moments = now().moments;
  if (!now().view) return [[moments.map(m => m.return ?? 0), data.colours.sides[0], null]];
  return [0, 1].map(side => [moments.map(m => {
    let left = 0, all = 0;
    for (const u of m.units.map(unit)) if (u.side === side) {
      left += Math.max(u.health, 0) + u.shield; all += u.most + u.full;
    }
    return all ? left / all : 0;
  }), data.colours.sides[side], side ? [5, 3] : []]);
}
let strips = null, stripsOf = -1;
function course() {
  if (stripsOf !== episode) { strips = lines(); stripsOf = episode; }
  const canvas = $("course"), ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * ratio; canvas.height = height * ratio;
  const c = canvas.getContext("2d");
  c.scale(ratio, ratio);
  const values = strips.flatMap(s => s[0]);
  const low = Math.min(0, ...values), high = Math.max(now().view ? 1 : 0, ...values);
  const span = high - low || 1, x = k => 8 + (width - 16) * k / Math.max(end(), 1);
  c.strokeStyle = "#d8d6ce"; c.lineWidth = 1;
  c.strokeRect(8, 2.5, width - 16, height - 5);
  for (const [series, colour, dash] of strips) {
    c.strokeStyle = colour; c.lineWidth = 2; c.setLineDash(dash || []); c.beginPath();
    series.forEach((v, k) => {
      const y = height - 4 - (height - 8) * (v - low) / span;
      if (k) c.lineTo(x(k), y); else c.moveTo(x(k), y);
    });
    c.stroke();
  }
  c.setLineDash([]); c.strokeStyle = INK; c.lineWidth = 1.5; c.beginPath();
  c.moveTo(x(at + part), 0); c.lineTo(x(at + part), height); c.stroke();
}

function row(cells, classes, heading) {
  const tr = document.createElement("tr");
  tr.className = classes;
  for (const [text, numeric, sign, colour] of cells) {
    const cell = document.createElement(heading ? "th" : "td");
    if (sign) {
      const mark = document.createElement("span");
      mark.textContent = sign; mark.style.color = colour;
      cell.append(mark);
    }
    cell.append(text);
    if (numeric) cell.className = "n";
    tr.append(cell);
  }
  return tr;
}

let tabled = null;
function table(under) {
  const key = [episode, at, under].join();
  if (tabled === key) return;
  tabled = key;
  const m = moment(at), rows = [];
  let head;
  if (m.units) {
    head = [["unit"], ["kind"], ["health", 1], ["shield", 1], ["last move"]];
    const shields = m.units.some(u => u[11] > 0);
    if (!shields) head.splice(3, 1);
    m.units.map(unit).forEach((u, k) => {
      const sign = u.alive ? "\u25cf\u25c6"[u.side] + " " : "\u2715 ";
      const cells = [[name(u), 0, sign, now().shades[u.kind][u.side]], [u.kind],
                     [number(u.health) + "/" + number(u.most), 1],
                     [u.full ? number(u.shield) + "/" + number(u.full) : "", 1],
                     [u.alive ? u.doing : "dead"]];
      if (!shields) cells.splice(3, 1);
      rows.push(row(cells, (u.alive ? "" : "dead") + (k === under ? " under" : "")));
    });
  } else {
    head = [["agent"], ["action"], ["reward", 1]];
    for (const [agent, action, reward] of m.agents)
      rows.push(row([[agent], [action], [number(reward), 1]], ""));
    if (!rows.length) rows.push(row([["nobody has moved yet"]], ""));
  }
  document.querySelector("thead").replaceChildren(row(head, "", true));
  document.querySelector("tbody").replaceChildren(...rows);
}
const name = u => (u.side ? "enemy " : "agent ") + u.label;

// The unit under the mouse, and its numbers beside it.
function hover(all) {
  const tip = $("tip");
  let under = -1, nearest = Infinity;
  if (mouse) all.forEach((u, k) => {
    const [x, y, r] = place(u), far = Math.hypot(x - mouse[0], y - mouse[1]);
    if (far < 1.2 * r + 3 && far < nearest) { nearest = far; under = k; }
  });
  tip.style.display = under < 0 ? "none" : "block";
  if (under >= 0) {
    const u = all[under], [x, y, r] = place(u), told = [name(u) + ", " + u.kind];
    told.push("health " + number(u.health) + " of " + number(u.most));
    if (u.full > 0) told.push("shield " + number(u.shield) + " of " + number(u.full));
    told.push("at " + number(u.x) + ", " + number(u.y));
    if (!u.alive) told.push("dead"); else if (u.doing) told.push(u.doing);
    tip.textContent = told.join("\\n");
    const right = x + r + 8 + 180 < field.clientWidth;
    tip.style.left = field.offsetLeft + (right ? x + r + 8 : Math.max(0, x - r - 180)) + "px";
    tip.style.top = field.offsetTop + Math.max(0, y - 20) + "px";
  }
  return under;
}

function draw() {
  const m = moment(at);
  let under = -1;
  if (now().view) under = hover(battle()); else picture();
  $("when").textContent = "move " + m.move + " of " + (m.limit ?? moment(end()).move);
  $("earned").textContent = "return " + number(m.return);
  $("note").textContent = m.note;
  $("slider").value = at;
  $("play").textContent = playing ? "pause" : "play";
  course();
  table(under);
}

function tick(time) {
  if (!playing) return;
  part += before === null ? 0 : (time - before) / 1000 * speed;
  before = time;
  if (part >= 1) { at = Math.min(at + Math.floor(part), end()); part -= Math.floor(part); }
  if (at >= end()) { playing = false; part = 0; }
  draw();
  if (playing) requestAnimationFrame(tick);
}
function play(yes) {
  if (yes && at >= end()) at = 0;
  part = 0; before = null;
  if (yes && !playing) requestAnimationFrame(tick);
  playing = yes;
  draw();
}
function go(k) { playing = false; part = 0; at = Math.max(0, Math.min(k, end())); draw(); }
function choose(k) {
  episode = Math.max(0, Math.min(k, data.episodes.length - 1));
  $("slider").max = end();
  $("episode").value = episode;
  $("title").textContent = now().title || document.title;
  go(0);
}
function faster(by) {
  const k = SPEEDS.indexOf(speed) + by;
  if (SPEEDS[k]) { speed = SPEEDS[k]; $("speed").value = speed; }
}
function option(select, value, text) {
  const one = document.createElement("option");
  one.value = value; one.textContent = text; select.append(one);
}

for (const s of SPEEDS) option($("speed"), s, s + (s === 1 ? " move/s" : " moves/s"));
$("speed").value = speed;
data.episodes.forEach((e, k) => option($("episode"), k, e.name));
$("key").textContent = !now().view ? "The strip above the slider is the return so far."
  : "Discs: the team; diamonds: the enemy; crosses: the dead. Bars: health, and shield above it. "
  + "Lines: who acts to whom, green heals. The strip: health and shield left of each side, "
  + "the enemy's dashed. Numbers of a unit: point at it.";
$("first").onclick = () => go(0);
$("last").onclick = () => go(end());
$("back").onclick = () => go(at - 1);
$("on").onclick = () => go(at + 1);
$("play").onclick = () => play(!playing);
$("slider").oninput = event => go(Number(event.target.value));
$("speed").onchange = event => { speed = Number(event.target.value); };
$("episode").onchange = event => choose(Number(event.target.value));
field.onmousemove = event => { mouse = [event.offsetX, event.offsetY]; if (!playing) draw(); };
field.onmouseleave = () => { mouse = null; if (!playing) draw(); };
window.onresize = draw;
const KEYS = {
  " ": () => play(!playing), ArrowLeft: () => go(at - 1), ArrowRight: () => go(at + 1),
  Home: () => go(0), End: () => go(end()), ArrowUp: () => faster(1), ArrowDown: () => faster(-1),
  PageUp: () => choose(episode - 1), PageDown: () => choose(episode + 1),
};
document.onkeydown = event => {
  const busy = event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey;
  if (busy || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
};
document.onkeyup = event => {  // Space must not press the button as well
  if (event.key === " " && event.target.tagName === "BUTTON") event.preventDefault();
};
const start = new URLSearchParams(location.hash.slice(1));  // #episode=2&move=10
choose(Number(start.get("episode") || 1) - 1);
if (start.has("move")) go(Number(start.get("move")));
</script></body></html>
"""
