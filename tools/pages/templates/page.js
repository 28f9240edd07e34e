"use strict";
(() => {
  const collator = new Intl.Collator(document.documentElement.lang, { numeric: true });

  // Tables: a button in each head of a column. What has no number comes last, either way.
  function sortBy(head, column, isNumber) {
    const table = head.closest("table"), body = table.tBodies[0];
    const down = head.getAttribute("aria-sort") === "ascending";
    const rows = Array.from(body.rows, (row) => {
      const cell = row.cells[column], given = cell.dataset.v;
      return { row, key: isNumber ? (given === undefined ? NaN : Number(given)) : cell.textContent };
    });
    rows.sort((a, b) => {
      if (!isNumber) return (down ? -1 : 1) * collator.compare(a.key, b.key);
      if (Number.isNaN(a.key) || Number.isNaN(b.key)) return Number.isNaN(a.key) - Number.isNaN(b.key);
      return (down ? -1 : 1) * (a.key - b.key);
    });
    body.append(...rows.map(({ row }) => row));
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sortBy(head, column, head.classList.contains("n")));
    });
  }

  // Charts: the values under the pointer, or of the place that the arrow keys move to.
  function nearest(numbers, wanted) {
    let best = -1;
    numbers.forEach((number, i) => {
      if (number !== null && (best < 0 || Math.abs(number - wanted) < Math.abs(numbers[best] - wanted))) best = i;
    });
    return best;
  }

  // How far the points of a line stand apart, on average: it is read out near its points only.
  function spacing(one) {
    return one.x.length > 1 ? (one.x[one.x.length - 1] - one.x[0]) / (one.x.length - 1) : 0;
  }

  function write(number, unit) {
    return number === null ? "-" : number.toLocaleString("en", { maximumSignificantDigits: 6 }) + unit;
  }

  function readLines(chart, wanted) {
    const [low, high, start, end] = chart.scale;
    const longest = chart.series.reduce((a, b) => (b.x.length > a.x.length ? b : a));
    const place = longest.x[nearest(longest.x, wanted)];
    const apart = Math.max(...chart.series.map(spacing));
    const parts = chart.series.filter((one) => Math.abs(one.x[nearest(one.x, place)] - place) <= apart).map((one) => {
      const i = nearest(one.x, place);
      const band = one.low ? ` (${write(one.low[i], "")} to ${write(one.high[i], chart.unit)})` : "";
      return `${one.name} ${write(one.y[i], chart.unit)}${band}`;
    });
    return {
      text: `${chart.over} ${write(place, "")}: ${parts.join("; ")}`,
      path: `M${start + ((place - low) / (high - low)) * (end - start)} 10V208`,
      stops: longest.x, at: place,
    };
  }

  function readDots(chart, x, y) {
    let best = 0, least = Infinity;
    chart.places.forEach(([a, b], i) => {
      const far = (a - x) ** 2 + (b - y) ** 2;
      if (far < least) { least = far; best = i; }
    });
    const [a, b] = chart.places[best];
    return {
      text: `${chart.names[best]}: ${chart.over} ${write(chart.x[best], "")}, ${chart.of} ${write(chart.y[best], chart.unit)}`,
      path: `M${a - 6} ${b}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0`, at: best,
    };
  }

  for (const figure of document.querySelectorAll("figure[data-chart]")) {
    const drawing = figure.querySelector("svg"), cursor = drawing.querySelector(".cursor");
    const output = document.createElement("output");
    output.className = "readout";
    figure.append(output);
    drawing.setAttribute("tabindex", "0");
    let chart = null, at = null;  // parsed when first needed
    const load = () => (chart ??= JSON.parse(figure.dataset.chart));
    const show = (found) => {
      output.textContent = found.text;
      cursor.setAttribute("d", found.path);
      at = found.at;
    };
    drawing.addEventListener("pointermove", (event) => {
      const box = drawing.getBoundingClientRect();
      const x = ((event.clientX - box.left) / box.width) * 420, y = ((event.clientY - box.top) / box.height) * 250;
      if (load().places) return show(readDots(chart, x, y));
      const [low, high, start, end] = chart.scale;
      show(readLines(chart, low + ((x - start) / (end - start)) * (high - low)));
    });
    const hide = () => {
      output.textContent = "";
      cursor.setAttribute("d", "");
    };
    drawing.addEventListener("pointerleave", hide);
    drawing.addEventListener("blur", hide);
    drawing.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      if (load().places) {
        const order = chart.x.map((_, i) => i).sort((a, b) => chart.x[a] - chart.x[b]);
        const i = order.indexOf(at), next = order[Math.min(Math.max(i + step, 0), order.length - 1)];
        return show(readDots(chart, ...chart.places[next]));
      }
      const stops = readLines(chart, 0).stops, i = at === null ? (step > 0 ? -1 : stops.length) : stops.indexOf(at);
      show(readLines(chart, stops[Math.min(Math.max(i + step, 0), stops.length - 1)]));
    });
  }
})();
