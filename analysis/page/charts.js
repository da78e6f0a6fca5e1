"use strict";
// Charts as SVG: points, lines and reference lines on linear or logarithmic axes, with what is under the pointer.

const NS = "http://www.w3.org/2000/svg";
const tip = document.getElementById("tip");

function svg(name, attributes, parent, text) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

function node(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

const colour = (method) => `var(--m-${method}, var(--ink))`;
const short = (value) => String(Number(Number(value).toPrecision(3)));

const SHAPES = {
  none: (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
  mask: (r) => `M0 ${r}L${r} ${-r}L${-r} ${-r}z`,
  linear: (r) => `M${-r} ${-r}h${2 * r}v${2 * r}h${-2 * r}z`,
  "f-lstm": (r) => `M${-r} ${-r / 3}h${r * 2 / 3}v${-r * 2 / 3}h${r * 2 / 3}v${r * 2 / 3}h${r * 2 / 3}v${r * 2 / 3}h${-r * 2 / 3}v${r * 2 / 3}h${-r * 2 / 3}v${-r * 2 / 3}h${-r * 2 / 3}z`,
  "t-lstm": (r) => `M0 ${-r}L${r} ${r}L${-r} ${r}z`,
  multi: (r) => `M0 ${-1.25 * r}L${1.25 * r} 0L0 ${1.25 * r}L${-1.25 * r} 0z`,
};
const shape = (method, r) => (SHAPES[method] || SHAPES.none)(r);

function ticks(low, high, log, most) {
  if (log) {
    for (const steps of [[1, 1.5, 2, 3, 4, 5, 6, 8], [1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
      const found = [];
      for (let decade = Math.floor(Math.log10(low)); decade <= Math.ceil(Math.log10(high)); decade++)
        for (const step of steps) {
          const value = Number(`${step}e${decade}`);
          if (value >= low && value <= high) found.push(value);
        }
      if (found.length <= most) return found;
    }
  }
  const raw = (high - low) / Math.max(1, most - 1);
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * unit).find((one) => one >= raw);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function span(values, log, room) {
  let low = Math.min(...values), high = Math.max(...values);
  if (log) {
    const factor = Math.max((high / low) ** room, 1.25);
    return [low / factor, high * factor];
  }
  const spare = Math.max((high - low) * room, 0.02 * Math.abs(high), 1e-9);
  return [low - spare, high + spare];
}

// spec: {x: {label, log, domain, ticks}, y: {label, domain, least}, series, rows, columns, from, height, describe}
// a series: {name, method, line: "straight" | "step" | null, dashed, faint, ink, points}
// a point: {x, y, low, high, faint, tip: [text], text, href, pick, ring, mark: false}
function chart(host, spec) {
  let width = host.clientWidth;
  drawChart(host, spec);
  if (host.observer) host.observer.disconnect();
  host.observer = new ResizeObserver(() => {
    if (host.clientWidth !== width) { width = host.clientWidth; drawChart(host, spec); }
  });
  host.observer.observe(host);
}

function drawChart(host, spec) {
  const width = Math.max(260, host.clientWidth), height = spec.height || Math.round(Math.min(430, Math.max(250, 0.62 * width)));
  const points = spec.series.flatMap((series) => series.points);
  const rows = (spec.rows || []).filter((row) => Number.isFinite(row.y)), columns = (spec.columns || []).filter((c) => Number.isFinite(c.x));
  host.replaceChildren();
  if (!points.length) { host.append(node("p", {className: "hint", textContent: spec.empty || "Nothing to show."})); return; }
  const heights = points.flatMap((p) => [p.y, p.low, p.high]).concat(rows.map((row) => row.y)).filter(Number.isFinite);
  const [left, right] = spec.x.domain || span(points.map((p) => p.x).concat(columns.map((c) => c.x)), spec.x.log, 0.06);
  let [low, high] = spec.y.domain || span(heights, false, 0.09);
  if (spec.y.least && high - low < spec.y.least) { const middle = (low + high) / 2; low = middle - spec.y.least / 2; high = middle + spec.y.least / 2; }
  const levels = ticks(low, high, false, Math.max(4, Math.round(height / 55)));
  const box = {left: 28 + 7 * Math.max(...levels.map((value) => short(value).length)), right: width - 14, top: 12, bottom: height - 44};
  const along = spec.x.log ? Math.log10 : (value) => value;
  const x = (value) => box.left + (along(value) - along(left)) / (along(right) - along(left) || 1) * (box.right - box.left);
  const y = (value) => box.bottom - (value - low) / (high - low || 1) * (box.bottom - box.top);
  const root = svg("svg", {viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": spec.describe || `${spec.y.label} over ${spec.x.label}`}, host);

  if (spec.from !== undefined && spec.from < right)
    svg("rect", {x: x(spec.from), y: box.top, width: box.right - x(spec.from), height: box.bottom - box.top, fill: "var(--shade)"}, root);
  for (const value of levels) {
    svg("line", {x1: box.left, x2: box.right, y1: y(value), y2: y(value), stroke: "var(--line)"}, root);
    svg("text", {x: box.left - 6, y: y(value) + 4, "text-anchor": "end"}, root, short(value));
  }
  for (const value of spec.x.ticks || ticks(left, right, spec.x.log, Math.max(3, Math.round(width / 62)))) {
    svg("line", {x1: x(value), x2: x(value), y1: box.bottom, y2: box.bottom + 5, stroke: "var(--faint)"}, root);
    svg("text", {x: x(value), y: box.bottom + 18, "text-anchor": "middle"}, root, short(value));
  }
  svg("line", {x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, stroke: "var(--faint)"}, root);
  svg("text", {x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle", class: "soft"}, root, spec.x.label);
  svg("text", {x: 12, y: (box.top + box.bottom) / 2, "text-anchor": "middle", class: "soft", transform: `rotate(-90 12 ${(box.top + box.bottom) / 2})`}, root, spec.y.label);
  for (const row of rows) {
    svg("line", {x1: box.left, x2: box.right, y1: y(row.y), y2: y(row.y), stroke: colour(row.method), "stroke-width": 1.6, "stroke-dasharray": row.dash || "7 4", class: "reference"}, root);
  }
  for (const column of columns) {
    svg("line", {x1: x(column.x), x2: x(column.x), y1: box.top, y2: box.bottom, stroke: column.faint ? "var(--faint)" : "var(--ink)", "stroke-width": 1.3, "stroke-dasharray": column.dash, class: column.class}, root);
    const at = box.bottom - (column.at ?? 0.5) * (box.bottom - box.top);
    const turn = `rotate(-90 ${x(column.x) - 5} ${at})`;
    svg("text", column.flat ? {x: x(column.x) + 4, y: box.top + 10, class: "soft"} :
      {x: x(column.x) - 5, y: at, "text-anchor": "middle", class: "soft", transform: turn}, root, column.name);
  }
  for (const series of spec.series) if (series.line && series.points.length) {
    let path = "";
    series.points.forEach((p, i) => {
      path += i === 0 ? `M${x(p.x)} ${y(p.y)}` : series.line === "step" ? `H${x(p.x)}V${y(p.y)}` : `L${x(p.x)} ${y(p.y)}`;
    });
    svg("path", {d: path, fill: "none", stroke: series.ink ? "var(--ink)" : colour(series.method), "stroke-width": 1.7, "stroke-dasharray": series.dashed ? "6 4" : null}, root);
  }
  for (const series of spec.series) for (const p of series.points) if (Number.isFinite(p.low) && Number.isFinite(p.high))
    svg("line", {x1: x(p.x), x2: x(p.x), y1: y(p.low), y2: y(p.high), stroke: colour(series.method), "stroke-width": 1.3, opacity: p.faint ? 0.3 : 0.75}, root);
  const drawn = spec.series.flatMap((series) => series.points.map((p) => [series, p])).filter(([, p]) => p.mark !== false);
  for (const [series, p] of drawn.sort((a, b) => Boolean(b[1].faint) - Boolean(a[1].faint))) { // the front on top
    const r = p.faint ? 5 : spec.radius || 6.5;
    if (p.ring) svg("circle", {cx: x(p.x), cy: y(p.y), r: 7, fill: "none", stroke: "var(--ink)", "stroke-width": 1.5, class: "kept"}, root);
    svg("path", {d: shape(series.method, r), transform: `translate(${x(p.x)} ${y(p.y)})`, fill: colour(series.method), stroke: "var(--back)", "stroke-width": 1, opacity: p.faint ? 0.35 : 1, class: "point"}, root);
    if (p.text) svg("text", {x: x(p.x) - 8, y: y(p.y) - 9, "text-anchor": x(p.x) - box.left < 46 ? "start" : "end", class: "label"}, root, p.text);
  }
  const told = points.filter((p) => p.tip).map((p) => [p, x(p.x), y(p.y)]);
  if (told.length) pointers(root, told);
  host.append(legend(spec.legend ? spec.series.filter((series) => series.name && series.method) : [], rows));
}

// Students of one cost lie close together: the pointer means the nearest, not the one that was drawn last.
function pointers(root, points) {
  const marks = points.map(([p, cx, cy]) => {
    const parent = p.href ? svg("a", {href: p.href, target: "_blank", rel: "noopener", "aria-label": p.tip.join(", ")}, root) : root;
    const circle = svg("circle", {cx, cy, r: 13, class: "hit", "data-trial": p.trial, tabindex: p.href ? null : 0,
      role: p.href ? null : p.pick ? "button" : "img", "aria-label": p.href ? null : p.tip.join(", ")}, parent);
    const target = p.href ? parent : circle, mark = {p, cx, cy, circle, target};
    target.addEventListener("focus", () => { const box = circle.getBoundingClientRect(); showTip(p.tip, box.right, box.top); });
    target.addEventListener("blur", hideTip);
    target.addEventListener("keydown", (event) => {
      if (!p.href && p.pick && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); p.pick(); }
    });
    return mark;
  });
  const nearest = (event) => {
    const box = root.getBoundingClientRect(), scale = root.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    const far = (mark) => Math.hypot(mark.cx - x, mark.cy - y);
    const found = marks.reduce((a, b) => (far(b) < far(a) ? b : a));
    return far(found) <= 16 ? found : null;
  };
  let touched = false;
  root.addEventListener("pointermove", (event) => {
    const found = nearest(event);
    root.style.cursor = found && found.p.pick ? "pointer" : "";
    if (found) showTip(found.p.tip, event.clientX, event.clientY); else hideTip();
  });
  root.addEventListener("pointerleave", hideTip);
  root.addEventListener("pointerdown", (event) => { touched = event.pointerType === "touch"; });
  root.addEventListener("click", (event) => {
    const own = marks.find((mark) => mark.target === event.target || mark.circle === event.target);
    const found = event.detail === 0 ? own : nearest(event); // by the keyboard there is no place
    if (!found || !found.p.pick) return;
    if (found.p.href && touched) event.preventDefault(); // a finger has no hover: it sees the student, and the link there
    else if (found.p.href && found !== own) { event.preventDefault(); window.open(found.p.href, "_blank", "noopener"); }
    if (touched) hideTip();
    found.p.pick();
  });
}

function showTip(lines, left, top) {
  tip.replaceChildren(...lines.map((line, i) => node(i ? "div" : "b", {textContent: line})));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.max(6, Math.min(left + 14, innerWidth - box.width - 8))}px`;
  tip.style.top = `${top + 18 + box.height > innerHeight ? Math.max(6, top - box.height - 12) : top + 18}px`;
}

function hideTip() { tip.hidden = true; }

function legend(series, rows) {
  const seen = new Set(), list = node("ul", {className: "legend"});
  for (const one of series) {
    if (seen.has(one.name)) continue;
    seen.add(one.name);
    const key = svg("svg", {viewBox: "0 0 26 12", "aria-hidden": "true"});
    if (one.line) svg("line", {x1: 0, x2: 26, y1: 6, y2: 6, stroke: colour(one.method), "stroke-width": 1.7, "stroke-dasharray": one.dashed ? "5 3" : null}, key);
    svg("path", {d: shape(one.method, 4.5), transform: "translate(13 6)", fill: colour(one.method)}, key);
    list.append(node("li", {}, key, one.name));
  }
  for (const row of rows) {
    const key = svg("svg", {viewBox: "0 0 26 12", "aria-hidden": "true"});
    svg("line", {x1: 0, x2: 26, y1: 6, y2: 6, stroke: colour(row.method), "stroke-width": 1.7, "stroke-dasharray": row.dash || "7 4"}, key);
    list.append(node("li", {}, key, row.name));
  }
  return list;
}
