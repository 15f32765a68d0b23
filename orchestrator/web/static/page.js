// What every page can do beyond links and forms. Without this file all tables, forms and links still work.
"use strict";
(() => {
  const places = { f: "/", r: "/runs", c: "/compare", g: "/regressions", h: "/history", w: "/changes", m: "/models", s: "/sql" };
  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "/") {
      const filter = document.getElementById("filter");
      if (filter) { event.preventDefault(); filter.focus(); filter.select(); }
    } else if (going && event.timeStamp - going < 1500 && places[event.key]) {
      location.assign(places[event.key]);
    }
    going = event.key === "g" && !going ? event.timeStamp : 0;
  });

  // A click on a heading sorts the rows that are there; the order is part of the address.
  const key = (row, column) => {
    const text = row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const value = parseFloat(text.replace(/[×,]/g, ""));
    return Number.isNaN(value) ? text.toLowerCase() : value;
  };
  const sort = (table, column, down) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].sort((one, other) => {
      const [a, b] = [key(one, column), key(other, column)];
      const order = typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
      return down ? -order : order;
    });
    body.append(...rows);
    [...table.tHead.rows[0].cells].forEach((cell, place) => {
      if (place === column) cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  };
  const arm = (root) => {
    root.querySelectorAll("table.sortable:not([data-armed])").forEach((table) => {
      table.dataset.armed = "yes";
      [...table.tHead.rows[0].cells].forEach((cell, column) => {
        const button = document.createElement("button");
        button.type = "button";
        button.append(...cell.childNodes);
        cell.append(button);
        button.addEventListener("click", () => {
          const down = cell.getAttribute("aria-sort") === "ascending";
          sort(table, column, down);
          const address = new URL(location.href);
          address.hash = `sort=${column}${down ? "d" : "a"}`;
          history.replaceState(history.state, "", address);
        });
      });
      const wanted = /^#sort=(\d+)([ad])$/.exec(location.hash);
      if (wanted && Number(wanted[1]) < table.tHead.rows[0].cells.length) sort(table, Number(wanted[1]), wanted[2] === "d");
    });
    root.querySelectorAll("button[data-copy]:not([data-armed])").forEach((button) => {
      button.dataset.armed = "yes";
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "copied";
      });
    });
  };
  // A link to a folded part unfolds it.
  const unfold = () => {
    const place = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const fold = place && place.closest("details");
    if (fold) { fold.open = true; place.scrollIntoView(); }
  };
  window.addEventListener("hashchange", unfold);
  document.addEventListener("DOMContentLoaded", () => { arm(document); unfold(); });
  document.addEventListener("htmx:afterSettle", () => arm(document));
})();
