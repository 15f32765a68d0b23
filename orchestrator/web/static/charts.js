// Draws what the JSON interface says. The tables of a page have the same figures, also without this file.
"use strict";
(() => {
  const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const palette = ["--accent", "--bad", "--good", "--info", "--warn", "--quiet"];
  const dashes = [[], [6, 3], [2, 3], [8, 3, 2, 3], [12, 4], [1, 5]];
  const scales = { ns: [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]], bytes: [[1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]] };
  const unit = (metric, largest) => {
    const known = scales[/_ns(_p\d+)?$/.test(metric) ? "ns" : /bytes/.test(metric) ? "bytes" : ""];
    return known ? known.find(([factor]) => largest >= factor) ?? known[known.length - 1] : [1, ""];
  };
  const fetched = async (address) => {
    const answer = await fetch(address, { headers: { accept: "application/json" } });
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    return answer.json();
  };
  const axis = (label, more = {}) => ({ label, stroke: ink("--quiet"), grid: { stroke: ink("--line"), width: 1 }, ticks: { stroke: ink("--line"), width: 1 }, font: "12px system-ui", labelFont: "12px system-ui", ...more });
  const drawn = [];
  const draw = (place, options, data) => {
    if (!place) return;
    const width = () => Math.max(260, place.clientWidth);
    const chart = new uPlot({ width: width(), height: 260, legend: { live: true }, cursor: { drag: { x: true, y: false } }, ...options }, data, place);
    drawn.push([chart, width]);
    place.querySelector("canvas").setAttribute("aria-hidden", "true");
    return chart;
  };
  window.addEventListener("resize", () => drawn.forEach(([chart, width]) => chart.setSize({ width: width(), height: chart.height })));
  window.benchfleet = { axis, dashes, draw, fetched, ink, palette, unit };

  const line = (label, place, more = {}) => ({ label, stroke: ink(palette[place % palette.length]), dash: dashes[Math.floor(place / palette.length) % dashes.length], width: 1.6, points: { show: false }, ...more });

  const samples = async (host) => {
    const [found, cell] = await Promise.all([fetched(host.dataset.samples), fetched(host.dataset.cell)]);
    // The unit of most samples: the last bin alone reaches further.
    const [factor, name] = unit(found.metric, found.edges.at(-2) ?? 1);
    const label = name ? `${found.metric.replace(/_(ns|bytes)/, "")} in ${name}` : found.metric;
    const trials = found.trials;

    // A place for each bin, as wide as the others: the last one has the rest, and to scale would press all others together.
    const edges = found.edges.map((edge) => String(Number((edge / factor).toPrecision(4))));
    const bins = edges.length - 1;
    draw(document.getElementById("chart-histogram"), {
      scales: { x: { time: false } },
      axes: [axis(`${label}, from … on`, { values: (_, places) => places.map((place) => edges[place] ?? "") }), axis("samples")],
      series: [
        { label: name || "value", value: (_, place) => (place === null ? "--" : edges.slice(Math.min(place, bins - 1)).slice(0, 2).join(" to ")) },
        ...trials.map((trial, place) => line(`trial ${trial.trial_index}`, place, { paths: uPlot.paths.stepped({ align: 1 }) })),
      ],
    }, [edges.map((_, place) => place), ...trials.map((trial) => [...trial.counts, trial.counts[bins - 1]])]);

    // A common axis of values: each trial's share is read off its quantiles.
    const values = [...new Set(trials.flatMap((trial) => trial.quantiles))].sort((a, b) => a - b);
    const share = (quantiles, value) => {
      if (value < quantiles[0]) return 0;
      let low = 0, high = quantiles.length - 1;
      while (low < high) { const middle = (low + high + 1) >> 1; if (quantiles[middle] <= value) low = middle; else high = middle - 1; }
      return low / (quantiles.length - 1);
    };
    draw(document.getElementById("chart-ecdf"), {
      scales: { x: { time: false }, y: { range: [0, 1] } },
      axes: [axis(label), axis("share")],
      series: [{ label: name || "value" }, ...trials.map((trial, place) => line(`trial ${trial.trial_index}`, place, { paths: uPlot.paths.stepped({ align: 1 }) }))],
    }, [values.map((value) => value / factor), ...trials.map((trial) => values.map((value) => share(trial.quantiles, value)))]);

    const xs = [], temperature = [], clock = [];
    const columns = trials.map(() => []);
    const attempts = new Map(cell.attempts.map((one) => [one.id, one]));
    const reading = (conditions, key) => (typeof conditions?.[key] === "number" ? conditions[key] : null);
    let offset = 0;
    trials.forEach((trial, own) => {
      const attempt = attempts.get(trial.attempt);
      trial.values.forEach((value, place) => {
        xs.push(offset + place * trial.step);
        columns.forEach((column, other) => column.push(other === own ? value / factor : null));
        const edge = place === 0 ? attempt?.conditions_before : place === trial.values.length - 1 ? attempt?.conditions_after : null;
        temperature.push(reading(edge, "temperature_c"));
        clock.push(reading(edge, "cpu_mhz"));
      });
      offset += trial.samples;
    });
    const dots = (colour) => ({ show: true, size: 6, stroke: ink(colour), fill: ink("--sheet") });
    draw(document.getElementById("chart-time"), {
      scales: { x: { time: false }, temperature: {}, clock: {} },
      axes: [axis("sample"), axis(label), axis("°C", { side: 1, scale: "temperature", grid: { show: false } }), axis("MHz", { side: 1, scale: "clock", grid: { show: false } })],
      series: [{ label: "sample" }, ...trials.map((trial, place) => line(`trial ${trial.trial_index}`, place)),
        { label: "temperature", scale: "temperature", stroke: ink("--bad"), paths: () => null, points: dots("--bad") },
        { label: "clock", scale: "clock", stroke: ink("--quiet"), paths: () => null, points: dots("--quiet") }],
    }, [xs, ...columns, temperature, clock]);
  };
  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-samples]").forEach((host) => samples(host).catch((error) => {
      const note = document.createElement("p");
      note.className = "problem";
      note.textContent = `The charts cannot be drawn: ${error.message}`;
      host.prepend(note);
    }));
  });
})();
