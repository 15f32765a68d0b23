// Follows a run by server-sent events. Every word of a device goes into the page as text, never as markup.
"use strict";
(() => {
  const section = document.querySelector("[data-live]");
  if (!section) return;
  const note = document.getElementById("live-note");
  const signs = { complete: "✓", running: "▶", planned: "…", failed: "✕", stopped: "■", cancelled: "■", invalid: "–", incomplete: "◐" };
  const state = (word) => {
    const shown = document.createElement("span");
    shown.className = `state s-${word}`;
    const sign = document.createElement("span");
    sign.setAttribute("aria-hidden", "true");
    sign.textContent = signs[word] ?? "·";
    shown.append(sign, ` ${word}`);
    return shown;
  };
  const cell = (job, text) => {
    const link = document.createElement("a");
    link.href = `/cells/${job}`;
    link.textContent = text;
    return link;
  };
  const number = (value, digits, unit) => (value === null ? "–" : `${value.toFixed(digits)} ${unit}`);
  const draw = (glance) => {
    for (const device of glance.devices) {
      const row = [...document.querySelectorAll("#live-devices tr[data-device]")].find((one) => one.dataset.device === device.device);
      if (!row) { location.reload(); return; }
      const counts = device.trials;
      const total = Object.values(counts).reduce((sum, one) => sum + one, 0);
      const put = (key, ...content) => row.querySelector(`[data-key=${key}]`).replaceChildren(...content);
      const short = device.state === "complete" && (counts.measured ?? 0) < total;
      put("state", state(short ? "incomplete" : device.state));
      put("measured", `${counts.measured ?? 0} of ${total}`);
      put("invalid", String(counts.invalid ?? 0));
      // As every command counts: a skipped trial failed with its preflight.
      put("failed", String((counts.failed ?? 0) + (counts.skipped ?? 0)));
      put("missing", String((counts.planned ?? 0) + (counts.running ?? 0)));
      put("temperature", number(device.temperature_c, 1, "°C"));
      put("clock", number(device.cpu_mhz, 0, "MHz"));
      put("cell", device.job === null ? "–" : cell(device.job, device.cell));
      const bar = row.querySelector("progress");
      bar.max = total || 1;
      bar.value = counts.measured ?? 0;
    }
    const rows = glance.failures.map((one) => {
      const row = document.createElement("tr");
      const when = one.at.replace("T", " ").slice(0, 16) + "Z";
      const said = { When: when, Device: one.device, Cell: cell(one.job, one.cell), Outcome: state(one.outcome), Reason: one.reason };
      for (const [label, content] of Object.entries(said)) {
        const place = document.createElement("td");
        place.dataset.label = label;
        place.append(content);
        row.append(place);
      }
      return row;
    });
    document.getElementById("live-failures").replaceChildren(...rows);
    document.getElementById("no-failures").hidden = rows.length > 0;
    document.getElementById("some-failures").hidden = rows.length === 0;
    const open = glance.devices.filter((one) => one.state === "running" || one.state === "planned").length;
    note.textContent = `Under way on ${open} of ${glance.devices.length} devices.`;
  };
  const source = new EventSource(section.dataset.live);
  source.addEventListener("glance", (event) => draw(JSON.parse(event.data)));
  source.addEventListener("end", () => { source.close(); location.reload(); });
  source.addEventListener("error", () => { note.textContent = "The connection is lost; trying again."; });
})();
