"use strict";
// The page's own behaviour: what the charts show, filters, players, the blind comparison.

const data = JSON.parse(document.getElementById("evidence").textContent);
const three = (value) => Number(value).toFixed(3);
const interval = (ends) => ends ? ` [${ends[0].toFixed(2)}, ${ends[1].toFixed(2)}]` : "";
const mean = (seeds) => seeds > 1 ? `, mean of ${seeds} seeds` : "";
const called = (student) => `student ${student.trial} (${student.size})`;
const front = data.students.filter((student) => student.front);
const references = () => [
  data.beside.teacher && {y: data.beside.teacher.val, name: `${data.teacher.name} ${data.beside.teacher.val.toFixed(2)}`, method: "teacher"},
  data.beside.unprocessed && {y: data.beside.unprocessed.val, name: `unprocessed ${data.beside.unprocessed.val.toFixed(2)}`, method: "unprocessed", dash: "2 4"},
].filter(Boolean);

function told(student) {
  const how = [student.method_name, student.schedule !== "none" && `alpha ${student.schedule}`, student.start,
    ...Object.entries(student.settings).map(([name, value]) => `${name} ${value}`)].filter(Boolean);
  const lines = [`${student.size}, ${how.join(", ")}`, `PESQ on validation clips ${three(student.pesq_val)}${interval(student.pesq_val_interval)}${mean(student.seeds.val)}`];
  if (student.pesq_test !== null) lines.push(`PESQ on test clips ${three(student.pesq_test)}${interval(student.pesq_test_interval)}${mean(student.seeds.test)}`);
  const beside = Object.entries(data.beside).map(([name, scores]) => `${name === "teacher" ? data.teacher.name : name} ${scores.val.toFixed(3)}`);
  lines.push(`validation: ${beside.join(", ")}`);
  lines.push(`${short(student.gmac)} GMAC (paper) = ${short(student.gmac_per_s)} GMAC/s = ${short(student.mmac_per_frame)} MMAC/frame`);
  const frame = data.frames[student.trial];
  if (frame) lines.push(`${frame.p50.toFixed(2)} ms a frame on one thread here (median)`);
  lines.push(`${student.parameters.toLocaleString("en").replaceAll(",", "\u202f")} parameters, ${student.front ? "on the front" : "dominated"}`);
  lines.push(`student ${student.trial}` + (student.mlflow_run_id ? `, MLflow run ${student.mlflow_run_id}` : ""));
  return lines;
}

const page = (student) => data.tracking.runs && student.mlflow_run_id ? data.tracking.runs.replace("{run}", student.mlflow_run_id) : null;

function pick(student) {
  const panel = document.getElementById("chosen"), lines = told(student), link = page(student);
  panel.replaceChildren(...lines.map((line, i) => node(i ? "div" : "b", {textContent: line})));
  if (link) panel.append(node("a", {href: link, target: "_blank", rel: "noopener", textContent: "Open the run in MLflow"}));
  if (!student.mlflow_run_id) panel.append(node("div", {textContent: "MLflow has no run of this student."}));
  else if (data.tracking.command) {
    panel.append(node("div", {textContent: link ? "That needs MLflow, started on this machine with this command:"
      : "Open MLflow with this command, and look for the run of that id:"}));
    panel.append(node("code", {textContent: data.tracking.command}));
  } else if (!link) panel.append(node("div", {textContent: "Open MLflow on the search's store, and look for the run of that id."}));
  panel.append(student.kept
    ? node("div", {}, node("code", {textContent: `python analysis/choose.py ${data.folder} --trial ${student.trial}`}), " exports it.")
    : node("div", {textContent: "Its weights were not kept: it cannot be exported."}));
  panel.hidden = false;
}

const scored = (student, x, text) => ({
  x, y: student.pesq_val, low: student.pesq_val_interval?.[0], high: student.pesq_val_interval?.[1], trial: student.trial,
  faint: !student.front, tip: told(student), href: page(student), pick: () => pick(student), text,
});

function groups(students, x, label) {
  const found = new Map();
  for (const student of students) {
    if (!found.has(student.method)) found.set(student.method, {name: student.method_name, method: student.method, points: []});
    found.get(student.method).points.push(scored(student, x(student), label(student)));
  }
  return [...found.values()];
}

const stairs = (students, x, end) => {
  const points = students.map((student) => ({x: x(student), y: student.pesq_val, mark: false}));
  if (points.length && end > points.at(-1).x) points.push({x: end, y: points.at(-1).y, mark: false});
  return {line: "step", ink: true, points};
};

function roomy(students, x) { // labels where there is room, the dearest first
  const chosen = new Set();
  let last = Infinity;
  for (const student of [...students].reverse())
    if (Math.log(last / x(student)) > 0.35) { chosen.add(student); last = x(student); }
  return (student) => chosen.has(student) ? student.size : null;
}

