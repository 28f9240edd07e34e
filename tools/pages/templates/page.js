"use strict";
(() => {
  const collator = new Intl.Collator(document.documentElement.lang, { numeric: true });

  // An element; its children are texts, which stay texts, or elements.
  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

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

  function makeSortable(table) {
    Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
      const button = make("button", { type: "button" }, ...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sortBy(head, column, head.classList.contains("n")));
    });
  }
  document.querySelectorAll("table.sortable").forEach(makeSortable);

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
    const output = make("output", { class: "readout" });
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

  // Timelines: the stretch under the pointer, or the next one by the arrow keys.
  function clock(seconds) {
    const whole = Math.floor(seconds + 0.0005), pad = (number) => String(number).padStart(2, "0");
    const rest = Math.round((seconds - whole) * 1000);
    const minutes = Math.floor(whole / 60), hours = Math.floor(minutes / 60);
    const fraction = rest > 0 ? `.${String(rest).padStart(3, "0")}`.replace(/0+$/, "") : "";
    return `${hours ? `${hours}:${pad(minutes % 60)}` : minutes}:${pad(whole % 60)}${fraction}`;
  }

  for (const figure of document.querySelectorAll("figure[data-timeline]")) {
    const output = make("output", { class: "readout" });
    figure.append(output);
    figure.tabIndex = 0;
    let film = null, at = -1;
    const load = () => (film ??= JSON.parse(figure.dataset.timeline));
    const mark = (path) => figure.querySelectorAll(".cursor").forEach((cursor) => cursor.setAttribute("d", path));
    const show = (i) => {
      const { end, names, stretches } = load(), [from, to, name, share] = stretches[i];
      output.textContent = `${clock(from)} to ${clock(to)}: ${names[name]} ${write(share, " %")}`;
      mark(`M${((from + to) / 2 / end) * 1000} 0V20`);
      at = i;
    };
    const hide = () => {
      output.textContent = "";
      mark("");
    };
    figure.addEventListener("pointermove", (event) => {
      const box = figure.querySelector("svg").getBoundingClientRect(), { end, stretches } = load();
      const time = ((event.clientX - box.left) / box.width) * end;
      const i = stretches.findIndex(([from, to]) => from <= time && time < to);
      if (i < 0) hide();
      else show(i);
    });
    figure.addEventListener("pointerleave", hide);
    figure.addEventListener("blur", hide);
    figure.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step || event.target !== figure) return;
      event.preventDefault();
      const last = load().stretches.length - 1;
      show(at < 0 && step < 0 ? last : Math.min(Math.max(at + step, 0), last));
    });
  }

  // Matrices of confusions: any class with those that it is mistaken for or with, chosen by its name or on the picture.
  const PART = 20;

  function makeTable(title, heads, rows, sortable) {
    const name = `t${(makeTable.count = (makeTable.count ?? 0) + 1)}`;
    const table = make("table", {},
      make("caption", {}, make("span", { id: name }, ...title)),
      make("thead", {}, make("tr", {}, ...heads.map((head, i) => make("th", { scope: "col", ...(i && { class: "n" }) }, head)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row))));
    if (sortable && rows.length > 1) makeSortable(table);
    return make("div", { class: "scroll", role: "region", "aria-labelledby": name, tabindex: "0" }, table);
  }

  for (const holder of document.querySelectorAll("div[data-matrix]")) {
    const { names, rows, whole } = JSON.parse(holder.dataset.matrix);
    const part = holder.querySelector(".part"), first = Array.from(part.childNodes);
    const pairs = rows.map((row) => {
      const found = new Map();
      for (let i = 0; i < row.length; i += 2) found.set(row[i], row[i + 1]);
      return found;
    });
    const totals = pairs.map((found) => Array.from(found.values()).reduce((a, b) => a + b, 0));
    const into = names.map(() => []);  // of each class: [class, videos of it that were taken for this one]
    pairs.forEach((found, label) => found.forEach((videos, other) => other !== label && into[other].push([label, videos])));
    const called = (label) => make("bdi", {}, names[label]);
    const share = (videos, label) => (100 * videos) / totals[label];

    const select = make("select", {}, make("option", { value: "" }, whole),
      ...names.map((name, i) => make("option", { value: i }, name)));
    const back = make("button", { type: "button" }, `Back to ${whole}`);
    const live = make("output", { class: "note" });
    holder.insertBefore(make("p", { class: "picker" }, make("label", {}, "Class ", select), back, live), part);

    function choose(label) {
      select.value = label === null ? "" : String(label);
      back.hidden = label === null;
      if (label === null) {
        part.replaceChildren(...first);
        live.textContent = "";
        return;
      }
      const out = Array.from(pairs[label]).filter(([other]) => other !== label);
      const near = new Map();
      for (const [other, videos] of [...out, ...into[label]]) near.set(other, (near.get(other) ?? 0) + videos);
      const others = Array.from(near).sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, PART - 1).map(([other]) => other);
      const right = pairs[label].get(label) ?? 0;
      live.textContent = `${right} of ${totals[label]} right; taken for ${out.length} others, ${into[label].length} others taken for it`;
      part.replaceChildren(
        make("div", { class: "twins" },
          listOthers(["What videos of ", called(label), " are taken for"], out, label),
          listOthers(["What is taken for ", called(label)], into[label], null)),
        drawPart(label, [label, ...others]));
    }

    // of: the class whose videos they are; null where each is of the class of its row.
    function listOthers(title, found, of) {
      const sorted = found.slice().sort((a, b) => b[1] - a[1] || a[0] - b[0]);
      return makeTable(title, ["class", "videos", of === null ? "share of that class" : "share of the class"],
        sorted.map(([other, videos]) => {
          const part = share(videos, of ?? other);
          return [make("th", { scope: "row", dir: "auto" }, names[other]),
            make("td", { class: "n", "data-v": videos }, videos.toLocaleString("en")),
            make("td", { class: `n b b${Math.round(part)}`, "data-v": part }, `${part.toFixed(1)} %`)];
        }), true);
    }

    function drawPart(label, shown) {
      const body = shown.map((one) => {
        const cells = shown.map((other) => {
          const videos = pairs[one].get(other) ?? 0;
          const heat = videos ? Math.ceil((10 * videos) / totals[one]) : 0;
          return make("td", { class: `n h${heat}${one === other ? " right" : ""}` }, videos ? videos.toLocaleString("en") : "");
        });
        const rest = totals[one] - shown.reduce((sum, other) => sum + (pairs[one].get(other) ?? 0), 0);
        return [make("th", { scope: "row", dir: "auto" }, names[one]), ...cells,
          make("td", { class: "n" }, rest ? rest.toLocaleString("en") : ""), make("td", { class: "n" }, totals[one].toLocaleString("en"))];
      });
      const heads = shown.map((one) => make("abbr", { title: names[one] }, String(one)));
      const region = makeTable([called(label), shown.length > 1 ? " and the classes that it is mistaken for or with" : "",
        ". Rows: videos by their class; columns: the class that they are taken for, by its number."], ["videos of", ...heads, "others", "videos"], body, false);
      region.querySelector("table").className = "confusions";
      return region;
    }

    select.addEventListener("change", () => choose(select.value === "" ? null : Number(select.value)));
    back.addEventListener("click", () => { choose(null); select.focus(); });
    back.hidden = true;

    const drawing = holder.querySelector(".overview > svg");
    if (!drawing) continue;
    const output = make("output", { class: "readout" }), cursor = drawing.querySelector(".cursor");
    drawing.parentElement.append(output);
    drawing.setAttribute("tabindex", "0");
    const step = 400 / names.length;
    const wrong = pairs.flatMap((found, label) => Array.from(found, ([other, videos]) => [label, other, videos]))
      .filter(([label, other]) => label !== other).sort((a, b) => b[2] - a[2]);
    let at = -1;
    const show = (i) => {
      const [label, other, videos] = wrong[i], x = 46 + (other + 0.5) * step, y = 8 + (label + 0.5) * step;
      output.textContent = `${names[label]} taken for ${names[other]}: ${write(videos, "")} of ${write(totals[label], " videos")}`;
      cursor.setAttribute("d", `M46 ${y}H446M${x} 8V408`);
      at = i;
    };
    const hide = () => {
      output.textContent = "";
      cursor.setAttribute("d", "");
    };
    drawing.addEventListener("pointermove", (event) => {
      const box = drawing.getBoundingClientRect();
      const column = (((event.clientX - box.left) / box.width) * 456 - 46) / step - 0.5;
      const row = (((event.clientY - box.top) / box.height) * 456 - 8) / step - 0.5;
      let best = -1, least = (8 / step) ** 2;
      wrong.forEach(([label, other], i) => {
        const far = (label - row) ** 2 + (other - column) ** 2;
        if (far < least) { least = far; best = i; }
      });
      if (best < 0) hide();
      else show(best);
    });
    drawing.addEventListener("pointerleave", hide);
    drawing.addEventListener("blur", hide);
    drawing.addEventListener("click", () => { if (at >= 0 && output.textContent) choose(wrong[at][0]); });
    drawing.addEventListener("keydown", (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (event.key === "Enter" && at >= 0) choose(wrong[at][0]);
      if (!move || !wrong.length) return;
      event.preventDefault();
      show(at < 0 && move < 0 ? wrong.length - 1 : Math.min(Math.max(at + move, 0), wrong.length - 1));
    });
  }
})();