function drawPareto() {
  const form = new FormData(document.getElementById("filters"));
  const methods = new Set(form.getAll("method")), log = form.has("log");
  const shown = data.students.filter((student) => methods.has(student.method) && (form.has("dominated") || student.front));
  const line = shown.filter((student) => student.front);
  const gmac = (student) => student.gmac, all = data.students.map(gmac).concat(data.budget_gmac ?? []);
  const domain = log ? span(all, true, 0.06) : [0, 1.08 * Math.max(...all)];
  const heights = data.students.flatMap((s) => [s.pesq_val, ...(s.pesq_val_interval || [])]).concat(references().map((r) => r.y));
  chart(document.getElementById("pareto"), {
    x: {label: "GMAC (the axis of the paper's Table 1)", log, domain}, y: {label: "PESQ, validation", domain: span(heights, false, 0.08)},
    series: [stairs(line, gmac, data.budget_gmac ?? 0), ...groups(shown, gmac, roomy(line, gmac))],
    rows: references(), columns: data.budget_gmac ? [{x: data.budget_gmac, name: `budget ${data.budget}`, class: "budget"}] : [],
    from: data.budget_gmac ?? undefined, legend: false, empty: "No student is left with these filters.",
    describe: "PESQ against cost, a point for each student",
  });
}

function drawTime() {
  const timed = front.filter((student) => data.frames[student.trial]);
  const macs = (student) => student.mmac_per_frame, ms = (student) => data.frames[student.trial].p50;
  const y = {label: "PESQ, validation"}, rows = references().slice(0, 1);
  for (const [id, x, label] of [["by-macs", macs, "MMAC a frame"], ["by-time", ms, "ms a frame, median, one thread"]]) {
    const order = [...timed].sort((a, b) => x(a) - x(b));
    const zero = id === "by-time" && timed.length ? [0, 1.12 * Math.max(...timed.map(x))] : undefined;
    chart(document.getElementById(id), {x: {label, log: id === "by-macs", domain: zero}, y, rows, series: groups(order, x, roomy(order, x)), legend: true,
      empty: "No member of the front could be timed.", columns: []});
  }
}

function drawFigures() {
  const marks = (points) => points.map(([x, y, low, high]) => ({x, y, low, high, tip: [`${short(x)}: ${y.toFixed(3)}`]}));
  const three = data.figure3.series.map((one, i, all) => ({...one, line: "straight", dashed: one.method === "unprocessed" || one.method === "teacher",
    points: one.points.map(([x, y, low, high]) => ({x: x + (i - (all.length - 1) / 2) * 0.28, y, low, high, tip: [one.name, `${x} dB: median ${y.toFixed(3)}` + (low === null ? "" : `, quartiles ${low.toFixed(3)} to ${high.toFixed(3)}`)]}))}));
  chart(document.getElementById("figure3"), {x: {label: "SNR in dB at the front microphone", domain: [-6.6, 16.6], ticks: [-5, 0, 5, 10, 15]},
    y: {label: "PESQ, median"}, series: three, legend: true, radius: 4.5, empty: "No student has scores by SNR."});
  const four = data.figure4.series.map((one) => ({...one, line: "straight", dashed: one.start !== "random",
    points: marks(one.points).map((p) => ({...p, tip: [one.name, `${short(p.x)} GMAC: median ${p.y.toFixed(3)}`]}))}));
  const rows = ["teacher", "unprocessed"].filter((name) => data.figure4[name] !== null).map((name) => (
    {y: data.figure4[name], name: `${name} ${data.figure4[name].toFixed(2)}`, method: name, dash: name === "teacher" ? "7 4" : "2 4"}));
  const columns = [{x: data.figure4.size_e_gmac, name: "size E", faint: true, dash: "4 4", at: 0.12}];
  if (data.budget_gmac) columns.push({x: data.budget_gmac, name: "budget"});
  chart(document.getElementById("figure4"), {x: {label: "GMAC (the axis of the paper's Table 1)", log: true}, y: {label: `PESQ at ${data.figure4.snr_db} dB, median`},
    series: four, rows, columns, legend: true, radius: 4.5, empty: "No student has scores by SNR."});
}

function drawProgress() {
  chart(document.getElementById("hypervolume"), {x: {label: "students finished", domain: [0.5, data.hypervolume.length + 0.5], ticks: wholes(data.hypervolume.length)},
    y: {label: "share"}, height: 240, empty: "The plane of the hypervolume is empty or not known: no scores beside the students, or a teacher no better than the input.",
    series: [{line: "step", ink: true, method: "none", points: data.hypervolume.map((one, i) => ({x: i + 1, y: one.share, tip: [`after ${i + 1} students`, `${three(one.share)}, the last one was student ${one.trial}`]}))}]});
}

const wholes = (count) => {
  const step = Math.ceil(count / 10);
  return Array.from({length: Math.floor(count / step)}, (_, i) => (i + 1) * step);
};

const METRICS = {loss_val_hard: "hard loss, validation", loss_val_soft: "soft loss, validation", loss_train_hard: "hard loss, training",
  loss_train_soft: "soft loss, training", pesq: "PESQ, validation", lr: "learning rate", alpha: "alpha"};

function drawCurves() {
  const metric = document.getElementById("metric").value, host = document.getElementById("curves");
  host.replaceChildren();
  for (const curve of data.curves) {
    const student = data.students.find((one) => one.trial === curve.trial), place = node("div", {className: "chart"});
    host.append(node("div", {}, node("h4", {textContent: `${called(student)}, ${student.method_name}`}), place));
    const points = curve.epochs.filter((epoch) => Number.isFinite(epoch[metric])).map((epoch) => ({x: epoch.epoch, y: epoch[metric],
      ring: epoch.epoch === curve.best_epoch, tip: [`epoch ${epoch.epoch}`, `${METRICS[metric]} ${short(epoch[metric])}`]}));
    const last = curve.epochs.at(-1)?.epoch ?? 1;
    chart(place, {x: {label: "epoch", domain: [0.5, last + 0.5], ticks: wholes(last)}, y: {label: METRICS[metric]}, height: 220, radius: 3.5,
      columns: curve.stages.map((stage) => ({x: stage.first - 0.5, name: stage.name, dash: "4 4", faint: true, flat: true, class: "stage"})),
      series: [{method: student.method, line: "straight", points}], empty: `No epoch of it has a ${METRICS[metric]}.`});
  }
}

function fillMetrics() {
  const select = document.getElementById("metric");
  for (const [key, name] of Object.entries(METRICS))
    if (data.curves.some((curve) => curve.epochs.some((epoch) => key in epoch))) select.append(node("option", {value: key, textContent: name}));
  select.addEventListener("change", drawCurves);
}

// players: the spectrogram is the time line -----------------------------------------------------------------------------

let playing = null;

function silence() {
  for (const audio of document.querySelectorAll("audio")) audio.pause();
  if (playing) playing.pause();
  playing = null;
}

for (const track of document.querySelectorAll(".track")) {
  const audio = track.querySelector("audio"), button = track.querySelector(".play"), bar = track.querySelector(".spectrum"), cursor = bar.querySelector("i");
  const move = () => {
    cursor.style.left = `${100 * audio.currentTime / (audio.duration || Number(track.dataset.seconds))}%`;
    if (!audio.paused) requestAnimationFrame(move);
  };
  const shows = (on) => { button.textContent = on ? "\u275a\u275a" : "\u25b6"; button.setAttribute("aria-pressed", String(on)); };
  audio.addEventListener("play", () => { shows(true); move(); });
  audio.addEventListener("pause", () => { shows(false); move(); });
  audio.addEventListener("seeked", move);
  button.addEventListener("click", () => {
    const start = audio.paused;
    silence();
    if (start) { playing = audio; audio.play(); }
  });
  bar.addEventListener("click", (event) => {
    const box = bar.getBoundingClientRect();
    audio.currentTime = (event.clientX - box.left) / box.width * Number(track.dataset.seconds);
    if (audio.paused) { silence(); playing = audio; audio.play(); }
  });
}

// the blind comparison: which of the two is number 1 is drawn anew at each start, and told only when asked for ------------

for (const blind of document.querySelectorAll(".blind")) {
  const [first, second] = blind.querySelectorAll("select"), run = blind.querySelector(".run"), said = blind.querySelector("output");
  const start = blind.querySelector(".start"), reveal = blind.querySelector(".reveal"), sides = [...blind.querySelectorAll(".side")];
  const tracks = blind.closest(".scene").querySelectorAll(".track");
  const source = (name) => [...tracks].find((track) => track.dataset.name === name);
  let order = [], sounds = [];
  const stop = () => { sounds.forEach((sound) => sound.pause()); sides.forEach((side) => side.setAttribute("aria-pressed", "false")); };
  const reset = () => { stop(); sounds = []; order = []; run.hidden = true; said.textContent = ""; };
  first.addEventListener("change", reset);
  second.addEventListener("change", reset);
  start.addEventListener("click", () => {
    silence();
    reset();
    if (first.value === second.value) { said.textContent = "Choose two different sounds."; return; }
    order = [first.value, second.value];
    if (crypto.getRandomValues(new Uint8Array(1))[0] & 1) order.reverse();
    sounds = order.map((name) => { const sound = new Audio(source(name).querySelector("audio").src); sound.loop = true; return sound; });
    run.hidden = false;
  });
  sides.forEach((side, i) => side.addEventListener("click", () => {
    const on = side.getAttribute("aria-pressed") === "true", other = sounds[1 - i];
    const when = playing === other || playing === sounds[i] ? playing.currentTime : 0;
    stop();
    silence();
    if (on) return;
    playing = sounds[i];
    playing.currentTime = when; // goes on where the other one is
    playing.play();
    side.setAttribute("aria-pressed", "true");
  }));
  reveal.addEventListener("click", () => {
    said.textContent = order.map((name, i) => `Sound ${i + 1} was: ${source(name).dataset.called}`).join(". ") + ".";
  });
}

document.getElementById("filters").addEventListener("change", drawPareto);
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
addEventListener("scroll", hideTip, {passive: true});
fillMetrics();
drawPareto();
drawTime();
drawFigures();
drawProgress();
drawCurves();
